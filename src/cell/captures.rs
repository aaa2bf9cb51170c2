//! Which session variables a function's text uses: what has to travel with it. Read from the syntax tree and
//! its scopes, in doubt for a use: one too many costs a copy, one too few is an error of the compiler's. It
//! must never claim to know types, or what a macro makes of its input.

#[cfg(test)]
mod tests;

use ra_ap_syntax::ast::{self, HasLoopBody as _, HasName as _};
use ra_ap_syntax::{AstNode, SyntaxKind, SyntaxNode, SyntaxToken};

use super::syntax::{Tree, pattern_names, read, tokens_of};
use super::words::format_names;

/// The variables, out of `variables`, that `function` uses without binding them itself, in the order of
/// their first use. Fields, methods, paths, names of macros and of a struct literal's fields are no uses.
pub fn captured(function: &str, variables: &[String]) -> Vec<String> {
    let uses = |tree: &Tree| {
        let mut reader = Reader {
            variables,
            bound: Vec::new(),
            used: Vec::new(),
        };
        reader.read(tree, false);
        reader.used
    };
    read(function, uses).unwrap_or_default()
}

/// The closure at the start of a text.
pub fn closure(text: &str) -> &str {
    let first = |tree: &Tree| {
        let mut nodes = tree.root().descendants();
        let closure = nodes.find(|node| node.kind() == SyntaxKind::CLOSURE_EXPR)?;
        Some(tree.span(&closure).end)
    };
    match read(text, first).flatten() {
        Some(end) => &text[..end],
        None => text,
    }
}

/// The names that a cell binds anywhere: by `let`, in parameters and patterns.
pub fn bound(text: &str) -> Vec<String> {
    let mut names = read(text, |tree| pattern_names(tree.root())).unwrap_or_default();
    // A pattern's constants begin with a capital.
    names.retain(|name| name.starts_with(|c: char| c == '_' || c.is_lowercase()));
    let mut seen = std::collections::BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

struct Reader<'a> {
    variables: &'a [String],
    /// Names that mean something else here than the session's variables; later scopes at the end.
    bound: Vec<String>,
    used: Vec<String>,
}

