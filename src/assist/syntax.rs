//! What each piece of a cell's text is, for colours and completion: rustc's own lexer, and magics and shell
//! commands where the cell parser finds them. Any text has its pieces, finished or not, valid or not.

use std::ops::Range;

use ra_ap_rustc_lexer::{Cursor, FrontmatterAllowed, LiteralKind, TokenKind};

use crate::cell::{KEYWORDS, foreign};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Plain,
    Keyword,
    Type,
    Macro,
    Lifetime,
    Text,
    Number,
    Comment,
    Open,
    Close,
    /// `%name` or `%%name`.
    Magic,
    /// `-t` or `--targets` in a magic's line.
    Flag,
    /// `!command`, to the end of the line.
    Shell,
}

/// A piece of the text, in bytes. Spans follow each other without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    pub class: Class,
}

const PRIMITIVES: &[&str] = &[
    "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "str", "u128", "u16",
    "u32", "u64", "u8", "usize",
];

/// Splits the text into classified spans.
pub fn classify(text: &str) -> Vec<Span> {
    let mut spans = Spans(Vec::new());
    let mut at = 0;
    for foreign in foreign(text) {
        let Range { start, end } = foreign.span;
        rust(text, at..start, &mut spans);
        if foreign.is_shell {
            spans.push(start, end, Class::Shell);
        } else {
            spans.push(start, end, Class::Magic);
            arguments(text, end..foreign.end, &mut spans);
        }
        at = foreign.end;
    }
    rust(text, at..text.len(), &mut spans);
    spans.0
}

/// A magic's arguments: Rust, and options between blanks on the first line.
fn arguments(text: &str, part: Range<usize>, spans: &mut Spans) {
    let line = text[part.clone()].find('\n');
    let line_end = line.map_or(part.end, |at| part.start + at);
    let mut at = part.start;
    while at < line_end {
        let after_blank = text[..at].ends_with(char::is_whitespace);
        let flag = text[at..line_end]
            .starts_with('-')
            .then(|| flag_len(&text[at..line_end]));
        match flag.flatten().filter(|_| after_blank) {
            Some(length) => spans.push(at, at + length, Class::Flag),
            None => spans.token(text, at, part.end),
        }
        at = spans.end();
    }
    rust(text, at..part.end, spans);
}

fn rust(text: &str, part: Range<usize>, spans: &mut Spans) {
    let mut at = part.start;
    while at < part.end {
        spans.token(text, at, part.end);
        at = spans.end();
    }
}

struct Spans(Vec<Span>);

impl Spans {
    fn end(&self) -> usize {
        self.0.last().map_or(0, |span| span.end)
    }

    /// The token of rustc's at `at`, of a text up to `to`.
    fn token(&mut self, text: &str, at: usize, to: usize) {
        let token = Cursor::new(&text[at..to], FrontmatterAllowed::No).advance_token();
        // There is always one; whatever it is, the text goes on behind it.
        let end = at + (token.len as usize).max(1);
        let class = class(token.kind, &text[at..end], &text[end..]);
        self.push(at, end, class);
    }

    /// Neighbours of one class become one span, except brackets, which are paired one by one.
    fn push(&mut self, start: usize, end: usize, class: Class) {
        match self.0.last_mut() {
            Some(last) if last.class == class && !matches!(class, Class::Open | Class::Close) => {
                last.end = end;
            }
            _ => self.0.push(Span { start, end, class }),
        }
    }
}

fn class(kind: TokenKind, piece: &str, after: &str) -> Class {
    match kind {
        TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => Class::Comment,
        TokenKind::OpenBrace | TokenKind::OpenParen | TokenKind::OpenBracket => Class::Open,
        TokenKind::CloseBrace | TokenKind::CloseParen | TokenKind::CloseBracket => Class::Close,
        TokenKind::Ident => identifier(piece, after.starts_with('!') && !after.starts_with("!=")),
        TokenKind::Lifetime { .. } | TokenKind::RawLifetime => Class::Lifetime,
        TokenKind::Literal {
            kind: LiteralKind::Int { .. } | LiteralKind::Float { .. },
            ..
        } => Class::Number,
        TokenKind::Literal { .. } => Class::Text,
        _ => Class::Plain,
    }
}

