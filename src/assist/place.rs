//! Where the cursor stands in a cell: in a magic's name, an option, its value, a file name, code. Pure,
//! and only a guess from the current line; what can stand there is completion's business.

use super::code::question;
use super::syntax::{Class, Span, classify};
use crate::vocabulary::{MagicWord, OptionWord, ValueKind, Vocabulary};

/// What stands at the cursor.
pub(super) enum Place<'v> {
    /// A magic's name after `%` or `%%`.
    MagicName {
        cell: bool,
    },
    OptionName(&'v MagicWord),
    Value(&'v ValueKind),
    /// The first word after a magic's name: a subcommand, an argument, or code.
    First(&'v MagicWord),
    /// A word after a subcommand, or one of several pools.
    Positional(&'v MagicWord),
    File,
    Code,
    Nothing,
}

/// Whether the word at `cursor` is a file name; the caller then asks the file system.
pub fn is_file_place(text: &str, cursor: usize, vocabulary: &Vocabulary) -> bool {
    matches!(
        place(text, cursor, vocabulary).0,
        Place::File | Place::Value(ValueKind::File)
    )
}

/// The place at `cursor`, and where the word there starts.
pub(super) fn place<'v>(
    text: &str,
    cursor: usize,
    vocabulary: &'v Vocabulary,
) -> (Place<'v>, usize) {
    let spans = classify(&text[..cursor]);
    let line = text[..cursor].rfind('\n').map_or(0, |at| at + 1);
    if let Some(magic) = spans
        .iter()
        .rev()
        .find(|s| s.class == Class::Magic && s.start >= line)
    {
        if magic.end == cursor {
            let cell = text[..magic.start].trim().is_empty();
            return (Place::MagicName { cell }, magic.start);
        }
        let name = text[magic.start..magic.end].trim_start_matches(['%', ':']);
        return argument(text, magic.end, cursor, name, vocabulary);
    }
    if let Some((_, name)) = question(text)
        && name <= cursor
    {
        return match text[name..cursor].strip_prefix('%') {
            Some(_) => (Place::Value(&ValueKind::Magic), name + 1),
            None => code_place(text, cursor),
        };
    }
    match spans.last() {
        Some(Span {
            class: Class::Shell,
            ..
        }) => (Place::File, word_start(text, line, cursor)),
        Some(Span {
            class: Class::Text | Class::Comment,
            ..
        }) => (Place::Nothing, cursor),
        _ => code_place(text, cursor),
    }
}

/// The place within a magic's arguments, which begin at `from`.
fn argument<'v>(
    text: &str,
    from: usize,
    cursor: usize,
    name: &str,
    vocabulary: &'v Vocabulary,
) -> (Place<'v>, usize) {
    let start = word_start(text, from, cursor);
    let typed = &text[start..cursor];
    let before: Vec<&str> = text[from..start].split_whitespace().collect();
    let Some(magic) = vocabulary.magic(name) else {
        return code_place(text, cursor);
    };
    let subcommand = before
        .first()
        .and_then(|first| magic.subcommands.iter().find(|sub| sub.name == *first));
    let magic = subcommand.unwrap_or(magic);
    if let Some(value) = before.last().and_then(|word| value_of(magic, word)) {
        return (Place::Value(value), value_start(text, start, cursor, value));
    }
    if let Some((option, _)) = typed.split_once('=')
        && let Some(value) = value_of(magic, option)
    {
        let start = start + option.len() + 1;
        return (Place::Value(value), value_start(text, start, cursor, value));
    }
    if typed.starts_with('-') {
        return (Place::OptionName(magic), start);
    }
    match before.as_slice() {
        [_] if subcommand.is_some() && magic.takes_code => (Place::First(magic), start),
        _ if subcommand.is_some() && magic.takes_code => code_place(text, cursor),
        _ if subcommand.is_some() => (Place::Positional(magic), start),
        [] => match only_positional(magic).map(|option| &option.value) {
            Some(ValueKind::File) => (Place::File, start),
            _ => (Place::First(magic), start),
        },
        words if magic.takes_code && words.contains(&"--") => code_place(text, cursor),
        _ if goes_on(magic) => (Place::Positional(magic), start),
        _ if magic.takes_code => code_place(text, cursor),
        _ => (Place::Nothing, cursor),
    }
}

/// The word at the cursor, as white space bounds it.
fn word_start(text: &str, from: usize, cursor: usize) -> usize {
    text[from..cursor]
        .rfind(char::is_whitespace)
        .map_or(from, |at| {
            from + at + text[from + at..].chars().next().map_or(1, char::len_utf8)
        })
}

/// Targets are completed piece by piece: in `0,2` the word is `2`.
fn value_start(text: &str, start: usize, cursor: usize, value: &ValueKind) -> usize {
    match value {
        ValueKind::Targets => text[start..cursor]
            .rfind(',')
            .map_or(start, |at| start + at + 1),
        _ => start,
    }
}

/// The identifier or path at the cursor.
pub(super) fn code_place(text: &str, cursor: usize) -> (Place<'static>, usize) {
    let head = &text[..cursor];
    let word = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let path = head.trim_end_matches(word).len();
    // A single colon, as in `x:u64`, is not part of a path.
    let start = match head[path..].rmatch_indices(':').find(|(at, _)| {
        let around = &head.as_bytes()[path..];
        around.get(at + 1) != Some(&b':') && (*at == 0 || around[at - 1] != b':')
    }) {
        Some((at, _)) => path + at + 1,
        None => path,
    };
    (Place::Code, start)
}

/// What must follow the word, if it is an option of the magic that takes a value.
pub(super) fn value_of<'v>(magic: &'v MagicWord, word: &str) -> Option<&'v ValueKind> {
    let option = if let Some(long) = word.strip_prefix("--") {
        magic
            .options
            .iter()
            .find(|option| option.long.as_deref() == Some(long))?
    } else {
        let mut short = word.strip_prefix('-')?.chars();
        let name = short.next()?;
        if short.next().is_some() {
            return None;
        }
        magic
            .options
            .iter()
            .find(|option| option.short == Some(name))?
    };
    (option.value != ValueKind::None).then_some(&option.value)
}

/// Whether this is an argument without a name.
pub(super) fn is_positional(option: &OptionWord) -> bool {
    option.long.is_none() && option.short.is_none()
}

fn only_positional(magic: &MagicWord) -> Option<&OptionWord> {
    let mut words = magic.options.iter().filter(|option| is_positional(option));
    words.next().filter(|_| words.next().is_none())
}

/// Whether the arguments without a name are any number of one kind.
fn goes_on(magic: &MagicWord) -> bool {
    only_positional(magic).is_some_and(|option| option.several)
}
