//! `F over EXPR`: where the two parts of a map stand.

use std::ops::Range;

use ra_ap_rustc_lexer::TokenKind;

use super::token::significant;

/// The byte ranges of the function and of the inputs, both without surrounding white space. The first
/// `over` outside of brackets divides them.
#[must_use]
pub fn over(text: &str) -> Option<(Range<usize>, Range<usize>)> {
    let tokens = significant(text, 0, text.len());
    let mut depth = 0_i32;
    for (index, token) in tokens.iter().enumerate() {
        match token.kind {
            TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => depth += 1,
            TokenKind::CloseParen | TokenKind::CloseBracket | TokenKind::CloseBrace => depth -= 1,
            TokenKind::Ident if depth == 0 && token.text(text) == "over" => {
                let function = tokens.first()?.start..tokens[..index].last()?.end;
                let inputs = tokens.get(index + 1)?.start..tokens.last()?.end;
                return Some((function, inputs));
            }
            _ => {}
        }
    }
    None
}

/// Line and column behind `text`, which begins at `at`.
#[must_use]
pub fn position(text: &str, at: (usize, usize)) -> (usize, usize) {
    match text.rsplit_once('\n') {
        Some((before, last)) => (
            at.0 + before.matches('\n').count() + 1,
            last.chars().count() + 1,
        ),
        None => (at.0, at.1 + text.chars().count()),
    }
}

#[cfg(test)]
mod tests {
    use super::over;

    #[test]
    fn the_first_over_outside_brackets_divides() {
        for (text, parts) in [
            ("fib over [1, 2]", Some(("fib", "[1, 2]"))),
            (
                "|x| x * 2  over  0..10 // all",
                Some(("|x| x * 2", "0..10")),
            ),
            (
                "|x| { let over = x; over } over xs",
                Some(("|x| { let over = x; over }", "xs")),
            ),
            (
                "|s: &str| s == \" over \" over words",
                Some(("|s: &str| s == \" over \"", "words")),
            ),
            ("fib [1]", None),
            ("over xs", None),
            ("fib over", None),
        ] {
            let found = over(text).map(|(f, e)| (&text[f], &text[e]));
            assert_eq!(found, parts, "{text}");
        }
    }
}