fn identifier(word: &str, called_with_bang: bool) -> Class {
    if KEYWORDS.binary_search(&word).is_ok() {
        Class::Keyword
    } else if called_with_bang {
        Class::Macro
    } else if PRIMITIVES.binary_search(&word).is_ok() || is_camel_case(word) {
        Class::Type
    } else {
        Class::Plain
    }
}

/// `Vec` and a generic `T`, but not a constant `MAX`.
fn is_camel_case(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(char::is_uppercase)
        && (word.len() == 1 || chars.any(char::is_lowercase))
}

/// Bytes of the option that `text` begins with: `-t`, `-n4` or `--group-outputs`; `None` for `-1` or `- x`.
fn flag_len(text: &str) -> Option<usize> {
    let long = text.strip_prefix("--");
    let name = long.unwrap_or(&text[1..]);
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    if long.is_some() {
        let len = name
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '-')
            .unwrap_or(name.len());
        return Some(2 + len);
    }
    let digits = name[1..]
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(name.len() - 1);
    let ends = name[1 + digits..]
        .chars()
        .next()
        .is_none_or(|c| c.is_whitespace() || c == '=');
    ends.then_some(if digits > 0 { 2 } else { 2 + digits })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classes(text: &str) -> Vec<(&str, Class)> {
        classify(text)
            .into_iter()
            .filter(|span| span.class != Class::Plain)
            .map(|span| (&text[span.start..span.end], span.class))
            .collect()
    }

    #[test]
    fn word_lists_can_be_searched() {
        assert!(KEYWORDS.is_sorted());
        assert!(PRIMITIVES.is_sorted());
    }

    #[test]
    fn rust_is_read_as_rustc_reads_it() {
        assert_eq!(
            classes("let v: Vec<u8> = vec!['a', r#\"%px\"#]; // 'b"),
            [
                ("let", Class::Keyword),
                ("Vec", Class::Type),
                ("u8", Class::Type),
                ("vec", Class::Macro),
                ("[", Class::Open),
                ("'a'", Class::Text),
                ("r#\"%px\"#", Class::Text),
                ("]", Class::Close),
                ("// 'b", Class::Comment),
            ]
        );
        assert_eq!(classes("x != MAX"), []);
        assert_eq!(classes("'outer"), [("'outer", Class::Lifetime)]);
    }

    #[test]
    fn a_percent_sign_is_a_magic_only_where_a_statement_begins() {
        assert_eq!(classes("a %b"), []);
        assert_eq!(classes("%px"), [("%px", Class::Magic)]);
        assert_eq!(classes("x;\n  %who"), [("%who", Class::Magic)]);
        assert_eq!(classes("%%px\n1")[0], ("%%px", Class::Magic));
        assert_eq!(classes("let f = %map g")[1], ("%map", Class::Magic));
        assert_eq!(classes("%"), [("%", Class::Magic)]);
    }

    #[test]
    fn options_belong_to_magics() {
        assert_eq!(
            classes("%px -t 0 --group-outputs=type x - y -1"),
            [
                ("%px", Class::Magic),
                ("-t", Class::Flag),
                ("0", Class::Number),
                ("--group-outputs", Class::Flag),
                ("type", Class::Keyword),
                ("1", Class::Number),
            ]
        );
        assert_eq!(classes("a --b"), []);
        assert_eq!(classes("%pool start -n4")[1], ("-n", Class::Flag));
    }

    #[test]
    fn a_shell_line_is_not_lexed() {
        assert_eq!(
            classes("!echo \"it's\nlet x = !y;"),
            [("!echo \"it's", Class::Shell), ("let", Class::Keyword)]
        );
        assert_eq!(
            classes("{\n!x }"),
            [("{", Class::Open), ("}", Class::Close)]
        );
    }

    #[test]
    fn spans_cover_every_text_without_gaps() {
        for text in [
            "",
            "%",
            "%%",
            "-",
            "! ",
            "\"open",
            "/* open",
            "é%\u{0}\r\n'",
            "r##\"",
            "%px -",
            "%px -é",
        ] {
            let mut at = 0;
            for span in classify(text) {
                assert_eq!(span.start, at, "in {text:?}");
                at = span.end;
            }
            assert_eq!(at, text.len(), "in {text:?}");
        }
    }
}
