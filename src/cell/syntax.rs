//! The syntax tree of a cell's Rust, by the parser that evcxr takes cells apart with, so that both see the
//! same statements. Any text has a tree: what the parser cannot read stands in it as errors. Types and what
//! macros make of their input are not known here.

use std::ops::Range;

use ra_ap_syntax::ast::{self, AstToken as _, HasName as _};
use ra_ap_syntax::{
    AstNode, Edition, NodeOrToken, SourceFile, SyntaxElement, SyntaxKind, SyntaxNode, SyntaxToken,
    TextRange,
};

use super::depth::{DEEPEST, levels};

/// What stands around a cell's statements while they are parsed.
const OPENING: &str = "fn f(){";
/// The same around the input of a macro that reads like arguments of a call.
const CALL_OPENING: &str = "fn f(){f(";

/// As many levels fit on any thread's stack.
const SHALLOW: usize = 100;
/// Bytes of stack for [`DEEPEST`] levels.
const STACK: usize = 128 << 20;

/// The tree of a piece of code, while [`read`] looks at it.
pub struct Tree {
    root: SyntaxNode,
    errors: Vec<(usize, String)>,
    /// Byte offset in the tree's text at which the code begins, and the code's length.
    before: usize,
    len: usize,
    /// Byte offset of the code in what the user of the tree knows.
    base: usize,
}

/// Parses code and looks at its tree; `None` when it nests deeper than [`DEEPEST`] levels.
pub fn read<R: Send>(code: &str, look: impl FnOnce(&Tree) -> R + Send) -> Option<R> {
    let levels = levels(code);
    if levels <= SHALLOW {
        return Some(look(&Tree::new(code)));
    }
    if levels > DEEPEST {
        return None;
    }
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .stack_size(STACK)
            .spawn_scoped(scope, || look(&Tree::new(code)))
            .ok()?
            .join()
            .ok()
    })
}

impl Tree {
    /// Only for code of few levels, or on a thread with much stack.
    fn new(code: &str) -> Self {
        Self::wrapped(OPENING, code, "\n}", 0)
    }

    fn wrapped(opening: &str, code: &str, closing: &str, base: usize) -> Self {
        let parsed = SourceFile::parse(&format!("{opening}{code}{closing}"), Edition::Edition2024);
        let errors = parsed.errors().into_iter().map(|error| {
            let at = usize::from(error.range().start());
            (at.saturating_sub(opening.len()), error.to_string())
        });
        Self {
            errors: errors.collect(),
            root: parsed.syntax_node(),
            before: opening.len(),
            len: code.len(),
            base,
        }
    }

    /// The tree of a list of items.
    pub(super) fn of_items(code: &str, base: usize) -> Self {
        Self::wrapped("", code, "\n", base)
    }

    /// Whether there is no error, but for a missing semicolon at the end.
    pub(super) fn is_sound(&self) -> bool {
        let end = self.code_end();
        let mut errors = self.errors.iter();
        errors.all(|(at, what)| *at >= end && is_semicolon_error(what))
    }

    /// Whether a node ends within the code.
    pub(super) fn holds(&self, node: &SyntaxNode) -> bool {
        usize::from(node.text_range().end()) <= self.before + self.len
    }

    /// What the parser has to complain of, with the byte offset in the code.
    pub fn errors(&self) -> &[(usize, String)] {
        &self.errors
    }

    /// Bytes of the code up to its last token that says something.
    pub fn code_end(&self) -> usize {
        let last = self.tokens().last();
        last.map_or(0, |token| {
            usize::from(token.text_range().end()) - self.before
        })
    }

    /// Whether the code ends with documentation, which is part of no item then.
    pub fn ends_in_documentation(&self) -> bool {
        let end = self.code_end();
        let parts = self.root.descendants_with_tokens();
        let comments = parts.filter_map(|part| ast::Comment::cast(part.into_token()?));
        let behind =
            |comment: &ast::Comment| self.range(comment.syntax().text_range()).start >= end;
        let last = comments
            .filter(|comment| comment.is_doc() && behind(comment))
            .last();
        last.is_some_and(|last| last.is_outer())
    }

