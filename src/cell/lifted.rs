//! `thread_local!` and `lazy_static!` as plain statics. A call of a macro is no item to evcxr, which would run
//! it once and forget it; a static is one, and can be shared by cells. The `LocalKey` itself becomes the
//! static: it is a function's address, and whoever uses it reaches the same value of the same thread.
//!
//! It must never move anything to another line.

use std::ops::Range;

use ra_ap_syntax::ast::{self, HasName as _};
use ra_ap_syntax::{AstNode as _, SyntaxKind, SyntaxToken};

use super::edits::Edits;
use super::syntax::{Tree, called_macro, read};
use super::words::normalised;

/// The edits that turn such calls in `code` into items. `at_top` looks at the top level alone.
pub fn lifted(code: &str, at_top: bool) -> Edits {
    if !code.contains("thread_local") && !code.contains("lazy_static") {
        return Edits::default();
    }
    let look = |tree: &Tree| {
        let calls: Vec<ast::MacroCall> = if at_top {
            let statements = tree.statements();
            statements.filter_map(|node| called_macro(&node)).collect()
        } else {
            let nodes = tree.root().descendants();
            nodes.filter_map(ast::MacroCall::cast).collect()
        };
        let mut edits = Edits::default();
        for call in calls {
            for (part, new) in in_call(tree, code, &call).into_iter().flatten() {
                edits.replace(part, new);
            }
        }
        edits
    };
    read(code, look).unwrap_or_default()
}

/// What replaces which part.
type Parts = Vec<(Range<usize>, String)>;

/// `None` for what is not a list of statics: the macro itself says what is wrong with it.
fn in_call(tree: &Tree, code: &str, call: &ast::MacroCall) -> Option<Parts> {
    let path = call.path()?;
    let is_lazy = match path.segment()?.name_ref()?.text() {
        "thread_local" => false,
        "lazy_static" => true,
        _ => return None,
    };
    let input = call.token_tree()?;
    if is_lifted(call) || !tree.holds(input.syntax()) {
        return None;
    }
    let lines = |part: Range<usize>| {
        let newlines = "\n".repeat(code[part.clone()].matches('\n').count());
        (part, newlines)
    };
    let whole = tree.range(input.syntax().text_range());
    let start = tree.range(path.syntax().text_range()).start;
    let semicolon = behind(&input).filter(|token| token.kind() == SyntaxKind::SEMICOLON);
    let end = semicolon.map_or(whole.end, |token| tree.range(token.text_range()).end);
    let mut parts = vec![lines(start..whole.start + 1)];

    let (mut inner, at) = tree.inside(call)?;
    let mut refs = Vec::new();
    if is_lazy {
        // Without its `ref`, each is a static like any other.
        refs.extend(words_behind_static(&input).map(|token| tree.range(token.text_range())));
        for word in &refs {
            inner.replace_range(word.start - at..word.end - at, "   ");
        }
    }
    let list = Tree::of_items(&inner, at);
    let statics = list.root().children().map(ast::Static::cast);
    let statics = statics.collect::<Option<Vec<_>>>()?;
    if statics.is_empty() || !list.is_sound() || is_lazy && refs.len() != statics.len() {
        return None;
    }
    parts.extend(refs.into_iter().map(|word| (word, String::new())));
    for one in statics {
        let place = |token: SyntaxToken| list.range(token.text_range());
        let colon = place(one.colon_token()?).end;
        let equals = place(one.eq_token()?);
        one.body()?;
        // The macro also takes the last static without its semicolon.
        let end = match one.semicolon_token() {
            Some(semicolon) => place(semicolon),
            None => {
                let end = list.span(one.syntax()).end;
                end..end
            }
        };
        if is_lazy {
            parts.push((colon..colon, " ::std::sync::LazyLock<".to_owned()));
            parts.push((equals, "> = ::std::sync::LazyLock::new(||".to_owned()));
            parts.push((end, ");".to_owned()));
        } else {
            let (name, kind) = (one.name()?, one.ty()?.syntax().text().to_string());
            // It is said a second time, and no line more than there was.
            let kind = if kind.contains('\n') {
                normalised(&kind)
            } else {
                kind
            };
            let begin = format!(
                " ::std::thread::LocalKey<{kind}> = {{ ::std::thread_local! {{ static {name}:"
            );
            parts.push((colon..colon, begin));
            parts.push((end, format!("; }} {name} }};")));
        }
    }
    parts.push(lines(whole.end - 1..end));
    Some(parts)
}