impl Reader<'_> {
    /// Reads all of a tree, what could not be parsed too.
    fn read(&mut self, tree: &Tree, in_macro: bool) {
        let scope = self.bound.len();
        let mut around = Around { tree, in_macro };
        for node in tree.root().children() {
            match ast::Fn::cast(node.clone()).and_then(|around| around.body()) {
                Some(body) => self.node(body.syntax(), &mut around),
                None => self.node(&node, &mut around),
            }
        }
        self.bound.truncate(scope);
    }

    fn node(&mut self, node: &SyntaxNode, around: &mut Around<'_>) {
        match node.kind() {
            SyntaxKind::LET_STMT => {
                let statement = ast::LetStmt::cast(node.clone());
                let pattern = statement.and_then(|statement| statement.pat());
                self.children(node, around);
                self.bind(pattern);
            }
            SyntaxKind::LET_EXPR => {
                let condition = ast::LetExpr::cast(node.clone());
                let pattern = condition.and_then(|condition| condition.pat());
                self.children(node, around);
                self.bind(pattern);
            }
            SyntaxKind::CLOSURE_EXPR => {
                let scope = self.bound.len();
                let closure = ast::ClosureExpr::cast(node.clone());
                let parameters = closure.and_then(|closure| closure.param_list());
                for parameter in parameters.iter().flat_map(|list| list.params()) {
                    self.bind(parameter.pat());
                }
                self.children(node, around);
                self.bound.truncate(scope);
            }
            SyntaxKind::FOR_EXPR => self.for_loop(node, around),
            SyntaxKind::IF_EXPR => self.if_expression(node, around),
            SyntaxKind::MATCH_ARM => {
                let scope = self.bound.len();
                let arm = ast::MatchArm::cast(node.clone());
                self.bind(arm.and_then(|arm| arm.pat()));
                self.children(node, around);
                self.bound.truncate(scope);
            }
            SyntaxKind::WHILE_EXPR | SyntaxKind::STMT_LIST => {
                let scope = self.bound.len();
                self.items(node);
                self.children(node, around);
                self.bound.truncate(scope);
            }
            SyntaxKind::MACRO_CALL => {
                if let Some(call) = ast::MacroCall::cast(node.clone()) {
                    self.macro_call(&call, around);
                }
            }
            SyntaxKind::PATH_EXPR => {
                let path = ast::PathExpr::cast(node.clone()).and_then(|path| path.path());
                // `k`, not `k::f` or `f::<k>`.
                if let Some(name) = path.and_then(|path| path.as_single_name_ref()) {
                    self.note(name.text());
                }
            }
            SyntaxKind::LITERAL if around.in_macro => {
                for token in tokens_of(node) {
                    self.format_string(&token);
                }
            }
            // Patterns are bound where they are read; items see none of the variables around them.
            kind if ast::Pat::can_cast(kind)
                || ast::Item::can_cast(kind)
                || ast::Type::can_cast(kind)
                || kind == SyntaxKind::ATTR => {}
            _ => self.children(node, around),
        }
    }

    fn children(&mut self, node: &SyntaxNode, around: &mut Around<'_>) {
        for child in node.children() {
            self.node(&child, around);
        }
    }

    /// What a block defines hides variables in all of it.
    fn items(&mut self, block: &SyntaxNode) {
        for item in block.children() {
            let name = match item.kind() {
                SyntaxKind::FN => ast::Fn::cast(item).and_then(|item| item.name()),
                SyntaxKind::CONST => ast::Const::cast(item).and_then(|item| item.name()),
                SyntaxKind::STATIC => ast::Static::cast(item).and_then(|item| item.name()),
                _ => None,
            };
            self.bound
                .extend(name.map(|name| plain(name.text()).to_owned()));
        }
    }

    fn for_loop(&mut self, node: &SyntaxNode, around: &mut Around<'_>) {
        let Some(expression) = ast::ForExpr::cast(node.clone()) else {
            return;
        };
        if let Some(inputs) = expression.iterable() {
            self.node(inputs.syntax(), around);
        }
        let scope = self.bound.len();
        self.bind(expression.pat());
        if let Some(body) = expression.loop_body() {
            self.node(body.syntax(), around);
        }
        self.bound.truncate(scope);
    }

    /// The names of a condition are bound in its own block alone.
    fn if_expression(&mut self, node: &SyntaxNode, around: &mut Around<'_>) {
        let Some(expression) = ast::IfExpr::cast(node.clone()) else {
            return;
        };
        let scope = self.bound.len();
        if let Some(condition) = expression.condition() {
            self.node(condition.syntax(), around);
        }
        if let Some(then) = expression.then_branch() {
            self.node(then.syntax(), around);
        }
        self.bound.truncate(scope);
        match expression.else_branch() {
            Some(ast::ElseBranch::Block(block)) => self.node(block.syntax(), around),
            Some(ast::ElseBranch::IfExpr(chain)) => self.node(chain.syntax(), around),
            None => {}
        }
    }

    fn macro_call(&mut self, call: &ast::MacroCall, around: &mut Around<'_>) {
        let name = call.path().and_then(|path| path.as_single_name_ref());
        if name.is_some_and(|name| name.text() == "matches")
            && let Some(tree) = around.tree.matches_input(call)
        {
            self.read(&tree, true);
        } else if let Some(tree) = around.tree.macro_input(call) {
            self.read(&tree, true);
        } else if let Some(input) = call.token_tree() {
            self.words(&input);
        }
    }

    /// The names in a macro's input that is no Rust: a dot, a path or a call of a macro is told by its tokens.
    fn words(&mut self, input: &ast::TokenTree) {
        let tokens: Vec<SyntaxToken> = tokens_of(input.syntax()).collect();
        let kind = |at: usize| tokens.get(at).map(SyntaxToken::kind);
        for (at, token) in tokens.iter().enumerate() {
            self.format_string(token);
            let after = at.checked_sub(1).and_then(kind);
            let is_member = matches!(after, Some(SyntaxKind::DOT | SyntaxKind::COLON2));
            let is_path = kind(at + 1) == Some(SyntaxKind::COLON2);
            let is_macro = kind(at + 1) == Some(SyntaxKind::BANG);
            if token.kind() == SyntaxKind::IDENT && !is_member && !is_path && !is_macro {
                self.note(token.text());
            }
        }
    }

    fn format_string(&mut self, token: &SyntaxToken) {
        if token.kind() == SyntaxKind::STRING {
            for name in format_names(token.text()) {
                self.note(&name);
            }
        }
    }

    fn bind(&mut self, pattern: Option<ast::Pat>) {
        let names = pattern.map(|pattern| pattern_names(pattern.syntax()));
        for name in names.into_iter().flatten() {
            self.bound.push(plain(&name).to_owned());
        }
    }

    fn note(&mut self, name: &str) {
        let name = plain(name);
        let is_bound = self.bound.iter().any(|bound| bound == name);
        if is_bound || self.used.iter().any(|used| plain(used) == name) {
            return;
        }
        let variable = self.variables.iter().find(|known| plain(known) == name);
        self.used.extend(variable.cloned());
    }
}

/// The tree that is read, and whether it is a macro's input.
struct Around<'a> {
    tree: &'a Tree,
    in_macro: bool,
}

/// Without `r#`.
fn plain(name: &str) -> &str {
    name.strip_prefix("r#").unwrap_or(name)
}
