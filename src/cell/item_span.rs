//! Where top-level items stand among the tokens of a cell: an item is known by its first words and ends at
//! its closing brace or its semicolon. It must never take a statement for an item: `unsafe { … }`,
//! `const { … }` and `async move { … }` are none.

use std::ops::Range;

use ra_ap_rustc_lexer::TokenKind;

use super::items::ItemKind;
use super::token::{Brackets, Tok};

pub(super) struct Tokens<'a> {
    pub code: &'a str,
    /// The significant ones.
    pub tokens: &'a [Tok],
}

/// What the first words of an item say.
pub(super) struct Header {
    pub kind: ItemKind,
    pub name: Option<String>,
    end: End,
}

/// How an item ends.
enum End {
    Semicolon,
    /// At the brace that closes its body, or at a semicolon when it has none.
    Body,
    /// After the bracket at this token, and a semicolon unless that is a brace.
    Group(usize),
}

/// The items as ranges of tokens.
pub(super) fn spans(tokens: &Tokens) -> Vec<(Range<usize>, Header)> {
    let mut spans = Vec::new();
    let mut brackets = Brackets::default();
    let mut at = 0;
    let mut statement_start = true;
    while let Some(tok) = tokens.tokens.get(at) {
        if statement_start {
            if tokens.is_inner_attribute(at) {
                at = tokens.after_group(at + 2);
                continue;
            }
            let words = tokens.after_prefix(at);
            if let Some(header) = tokens.header(words) {
                let end = tokens.item_end(words, &header.end);
                spans.push((at..end, header));
                at = end;
                continue;
            }
            statement_start = false;
            if words > at {
                at = words;
                continue;
            }
        }
        brackets.step(tok, false);
        let ends = matches!(tok.kind, TokenKind::Semi | TokenKind::CloseBrace);
        statement_start = ends && brackets.depth() == 0;
        at += 1;
    }
    spans
}

