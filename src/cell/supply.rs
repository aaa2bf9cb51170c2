//! What a cell lacks and can only mean: the semicolon of its last statement, and a type for closures that
//! capture nothing. What is supplied moves none of the user's text, so that places stay right.

use std::borrow::Cow;

use ra_ap_syntax::AstNode as _;
use ra_ap_syntax::ast::{self, HasAttrs as _, HasName as _};

use super::captured;
use super::syntax::{Tree, missing_semicolon, pattern_names, read};

/// The code with the semicolon that its last statement lacks.
pub fn with_semicolon(code: &str) -> Cow<'_, str> {
    match missing_semicolon(code) {
        Some(at) => Cow::Owned(format!("{};{}", &code[..at], &code[at..])),
        None => Cow::Borrowed(code),
    }
}

/// The code with each closure that captures nothing kept as a function pointer, `let f: fn(_) -> _ = f;`
/// behind its `let`: a closure's own type has no name, so no later cell could know the variable. `None` when
/// there is none such.
pub fn with_pointers(code: &str, variables: &[String]) -> Option<String> {
    let pointers = read(code, |tree| pointers(tree, code, variables))?;
    let mut pieces = String::new();
    let mut copied = 0;
    for (at, pointer) in &pointers {
        pieces.push_str(&code[copied..*at]);
        pieces.push_str(pointer);
        copied = *at;
    }
    pieces.push_str(&code[copied..]);
    (!pointers.is_empty()).then_some(pieces)
}

/// What calls the `main` that a Rust file defines; `None` when it defines none.
pub fn call_of_main(code: &str) -> Option<String> {
    let call = |tree: &Tree| {
        let mut functions = tree.statements().filter_map(ast::Fn::cast);
        let is_main =
            |function: &ast::Fn| function.name().is_some_and(|name| name.text() == "main");
        let main = functions.find(is_main)?;
        // An attribute such as tokio's makes an ordinary function of it.
        let waits = main.async_token().is_some() && main.attrs().next().is_none();
        let fails = main.ret_type().and_then(|result| result.ty());
        let fails = fails.is_some_and(|kind| is_result(&kind));
        let (wait, try_it) = (
            if waits { ".await" } else { "" },
            if fails { "?" } else { "" },
        );
        Some(format!("\nmain(){wait}{try_it};\n"))
    };
    read(code, call).flatten()
}

/// Whether a type is `Result`, or another of such a name.
fn is_result(kind: &ast::Type) -> bool {
    let ast::Type::PathType(path) = kind else {
        return false;
    };
    let last = path.path().and_then(|path| path.segment()?.name_ref());
    last.is_some_and(|name| name.text().ends_with("Result"))
}

/// How the first closure that a `let` of the code binds and that captures is written so that it can be kept.
pub fn boxed_closure(code: &str, variables: &[String]) -> Option<String> {
    let boxed = |tree: &Tree| {
        let found = closures(tree, code, variables).into_iter();
        let mut capturing = found.filter(|found| found.captures);
        let found = capturing.next()?;
        let text = found.text.strip_prefix("move ").unwrap_or(found.text);
        let (name, parameters) = (&found.name, found.parameters.join(", "));
        let result = found.result.as_deref().unwrap_or("…");
        Some(format!(
            "let {name}: Box<dyn Fn({parameters}) -> {result}> = Box::new(move {text});"
        ))
    };
    read(code, boxed).flatten()
}

/// Where each `let` of a closure that captures nothing ends, and what is to follow it.
fn pointers(tree: &Tree, code: &str, variables: &[String]) -> Vec<(usize, String)> {
    let found = closures(tree, code, variables).into_iter();
    let pointer = |found: Closure<'_>| {
        let (mutable, name) = (found.mutable, &found.name);
        let result = found.result.as_deref().unwrap_or("_");
        let kind = format!("fn({}) -> {result}", found.parameters.join(", "));
        (found.end, format!(" let {mutable}{name}: {kind} = {name};"))
    };
    found.filter(|found| !found.captures).map(pointer).collect()
}

/// `let mut name = |…| …;`
struct Closure<'a> {
    name: String,
    /// `mut ` or nothing.
    mutable: &'static str,
    text: &'a str,
    /// Types, `_` where none is written.
    parameters: Vec<String>,
    result: Option<String>,
    captures: bool,
    /// Where the statement ends.
    end: usize,
}

