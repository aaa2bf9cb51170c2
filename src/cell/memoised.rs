//! Functions written out so that their results are kept: the edits of `%%memo`. All of it stands on the lines of
//! the function; what the names in it come to is the cell crate's `memo`.

use std::ops::Range;

use ra_ap_syntax::ast::{self, HasGenericParams as _, HasName as _};
use ra_ap_syntax::{AstNode as _, SyntaxKind, TextRange, TextSize};

use super::edits::Edits;
use super::syntax::{Tree, read};
use super::words::normalised;

/// What the code that is written out calls its own, which is no word of the user's.
const FOUND: &str = "regatta_kept";
const PLACE: &str = "regatta_place";
const ARGUMENT: &str = "regatta_argument_";
/// Where `Ok` and `Err` are Rust's own.
const RESULT: &str = "::core::result::Result";

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
#[error("%%memo cannot keep the results of `{name}`: {}", why.what)]
pub struct NotKept {
    pub name: String,
    pub why: Refusal,
    /// The bytes of the code that are to blame.
    pub at: Range<usize>,
}

/// Why, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub what: String,
    pub hint: &'static str,
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
            // Of one without a name the compiler says what is wrong.
            if !name.is_empty() {
                one(tree, code, &function, keeps, &mut edits).map_err(|(node, why)| NotKept {
                    name: name.clone(),
                    why,
                    at: tree.range(node),
                })?;
            }
            names.push(name);
        }
        Ok((edits, names))
    };
    read(code, look).unwrap_or_else(|| Ok((Edits::default(), Vec::new())))
}

/// Where `code` has functions that are not its own: `an \`impl\``.
pub fn functions_elsewhere(code: &str) -> Option<&'static str> {
    let look = |tree: &Tree| {
        tree.statements().find_map(|node| match node.kind() {
            SyntaxKind::IMPL => Some("an `impl`"),
            SyntaxKind::TRAIT => Some("a trait"),
            SyntaxKind::MODULE => Some("a module"),
            SyntaxKind::MACRO_RULES | SyntaxKind::MACRO_CALL => Some("a macro"),
            _ => None,
        })
    };
    read(code, look).flatten()
}

type Refused = (TextRange, Refusal);