    /// The tokens of the code that say something.
    pub fn tokens(&self) -> impl Iterator<Item = SyntaxToken> + use<> {
        let (from, to) = (self.before, self.before + self.len);
        tokens_of(&self.root).filter(move |token| {
            let range = token.text_range();
            from <= usize::from(range.start()) && usize::from(range.end()) <= to
        })
    }

    /// The whole tree, with what stands around the code.
    pub fn root(&self) -> &SyntaxNode {
        &self.root
    }

    /// The statements, items and last expression at the top level of a cell, inner attributes among them.
    /// Behind a `}` too many nothing is at the top level.
    pub fn statements(&self) -> impl Iterator<Item = SyntaxNode> + use<> {
        let body = self.root.children().find_map(ast::Fn::cast);
        let list = body
            .and_then(|body| body.body())
            .and_then(|body| body.stmt_list());
        list.into_iter().flat_map(|list| list.syntax().children())
    }

    /// Bytes of the code.
    pub fn range(&self, range: TextRange) -> Range<usize> {
        let place = |at| usize::from(at).saturating_sub(self.before).min(self.len) + self.base;
        place(range.start())..place(range.end())
    }

    /// Bytes of the code from a node's first token to its last, without blanks and plain comments around it:
    /// the tree counts those in front of an item to the item.
    pub fn span(&self, node: &SyntaxNode) -> Range<usize> {
        let whole = self.range(node.text_range());
        let tokens = || {
            node.descendants_with_tokens()
                .filter_map(SyntaxElement::into_token)
        };
        let says_something = |token: &SyntaxToken| {
            let comment = ast::Comment::cast(token.clone());
            let is_doc = comment.as_ref().is_some_and(ast::Comment::is_doc);
            is_doc || !token.kind().is_trivia()
        };
        let first = tokens().find(says_something);
        let start = first.map_or(whole.start, |token| self.range(token.text_range()).start);
        let mut last = node.last_token();
        while let Some(token) = last.take_if(|token| {
            !says_something(token) && token.text_range().start() > node.text_range().start()
        }) {
            last = token.prev_token();
        }
        let end = last.map_or(whole.end, |token| self.range(token.text_range()).end);
        start..end.max(start)
    }

    /// The variables that the statements bind, as they are written (`r#type` keeps its `r#`).
    pub fn bound(&self) -> Vec<String> {
        let lets = self.statements().filter_map(ast::LetStmt::cast);
        let mut names = Vec::new();
        for pattern in lets.filter_map(|statement| statement.pat()) {
            names.extend(pattern_names(pattern.syntax()));
        }
        names
    }

    /// The input of a macro call as statements or as arguments, if it reads as either.
    pub fn macro_input(&self, call: &ast::MacroCall) -> Option<Tree> {
        let (input, at) = self.inside(call)?;
        let statements = Self::wrapped(OPENING, &input, "\n}", at);
        if statements.errors.is_empty() {
            return Some(statements);
        }
        let arguments = Self::wrapped(CALL_OPENING, &input, "\n)}", at);
        arguments.errors.is_empty().then_some(arguments)
    }

    /// The input of `matches!` as the `match` that it stands for.
    pub(super) fn matches_input(&self, call: &ast::MacroCall) -> Option<Tree> {
        let (input, _) = self.inside(call)?;
        let parts = call.token_tree()?.syntax().clone();
        let comma = parts
            .children_with_tokens()
            .find(|part| part.kind() == SyntaxKind::COMMA)?;
        let comma = usize::from(comma.text_range().start() - parts.text_range().start());
        let (expression, arm) = input.split_at_checked(comma.checked_sub(1)?)?;
        let arm = arm.get(1..)?.trim_end().trim_end_matches(',');
        let code = format!("match ({expression}) {{ {arm} => {{}} }}");
        let tree = Self::wrapped(OPENING, &code, "\n}", 0);
        tree.errors.is_empty().then_some(tree)
    }

