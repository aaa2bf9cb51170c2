//! What each piece of a cell's text is, for colours and completion: rustc's own lexer, plus magics,
//! their options and shell lines. One pass over any text, finished or not, valid or not; nothing here
//! decides how a cell is understood: that is the cell parser's.

use ra_ap_rustc_lexer::{Cursor, FrontmatterAllowed, LiteralKind, TokenKind};

use crate::cell::KEYWORDS;

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
#[must_use]
pub fn classify(text: &str) -> Vec<Span> {
    let mut scan = Scan {
        text,
        spans: Vec::new(),
        line_start: true,
        statement: true,
        magic: false,
        depth: 0,
    };
    let mut at = 0;
    let mut cursor = Cursor::new(text, FrontmatterAllowed::No);
    while at < text.len() {
        // What is not Rust is cut out before the lexer sees it; the lexer starts again behind it.
        if let Some((end, class)) = scan.foreign(at) {
            scan.push(at, end, class);
            at = end;
            cursor = Cursor::new(&text[at..], FrontmatterAllowed::No);
            continue;
        }
        let token = cursor.advance_token();
        let end = at + token.len as usize;
        if end == at {
            break;
        }
        let class = scan.token(token.kind, at, end);
        scan.push(at, end, class);
        at = end;
    }
    scan.spans
}

struct Scan<'t> {
    text: &'t str,
    spans: Vec<Span>,
    /// Only white space since the line began.
    line_start: bool,
    /// A statement may begin here.
    statement: bool,
    /// In the rest of a line that a magic began.
    magic: bool,
    /// Open brackets.
    depth: usize,
}

impl Scan<'_> {
    /// A magic, an option or a shell line that begins at `at`, and its end.
    fn foreign(&mut self, at: usize) -> Option<(usize, Class)> {
        let rest = &self.text[at..];
        let found = match rest.as_bytes()[0] {
            b'%' if self.line_start || self.statement => {
                let sign = if rest.starts_with("%%") { 2 } else { 1 };
                let name = word_len(&rest[sign..]);
                if name == 0 && rest.len() > sign {
                    return None;
                }
                self.magic = true;
                (sign + name, Class::Magic)
            }
            b'!' if self.line_start && self.depth == 0 => {
                (rest.find('\n').unwrap_or(rest.len()), Class::Shell)
            }
            b'-' if self.magic && self.text[..at].ends_with(char::is_whitespace) => {
                (flag_len(rest)?, Class::Flag)
            }
            _ => return None,
        };
        self.line_start = false;
        self.statement = false;
        Some((at + found.0, found.1))
    }

    /// The class of one of rustc's tokens; keeps track of where statements begin.
    fn token(&mut self, kind: TokenKind, at: usize, end: usize) -> Class {
        let piece = &self.text[at..end];
        match kind {
            TokenKind::Whitespace => {
                if piece.contains('\n') {
                    self.line_start = true;
                    self.magic = false;
                }
                return Class::Plain;
            }
            TokenKind::LineComment { .. } | TokenKind::BlockComment { .. } => {
                return Class::Comment;
            }
            // An editor's margin.
            TokenKind::Unknown if piece.chars().all(char::is_whitespace) => return Class::Plain,
            _ => {}
        }
        self.line_start = false;
        self.statement = matches!(
            kind,
            TokenKind::Semi
                | TokenKind::Eq
                | TokenKind::Comma
                | TokenKind::OpenBrace
                | TokenKind::OpenParen
                | TokenKind::CloseBrace
        );
        match kind {
            TokenKind::OpenBrace | TokenKind::OpenParen | TokenKind::OpenBracket => {
                self.depth += 1;
                Class::Open
            }
            TokenKind::CloseBrace | TokenKind::CloseParen | TokenKind::CloseBracket => {
                self.depth = self.depth.saturating_sub(1);
                Class::Close
            }
            TokenKind::Ident => {
                let after = &self.text[end..];
                identifier(piece, after.starts_with('!') && !after.starts_with("!="))
            }
            TokenKind::Lifetime { .. } | TokenKind::RawLifetime => Class::Lifetime,
            TokenKind::Literal {
                kind: LiteralKind::Int { .. } | LiteralKind::Float { .. },
                ..
            } => Class::Number,
            TokenKind::Literal { .. } => Class::Text,
            _ => Class::Plain,
        }
    }

    /// Neighbours of one class become one span, except brackets, which are paired one by one.
    fn push(&mut self, start: usize, end: usize, class: Class) {
        match self.spans.last_mut() {
            Some(last) if last.class == class && !matches!(class, Class::Open | Class::Close) => {
                last.end = end;
            }
            _ => self.spans.push(Span { start, end, class }),
        }
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

/// Bytes of the identifier characters that `text` begins with.
pub(super) fn word_len(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
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