fn one(
    tree: &Tree,
    code: &str,
    function: &ast::Fn,
    keeps: Keeping,
    edits: &mut Edits,
) -> Result<(), Refused> {
    let refused = |at: TextRange, what: String, hint| Err((at, Refusal { what, hint }));
    let abi = function.abi();
    for (there, what, hint) in [
        (
            function.async_token().map(|token| token.text_range()),
            "async",
            "keep the results of a plain `fn` that it calls",
        ),
        (
            function.const_token().map(|token| token.text_range()),
            "const",
            "leave `const` out: what is kept is computed in a call",
        ),
        (
            function.unsafe_token().map(|token| token.text_range()),
            "unsafe",
            "keep the results of a safe `fn` that calls it in an `unsafe` block",
        ),
        (
            abi.map(|abi| abi.syntax().text_range()),
            "extern",
            "keep the results of a plain `fn` that it calls",
        ),
    ] {
        if let Some(at) = there {
            return refused(at, format!("it is `{what}`"), hint);
        }
    }
    let generics = function.generic_param_list().into_iter();
    let mut generics = generics.flat_map(|list| list.generic_params());
    if let Some(generic) = generics.find(|one| !matches!(one, ast::GenericParam::LifetimeParam(_)))
    {
        return refused(
            generic.syntax().text_range(),
            format!("it is generic over `{generic}`"),
            "give it one type, or let the generic function call one for each type",
        );
    }
    let mut called = String::new();
    let mut taken_apart = String::new();
    let parameters = function.param_list().into_iter();
    let parameters = parameters.flat_map(|list| list.params()).enumerate();
    for (at, parameter) in parameters {
        let whole = parameter.syntax().text_range();
        let nodes = parameter.ty().into_iter();
        for node in nodes.flat_map(|kind| kind.syntax().descendants()) {
            if node.kind() == SyntaxKind::IMPL_TRAIT_TYPE {
                return refused(
                    whole,
                    format!("its argument `{parameter}` is of any type"),
                    "give it one type, which is Serialize",
                );
            }
            if ast::RefType::cast(node).is_some_and(|one| one.mut_token().is_some()) {
                return refused(
                    whole,
                    format!("its argument `{parameter}` is changed by it"),
                    "take the value, and give it back as a part of the result",
                );
            }
        }
        let name = match parameter.pat() {
            Some(ast::Pat::IdentPat(pattern))
                if pattern.pat().is_none() && pattern.ref_token().is_none() =>
            {
                pattern.name().map(|name| name.to_string())
            }
            // `(a, b): (u8, u8)`, which is taken apart when the result is to be computed.
            Some(pattern) => {
                let name = format!("{ARGUMENT}{at}");
                let (text, part) = (
                    normalised(&pattern.syntax().text().to_string()),
                    tree.range(pattern.syntax().text_range()),
                );
                taken_apart.push_str(&format!(" let {text} = {name};"));
                let lines = code.get(part.clone()).unwrap_or_default();
                let lines = "\n".repeat(lines.matches('\n').count());
                edits.replace(part, name.clone() + &lines);
                Some(name)
            }
            None => None,
        };
        // Without one it is no argument, as the compiler says.
        let Some(name) = name else { return Ok(()) };
        called.push_str(&format!(".and(&{name})"));
    }
    let kind = function.ret_type().and_then(|kind| kind.ty());
    let mut result = "()".to_owned();
    if let Some(kind) = kind {
        let whole = kind.syntax().text_range();
        let borrows = |one: ast::Lifetime| one.syntax().text() != "'static";
        for node in kind.syntax().descendants() {
            if node.kind() == SyntaxKind::IMPL_TRAIT_TYPE {
                return refused(
                    whole,
                    format!("its result `{kind}` has no name"),
                    "give the type's name, or a `Vec` of what it gives",
                );
            }
            if node.kind() == SyntaxKind::REF_TYPE || ast::Lifetime::cast(node).is_some_and(borrows)
            {
                return refused(
                    whole,
                    format!("its result `{kind}` is borrowed"),
                    "give what has an owner: `String` for `&str`, `Vec<T>` for `&[T]`",
                );
            }
        }
        if matches!(kind, ast::Type::NeverType(_)) {
            return refused(
                whole,
                "it gives none".to_owned(),
                "leave it out of the cell",
            );
        }
        result = normalised(&kind.syntax().text().to_string());
    }
    let body = function.body().and_then(|body| body.stmt_list());
    let Some((open, close)) =
        body.and_then(|body| Some((behind_attributes(&body)?, body.r_curly_token()?)))
    else {
        // The compiler says what is wrong with it.
        return Ok(());
    };
    let (kept, found, keep) = match keeps.good {
        false => (result.clone(), FOUND.to_owned(), "keep"),
        true => {
            let outcome = format!("<{result} as ::regatta_cell::memo::Outcome>");
            (
                format!("{outcome}::Good"),
                format!("{outcome}::again({FOUND})"),
                "keep_good",
            )
        }
    };
    let name = function.name().map(|name| name.text().to_string());
    let name = name.unwrap_or_default();
    let name = name.trim_start_matches("r#");
    let (limit, ttl) = (keeps.limit, keeps.ttl.unwrap_or(0));
    edits.insert(
        tree.range(TextRange::empty(open)).end,
        format!(
            " static REGATTA_MEMO: ::regatta_cell::memo::Memo<{kept}> = ::regatta_cell::memo::Memo::new()\
             .of({name:?}, {limit}, {ttl}); \
             match REGATTA_MEMO.find(&::regatta_cell::memo::Key::new(){called}) {{ {RESULT}::Ok({FOUND}) => {found}, {RESULT}::Err({PLACE}) => {PLACE}\
             .called(|regatta_text| regatta_text{called}).{keep}((|| -> {result} {{{taken_apart}"
        ),
    );
    edits.insert(tree.range(close.text_range()).start, "})()) } ");
    Ok(())
}

