//! Where the arguments of a magic end that are words as in a shell: with their line, unless a quotation mark is open at
//! its end or a backslash stands there. Brackets mean nothing among such words.

/// The magics whose arguments are such words. A test compares it with what the magics say of themselves.
pub const MAGICS: [&str; 43] = [
    "autopx",
    "bash",
    "c",
    "cancel",
    "cd",
    "children",
    "comm",
    "detach",
    "edit",
    "env",
    "explain",
    "gather",
    "guide",
    "help",
    "history",
    "jobs",
    "load",
    "logs",
    "nodes",
    "opt",
    "out",
    "pool",
    "pull",
    "push",
    "pxconfig",
    "pxresult",
    "quit",
    "rerun",
    "reset",
    "result",
    "run",
    "save",
    "scatter",
    "sh",
    "spawn",
    "stop",
    "timeline",
    "toolchain",
    "types",
    "wait",
    "who",
    "whos",
    "writefile",
];

/// Whether this is the name of one, perhaps with a pool behind it.
pub(super) fn is_of_words(name: &str) -> bool {
    let without_pool = name.split('_').next().unwrap_or(name);
    MAGICS.contains(&without_pool)
}

/// Whether the words are a shell's own, for which each quotation mark is one; in other words `it's` has an apostrophe.
pub(super) fn is_of_shell(name: &str) -> bool {
    ["sh", "bash", "parallel"].contains(&name)
}

/// Where words end that begin at `from`.
///
/// # Errors
/// When more must follow: where the quotation mark stands that is open, or the backslash, when the text ends.
pub(super) fn words_end(text: &str, from: usize, of_shell: bool) -> Result<usize, usize> {
    let mut quote = None;
    let mut before = None;
    let mut chars = text[from..].char_indices();
    while let Some((at, c)) = chars.next() {
        let at = from + at;
        match (quote, c) {
            (None, '\n') => return Ok(at),
            (None, '#') if before.is_none_or(char::is_whitespace) => {
                return Ok(text[at..]
                    .find('\n')
                    .map_or(text.len(), |length| at + length));
            }
            (None, '"') => quote = Some((c, at)),
            (None, '\'') if of_shell || !before.is_some_and(char::is_alphanumeric) => {
                quote = Some((c, at));
            }
            (Some((open, _)), c) if c == open => quote = None,
            (None | Some(('"', _)), '\\') if chars.next().is_none() => return Err(at),
            _ => {}
        }
        before = Some(c);
    }
    match quote {
        Some((_, at)) => Err(at),
        None => Ok(text.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_end_with_their_line() {
        for (text, words) in [
            ("a ( [ {\nb", "a ( [ {"),
            ("sh -c 'echo (' ))\nb", "sh -c 'echo (' ))"),
            ("sh -c \"echo (\"\nb", "sh -c \"echo (\""),
            ("it's /* here\nb", "it's /* here"),
            ("'a\nb' c\nd", "'a\nb' c"),
            ("\"a\\\"\nb\" c\nd", "\"a\\\"\nb\" c"),
            ("'a\\'\nb", "'a\\'"),
            ("a \\\nb\nc", "a \\\nb"),
            ("a\\\\\nb", "a\\\\"),
            ("a # it's 'so\nb", "a # it's 'so"),
            ("a#'b\nc' d\ne", "a#'b\nc' d"),
            ("", ""),
            ("\nb", ""),
        ] {
            assert_eq!(
                words_end(text, 0, false).map(|end| &text[..end]),
                Ok(words),
                "{text}"
            );
        }
    }

    #[test]
    fn open_quotes_and_a_last_backslash_want_more() {
        for (text, at) in [("a 'b", 2), ("'a' \"b'\nc", 4), ("a \\", 2), ("a=\"b\\", 4)] {
            assert_eq!(words_end(text, 0, false), Err(at), "{text}");
        }
    }

    #[test]
    fn in_a_shell_s_words_each_quotation_mark_is_one() {
        let line = "awk -F'\"' '{print $2}' f\nb";
        assert_eq!(words_end(line, 0, true), Ok(line.len() - 2));
        assert_eq!(words_end("cut -d'\"' -f2 f", 0, true), Ok(15));
        assert_eq!(words_end("echo it's", 0, true), Err(7));
    }
}
