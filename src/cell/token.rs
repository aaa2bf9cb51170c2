//! rustc's tokens with their places, and what the cell's rooms need to know about them: which bracket is
//! open, what is unterminated, which line a byte stands on. It must never decide what a token means for a
//! cell, and never panic: any text has tokens.

use ra_ap_rustc_lexer::{Cursor, FrontmatterAllowed, LiteralKind, RawStrError, TokenKind};

/// One token; `start` and `end` are byte offsets in the text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tok {
    pub kind: TokenKind,
    pub start: usize,
    pub end: usize,
}

impl Tok {
    pub fn text<'a>(&self, text: &'a str) -> &'a str {
        &text[self.start..self.end]
    }

    /// Whether the compiler's parser sees it; documentation counts, because it is an attribute.
    pub fn is_significant(&self) -> bool {
        match self.kind {
            TokenKind::Whitespace => false,
            TokenKind::LineComment { doc_style } | TokenKind::BlockComment { doc_style, .. } => {
                doc_style.is_some()
            }
            _ => true,
        }
    }

    pub fn is_comment(&self) -> bool {
        matches!(
            self.kind,
            TokenKind::LineComment { .. } | TokenKind::BlockComment { .. }
        )
    }

    /// What is open when the text ends inside this token: a string, a raw string, a block comment.
    pub fn unterminated(&self, text: &str) -> Option<&'static str> {
        match self.kind {
            TokenKind::BlockComment {
                terminated: false, ..
            } => Some("comment"),
            TokenKind::Literal { kind, .. } => match kind {
                LiteralKind::Str { terminated: false }
                | LiteralKind::ByteStr { terminated: false }
                | LiteralKind::CStr { terminated: false } => Some("string"),
                LiteralKind::RawStr { n_hashes: None } => self.raw_without_end(text, 1),
                LiteralKind::RawByteStr { n_hashes: None }
                | LiteralKind::RawCStr { n_hashes: None } => self.raw_without_end(text, 2),
                _ => None,
            },
            _ => None,
        }
    }

    /// rustc's lexer also calls `r#~` an invalid raw string; only one without an end can still be continued.
    fn raw_without_end(&self, text: &str, prefix: u32) -> Option<&'static str> {
        match ra_ap_rustc_lexer::validate_raw_str(self.text(text), prefix) {
            Err(RawStrError::NoTerminator { .. }) => Some("raw string"),
            _ => None,
        }
    }
}

/// The tokens of a text from a place on; it can be moved over what isn't Rust.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    /// `at` must be a character boundary, as every token's ends are.
    pub fn new(text: &'a str, at: usize) -> Self {
        Self { text, at }
    }

    pub fn jump(&mut self, to: usize) {
        self.at = to;
    }
}

impl Iterator for Lexer<'_> {
    type Item = Tok;

    fn next(&mut self) -> Option<Tok> {
        let token = Cursor::new(&self.text[self.at..], FrontmatterAllowed::No).advance_token();
        if token.kind == TokenKind::Eof {
            return None;
        }
        let start = self.at;
        self.at += token.len as usize;
        Some(Tok {
            kind: token.kind,
            start,
            end: self.at,
        })
    }
}

/// All significant tokens of `text[from..to]`.
pub(super) fn significant(text: &str, from: usize, to: usize) -> Vec<Tok> {
    Lexer::new(&text[..to], from)
        .filter(Tok::is_significant)
        .collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Round,
    Square,
    Curly,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    shape: Shape,
    pub at: usize,
}

/// The brackets that are open. Closing one that encloses others closes those too, so that broken code finds
/// its way back to depth 0.
#[derive(Default)]
pub(super) struct Brackets {
    open: Vec<Opened>,
    counts: [usize; 3],
    /// A closing bracket had no partner, or not the innermost one.
    pub mismatched: bool,
}

impl Brackets {
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    pub fn innermost(&self) -> Option<&Opened> {
        self.open.last()
    }

    /// Takes note of one token.
    pub fn step(&mut self, tok: &Tok) {
        let (shape, opens) = match tok.kind {
            TokenKind::OpenParen => (Shape::Round, true),
            TokenKind::OpenBracket => (Shape::Square, true),
            TokenKind::OpenBrace => (Shape::Curly, true),
            TokenKind::CloseParen => (Shape::Round, false),
            TokenKind::CloseBracket => (Shape::Square, false),
            TokenKind::CloseBrace => (Shape::Curly, false),
            _ => return,
        };
        if opens {
            self.counts[shape as usize] += 1;
            self.open.push(Opened {
                shape,
                at: tok.start,
            });
            return;
        }
        if self.counts[shape as usize] == 0 {
            self.mismatched = true;
            return;
        }
        while let Some(opened) = self.open.pop() {
            self.counts[opened.shape as usize] -= 1;
            if opened.shape == shape {
                return;
            }
            self.mismatched = true;
        }
    }
}

/// Where each line of a text starts.
pub(super) struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    pub fn new(text: &'a str) -> Self {
        let after_newlines = text
            .bytes()
            .enumerate()
            .filter(|(_, b)| *b == b'\n')
            .map(|(i, _)| i + 1);
        Self {
            text,
            starts: std::iter::once(0).chain(after_newlines).collect(),
        }
    }

    /// The line of a byte, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    /// Line and column of a byte, both from 1, the column in characters.
    pub fn place(&self, at: usize) -> (usize, usize) {
        let line = self.line(at);
        let start = self.starts[line - 1];
        (line, self.text[start..at].chars().count() + 1)
    }

    /// The byte offset at which the line of byte `at` ends, its newline not included.
    pub fn end_of_line(&self, at: usize) -> usize {
        self.starts
            .get(self.line(at))
            .map_or(self.text.len(), |next| next - 1)
    }
}
