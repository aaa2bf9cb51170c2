//! `F over EXPR`, `EXPR with OP`: where the two parts stand that a word divides.

use std::ops::Range;

use ra_ap_syntax::{SyntaxToken, T};

use super::syntax::{Tree, read};

/// The byte ranges of the function and of the inputs, both without surrounding white space.
pub fn over(text: &str) -> Option<(Range<usize>, Range<usize>)> {
    divided(text, "over")
}

/// The byte ranges of a reduction's inputs and of its operation, as of `0..10 with |a, b| a + b`.
pub fn with(text: &str) -> Option<(Range<usize>, Range<usize>)> {
    divided(text, "with")
}

/// The first `word` divides that cannot go on with what is before it: a variable, a field or a method of that
/// name has an operator, a dot or a keyword in front of it.
fn divided(text: &str, word: &str) -> Option<(Range<usize>, Range<usize>)> {
    if !text.contains(word) {
        return None;
    }
    let parts = |tree: &Tree| {
        let tokens: Vec<SyntaxToken> = tree.tokens().collect();
        let place = |at: usize| Some(tree.range(tokens.get(at)?.text_range()));
        // Read as statements, the text has a new one there.
        let statements = tree.statements().skip(1);
        let starts: Vec<usize> = statements.map(|node| tree.span(&node).start).collect();
        let mut depth = 0_usize;
        for (at, token) in tokens.iter().enumerate() {
            match token.kind() {
                T!['('] | T!['['] | T!['{'] => depth += 1,
                T![')'] | T![']'] | T!['}'] => depth = depth.saturating_sub(1),
                _ => {}
            }
            if token.text() != word || at == 0 {
                continue;
            }
            let (before, here) = (place(at - 1)?, place(at)?);
            // The end of `0.. over`, and the middle of `0..over`.
            let is_range = depth == 0 && tokens[at - 1].kind() == T![..];
            if is_range && before.end < here.start || starts.binary_search(&here.start).is_ok() {
                let function = place(0)?.start..before.end;
                return Some((function, place(at + 1)?.start..place(tokens.len() - 1)?.end));
            }
        }
        None
    };
    read(text, parts).flatten()
}

/// Line and column behind `text`, which begins at `at`.
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
    use super::{over, with};

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
            ("f /* over */ over g(over)", Some(("f", "g(over)"))),
            (
                "|over| over * 2 over over",
                Some(("|over| over * 2", "over")),
            ),
            ("|mut over| !over over xs", Some(("|mut over| !over", "xs"))),
            ("|x| x.over over xs", Some(("|x| x.over", "xs"))),
            ("|x| x.over() over xs", Some(("|x| x.over()", "xs"))),
            ("|x| 1 + over over xs", Some(("|x| 1 + over", "xs"))),
            ("|x| k::over over xs", Some(("|x| k::over", "xs"))),
            (
                "|x| match over { 0 => x, _ => over } over xs",
                Some(("|x| match over { 0 => x, _ => over }", "xs")),
            ),
            ("parse::<u8> over words", Some(("parse::<u8>", "words"))),
            ("|x| -> u8 { x } over xs", Some(("|x| -> u8 { x }", "xs"))),
            ("|x| x? over xs", Some(("|x| x?", "xs"))),
            ("|x| x > over over xs", Some(("|x| x > over", "xs"))),
            ("f over 0..over", Some(("f", "0..over"))),
            (
                "parse::<Vec<u8 > > over words",
                Some(("parse::<Vec<u8 > >", "words")),
            ),
            ("|x| return over over xs", Some(("|x| return over", "xs"))),
            ("|x| x over -1..1", Some(("|x| x", "-1..1"))),
            (
                "|x| if x { 1 } else { 2 } over (0..3)",
                Some(("|x| if x { 1 } else { 2 }", "(0..3)")),
            ),
            (
                "|x| [x, over][0] over { xs }",
                Some(("|x| [x, over][0]", "{ xs }")),
            ),
            ("fib [1]", None),
            ("over xs", None),
            ("fib over", None),
            ("", None),
        ] {
            let found = over(text).map(|(f, e)| (&text[f], &text[e]));
            assert_eq!(found, parts, "{text}");
        }
    }

    #[test]
    fn the_first_with_outside_brackets_divides() {
        for (text, parts) in [
            ("0..10 with |a, b| a + b", Some(("0..10", "|a, b| a + b"))),
            ("0.. with u64::max", Some(("0..", "u64::max"))),
            ("0..with with max", Some(("0..with", "max"))),
            ("with with with", Some(("with", "with"))),
            (
                "KEY.with(|k| k.len()).. with |a, with| a + with",
                Some(("KEY.with(|k| k.len())..", "|a, with| a + with")),
            ),
            (
                "xs.iter().map(|x| x with y) with max",
                Some(("xs.iter().map(|x| x with y)", "max")),
            ),
            (
                "[\"a with b\", r#\"with\"#]\n    with |a, b| { a.with(b) }",
                Some(("[\"a with b\", r#\"with\"#]", "|a, b| { a.with(b) }")),
            ),
            (
                "vec![1; with] with max // with",
                Some(("vec![1; with]", "max")),
            ),
            (
                "if with { xs } else { ys } with max",
                Some(("if with { xs } else { ys }", "max")),
            ),
            (
                "Vec::<u8>::new() with max",
                Some(("Vec::<u8>::new()", "max")),
            ),
            ("xs", None),
            ("xs with", None),
            ("xs.with max", None),
            ("'w': with", None),
        ] {
            let found = with(text).map(|(e, op)| (&text[e], &text[op]));
            assert_eq!(found, parts, "{text}");
        }
    }
}
