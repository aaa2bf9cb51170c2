//! Continuation prompts. rustyline draws a cell's second and later lines at column 0 and has no prompt
//! for them, so the editor's buffer carries a margin of pad characters after each line break, as wide as
//! the prompt, and the highlighter paints `   ...: ` over it. Widths agree, so the cursor is always right.
//!
//! Pads live in the editor's buffer only: whatever leaves it goes through [`strip`]. The pad is a space
//! that Rust source does not use; outside of string literals it would not even compile.

use std::borrow::Cow;

/// OGHAM SPACE MARK: one column wide, white space (so word motions skip it), and never typed.
pub const PAD: char = '\u{1680}';

/// The text with a margin of `width` pads after each line break. Existing pads are replaced.
pub fn pad(text: &str, width: usize) -> Cow<'_, str> {
    let text = strip(text);
    if width == 0 || !text.contains('\n') {
        return text;
    }
    Cow::Owned(text.replace('\n', &line_break(width)))
}

/// The text without any pads: what the user meant.
pub fn strip(text: &str) -> Cow<'_, str> {
    if text.contains(PAD) {
        Cow::Owned(text.chars().filter(|&c| c != PAD).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Bytes of pads in `text`: the difference between a place in the buffer and in the stripped text.
pub fn pad_bytes(text: &str) -> usize {
    text.chars().filter(|&c| c == PAD).count() * PAD.len_utf8()
}

/// A line break and the margin of the line that it begins.
pub fn line_break(width: usize) -> String {
    let mut text = String::from("\n");
    text.extend(std::iter::repeat_n(PAD, width));
    text
}

/// What is painted over a margin: `   ...: `, right-aligned in `width` columns like the prompt's colon.
pub fn marker(width: usize) -> String {
    const DOTS: &str = "...: ";
    if width < DOTS.len() {
        " ".repeat(width)
    } else {
        format!("{DOTS:>width$}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_comes_off_without_a_trace() {
        let code = "fn f() {\n    \"ä\"\n\n}";
        let padded = pad(code, 8);
        assert_eq!(
            padded.lines().nth(1).map(|line| line.chars().count()),
            Some(8 + 7)
        );
        assert_eq!(strip(&padded), code);
        assert_eq!(pad_bytes(&padded), 3 * 8 * PAD.len_utf8());
        // A cell recalled under a longer prompt gets the new width, not both.
        assert_eq!(pad(&padded, 9), pad(code, 9));
    }

    #[test]
    fn marker_lines_up_with_the_prompt() {
        assert_eq!(marker("In [3]: ".len()), "   ...: ");
        assert_eq!(marker("In [10]: ".len()), "    ...: ");
        assert_eq!(marker(2), "  ");
    }

    #[test]
    fn a_pad_is_one_column_of_white_space() {
        assert_eq!(unicode_width::UnicodeWidthChar::width(PAD), Some(1));
        assert!(PAD.is_whitespace());
    }
}