impl Tokens<'_> {
    fn kind(&self, at: usize) -> Option<TokenKind> {
        self.tokens.get(at).map(|tok| tok.kind)
    }

    fn is(&self, at: usize, kind: TokenKind) -> bool {
        self.kind(at) == Some(kind)
    }

    /// The identifier or keyword at a place, empty when there is none.
    fn word(&self, at: usize) -> &str {
        match self.tokens.get(at) {
            Some(tok) if tok.kind == TokenKind::Ident => tok.text(self.code),
            _ => "",
        }
    }

    /// The name at a place, without `r#`.
    fn name(&self, at: usize) -> Option<String> {
        let tok = self.tokens.get(at)?;
        matches!(tok.kind, TokenKind::Ident | TokenKind::RawIdent)
            .then(|| tok.text(self.code).trim_start_matches("r#").to_owned())
    }

    fn is_inner_attribute(&self, at: usize) -> bool {
        self.is(at, TokenKind::Pound)
            && self.is(at + 1, TokenKind::Bang)
            && self.is(at + 2, TokenKind::OpenBracket)
    }

    /// Past documentation, attributes and visibility.
    fn after_prefix(&self, mut at: usize) -> usize {
        loop {
            let is_doc = self.tokens.get(at).is_some_and(Tok::is_comment);
            let is_attribute =
                self.is(at, TokenKind::Pound) && self.is(at + 1, TokenKind::OpenBracket);
            at = match (is_doc, is_attribute) {
                (true, _) => at + 1,
                (_, true) => self.after_group(at + 1),
                _ => break,
            };
        }
        match (self.word(at), self.is(at + 1, TokenKind::OpenParen)) {
            ("pub", true) => self.after_group(at + 1),
            ("pub", false) => at + 1,
            _ => at,
        }
    }

    /// Past the bracket that opens at `at` and all that is in it.
    fn after_group(&self, at: usize) -> usize {
        let mut brackets = Brackets::default();
        for (offset, tok) in self.tokens.iter().skip(at).enumerate() {
            brackets.step(tok, false);
            if brackets.depth() == 0 {
                return at + offset + 1;
            }
        }
        self.tokens.len()
    }

    /// Reads the words at a place as an item's first; `None` when a statement begins there.
    fn header(&self, first: usize) -> Option<Header> {
        let mut at = first;
        let mut is_extern = false;
        loop {
            match self.word(at) {
                "extern" => {
                    is_extern = true;
                    let has_abi = matches!(self.kind(at + 1), Some(TokenKind::Literal { .. }));
                    at += 1 + usize::from(has_abi);
                }
                "async" | "const" | "unsafe" => at += 1,
                "auto" if self.word(at + 1) == "trait" => at += 1,
                _ => break,
            }
        }
        let unnamed = |kind, end| {
            Some(Header {
                kind,
                name: None,
                end,
            })
        };
        let named = |kind, end| {
            let name = Some(self.name(at + 1)?);
            Some(Header { kind, name, end })
        };
        match self.word(at) {
            "fn" => named(ItemKind::Fn, End::Body),
            "trait" => named(ItemKind::Trait, End::Body),
            "mod" => named(ItemKind::Other, End::Body),
            "impl" => unnamed(ItemKind::Impl, End::Body),
            "crate" if is_extern => named(ItemKind::Other, End::Semicolon),
            "" if is_extern && self.is(at, TokenKind::OpenBrace) => {
                unnamed(ItemKind::Other, End::Body)
            }
            _ if at == first + 1 && self.word(first) == "const" => self.constant(at),
            _ if at > first => None,
            "struct" | "enum" | "union" => named(ItemKind::Type, End::Body),
            "type" => named(ItemKind::Type, End::Semicolon),
            "use" => unnamed(ItemKind::Use, End::Semicolon),
            "static" => self.constant(at + 1 + usize::from(self.word(at + 1) == "mut")),
            "macro_rules" if self.is(at + 1, TokenKind::Bang) => {
                let name = Some(self.name(at + 2)?);
                Some(Header {
                    kind: ItemKind::Macro,
                    name,
                    end: End::Group(at + 3),
                })
            }
            _ => None,
        }
    }

    /// A constant or static whose name stands at `at`: not a `const { … }` block or a `static` closure.
    fn constant(&self, at: usize) -> Option<Header> {
        let name = self.name(at)?;
        let follows = matches!(self.kind(at + 1), Some(TokenKind::Colon | TokenKind::Eq));
        let name = Some(name).filter(|name| name != "_");
        follows.then_some(Header {
            kind: ItemKind::Const,
            name,
            end: End::Semicolon,
        })
    }

    /// Past the last token of the item whose words begin at `at`: the end of the code when it has no end.
    fn item_end(&self, at: usize, end: &End) -> usize {
        let is_body = match end {
            End::Group(open) => {
                let after = self.after_group(*open);
                let semicolon =
                    !self.is(*open, TokenKind::OpenBrace) && self.is(after, TokenKind::Semi);
                return (after + usize::from(semicolon)).min(self.tokens.len());
            }
            End::Body => true,
            End::Semicolon => false,
        };
        let mut brackets = Brackets::default();
        // Braces between angle brackets hold constants: `impl Grid<{ N }> for Board { … }`.
        let mut angles = 0usize;
        let mut previous = TokenKind::Semi;
        for (offset, tok) in self.tokens.iter().skip(at).enumerate() {
            brackets.step(tok, false);
            if brackets.depth() == 0 {
                match tok.kind {
                    TokenKind::Lt => angles += 1,
                    TokenKind::Gt if previous != TokenKind::Minus => {
                        angles = angles.saturating_sub(1);
                    }
                    TokenKind::CloseBrace if is_body && angles == 0 => return at + offset + 1,
                    TokenKind::Semi => return at + offset + 1,
                    _ => {}
                }
            }
            previous = tok.kind;
        }
        self.tokens.len()
    }
}
