//! The options in front of a magic's code, as in `%px -t 0 --verbose x[1] + 1`. The code is Rust and must
//! never be split or unquoted the way a shell would; so only the words that are options are taken.

use ra_ap_rustc_lexer::TokenKind;

use super::token::{Brackets, Lexer, Tok};

/// How many values an option takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueCount {
    None,
    /// Attached (`-t0`, `--targets=0`), or else the next word, whatever it begins with.
    One,
    /// As one, and it goes on over blanks after a comma and between brackets: `0, 1`, `[0, 2]`.
    List,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    #[error("unknown option `{option}`")]
    Unknown { option: String },
    #[error("the option `{option}` needs a value")]
    MissingValue { option: String },
    #[error("the option `{option}` takes no value")]
    UnexpectedValue { option: String },
    #[error("the quotation mark in `{word}` is never closed")]
    UnclosedQuote { word: String },
}

/// Takes the options off the front of `args`. `takes_value` is asked with an option's name as it is written
/// without its value, `-t` or `--targets`, and gives `None` for one that doesn't exist. Gives the words,
/// unquoted (a value that stands apart is a word of its own), and the byte offset in `args` at which the
/// code begins. Options end before the first word that isn't one (a lone `-`, a number and any other
/// expression aren't), or after `--`, which is not among the words.
///
/// # Errors
/// An option that doesn't exist, lacks its value or has one that it doesn't take; a quotation mark that
/// is never closed.
pub fn split_options(
    args: &str,
    takes_value: &dyn Fn(&str) -> Option<ValueCount>,
) -> Result<(Vec<String>, usize), OptionError> {
    let mut words = Vec::new();
    let mut at = skip_blanks(args, 0);
    while is_option(&args[at..]) {
        let (mut word, end) = read_word(args, at)?;
        at = skip_blanks(args, end);
        if word == "--" {
            break;
        }
        let (option, count, has_value) = known(&word, takes_value)?;
        if has_value && count == ValueCount::List {
            at = read_on(args, at, &mut word)?;
        }
        match count {
            ValueCount::None if has_value => {
                return Err(OptionError::UnexpectedValue { option });
            }
            ValueCount::One | ValueCount::List if !has_value => {
                if at == args.len() {
                    return Err(OptionError::MissingValue { option });
                }
                let (mut value, end) = read_word(args, at)?;
                at = skip_blanks(args, end);
                if count == ValueCount::List {
                    at = read_on(args, at, &mut value)?;
                }
                words.extend([word, value]);
            }
            _ => words.push(word),
        }
    }
    Ok((words, at))
}

/// Where options begin that stand behind the code: the first `--name` outside of brackets that `is_option`, given
/// `--name`, knows. In Rust it would be what is subtracted from what is before it, twice negated.
pub fn options_behind(code: &str, is_option: &dyn Fn(&str) -> bool) -> Option<usize> {
    let mut brackets = Brackets::default();
    let tokens: Vec<Tok> = Lexer::new(code, 0).collect();
    for (at, tok) in tokens.iter().enumerate() {
        brackets.step(tok);
        let stands_alone = code[..tok.start].ends_with(char::is_whitespace);
        let dashes = tok.kind == TokenKind::Minus
            && tokens
                .get(at + 1)
                .is_some_and(|next| next.kind == TokenKind::Minus);
        if dashes && stands_alone && brackets.depth() == 0 {
            let word = code[tok.start..].split(|c: char| c.is_whitespace() || c == '=');
            if word.take(1).any(is_option) {
                return Some(tok.start);
            }
        }
    }
    None
}

/// The option that a word names, how many values it takes, and whether one is attached.
fn known(
    word: &str,
    takes_value: &dyn Fn(&str) -> Option<ValueCount>,
) -> Result<(String, ValueCount, bool), OptionError> {
    let (name, value) = match word.split_once('=') {
        Some((name, _)) if word.starts_with("--") => (name, true),
        _ => (word, false),
    };
    if let Some(count) = takes_value(name) {
        return Ok((name.to_owned(), count, value));
    }
    let short = word.char_indices().nth(2).map(|(end, _)| &word[..end]);
    match short.map(|short| (short, takes_value(short))) {
        Some((short, Some(count @ (ValueCount::One | ValueCount::List))))
            if !word.starts_with("--") =>
        {
            Ok((short.to_owned(), count, true))
        }
        _ => Err(OptionError::Unknown {
            option: name.to_owned(),
        }),
    }
}

/// `-x…`, `--x…` or `--`; not `-`, `-1` or `-(a + b)`.
fn is_option(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('-') else {
        return false;
    };
    let rest = match rest.strip_prefix('-') {
        Some(rest) if rest.chars().next().is_none_or(char::is_whitespace) => return true,
        Some(rest) => rest,
        None => rest,
    };
    rest.starts_with(|c: char| c.is_ascii_alphabetic())
}

