//! Which session variables a function's text uses: what has to travel with it. Read from tokens and scopes,
//! in doubt for a use: one too many costs a copy, one too few is an error of the compiler's. It must never
//! claim to know types, or what a macro makes of its input.

#[cfg(test)]
mod tests;
mod tree;

use std::ops::Range;

use ra_ap_rustc_lexer::TokenKind;

use self::tree::{Tree, plain};
use super::words::{KEYWORDS, format_names, is_text};

/// Brackets within brackets beyond this depth are not looked into as code: each name there counts as used.
const DEEPEST: usize = 200;

/// The variables, out of `variables`, that `function` uses without binding them itself, in the order of
/// their first use. Fields, methods, paths, names of macros and of a struct literal's fields are no uses.
#[must_use]
pub fn captured(function: &str, variables: &[String]) -> Vec<String> {
    let tree = Tree::new(function);
    let mut reader = Reader {
        tree: &tree,
        variables,
        bound: Vec::new(),
        macros: Vec::new(),
        depth: 0,
        used: Vec::new(),
    };
    reader.read(0..tree.tokens.len());
    reader.used
}

/// The closure at the start of a text.
#[must_use]
pub fn closure(text: &str) -> &str {
    let tree = Tree::new(text);
    let all = 0..tree.tokens.len();
    let is_bar = |at| tree.kind(at) == Some(TokenKind::Or);
    let open = tree.find(&all, is_bar);
    let close = tree.find(&(open + 1..all.end.max(open + 1)), is_bar);
    let is_end = |at| {
        matches!(
            tree.kind(at),
            Some(
                TokenKind::Comma
                    | TokenKind::Semi
                    | TokenKind::CloseParen
                    | TokenKind::CloseBracket
                    | TokenKind::CloseBrace
            )
        )
    };
    let end = tree.find(&(close + 1..all.end.max(close + 1)), is_end);
    match tree.tokens.get(end.wrapping_sub(1)) {
        Some(last) => &text[..last.end],
        None => text,
    }
}