    /// What stands in the bracket of a macro call, and where.
    pub(super) fn inside(&self, call: &ast::MacroCall) -> Option<(String, usize)> {
        let input = call.token_tree()?;
        let at = self.range(input.syntax().text_range()).start + 1;
        let text = input.syntax().text().to_string();
        let inner = text.get(1..)?;
        let closed = input.syntax().last_token().is_some_and(|last| {
            matches!(
                last.kind(),
                SyntaxKind::R_PAREN | SyntaxKind::R_BRACK | SyntaxKind::R_CURLY
            )
        });
        let inner = if closed {
            inner.get(..inner.len().checked_sub(1)?)?
        } else {
            inner
        };
        Some((inner.to_owned(), at))
    }

    /// The last statement, when it lacks the semicolon that it ends with: where that belongs.
    pub fn missing_semicolon(&self) -> Option<usize> {
        let last = self.statements().last()?;
        let has_one = last
            .children_with_tokens()
            .any(|part| part.kind() == SyntaxKind::SEMICOLON);
        let needs_one = match last.kind() {
            SyntaxKind::LET_STMT
            | SyntaxKind::USE
            | SyntaxKind::CONST
            | SyntaxKind::STATIC
            | SyntaxKind::TYPE_ALIAS
            | SyntaxKind::EXTERN_CRATE => true,
            SyntaxKind::STRUCT => !last
                .children()
                .any(|part| part.kind() == SyntaxKind::RECORD_FIELD_LIST),
            _ => false,
        };
        let end = self.span(&last).end - self.base;
        let complains = |(at, what): &(usize, String)| *at >= end && is_semicolon_error(what);
        let only_that = self.errors.iter().all(complains);
        (needs_one && !has_one && only_that).then_some(end)
    }
}

/// Whether the parser only misses a semicolon.
pub(super) fn is_semicolon_error(what: &str) -> bool {
    what.contains("expected SEMICOLON")
}

/// The call of a macro that a statement is.
pub(super) fn called_macro(statement: &SyntaxNode) -> Option<ast::MacroCall> {
    let expression = match ast::ExprStmt::cast(statement.clone()) {
        Some(statement) => statement.expr()?.syntax().clone(),
        None => statement.clone(),
    };
    ast::MacroExpr::cast(expression.clone())
        .and_then(|expression| expression.macro_call())
        .or_else(|| ast::MacroCall::cast(expression))
}

/// The names that a pattern binds; those of constants look the same.
pub(super) fn pattern_names(pattern: &SyntaxNode) -> Vec<String> {
    let idents = pattern.descendants().filter_map(ast::IdentPat::cast);
    idents
        .filter_map(|ident| Some(ident.name()?.text().to_owned()))
        .collect()
}

/// The variables that a cell binds at its top level, as they are written.
pub fn bound_at_top(code: &str) -> Vec<String> {
    read(code, Tree::bound).unwrap_or_default()
}

/// Where a `let` binds a name first.
pub fn let_of(code: &str, name: &str) -> Option<Range<usize>> {
    read(code, |tree| {
        let lets = tree.root().descendants().filter_map(ast::LetStmt::cast);
        let mut patterns = lets
            .filter_map(|statement| statement.pat())
            .flat_map(|pattern| {
                pattern
                    .syntax()
                    .descendants()
                    .filter_map(ast::IdentPat::cast)
            });
        let found =
            patterns.find_map(|pattern| pattern.name().filter(|bound| bound.text() == name))?;
        Some(tree.span(found.syntax()))
    })?
}