fn skip_blanks(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

/// Whether a list is not over with this word.
pub fn goes_on(list: &str) -> bool {
    list.ends_with(',') || list.contains('[') && !list.ends_with(']')
}

/// Takes the words that a list goes on with, and says where the next word begins.
fn read_on(args: &str, mut at: usize, list: &mut String) -> Result<usize, OptionError> {
    while goes_on(list) && at < args.len() {
        let (word, end) = read_word(args, at)?;
        list.push_str(&word);
        at = skip_blanks(args, end);
    }
    Ok(at)
}

/// The word at `at` without its quotation marks, and where it ends.
fn read_word(args: &str, at: usize) -> Result<(String, usize), OptionError> {
    let mut word = String::new();
    let mut quote = None;
    for (offset, c) in args[at..].char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => return Ok((word, at + offset)),
            _ => word.push(c),
        }
    }
    if quote.is_some() {
        return Err(OptionError::UnclosedQuote {
            word: args[at..].to_owned(),
        });
    }
    Ok((word, args.len()))
}

#[cfg(test)]
mod tests {

    use super::*;

    fn takes_value(option: &str) -> Option<ValueCount> {
        match option {
            "-t" | "--targets" => Some(ValueCount::List),
            "-s" => Some(ValueCount::One),
            "-b" | "--no-stream" => Some(ValueCount::None),
            "-o" | "--out" => Some(ValueCount::One),
            _ => None,
        }
    }

    #[test]
    fn options_end_where_the_code_begins() {
        for (args, words, code) in [
            ("x + 1", vec![], "x + 1"),
            ("", vec![], ""),
            ("-t 0,2 x[1] - 1", vec!["-t", "0,2"], "x[1] - 1"),
            ("-t0 x", vec!["-t0"], "x"),
            ("-t -1 x", vec!["-t", "-1"], "x"),
            ("--targets=::2  x", vec!["--targets=::2"], "x"),
            ("--targets ::2", vec!["--targets", "::2"], ""),
            ("-t '0, 2' \"a b\"", vec!["-t", "0, 2"], "\"a b\""),
            ("--targets=\"0, 2\" x", vec!["--targets=0, 2"], "x"),
            ("-b --no-stream f(-b)", vec!["-b", "--no-stream"], "f(-b)"),
            ("-oé x", vec!["-oé"], "x"),
            ("--out=y x", vec!["--out=y"], "x"),
            ("-t 0, 1 x[0]", vec!["-t", "0,1"], "x[0]"),
            ("-t [0, 2] [x]", vec!["-t", "[0,2]"], "[x]"),
            ("-t [0,2] [x]", vec!["-t", "[0,2]"], "[x]"),
            ("-t0, 1 x", vec!["-t0,1"], "x"),
            ("--targets=0, 1, 2 (x)", vec!["--targets=0,1,2"], "(x)"),
            ("-s 0, 1", vec!["-s", "0,"], "1"),
            ("-b -- -t", vec!["-b"], "-t"),
            ("--\nx", vec![], "x"),
            ("-1 + x", vec![], "-1 + x"),
            ("-1.5", vec![], "-1.5"),
            ("- x", vec![], "- x"),
            ("-(a + b)", vec![], "-(a + b)"),
            ("-b |x| {\n 'c' }", vec!["-b"], "|x| {\n 'c' }"),
        ] {
            let (found, at) = split_options(args, &takes_value).expect(args);
            assert_eq!(
                (found, &args[at..]),
                (words.iter().map(ToString::to_string).collect(), code)
            );
        }
    }

    #[test]
    fn options_behind_the_code_are_found() {
        let is_option = |word: &str| matches!(word, "--engines" | "--svg");
        for (code, options) in [
            ("f over xs --engines 1,2", Some("--engines 1,2")),
            (
                "f over 0..9 --svg=a.svg --engines 1",
                Some("--svg=a.svg --engines 1"),
            ),
            ("f over [1]\n  --engines 1", Some("--engines 1")),
            ("f over xs", None),
            ("f over a --b", None),
            ("f over a--engines", None),
            ("|x| \"a --engines 1\" over xs", None),
            ("f over (x --engines) // --svg", None),
            ("f over 0..x - --engines", Some("--engines")),
        ] {
            let found = options_behind(code, &is_option).map(|at| &code[at..]);
            assert_eq!(found, options, "{code}");
        }
    }

    #[test]
    fn wrong_options_are_named() {
        for (args, message) in [
            ("-b --tragets 0", "unknown option `--tragets`"),
            ("--tragets=0", "unknown option `--tragets`"),
            ("-x", "unknown option `-x`"),
            ("-bt 0", "unknown option `-bt`"),
            ("-é", ""),
            ("-t", "the option `-t` needs a value"),
            ("--no-stream=1", "the option `--no-stream` takes no value"),
            ("-t '0 x", "the quotation mark in `'0 x` is never closed"),
        ] {
            let error = split_options(args, &takes_value).err();
            assert_eq!(
                error.map_or(String::new(), |error| error.to_string()),
                message,
                "{args}"
            );
        }
    }
}
