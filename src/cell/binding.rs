//! `let name: Type =` in front of a magic. It must never accept a pattern that would have to be matched:
//! a magic's value is bound whole.

use ra_ap_syntax::ast::{self, HasName as _};
use ra_ap_syntax::{AstNode as _, SyntaxNode};

use super::Binding;
use super::syntax::{Tree, read};

/// A byte offset, what is wrong there, and what to write instead.
pub(super) type Wrong = (usize, String, String);

/// Reads the statement that begins with a `let` at `let_at` (if it does) and goes up to `eq`, the place of the
/// equals sign before a magic. Gives the offset at which it begins.
pub(super) fn binding(
    text: &str,
    let_at: Option<usize>,
    eq: usize,
) -> Result<(usize, Binding), Wrong> {
    let Some(let_at) = let_at else {
        return Err((
            eq,
            "only `let name =` can take the value of a magic".to_owned(),
            "write `let name = %magic …`".to_owned(),
        ));
    };
    // A number stands for the magic's value.
    let statement = format!("{}= 0;", &text[let_at..eq]);
    let found = read(&statement, |tree| bound(tree, &statement)).unwrap_or_else(|| not_simple(0));
    match found {
        Ok(binding) => Ok((let_at, binding)),
        Err((at, what, hint)) => Err((eq.min(let_at + at), what, hint)),
    }
}

fn not_simple<T>(at: usize) -> Result<T, Wrong> {
    Err((
        at,
        "the value of a magic can only be bound to a name".to_owned(),
        "write `let name = %magic …`, and take it apart in the next line".to_owned(),
    ))
}

fn bound(tree: &Tree, statement: &str) -> Result<Binding, Wrong> {
    let text = |node: &SyntaxNode| statement[tree.span(node)].to_owned();
    let Some(found) = tree.statements().find_map(ast::LetStmt::cast) else {
        return not_simple(0);
    };
    let Some(pattern) = found.pat() else {
        return not_simple(statement.len());
    };
    let at = tree.span(pattern.syntax()).start;
    let name = match pattern {
        ast::Pat::IdentPat(name) if name.ref_token().is_none() && name.pat().is_none() => name,
        ast::Pat::WildcardPat(_) => {
            let hint = "leave out `let _ =`: the magic shows its results all the same";
            return Err((at, "`_` binds nothing".to_owned(), hint.to_owned()));
        }
        _ => return not_simple(at),
    };
    if let Some((at, _)) = tree.errors().first() {
        return not_simple(*at);
    }
    if !matches!(found.initializer(), Some(ast::Expr::Literal(_))) {
        let equals = found.eq_token().map(|token| token.text_range());
        return not_simple(equals.map_or(at, |range| tree.range(range).start));
    }
    Ok(Binding {
        pattern: text(name.syntax()),
        name: name
            .name()
            .map_or_else(String::new, |name| name.text().to_string()),
        ty: found.ty().map(|ty| text(ty.syntax())),
    })
}
