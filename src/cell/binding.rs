//! `let name: Type =` in front of a magic. It must never accept a pattern that would have to be matched:
//! a magic's value is bound whole.

use ra_ap_rustc_lexer::TokenKind;

use super::Binding;
use super::token::{Tok, significant};

/// A byte offset, what is wrong there, and what to write instead.
pub(super) type Wrong = (usize, String, String);

/// Reads the statement that begins with a `let` at `let_at` (if it does) and goes up to `eq`, the equals
/// sign before a magic. Gives the offset at which it begins.
pub(super) fn binding(
    text: &str,
    let_at: Option<usize>,
    eq: Tok,
) -> Result<(usize, Binding), Wrong> {
    let Some(let_at) = let_at else {
        return Err((
            eq.start,
            "only `let name =` can take the value of a magic".to_owned(),
            "write `let name = %magic …`".to_owned(),
        ));
    };
    let not_simple = |at: usize| {
        (
            at,
            "the value of a magic can only be bound to a name".to_owned(),
            "write `let name = %magic …`, and take it apart in the next line".to_owned(),
        )
    };
    let tokens = significant(text, let_at, eq.end);
    let pattern = tokens
        .get(1..tokens.len().saturating_sub(1))
        .unwrap_or_default();
    let (mutable, rest) = match pattern {
        [first, rest @ ..] if first.text(text) == "mut" => (true, rest),
        rest => (false, rest),
    };
    let [name, rest @ ..] = rest else {
        return Err(not_simple(eq.start));
    };
    if !matches!(name.kind, TokenKind::Ident | TokenKind::RawIdent) || name.text(text) == "ref" {
        return Err(not_simple(name.start));
    }
    if name.text(text) == "_" {
        let hint = "leave out `let _ =`: the magic shows its results all the same";
        return Err((name.start, "`_` binds nothing".to_owned(), hint.to_owned()));
    }
    let ty = match rest {
        [] => None,
        [colon, ty @ ..] if colon.kind == TokenKind::Colon => {
            Some(type_text(text, ty).ok_or_else(|| not_simple(colon.start))?)
        }
        [other, ..] => return Err(not_simple(other.start)),
    };
    let name = name.text(text).to_owned();
    let pattern = if mutable {
        format!("mut {name}")
    } else {
        name.clone()
    };
    Ok((let_at, Binding { pattern, name, ty }))
}

/// The type that these tokens are; `None` when a second `=` says that they are more than a type.
fn type_text(text: &str, tokens: &[Tok]) -> Option<String> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    let mut angles = 0usize;
    let mut previous = TokenKind::Colon;
    for tok in tokens {
        match tok.kind {
            TokenKind::Lt => angles += 1,
            TokenKind::Gt if previous != TokenKind::Minus => angles = angles.saturating_sub(1),
            TokenKind::Eq if angles == 0 => return None,
            _ => {}
        }
        previous = tok.kind;
    }
    Some(text[first.start..last.end].to_owned())
}
