//! `Out[n]` blocks: one value below its prompt. Long values are shortened, and how much is missing is said.

use std::borrow::Cow;

use super::{Style, units};
use crate::outcome::Value;

const MOST_LINES: usize = 200;
/// Some fifty lines of a terminal; a sequence of thousands is not read to its end.
const MOST_BYTES: usize = 4 * 1024;

/// A value behind its prompt (`Out[4]`), below it when it has several lines.
pub(crate) fn block(prompt: &str, value: &Value, style: &Style) -> String {
    let full = plain(value);
    let (shown, left_out) = shorten(full.trim_end_matches('\n'));
    let mut out = style.prompt(&format!("{prompt}:"));
    if !shown.is_empty() {
        out.push(if shown.contains('\n') { '\n' } else { ' ' });
        out.push_str(shown);
    }
    out.push('\n');
    if let Some(what) = left_out {
        out.push_str(&style.faint(&style.spell(format!("… {what} left out"))));
        out.push('\n');
    }
    out
}

/// A value's text; for a picture and the like, what it is and how large.
pub(crate) fn plain(value: &Value) -> Cow<'_, str> {
    match value.content.iter().find(|(mime, _)| mime != "text/plain") {
        Some((mime, data)) if value.text().is_empty() => {
            Cow::Owned(format!("{mime}, {}", units::bytes(data.len() as u64)))
        }
        _ => Cow::Borrowed(value.text()),
    }
}

/// The beginning that is shown, and what is left out.
fn shorten(text: &str) -> (&str, Option<String>) {
    let by_lines = text
        .match_indices('\n')
        .nth(MOST_LINES - 1)
        .map_or(text.len(), |(at, _)| at);
    let mut end = by_lines.min(MOST_BYTES);
    if end < by_lines {
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        // Whole lines, where the value has lines.
        end = text[..end].rfind('\n').unwrap_or(end);
    }
    if end == text.len() {
        return (text, None);
    }
    let (shown, rest) = text.split_at(end);
    let size = units::bytes(rest.len() as u64);
    let lines = rest
        .strip_prefix('\n')
        .map(|lines| lines.lines().count() as u64);
    let left_out = match lines {
        Some(lines) => format!("{} ({size})", units::counted(lines, "lines")),
        None => size,
    };
    // The engine cut it too.
    let more = if rest.ends_with('…') {
        "more than "
    } else {
        ""
    };
    (shown, Some(format!("{more}{left_out}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        block("Out[4]", &Value::plain(text, "T"), &Style::plain(80))
    }

    fn numbered(lines: usize) -> String {
        let lines: Vec<_> = (0..lines).map(|line| line.to_string()).collect();
        lines.join("\n") + "\n"
    }

    #[test]
    fn one_line_stands_beside_the_prompt_and_more_below() {
        assert_eq!(show("[1, 2]"), "Out[4]: [1, 2]\n");
        assert_eq!(show("漢字 🦀"), "Out[4]: 漢字 🦀\n");
        assert_eq!(show("a\nb\n"), "Out[4]:\na\nb\n");
        assert_eq!(show(""), "Out[4]:\n");
    }

    #[test]
    fn a_long_value_says_what_is_missing() {
        let lines = numbered(1000);
        let shown = show(&lines);
        assert_eq!(shown.lines().count(), 202);
        assert!(
            shown.ends_with("\n199\n… 800 lines (3.20 kB) left out\n"),
            "{shown}"
        );
        let exact = numbered(200);
        assert!(!show(&exact).contains("left out"));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let shown = show(&"漢".repeat(100_000));
        assert!(shown.ends_with("漢\n… 296 kB left out\n"));
        assert!(shown.len() < 70_000);
    }

    #[test]
    fn a_picture_is_named() {
        let content = vec![
            ("text/plain".to_owned(), String::new()),
            ("image/png".to_owned(), "x".repeat(12_300)),
        ];
        let value = Value {
            content,
            type_name: String::new(),
        };
        assert_eq!(
            block("Out[1]", &value, &Style::plain(80)),
            "Out[1]: image/png, 12.3 kB\n"
        );
    }
}
