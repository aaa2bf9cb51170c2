//! What is no Rust in a cell, by the rule by which it is taken apart: for colours and completion, which look at
//! cells that are being written. It must never refuse a text.

use std::ops::Range;

use super::scan::{Scanner, Stop};
use super::{Segment, SegmentKind};

/// A magic or a shell command, as bytes of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// A magic's sign and name, `%px`, or all of a shell command.
    pub span: Range<usize>,
    pub is_shell: bool,
    /// Where the arguments end.
    pub end: usize,
}

/// What is no Rust in a text, in order; also in the body of a `%%` cell.
pub fn foreign(text: &str) -> Vec<Foreign> {
    let (mut found, body) = in_cell(text);
    if let Some(body) = body {
        let at = text.len() - body.len();
        let inside = in_cell(&body).0.into_iter().map(|foreign| Foreign {
            span: foreign.span.start + at..foreign.span.end + at,
            end: foreign.end + at,
            ..foreign
        });
        if let Some(call) = found.last_mut() {
            call.end = at;
        }
        found.extend(inside);
    }
    found
}

fn in_cell(text: &str) -> (Vec<Foreign>, Option<String>) {
    let mut scanner = Scanner::new(text, None);
    let mut known = 0;
    while let Some(step) = scanner.step() {
        let new = scanner
            .foreign
            .get_mut(known..)
            .unwrap_or_default()
            .last_mut();
        match (step, new) {
            (Err(Stop::Unclosed(_)), Some(call)) => {
                call.end = text.len();
                break;
            }
            // `x = %px`, or a sign alone: a magic is meant.
            (Err(Stop::Wrong(_)), Some(call)) => {
                let end = call.end;
                scanner.skip(end);
            }
            _ => {}
        }
        known = scanner.foreign.len();
    }
    let body = match scanner.segments.pop() {
        Some(Segment {
            kind: SegmentKind::Magic(call),
            ..
        }) => call.body,
        _ => None,
    };
    (scanner.foreign, body)
}

#[cfg(test)]
mod tests {
    use super::foreign;

    #[test]
    fn what_is_no_rust_is_found_in_any_text() {
        for (text, found) in [
            ("a % b; a\n    %b", vec![]),
            ("%who", vec!["%who·"]),
            (
                "let f = %map f over [\n1]; f",
                vec!["%map· f over [\n1]; f"],
            ),
            ("%px -t 0 f(\n1, 2", vec!["%px· -t 0 f(\n1, 2"]),
            ("%", vec!["%·"]),
            ("%\nlet x = %", vec!["%·"]),
            ("x = %px 1;\n%who", vec!["%px· 1;", "%who·"]),
            ("f(\n%px\n)", vec![]),
            ("\"\n%px\"", vec![]),
            (
                "%%time -n 1\nlet a = %px 2\n!ls",
                vec!["%%time· -n 1\n", "%px· 2", "!ls·"],
            ),
            ("!cat \\\n x\n1", vec!["!cat \\\n x·"]),
            ("let a = !cat 'x y'", vec!["!cat 'x y'·"]),
            ("let a = !b", vec![]),
            (":dep serde = \"1\"", vec![":dep· serde = \"1\""]),
            ("\u{1680}\u{1680}%who", vec!["%who·"]),
        ] {
            let shown: Vec<String> = foreign(text)
                .into_iter()
                .map(|one| {
                    format!(
                        "{}·{}",
                        &text[one.span.clone()],
                        &text[one.span.end..one.end]
                    )
                })
                .collect();
            assert_eq!(shown, found, "{text:?}");
        }
    }
}
