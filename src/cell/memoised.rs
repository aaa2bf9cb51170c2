//! Functions written out so that their results are kept: the edits of `%%memo`. All of it stands on the lines of
//! the function; what the names in it come to is the cell crate's `memo`.

use ra_ap_syntax::ast::{self, HasGenericParams as _, HasName as _};
use ra_ap_syntax::{AstNode as _, SyntaxKind};

use super::edits::Edits;
use super::syntax::{Tree, read};
use super::words::normalised;

/// Which results are kept, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Keeping {
    /// The good ones alone: `Ok` and `Some`.
    pub good: bool,
    /// Milliseconds for which a result is good; for ever without it.
    pub ttl: Option<u64>,
    /// Bytes that its results may take on disk; 0: none are kept there.
    pub limit: u64,
}

/// A function whose results cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("%%memo cannot keep the results of `{name}`: {why}")]
pub struct NotKept {
    pub name: String,
    pub why: String,
}

/// The edits that make the functions at the top level of `code` keep their results, and the functions' names.
///
/// # Errors
/// The first function that no table can stand for.
pub fn memoised(code: &str, keeps: Keeping) -> Result<(Edits, Vec<String>), NotKept> {
    let look = |tree: &Tree| {
        let (mut edits, mut names) = (Edits::default(), Vec::new());
        for function in tree.statements().filter_map(ast::Fn::cast) {
            let name = function.name().map(|name| name.text().to_string());
            let name = name.unwrap_or_default();
            one(tree, &function, keeps, &mut edits).map_err(|why| NotKept {
                name: name.clone(),
                why,
            })?;
            names.push(name);
        }
        Ok((edits, names))
    };
    read(code, look).unwrap_or_else(|| Ok((Edits::default(), Vec::new())))
}

