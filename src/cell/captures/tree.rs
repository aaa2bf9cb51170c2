//! A function's tokens with the brackets that belong together: where on one level something ends. It must
//! never know which names are whose.

use std::ops::Range;

use ra_ap_rustc_lexer::TokenKind;

use crate::cell::statement::ends_operand;
use crate::cell::token::{Tok, significant};

pub struct Tree<'a> {
    pub text: &'a str,
    pub tokens: Vec<Tok>,
    partners: Vec<usize>,
}

impl<'a> Tree<'a> {
    pub fn new(text: &'a str) -> Self {
        let tokens = significant(text, 0, text.len());
        let partners = partners(&tokens);
        Self {
            text,
            tokens,
            partners,
        }
    }

    pub fn kind(&self, at: usize) -> Option<TokenKind> {
        self.tokens.get(at).map(|tok| tok.kind)
    }

    /// The identifier or keyword at a place, empty when there is none.
    pub fn word(&self, at: usize) -> &'a str {
        match self.tokens.get(at) {
            Some(tok) if tok.kind == TokenKind::Ident => tok.text(self.text),
            _ => "",
        }
    }

    /// Whether these kinds stand at a place, with no blank between.
    pub fn is(&self, at: usize, kinds: &[TokenKind]) -> bool {
        let Some(found) = self.tokens.get(at..at + kinds.len()) else {
            return false;
        };
        found.iter().map(|tok| &tok.kind).eq(kinds)
            && found.windows(2).all(|two| two[0].end == two[1].start)
    }

    pub fn is_open(&self, at: usize) -> bool {
        matches!(
            self.kind(at),
            Some(TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace)
        )
    }

    pub fn is_brace(&self, at: usize) -> bool {
        self.kind(at) == Some(TokenKind::OpenBrace)
    }

    /// The next place on the same level.
    pub fn next(&self, at: usize) -> usize {
        if self.is_open(at) {
            self.partners[at] + 1
        } else {
            at + 1
        }
    }

    /// What stands in the bracket that opens at a place.
    pub fn inside(&self, open: usize) -> Range<usize> {
        open + 1..self.partners[open]
    }

    /// The first place on this level of which `wanted` holds, or the end.
    pub fn find(&self, range: &Range<usize>, wanted: impl Fn(usize) -> bool) -> usize {
        let mut at = range.start;
        while at < range.end && !wanted(at) {
            at = if self.is_generics(at) {
                self.after_generics(at)
            } else {
                self.next(at)
            };
        }
        at.min(range.end)
    }

    /// `::<`, after which commas divide types.
    fn is_generics(&self, at: usize) -> bool {
        self.kind(at) == Some(TokenKind::Lt)
            && at >= 2
            && self.is(at - 2, &[TokenKind::Colon, TokenKind::Colon])
    }

    fn after_generics(&self, open: usize) -> usize {
        let mut angles = 0usize;
        let mut at = open;
        while at < self.tokens.len() {
            match self.kind(at) {
                Some(TokenKind::Lt) => angles += 1,
                Some(TokenKind::Gt) if !self.is(at - 1, &[TokenKind::Minus, TokenKind::Gt]) => {
                    angles -= 1;
                }
                Some(TokenKind::Semi) => return at,
                _ => {}
            }
            at = self.next(at);
            if angles == 0 {
                break;
            }
        }
        at
    }

    pub fn comma(&self, range: &Range<usize>) -> usize {
        self.find(range, |at| self.kind(at) == Some(TokenKind::Comma))
    }

    pub fn is_arrow(&self, at: usize) -> bool {
        self.is(at, &[TokenKind::Eq, TokenKind::Gt])
    }

    /// A `=` that is no part of `==`, `=>`, `..=` or `<=`.
    fn is_assignment(&self, at: usize) -> bool {
        let joined = |kind| at > 0 && self.is(at - 1, &[kind, TokenKind::Eq]);
        self.kind(at) == Some(TokenKind::Eq)
            && !self.is_arrow(at)
            && !self.is(at, &[TokenKind::Eq, TokenKind::Eq])
            && !joined(TokenKind::Eq)
            && !joined(TokenKind::Dot)
    }

    /// The bracket of the macro call whose name stands at a place.
    pub fn macro_bracket(&self, at: usize) -> Option<usize> {
        let is_name = self.is(at, &[TokenKind::Ident, TokenKind::Bang]);
        (is_name && self.is_open(at + 2)).then_some(at + 2)
    }

    /// Whether an operand begins at a place rather than an operator, so that a `|` there opens a closure.
    pub fn is_operand_place(&self, at: usize, start: usize) -> bool {
        if at == start {
            return true;
        }
        let last = self.tokens[at - 1];
        match last.kind {
            TokenKind::CloseBrace => false,
            TokenKind::Gt => at >= 2 && self.is_arrow(at - 2),
            TokenKind::Ident => {
                let word = last.text(self.text);
                !ends_operand(self.text, last)
                    || ["async", "static", "if", "while", "match"].contains(&word)
            }
            TokenKind::OpenParen | TokenKind::OpenBracket | TokenKind::OpenBrace => true,
            _ => !ends_operand(self.text, last),
        }
    }

    /// Where a pattern and its type end: at the `=`, that of `Iterator<Item = u8>` not meant.
    pub fn pattern_end(&self, range: &Range<usize>) -> usize {
        let mut angles = 0usize;
        let mut at = range.start;
        while at < range.end {
            match self.kind(at) {
                Some(TokenKind::Lt) => angles += 1,
                Some(TokenKind::Gt) if !self.is(at - 1, &[TokenKind::Minus, TokenKind::Gt]) => {
                    angles = angles.saturating_sub(1);
                }
                Some(TokenKind::Eq) if angles == 0 && self.is_assignment(at) => break,
                _ => {}
            }
            at = self.next(at);
        }
        at.min(range.end)
    }

    /// The `&&` of a condition that begins here: not one of the condition of an `if` within it.
    pub fn conjunct_end(&self, range: &Range<usize>) -> usize {
        let mut at = range.start;
        while at < range.end && !self.is(at, &[TokenKind::And, TokenKind::And]) {
            at = match self.word(at) {
                // The pattern `&&x` is no conjunction.
                "let" => self.pattern_end(&(at + 1..range.end)),
                "if" | "while" | "match" => self.next(self.body_after(&(at + 1..range.end))),
                _ => self.next(at),
            };
        }
        at.min(range.end)
    }

    /// The brace on this level that opens the body of an `if`, `while`, `match` or `for`: not one of a block
    /// within the expression before it.
    pub fn body_after(&self, range: &Range<usize>) -> usize {
        let mut owed = 0usize;
        let mut at = range.start;
        while at < range.end {
            if self.word(at) == "let" {
                at = self.pattern_end(&(at + 1..range.end));
                continue;
            }
            if self.is_brace(at) {
                if owed > 0 {
                    owed -= 1;
                } else if at > range.start && self.is_operand_end(at - 1) {
                    return at;
                }
            }
            let has_block = [
                "match", "if", "else", "while", "for", "loop", "unsafe", "async", "const",
            ];
            let word = self.word(at);
            if has_block.contains(&word) && !(word == "if" && self.word(at - 1) == "else") {
                owed += 1;
            }
            at = self.next(at);
        }
        range.end
    }

    fn is_operand_end(&self, at: usize) -> bool {
        self.kind(at) == Some(TokenKind::CloseBrace)
            || ends_operand(self.text, self.tokens[at])
            || (at >= 1 && self.is(at - 1, &[TokenKind::Dot, TokenKind::Dot]))
    }

    /// Whether the innermost bracket around a place, not looked for before `from`, is a brace.
    pub fn is_in_brace(&self, at: usize, from: usize) -> bool {
        let around = (from..at)
            .rev()
            .find(|open| self.is_open(*open) && self.partners[*open] > at);
        around.is_some_and(|open| self.is_brace(open))
    }

    /// Without `r#`.
    pub fn identifier(&self, at: usize) -> Option<&'a str> {
        let tok = self.tokens.get(at)?;
        matches!(tok.kind, TokenKind::Ident | TokenKind::RawIdent)
            .then(|| plain(tok.text(self.text)))
    }

    pub fn is_path_part(&self, at: usize) -> bool {
        let colons = [TokenKind::Colon, TokenKind::Colon];
        (at >= 2 && self.is(at - 2, &colons)) || self.is(at + 1, &colons)
    }

    /// Whether a name is followed by a colon: a field, a parameter, an argument of a macro.
    pub fn is_label(&self, at: usize) -> bool {
        self.kind(at + 1) == Some(TokenKind::Colon)
            && !self.is(at + 1, &[TokenKind::Colon, TokenKind::Colon])
    }
}

/// For each token that opens a bracket, the one that closes it (or the end of the text); its own place for
/// every other. A bracket that closes another kind closes all up to its own.
fn partners(tokens: &[Tok]) -> Vec<usize> {
    let mut partners: Vec<usize> = (0..tokens.len()).collect();
    let mut open: Vec<(usize, TokenKind)> = Vec::new();
    for (at, tok) in tokens.iter().enumerate() {
        let closer = match tok.kind {
            TokenKind::OpenParen => TokenKind::CloseParen,
            TokenKind::OpenBracket => TokenKind::CloseBracket,
            TokenKind::OpenBrace => TokenKind::CloseBrace,
            kind => {
                if let Some(from) = open.iter().rposition(|(_, closer)| *closer == kind) {
                    for (opened, _) in open.drain(from..) {
                        partners[opened] = at;
                    }
                }
                continue;
            }
        };
        open.push((at, closer));
    }
    for (opened, _) in open {
        partners[opened] = tokens.len();
    }
    partners
}

/// Without `r#`.
pub fn plain(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}
