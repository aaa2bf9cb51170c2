//! `Out[n]` blocks: one value below its prompt. What does not fit on a line is folded; of what takes many lines
//! the middle is left out, and how much that is is said.

use std::borrow::Cow;

use super::debug::{Line, lay};
use super::{Style, text, units};
use crate::outcome::Value;

/// A value behind its prompt (`Out[4]`), below it when that has no room for it.
pub(crate) fn block(prompt: &str, value: &Value, style: &Style) -> String {
    let full = plain(value);
    let shown = full.trim_end_matches('\n');
    let mut out = style.prompt(&format!("{prompt}:"));
    let mut taken = text::width(prompt) + 2;
    if value.with_type && !value.type_name.is_empty() {
        let kind = format!("{} =", value.type_name);
        taken += text::width(&kind) + 1;
        out.push(' ');
        out.push_str(&style.faint(&kind));
    }
    if shown.is_empty() {
        out.push('\n');
        return out;
    }
    let lines = lay(shown, style.width, value.most_lines);
    let beside = match lines.as_slice() {
        [Line::Value(line)] => {
            let columns = text::width(line);
            // What is wider than the terminal wraps anyway.
            columns > style.width || taken + columns <= style.width
        }
        _ => false,
    };
    out.push(if beside { ' ' } else { '\n' });
    out.push_str(&drawn(&lines, style));
    out
}

/// A value's lines, as they stand on the screen.
fn drawn(lines: &[Line], style: &Style) -> String {
    let mut out = String::new();
    for line in lines {
        match line {
            Line::Value(line) => out.push_str(line),
            Line::LeftOut(what) => out.push_str(&style.faint(&style.spell(what.clone()))),
        }
        out.push('\n');
    }
    out
}

/// The whole of a value, folded to the style's width.
pub(crate) fn whole(value: &Value, style: &Style) -> String {
    drawn(
        &lay(plain(value).trim_end_matches('\n'), style.width, usize::MAX),
        style,
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        block("Out[4]", &Value::plain(text, "T"), &Style::plain(80))
    }

    #[test]
    fn one_line_stands_beside_the_prompt_and_more_below() {
        assert_eq!(show("[1, 2]"), "Out[4]: [1, 2]\n");
        assert_eq!(show("漢字 🦀"), "Out[4]: 漢字 🦀\n");
        assert_eq!(show("a\nb\n"), "Out[4]:\na\nb\n");
        assert_eq!(show(""), "Out[4]:\n");
        let wide = "x".repeat(75);
        assert_eq!(show(&wide), format!("Out[4]:\n{wide}\n"), "fits below");
    }

    #[test]
    fn a_type_stands_before_its_value_when_it_is_wanted() {
        let value = |text: &str| Value {
            with_type: true,
            ..Value::plain(text, "Vec<u8>")
        };
        let shown = |value: &Value| block("Out[4]", value, &Style::plain(24));
        assert_eq!(shown(&value("[1, 2]")), "Out[4]: Vec<u8> = [1, 2]\n");
        assert_eq!(shown(&value("[1, 21]")), "Out[4]: Vec<u8> =\n[1, 21]\n");
        let unknown = Value {
            type_name: String::new(),
            ..value("a chart")
        };
        assert_eq!(shown(&unknown), "Out[4]: a chart\n");
    }

    #[test]
    fn a_long_value_is_folded_and_says_what_is_missing() {
        let long = format!("{:?}", (1000..2000).collect::<Vec<u32>>());
        let shown = show(&long);
        assert_eq!(shown.lines().count(), 11, "{shown}");
        assert!(shown.starts_with("Out[4]:\n[\n    1000, 1001,"), "{shown}");
        assert!(shown.contains("\n    … 924 more of 1000\n"), "{shown}");
        assert!(shown.ends_with(" 1999,\n]\n"), "{shown}");
        assert!(shown.lines().all(|line| line.len() <= 80), "{shown}");
        let few = Value {
            most_lines: 3,
            ..Value::plain(long.as_str(), "T")
        };
        assert_eq!(block("Out[4]", &few, &Style::plain(80)).lines().count(), 4);
        assert_eq!(whole(&few, &Style::plain(80)).lines().count(), 86);
        let colour = Style {
            colour: true,
            ..Style::plain(80)
        };
        // The line that says what is missing; among three lines it has no line of its own.
        let faint = block("Out[4]", &Value::plain(long.as_str(), "T"), &colour);
        assert!(faint.contains("\u{1b}[2m    … "), "{faint:?}");
    }

    #[test]
    fn a_picture_is_named() {
        let content = vec![
            ("text/plain".to_owned(), String::new()),
            ("image/png".to_owned(), "x".repeat(12_300)),
        ];
        let value = Value {
            content,
            ..Value::default()
        };
        assert_eq!(
            block("Out[1]", &value, &Style::plain(80)),
            "Out[1]: image/png, 12.3 kB\n"
        );
    }
}