/// Whether it is what a lifted one is made of: `static N: … = { ::std::thread_local! { … } N }`.
fn is_lifted(call: &ast::MacroCall) -> bool {
    let block = call.syntax().ancestors().find_map(ast::BlockExpr::cast);
    let around = block.and_then(|block| block.syntax().parent());
    around.is_some_and(|around| around.kind() == SyntaxKind::STATIC)
}

/// The next token behind the input of a macro.
fn behind(input: &ast::TokenTree) -> Option<SyntaxToken> {
    let mut token = input.syntax().last_token()?.next_token();
    while let Some(blank) = token.take_if(|token| token.kind().is_trivia()) {
        token = blank.next_token();
    }
    token
}

/// Each `ref` of `static ref`.
fn words_behind_static(input: &ast::TokenTree) -> impl Iterator<Item = SyntaxToken> {
    let parts = input.syntax().children_with_tokens();
    let mut last = None;
    let said = parts.filter(|part| !part.kind().is_trivia());
    let words = said.filter(move |part| {
        let before = last.replace(part.kind());
        part.kind() == SyntaxKind::REF_KW && before == Some(SyntaxKind::STATIC_KW)
    });
    words.filter_map(|part| part.into_token())
}

#[cfg(test)]
mod tests {
    use super::lifted;

    fn lift(code: &str) -> String {
        lifted(code, true).apply(code)
    }

    #[test]
    fn a_thread_local_becomes_a_static_on_the_same_lines() {
        assert_eq!(
            lift(
                "let a = 1;\nthread_local! {\n    /// how many\n    pub static N: Cell<u32> = const { Cell::new(0) };\n}\nN.get()"
            ),
            "let a = 1;\n\n    /// how many\n    pub static N: ::std::thread::LocalKey<Cell<u32>> = { ::std::thread_local! { static N: \
             Cell<u32> = const { Cell::new(0) }; } N };\n\nN.get()"
        );
        let once = lift("std::thread_local!(static A: Box<dyn Fn(u8) -> u8> = f())");
        assert!(
            once.contains("A:Box<dyn Fn") || once.contains("static A: Box<dyn Fn"),
            "{once}"
        );
        assert!(once.ends_with("= f(); } A };"), "{once}");
        assert_eq!(lifted(&once, false).apply(&once), once, "not again");
        let two = lift(
            "::std::thread_local! { static A: u8 = 1; static B: Vec<&'static dyn It<I = u8>> = vec![]; }",
        );
        assert_eq!(two.matches("::std::thread::LocalKey<").count(), 2, "{two}");
        assert!(
            two.contains("LocalKey<Vec<&'static dyn It<I = u8>>>"),
            "{two}"
        );
        assert!(two.trim_start().starts_with("static A"), "{two}");
    }

    #[test]
    fn a_lazy_static_becomes_a_lazy_lock() {
        assert_eq!(
            lift(
                "lazy_static! { static ref T: Mutex<Vec<u8>> = { let v = vec![]; Mutex::new(v) }; }"
            )
            .trim(),
            "static  T: ::std::sync::LazyLock< Mutex<Vec<u8>> > = ::std::sync::LazyLock::new(|| { let v = vec![]; Mutex::new(v) });"
        );
    }

    #[test]
    fn what_is_no_list_of_statics_is_left_to_the_macro() {
        for code in [
            "thread_local! { }",
            "thread_local!(oops)",
            "thread_local! { static A = 3; }",
            "macro_rules! m { () => { thread_local! { static A: u8 = 1; } } }",
            "fn f() { thread_local! { static A: u8 = 1; } }",
            "let thread_local = 1; thread_local",
            "thread_local! { static A: u8 = 1;",
            "thread_local! { static A: u8 = (1)",
            "thread_local! { fn f() {} }",
            "lazy_static! { static T: u8 = 1; }",
            "lazy_static! { static ref A: u8 = 1; static B: u8 = 1; }",
        ] {
            assert_eq!(lift(code), code);
        }
    }
}