/// Whether a `let` of the cell's own names nothing: `let;`, `let = 1`.
pub fn lacks_a_pattern(code: &str) -> bool {
    let lacks = |tree: &Tree| {
        let mut lets = tree.root().descendants().filter_map(ast::LetStmt::cast);
        lets.any(|statement| statement.pat().is_none())
    };
    read(code, lacks).unwrap_or(false)
}

/// Where the last statement lacks its semicolon, as a byte offset of the code.
pub fn missing_semicolon(code: &str) -> Option<usize> {
    read(code, Tree::missing_semicolon).flatten()
}

/// Whether code reads as Rust without an error, but for a missing semicolon at its end.
pub fn is_rust(code: &str) -> bool {
    read(code, Tree::is_sound).unwrap_or(false)
}

/// The tokens of a node that say something, in order.
pub(super) fn tokens_of(node: &SyntaxNode) -> impl Iterator<Item = SyntaxToken> + use<> {
    node.descendants_with_tokens()
        .filter_map(|part| match part {
            NodeOrToken::Token(token) if !token.kind().is_trivia() => Some(token),
            _ => None,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_binds_what_its_own_lets_bind() {
        for (code, names) in [
            ("let x = { let y = 1; if y == 1 { panic!() }; y };", "x"),
            ("if let Some(kept) = kept.get(0) { panic!() }", ""),
            ("let (a, mut b) = f(); let c: u8 = 1; g(|d| d);", "a b c"),
            (
                "let S { a, b: [c, .., d], .. } = s; let Some(e) = f else { return };",
                "a c d e",
            ),
            (
                "let x @ 1..=5 = y else { let z = 1; panic!() }; let &q = r; let _ = 2;",
                "x q",
            ),
            ("let r#type = 1; fn f() { let a = 1; }", "r#type"),
            (
                "while let Some(x) = f() {} for i in 0..3 {} match o { n => {} }",
                "",
            ),
            ("let a = \"let b = 1;\"; // let c = 2;", "a"),
            ("let a = 5", "a"),
            ("let", ""),
            ("} let a = 5;", ""),
        ] {
            assert_eq!(bound_at_top(code).join(" "), names, "{code}");
        }
    }

    #[test]
    fn a_semicolon_is_missing_where_a_statement_cannot_end_without() {
        for (code, with) in [
            ("let x = 5", Some("let x = 5;")),
            (
                "f();\nlet x = g(\n1) // one\n",
                Some("f();\nlet x = g(\n1); // one\n"),
            ),
            (
                "let f = |x: i32| x + 1 /* ; */",
                Some("let f = |x: i32| x + 1; /* ; */"),
            ),
            ("let x", Some("let x;")),
            ("let x: u8", Some("let x: u8;")),
            (
                "let Some(x) = y else { return }",
                Some("let Some(x) = y else { return };"),
            ),
            ("use std::fmt", Some("use std::fmt;")),
            ("const N: u8 = 1", Some("const N: u8 = 1;")),
            ("type A = u8", Some("type A = u8;")),
            ("let x = 5;", None),
            ("let x = 5; x", None),
            ("let x = 5 let y = 6", None),
            ("let x = 5 +", None),
            ("let x = (5", None),
            ("let x = 5 )", None),
            ("x = 5", None),
            ("struct P { x: u8 }", None),
            ("fn f() {}", None),
            ("", None),
        ] {
            let found =
                missing_semicolon(code).map(|at| format!("{};{}", &code[..at], &code[at..]));
            assert_eq!(found.as_deref(), with, "{code}");
        }
    }

    #[test]
    fn what_reads_as_rust() {
        for (code, is) in [
            ("!ok", true),
            ("!ok && !f(1)", true),
            ("!ls -l", true),
            ("let a = !b", true),
            ("!cat x", false),
            ("!echo 'a b'", false),
            ("!ls | wc -l > /tmp/x", false),
            ("!(", false),
        ] {
            assert_eq!(is_rust(code), is, "{code}");
        }
    }
}