fn one(tree: &Tree, function: &ast::Fn, keeps: Keeping, edits: &mut Edits) -> Result<(), String> {
    for (there, what) in [
        (function.async_token().is_some(), "async"),
        (function.const_token().is_some(), "const"),
        (function.unsafe_token().is_some(), "unsafe"),
        (function.abi().is_some(), "extern"),
    ] {
        if there {
            return Err(format!("it is `{what}`"));
        }
    }
    let generics = function.generic_param_list().into_iter();
    let mut generics = generics.flat_map(|list| list.generic_params());
    if let Some(generic) = generics.find(|one| !matches!(one, ast::GenericParam::LifetimeParam(_)))
    {
        return Err(format!("it is generic over `{generic}`; give it one type"));
    }
    let mut key = "::regatta_cell::memo::Key::new()".to_owned();
    let mut called = String::new();
    let parameters = function.param_list().into_iter();
    for parameter in parameters.flat_map(|list| list.params()) {
        let name = match parameter.pat() {
            Some(ast::Pat::IdentPat(pattern))
                if pattern.pat().is_none() && pattern.ref_token().is_none() =>
            {
                pattern.name()
            }
            _ => None,
        };
        let name = name.ok_or_else(|| format!("its argument `{parameter}` needs a name"))?;
        let nodes = parameter.ty().into_iter();
        let mut nodes = nodes.flat_map(|kind| kind.syntax().descendants());
        if nodes.any(|node| match node.kind() {
            SyntaxKind::IMPL_TRAIT_TYPE => true,
            _ => ast::RefType::cast(node).is_some_and(|one| one.mut_token().is_some()),
        }) {
            return Err(format!(
                "its argument `{parameter}` is no value that can be looked up"
            ));
        }
        let one = format!(".and(&{name})");
        key.push_str(&one);
        called.push_str(&one);
    }
    let kind = function.ret_type().and_then(|kind| kind.ty());
    let mut result = "()".to_owned();
    if let Some(kind) = kind {
        let mut nodes = kind.syntax().descendants();
        if nodes.any(|node| node.kind() == SyntaxKind::IMPL_TRAIT_TYPE) {
            return Err(format!("its result `{kind}` has no name"));
        }
        let mut nodes = kind.syntax().descendants();
        let borrows = |one: ast::Lifetime| one.syntax().text() != "'static";
        if nodes.any(|node| ast::Lifetime::cast(node).is_some_and(borrows)) {
            return Err(format!(
                "its result `{kind}` is borrowed; give an owned one"
            ));
        }
        result = normalised(&kind.syntax().text().to_string());
    }
    let body = function.body().and_then(|body| body.stmt_list());
    let Some((open, close)) =
        body.and_then(|body| Some((body.l_curly_token()?, body.r_curly_token()?)))
    else {
        // The compiler says what is wrong with it.
        return Ok(());
    };
    let (kept, found, keep) = match keeps.good {
        false => (result.clone(), "kept".to_owned(), "keep"),
        true => {
            let outcome = format!("<{result} as ::regatta_cell::memo::Outcome>");
            (
                format!("{outcome}::Good"),
                format!("{outcome}::again(kept)"),
                "keep_good",
            )
        }
    };
    let name = function.name().map(|name| name.text().to_string());
    let name = name.unwrap_or_default();
    let name = name.trim_start_matches("r#");
    let (limit, ttl) = (keeps.limit, keeps.ttl.unwrap_or(0));
    edits.insert(
        tree.range(open.text_range()).end,
        format!(
            " static REGATTA_MEMO: ::regatta_cell::memo::Memo<{kept}> = ::regatta_cell::memo::Memo::new()\
             .of({name:?}, {limit}, {ttl}); \
             match REGATTA_MEMO.find(&{key}) {{ Ok(kept) => {found}, Err(place) => place\
             .called(|text| text{called}).{keep}((|| -> {result} {{"
        ),
    );
    edits.insert(tree.range(close.text_range()).start, "})()) } ");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(code: &str, keeps: Keeping) -> String {
        memoised(code, keeps).unwrap().0.apply(code)
    }

    #[test]
    fn a_function_looks_its_arguments_up_first() {
        let code = "let a = 1;\nfn f(n: u64, mut by: &[f64]) -> Vec<f64> {\n    g(n) // why\n}\na";
        assert_eq!(
            written(code, Keeping::default()),
            "let a = 1;\nfn f(n: u64, mut by: &[f64]) -> Vec<f64> { static REGATTA_MEMO: \
             ::regatta_cell::memo::Memo<Vec < f64 >> = ::regatta_cell::memo::Memo::new().of(\"f\", 0, 0); match REGATTA_MEMO\
             .find(&::regatta_cell::memo::Key::new().and(&n).and(&by)) { Ok(kept) => kept, Err(place) => \
             place.called(|text| text.and(&n).and(&by)).keep((|| -> Vec < f64 > {\n    g(n) // why\n})()) } }\na"
        );
        let good = Keeping {
            good: true,
            ttl: Some(2000),
            limit: 70,
        };
        let good = written("fn f() -> Option<u8> { None }", good);
        assert!(
            good.contains("Memo<<Option < u8 > as ::regatta_cell::memo::Outcome>::Good>"),
            "{good}"
        );
        assert!(good.contains(").keep_good("), "{good}");
        assert!(good.contains(".of(\"f\", 70, 2000);"), "{good}");
    }

    #[test]
    fn what_no_table_can_stand_for_is_refused_by_name() {
        for (code, why) in [
            ("async fn f() {}", "it is `async`"),
            ("unsafe fn f() {}", "it is `unsafe`"),
            ("const fn f() {}", "it is `const`"),
            ("extern \"C\" fn f() {}", "it is `extern`"),
            (
                "fn f<T: Copy>(a: T) {}",
                "it is generic over `T: Copy`; give it one type",
            ),
            (
                "fn f((a, b): (u8, u8)) {}",
                "its argument `(a, b): (u8, u8)` needs a name",
            ),
            ("fn f(_: u8) {}", "its argument `_: u8` needs a name"),
            (
                "fn f(a: &mut u8) {}",
                "its argument `a: &mut u8` is no value that can be looked up",
            ),
            (
                "fn f(a: impl Fn()) {}",
                "its argument `a: impl Fn()` is no value that can be looked up",
            ),
            (
                "fn f() -> impl Iterator<Item = u8> { [].into_iter() }",
                "its result `impl Iterator<Item = u8>` has no name",
            ),
            (
                "fn f<'a>(a: &'a str) -> &'a str { a }",
                "its result `&'a str` is borrowed; give an owned one",
            ),
        ] {
            let error = memoised(code, Keeping::default()).unwrap_err();
            assert_eq!(
                (error.name.as_str(), error.why.as_str()),
                ("f", why),
                "{code}"
            );
        }
    }
}