/// The names that a cell seems to bind: behind `let`, `mut`, `ref` and `for`, in parameters and patterns.
/// Arguments of calls look the same and are among them.
#[must_use]
pub fn bound(text: &str) -> Vec<String> {
    let tree = Tree::new(text);
    let mut names: Vec<String> = Vec::new();
    for at in 0..tree.tokens.len() {
        let Some(name) = tree.identifier(at) else {
            continue;
        };
        // `&x` in a pattern, not the type in `x: &u8`.
        let before = (0..at)
            .rev()
            .filter_map(|at| tree.kind(at))
            .find(|kind| *kind != TokenKind::And);
        let word = at.checked_sub(1).map_or("", |at| tree.word(at));
        let opens = matches!(
            before,
            Some(TokenKind::OpenParen | TokenKind::Comma | TokenKind::Or)
        );
        let closes = tree.is_label(at)
            || matches!(
                tree.kind(at + 1),
                Some(TokenKind::Comma | TokenKind::CloseParen | TokenKind::Or)
            );
        let is_bound = ["let", "mut", "ref", "for"].contains(&word) || (opens && closes);
        if is_bound
            && name.starts_with(|c: char| c == '_' || c.is_lowercase())
            && !KEYWORDS.contains(&name)
            && !names.iter().any(|other| other == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

struct Reader<'a> {
    tree: &'a Tree<'a>,
    variables: &'a [String],
    /// Names that mean something else here than the session's variables; later scopes at the end.
    bound: Vec<&'a str>,
    /// Places of the brackets of the macro calls around.
    macros: Vec<usize>,
    depth: usize,
    used: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads code: statements or expressions, with a scope of its own.
    fn read(&mut self, range: Range<usize>) {
        let scope = self.bound.len();
        self.depth += 1;
        let mut at = range.start;
        while at < range.end {
            at = if self.depth > DEEPEST {
                self.name(at);
                at + 1
            } else {
                self.step(at, &range).max(at + 1)
            };
        }
        self.depth -= 1;
        self.bound.truncate(scope);
    }

    /// Reads what begins at a place, and gives the next one.
    fn step(&mut self, at: usize, range: &Range<usize>) -> usize {
        let rest = at + 1..range.end;
        match self.tree.word(at) {
            "let" => return self.let_statement(&rest),
            "if" | "while" => {
                let body = self.tree.body_after(&rest);
                let scope = self.bound.len();
                self.condition(rest.start..body);
                let end = self.block(body, range.end);
                self.bound.truncate(scope);
                return end;
            }
            "match" => {
                let body = self.tree.body_after(&rest);
                self.read(rest.start..body);
                if body < range.end {
                    let arms = self.tree.inside(body);
                    self.arms(arms.start..arms.end.min(range.end));
                    return self.tree.next(body);
                }
                return body;
            }
            // Not `for<'a>`.
            "for" if self.tree.kind(at + 1) != Some(TokenKind::Lt) => return self.for_loop(&rest),
            "const" | "static" if self.tree.is_label(at + 1) => {
                self.bound.extend(self.tree.identifier(at + 1));
                return at + 2;
            }
            "use" => {
                return self
                    .tree
                    .find(&rest, |at| self.tree.kind(at) == Some(TokenKind::Semi));
            }
            // Items see none of the variables around them. Not `fn(u8) -> u8`, not `async fn` alone.
            "fn" | "struct" | "enum" | "trait" | "impl" | "mod"
                if !self.tree.is_open(at + 1) && at + 1 < range.end =>
            {
                if self.tree.word(at) == "fn" {
                    self.bound.push(self.tree.word(at + 1));
                }
                let end = self.tree.find(&rest, |at| {
                    self.tree.is_brace(at) || self.tree.kind(at) == Some(TokenKind::Semi)
                });
                return self.tree.next(end);
            }
            _ => {}
        }
        if let Some(open) = self.tree.macro_bracket(at) {
            self.macros.push(open);
            let inside = self.tree.inside(open);
            let inside = inside.start..inside.end.min(range.end);
            if self.tree.word(at) == "matches" {
                self.matches(inside);
            } else {
                self.read(inside);
            }
            self.macros.pop();
            return self.tree.next(open);
        }
        match self.tree.kind(at) {
            Some(TokenKind::Pound) if self.tree.kind(at + 1) == Some(TokenKind::OpenBracket) => {
                self.tree.next(at + 1)
            }
            Some(TokenKind::Or) if self.tree.is_operand_place(at, range.start) => {
                self.closure(at, range)
            }
            Some(TokenKind::Or) if self.tree.is(at, &[TokenKind::Or, TokenKind::Or]) => at + 2,
            _ if self.tree.is_open(at) => {
                let inside = self.tree.inside(at);
                self.read(inside.start..inside.end.min(range.end));
                self.tree.next(at)
            }
            _ => {
                self.name(at);
                at + 1
            }
        }
    }

    /// `|pattern, …| body`, whose bar stands at a place.
    fn closure(&mut self, at: usize, range: &Range<usize>) -> usize {
        let parameters = at + 1..range.end;
        let close = self
            .tree
            .find(&parameters, |at| self.tree.kind(at) == Some(TokenKind::Or));
        if close >= range.end {
            return at + 1;
        }
        let rest = close + 1..range.end;
        let returns = self.tree.is(rest.start, &[TokenKind::Minus, TokenKind::Gt]);
        let end = if returns {
            // What follows its type is a block.
            let body = self.tree.find(&rest, |at| self.tree.is_brace(at));
            self.tree.next(body).min(range.end)
        } else {
            self.tree.find(&rest, |at| {
                matches!(self.tree.kind(at), Some(TokenKind::Comma | TokenKind::Semi))
            })
        };
        let scope = self.bound.len();
        self.bind(at + 1..close);
        self.read(rest.start..end);
        self.bound.truncate(scope);
        end
    }

    /// `PATTERN = EXPRESSION;` of a `let`: its names are bound behind the semicolon.
    fn let_statement(&mut self, rest: &Range<usize>) -> usize {
        let is_end = |at| self.tree.kind(at) == Some(TokenKind::Semi);
        let end = self.tree.find(rest, is_end);
        let equals = self.tree.pattern_end(&(rest.start..end));
        self.read(equals..end);
        self.bind(rest.start..equals);
        end + 1
    }

    /// What stands between `if` and its block; the names of `let` patterns stay bound.
    fn condition(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let end = self.tree.conjunct_end(&(at..range.end));
            if self.tree.word(at) == "let" {
                let equals = self.tree.pattern_end(&(at + 1..end));
                self.read(equals..end);
                self.bind(at + 1..equals);
            } else {
                self.read(at..end);
            }
            at = end + 2;
        }
    }

    /// The block whose brace stands at a place.
    fn block(&mut self, open: usize, end: usize) -> usize {
        if open >= end {
            return end;
        }
        let inside = self.tree.inside(open);
        self.read(inside.start..inside.end.min(end));
        self.tree.next(open)
    }

    fn for_loop(&mut self, rest: &Range<usize>) -> usize {
        let pattern_end = self.tree.find(rest, |at| self.tree.word(at) == "in");
        let body = self.tree.body_after(&(pattern_end..rest.end));
        self.read(pattern_end..body);
        let scope = self.bound.len();
        self.bind(rest.start..pattern_end);
        let end = self.block(body, rest.end);
        self.bound.truncate(scope);
        end
    }

    /// `PATTERN if GUARD => BODY,` one after another.
    fn arms(&mut self, range: Range<usize>) {
        let mut at = range.start;
        while at < range.end {
            let arrow = self
                .tree
                .find(&(at..range.end), |at| self.tree.is_arrow(at));
            let guard = self
                .tree
                .find(&(at..arrow), |at| self.tree.word(at) == "if");
            let scope = self.bound.len();
            self.bind(at..guard);
            self.condition(guard + 1..arrow);
            let body = arrow + 2;
            let block = self.tree.next(body);
            let goes_on = matches!(
                self.tree.kind(block),
                Some(TokenKind::Dot | TokenKind::Question)
            );
            at = if self.tree.is_brace(body) && !goes_on {
                block
            } else {
                self.tree.comma(&(body..range.end))
            };
            self.read(body.min(range.end)..at.min(range.end));
            if self.tree.kind(at) == Some(TokenKind::Comma) {
                at += 1;
            }
            self.bound.truncate(scope);
        }
    }

    /// `EXPRESSION, PATTERN if GUARD`, the input of `matches!`.
    fn matches(&mut self, range: Range<usize>) {
        let comma = self.tree.comma(&range);
        self.read(range.start..comma);
        let guard = self
            .tree
            .find(&(comma..range.end), |at| self.tree.word(at) == "if");
        let scope = self.bound.len();
        self.bind(comma..guard);
        self.condition(guard + 1..range.end);
        self.bound.truncate(scope);
    }

    /// Binds the names of a pattern. Those of its types too, which no variable has.
    fn bind(&mut self, pattern: Range<usize>) {
        for at in pattern.start..pattern.end.min(self.tree.tokens.len()) {
            let Some(name) = self.tree.identifier(at) else {
                continue;
            };
            let is_path = self.tree.is_path_part(at);
            let is_called = matches!(
                self.tree.kind(at + 1),
                Some(TokenKind::OpenParen | TokenKind::OpenBrace | TokenKind::Bang)
            );
            let is_field = self.tree.is_label(at) && self.tree.is_in_brace(at, pattern.start);
            if !is_path && !is_called && !is_field {
                self.bound.push(name);
            }
        }
    }

    /// Notes the use of a variable, or of those that a macro's format string names.
    fn name(&mut self, at: usize) {
        if let Some(TokenKind::Literal { kind, .. }) = self.tree.kind(at)
            && is_text(kind)
            && !self.macros.is_empty()
        {
            for name in format_names(self.tree.tokens[at].text(self.tree.text)) {
                self.note(&name);
            }
            return;
        }
        let Some(name) = self.tree.identifier(at) else {
            return;
        };
        // `a.k` is a field, `a..k` is none.
        let is_field = at >= 1
            && self.tree.kind(at - 1) == Some(TokenKind::Dot)
            && !(at >= 2 && self.tree.is(at - 2, &[TokenKind::Dot, TokenKind::Dot]));
        let is_macro = self.tree.macro_bracket(at).is_some();
        // Directly in a macro's bracket a label is what the macro makes of it.
        let is_field_label = || {
            let call = self.macros.last();
            call.is_none_or(|open| self.tree.is_in_brace(at, open + 1))
        };
        let is_label = self.tree.is_label(at) && is_field_label();
        if !is_field && !is_macro && !is_label && !self.tree.is_path_part(at) {
            self.note(name);
        }
    }

    fn note(&mut self, name: &str) {
        if self.bound.contains(&name) || self.used.iter().any(|used| plain(used) == name) {
            return;
        }
        let variable = self.variables.iter().find(|known| plain(known) == name);
        self.used.extend(variable.cloned());
    }
}
