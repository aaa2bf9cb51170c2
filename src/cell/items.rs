//! The top-level items of a cell's Rust code, told from its statements by tokens alone. It must never
//! parse: what is wrong inside an item is for the compiler to say.

use super::item_span::{Header, Tokens, spans};
use super::token::{Lines, significant};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    Fn,
    /// A struct, an enum, a union or a type alias.
    Type,
    Trait,
    Impl,
    /// A `macro_rules!` definition.
    Macro,
    Use,
    /// A constant or a static.
    Const,
    /// A module, an `extern` block, an `extern crate`.
    Other,
}

/// One item as it was written, with its documentation and attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemText {
    /// Without `r#`. `None` for what has no name of its own: an `impl`, a `use`, `const _`.
    pub name: Option<String>,
    pub text: String,
    /// The line of the code on which `text` begins, from 1.
    pub line: usize,
    pub kind: ItemKind,
}

/// The items that a cell defines, in order.
#[must_use]
pub fn defines_items(code: &str) -> Vec<ItemText> {
    split_items(code).0
}

/// The items, and what is left without them: the statements, on the same lines and columns as before.
#[must_use]
pub fn split_items(code: &str) -> (Vec<ItemText>, String) {
    let tokens = significant(code, 0, code.len());
    let lines = Lines::new(code);
    let mut items = Vec::new();
    let mut statements = String::with_capacity(code.len());
    let mut copied = 0;
    for (span, Header { kind, name, .. }) in spans(&Tokens {
        code,
        tokens: &tokens,
    }) {
        let (start, end) = (tokens[span.start].start, tokens[span.end - 1].end);
        statements.push_str(&code[copied..start]);
        statements.push_str(&blanks(&code[start..end], &code[end..]));
        copied = end;
        items.push(ItemText {
            name,
            text: code[start..end].to_owned(),
            line: lines.line(start),
            kind,
        });
    }
    statements.push_str(&code[copied..]);
    (items, statements)
}

/// As many lines as the item has, and its last line's width where something follows on that line.
fn blanks(item: &str, after: &str) -> String {
    let mut blanks = "\n".repeat(item.matches('\n').count());
    if after
        .split('\n')
        .next()
        .is_some_and(|rest| !rest.trim().is_empty())
    {
        let last_line = item.rsplit('\n').next().unwrap_or_default();
        blanks.extend(last_line.chars().map(|_| ' '));
    }
    blanks
}

#[cfg(test)]
mod tests {

    use super::*;

    /// Kind and name of each item, and the statements.
    fn split(code: &str) -> (Vec<(ItemKind, Option<String>)>, String) {
        let (items, statements) = split_items(code);
        (
            items
                .into_iter()
                .map(|item| (item.kind, item.name))
                .collect(),
            statements,
        )
    }

    #[test]
    fn every_kind_of_item_is_known_by_its_first_words() {
        for (code, kind, name) in [
            (
                "fn f<T>(a: T) -> Vec<T> where T: Copy { a; }",
                ItemKind::Fn,
                "f",
            ),
            (
                "pub(crate) const unsafe extern \"C\" fn f() -> [u8; { 3 }] { [0; 3] }",
                ItemKind::Fn,
                "f",
            ),
            ("async fn r#fn() {}", ItemKind::Fn, "fn"),
            (
                "#[derive(Debug)] // why\n/// what\npub struct P { x: u8 }",
                ItemKind::Type,
                "P",
            ),
            ("struct P(u8, u8);", ItemKind::Type, "P"),
            ("struct P;", ItemKind::Type, "P"),
            (
                "struct P<const N: usize = { 1 + 1 }> { x: [u8; N] }",
                ItemKind::Type,
                "P",
            ),
            ("enum E { A { x: u8 }, B }", ItemKind::Type, "E"),
            ("union U { a: u8, b: i8 }", ItemKind::Type, "U"),
            ("type A<T> = Vec<T>;", ItemKind::Type, "A"),
            (
                "unsafe trait T: Fn() -> u8 { fn f(); }",
                ItemKind::Trait,
                "T",
            ),
            (
                "impl<const N: usize> T for G<{ N }> where G<N>: Copy { fn f() {} }",
                ItemKind::Impl,
                "",
            ),
            ("unsafe impl Send for P {}", ItemKind::Impl, ""),
            ("macro_rules! m { () => { ; } }", ItemKind::Macro, "m"),
            ("macro_rules! m (() => {};);", ItemKind::Macro, "m"),
            ("use std::{fmt, io};", ItemKind::Use, ""),
            ("const X: u8 = { 1; 2 };", ItemKind::Const, "X"),
            ("const _: () = ();", ItemKind::Const, ""),
            ("static mut X: u8 = 1;", ItemKind::Const, "X"),
            ("mod m { fn f() {} }", ItemKind::Other, "m"),
            ("extern crate a;", ItemKind::Other, "a"),
            ("unsafe extern \"C\" { fn f(); }", ItemKind::Other, ""),
        ] {
            let name = Some(name)
                .filter(|name| !name.is_empty())
                .map(str::to_owned);
            let newlines = "\n".repeat(code.matches('\n').count());
            assert_eq!(
                split(code),
                (vec![(kind, name.clone())], newlines),
                "{code}"
            );
            let between = format!("a();\n{code}\nlet x = if b {{}} else {{}};\n{code} x");
            assert_eq!(
                split(&between).0,
                vec![(kind, name.clone()), (kind, name)],
                "{between}"
            );
        }
    }

    #[test]
    fn expressions_are_no_items() {
        for code in [
            "unsafe { f() }",
            "const { 1 }",
            "async { 1 }",
            "async move { 1 }",
            "static || 1",
            "union.len()",
            "let f = || { fn g() {} };",
            "let x = S { a: 1 };",
            "#[allow(unused)] let x = 1;",
            "#![allow(unused)]",
            "thread_local! { static X: u8 = 1; }",
            "{ struct S; }",
            "match x { _ => {} }",
            "\"fn f() {}\" // fn f() {}",
            "if a {} else { struct S; }",
            "r#fn + 1",
        ] {
            assert_eq!(split(code), (vec![], code.to_owned()));
        }
    }

    #[test]
    fn statements_keep_their_places() {
        let code = "let a = 1;\n/// Doubles.\nfn f(x: u8) -> u8 {\n    x * 2\n}  f(a);\nstruct S;\nlet b = {a}\n;#![b] use c::d;x";
        let (items, statements) = split_items(code);
        assert_eq!(
            statements,
            "let a = 1;\n\n\n\n   f(a);\n\nlet b = {a}\n;#![b]          x"
        );
        let places: Vec<_> = items
            .iter()
            .map(|item| (item.line, item.text.as_str()))
            .collect();
        assert_eq!(
            places,
            [
                (2, "/// Doubles.\nfn f(x: u8) -> u8 {\n    x * 2\n}"),
                (6, "struct S;"),
                (8, "use c::d;"),
            ]
        );
    }

    #[test]
    fn an_item_follows_a_statement_that_a_brace_ends() {
        let (items, statements) = split("if a { b } else { c }\nfn f() {}\nfor x in y {}\nuse z");
        assert_eq!(
            items,
            [(ItemKind::Fn, Some("f".to_owned())), (ItemKind::Use, None)]
        );
        assert_eq!(statements, "if a { b } else { c }\n\nfor x in y {}\n");
    }
}