fn closures<'a>(tree: &Tree, code: &'a str, variables: &[String]) -> Vec<Closure<'a>> {
    let mut names: Vec<String> = variables.to_vec();
    // In doubt a name of the cell's own is a variable here too.
    names.extend(pattern_names(tree.root()));
    let text = |ty: ast::Type| ty.syntax().text().to_string();
    let closure = |statement: ast::LetStmt| {
        let Some(ast::Pat::IdentPat(pattern)) = statement.pat() else {
            return None;
        };
        let Some(ast::Expr::ClosureExpr(closure)) = statement.initializer() else {
            return None;
        };
        let is_plain = pattern.pat().is_none() && pattern.ref_token().is_none();
        let is_coroutine = closure.async_token().is_some() || closure.gen_token().is_some();
        if !is_plain || is_coroutine || statement.ty().is_some() {
            return None;
        }
        statement.semicolon_token()?;
        let parameters = closure.param_list()?.params();
        let as_written = &code[tree.span(closure.syntax())];
        Some(Closure {
            name: pattern.name()?.text().to_owned(),
            mutable: pattern.mut_token().map_or("", |_| "mut "),
            text: as_written,
            parameters: parameters
                .map(|parameter| parameter.ty().map_or("_".to_owned(), text))
                .collect(),
            result: closure.ret_type().and_then(|result| result.ty()).map(text),
            captures: !captured(as_written, &names).is_empty(),
            end: tree.span(statement.syntax()).end,
        })
    };
    let lets = tree.statements().filter_map(ast::LetStmt::cast);
    lets.filter_map(closure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closures_without_captures_are_pointers() {
        let variables = ["k".to_owned(), "f".to_owned()];
        for (code, pointer) in [
            ("let f = |x: i32| x + 1;", "let f: fn(i32) -> _ = f;"),
            (
                "let g = |a, b: &str| -> u8 { a };",
                "let g: fn(_, &str) -> u8 = g;",
            ),
            ("let mut g = || 1;", "let mut g: fn() -> _ = g;"),
            ("let g = move |k| k;", "let g: fn(_) -> _ = g;"),
        ] {
            let with = with_pointers(code, &variables);
            assert_eq!(with, Some(format!("{code} {pointer}")), "{code}");
        }
        for code in [
            "let g = |x| x + k;",
            "let a = 1; let g = |x| x + a;",
            "let g = |x| f(x);",
            "let g: fn(u8) -> u8 = |x| x;",
            "let g = Box::new(|x| x);",
            "let g = async |x| x;",
            "let (g, h) = (|x| x, 1);",
            "|x| x",
            "let g = 1;",
        ] {
            assert_eq!(with_pointers(code, &variables), None, "{code}");
        }
        assert_eq!(
            with_pointers("let g = |x| x; // why\ng(1)", &[]).as_deref(),
            Some("let g = |x| x; let g: fn(_) -> _ = g; // why\ng(1)")
        );
    }

    #[test]
    fn a_closure_that_captures_is_offered_boxed() {
        let boxed = boxed_closure(
            "let g = |x: u8| x; let h = move |x: u8, y| x + k;",
            &["k".to_owned()],
        );
        let wanted = "let h: Box<dyn Fn(u8, _) -> …> = Box::new(move |x: u8, y| x + k);";
        assert_eq!(boxed.as_deref(), Some(wanted));
        assert_eq!(boxed_closure("let g = |x: u8| x;", &[]), None);
    }

    #[test]
    fn main_is_called_as_it_is_declared() {
        for (code, call) in [
            ("fn main() {}", Some("main();")),
            (
                "fn main() -> Result<(), String> { f()?; Ok(()) }",
                Some("main()?;"),
            ),
            (
                "async fn main() -> std::io::Result<()> { Ok(()) }",
                Some("main().await?;"),
            ),
            ("fn main() -> fmt::Result { Ok(()) }", Some("main()?;")),
            (
                "fn main() -> impl Fn() -> Result<u8, u8> { f }",
                Some("main();"),
            ),
            ("#[tokio::main]\nasync fn main() {}", Some("main();")),
            ("mod a { fn main() {} }\nfn f() { fn main() {} }", None),
        ] {
            assert_eq!(call_of_main(code).as_deref().map(str::trim), call, "{code}");
        }
    }

    #[test]
    fn a_semicolon_is_supplied() {
        assert_eq!(
            with_semicolon("f();\nlet x = 5 // five"),
            "f();\nlet x = 5; // five"
        );
        assert_eq!(with_semicolon("x"), "x");
    }
}