/// Where a body's statements begin: behind `{`, `#![allow(…)]` and `//! …`.
fn behind_attributes(body: &ast::StmtList) -> Option<TextSize> {
    let mut end = body.l_curly_token()?.text_range().end();
    let parts = body.syntax().children_with_tokens();
    for part in parts
        .skip_while(|part| part.kind() != SyntaxKind::L_CURLY)
        .skip(1)
    {
        match part.kind() {
            SyntaxKind::WHITESPACE => {}
            SyntaxKind::ATTR => end = part.text_range().end(),
            SyntaxKind::COMMENT => {
                let text = part.to_string();
                if text.starts_with("//!") {
                    // With the end of its line.
                    end = part.text_range().end() + TextSize::of('\n');
                } else if text.starts_with("/*!") {
                    end = part.text_range().end();
                }
            }
            _ => break,
        }
    }
    Some(end)
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
             .find(&::regatta_cell::memo::Key::new().and(&n).and(&by)) { ::core::result::Result::Ok(regatta_kept) => \
             regatta_kept, ::core::result::Result::Err(regatta_place) => regatta_place.called(|regatta_text| regatta_text.and(&n).and(&by)).keep((|| -> Vec < f64 > {\n    g(n) // why\n})()) } }\na"
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
    fn patterns_are_taken_apart_behind_the_look_up_and_attributes_stay_in_front() {
        let text = written(
            "fn f((a,\n b): (u8, u8), _: u8) -> u8 { a }",
            Keeping::default(),
        );
        assert!(
            text.contains("fn f(regatta_argument_0\n: (u8, u8), regatta_argument_1: u8)"),
            "{text}"
        );
        assert!(
            text.contains("new().and(&regatta_argument_0).and(&regatta_argument_1))"),
            "{text}"
        );
        assert!(
            text.contains("{ let ( a , b ) = regatta_argument_0; let _ = regatta_argument_1; a"),
            "{text}"
        );
        let text = written(
            "fn f() {\n    #![allow(unused)]\n    //! why\n    // so\n    g();\n}",
            Keeping::default(),
        );
        assert!(
            text.contains("{\n    #![allow(unused)]\n    //! why\n static"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 6);
    }

    #[test]
    fn functions_of_types_and_modules_are_none_of_the_cell() {
        let elsewhere = |code| functions_elsewhere(code);
        assert_eq!(elsewhere("impl A { fn f(&self) {} }"), Some("an `impl`"));
        assert_eq!(elsewhere("mod m { fn f() {} }"), Some("a module"));
        assert_eq!(elsewhere("let a = 1;"), None);
    }

    #[test]
    fn what_no_table_can_stand_for_is_refused_by_name() {
        for (code, why, at) in [
            ("async fn f() {}", "it is `async`", "async"),
            ("unsafe fn f() {}", "it is `unsafe`", "unsafe"),
            ("const fn f() {}", "it is `const`", "const"),
            ("extern \"C\" fn f() {}", "it is `extern`", "extern \"C\""),
            (
                "fn f<T: Copy>(a: T) {}",
                "it is generic over `T: Copy`",
                "T: Copy",
            ),
            (
                "fn f<const N: usize>(a: [u8; N]) {}",
                "it is generic over `const N: usize`",
                "const N: usize",
            ),
            (
                "fn f(a: &mut u8) {}",
                "its argument `a: &mut u8` is changed by it",
                "a: &mut u8",
            ),
            (
                "fn f(a: impl Fn()) {}",
                "its argument `a: impl Fn()` is of any type",
                "a: impl Fn()",
            ),
            (
                "fn f() -> impl Iterator<Item = u8> { [].into_iter() }",
                "its result `impl Iterator<Item = u8>` has no name",
                "impl Iterator<Item = u8>",
            ),
            (
                "fn f<'a>(a: &'a str) -> Cow<'a, str> { a }",
                "its result `Cow<'a, str>` is borrowed",
                "Cow<'a, str>",
            ),
            (
                "fn f(a: &str) -> Option<&str> { a }",
                "its result `Option<&str>` is borrowed",
                "Option<&str>",
            ),
            ("fn f() -> ! { loop {} }", "it gives none", "!"),
        ] {
            let error = memoised(code, Keeping::default()).unwrap_err();
            assert_eq!(
                (
                    error.name.as_str(),
                    error.why.what.as_str(),
                    &code[error.at.clone()]
                ),
                ("f", why, at),
                "{code}"
            );
        }
    }
}
