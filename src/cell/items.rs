//! The top-level items of a cell's Rust code: their kinds, names and spans. What is wrong inside an item is
//! for the compiler to say.

use std::ops::Range;

use ra_ap_syntax::ast::{self, HasName};
use ra_ap_syntax::{AstNode as _, SyntaxNode};

use super::syntax::{Tree, read};
use super::token::Lines;

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
    /// Bytes of the code that `text` is.
    pub span: Range<usize>,
    /// The line of the code on which `text` begins, from 1.
    pub line: usize,
    pub kind: ItemKind,
}

/// The items that a cell defines, in order.
pub fn defines_items(code: &str) -> Vec<ItemText> {
    split_items(code).0
}

/// The items, and what is left without them: the statements, on the same lines and columns as before.
pub fn split_items(code: &str) -> (Vec<ItemText>, String) {
    let lines = Lines::new(code);
    let found = read(code, found).unwrap_or_default();
    let mut items = Vec::with_capacity(found.len());
    let mut statements = String::with_capacity(code.len());
    let mut copied = 0;
    for (span, kind, name) in found {
        let text = &code[span.clone()];
        statements.push_str(&code[copied..span.start]);
        statements.push_str(&blanks(text, &code[span.end..]));
        copied = span.end;
        items.push(ItemText {
            name,
            text: text.to_owned(),
            line: lines.line(span.start),
            span,
            kind,
        });
    }
    statements.push_str(&code[copied..]);
    (items, statements)
}

/// Span, kind and name of each item.
fn found(tree: &Tree) -> Vec<(Range<usize>, ItemKind, Option<String>)> {
    let items = tree.statements().filter_map(|node| {
        let (kind, name) = item(&node)?;
        let name = name.map(|name| name.trim_start_matches("r#").to_owned());
        Some((tree.span(&node), kind, name))
    });
    items.collect()
}

/// Kind and name of an item; `None` for a statement.
fn item(node: &SyntaxNode) -> Option<(ItemKind, Option<String>)> {
    fn named(kind: ItemKind, item: &impl HasName) -> Option<(ItemKind, Option<String>)> {
        Some((kind, item.name().map(|name| name.text().to_owned())))
    }
    match ast::Item::cast(node.clone())? {
        ast::Item::Fn(item) => named(ItemKind::Fn, &item),
        ast::Item::Struct(item) => named(ItemKind::Type, &item),
        ast::Item::Enum(item) => named(ItemKind::Type, &item),
        ast::Item::Union(item) => named(ItemKind::Type, &item),
        ast::Item::TypeAlias(item) => named(ItemKind::Type, &item),
        ast::Item::Trait(item) => named(ItemKind::Trait, &item),
        ast::Item::MacroRules(item) => named(ItemKind::Macro, &item),
        ast::Item::MacroDef(item) => named(ItemKind::Macro, &item),
        ast::Item::Const(item) => named(ItemKind::Const, &item),
        ast::Item::Static(item) => named(ItemKind::Const, &item),
        ast::Item::Module(item) => named(ItemKind::Other, &item),
        ast::Item::ExternCrate(item) => {
            let name = item.name_ref().map(|name| name.text().to_owned());
            Some((ItemKind::Other, name))
        }
        ast::Item::Impl(_) => Some((ItemKind::Impl, None)),
        ast::Item::Use(_) => Some((ItemKind::Use, None)),
        ast::Item::ExternBlock(_) => Some((ItemKind::Other, None)),
        // What it makes is not known here.
        _ => None,
    }
}

/// Whether a function can be called while types are made.
pub fn is_const_fn(item: &str) -> bool {
    let is_const = |tree: &Tree| {
        let function = tree.statements().find_map(ast::Fn::cast);
        function.is_some_and(|function| function.const_token().is_some())
    };
    item.contains("const") && read(item, is_const).unwrap_or(false)
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
