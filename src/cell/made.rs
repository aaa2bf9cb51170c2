//! Calls of macros that make items. A call of a macro is no item to evcxr, which would run it once and forget it;
//! what it makes is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::edits::Edits;
use super::items::{ItemKind, ItemText, split_items};
use super::lifted::lifted;
use super::syntax::{Tree, called_macro, read};
use super::words::{identifiers, normalised};

/// An item has one of these words.
const OF_ITEMS: [&str; 13] = [
    "const",
    "enum",
    "extern",
    "fn",
    "impl",
    "macro_rules",
    "mod",
    "static",
    "struct",
    "trait",
    "type",
    "union",
    "use",
];

/// The edits that put what a call makes in its place, for each call at the top level of `code` whose macro is one
/// of `known` or of the code's own, and that makes nothing but items. `expanded` expands a call with the given macros.
pub fn made_items<'a>(
    code: &str,
    known: impl Iterator<Item = &'a ItemText>,
    expanded: impl Fn(&str, &str) -> Option<String>,
) -> Edits {
    let mut edits = Edits::default();
    let calls = if code.contains('!') {
        calls(code)
    } else {
        Vec::new()
    };
    if calls.is_empty() {
        return edits;
    }
    let (own, _) = split_items(code);
    let mut macros: BTreeMap<&str, &str> = known.filter_map(of_macro).collect();
    for (name, text) in own.iter().filter_map(of_macro) {
        macros.insert(name, text);
    }
    for (name, span) in calls {
        let used = used(&name, &macros);
        let has_items = |name: &&str| {
            // Behind `macro_rules!`.
            let rules = macros[*name].split_once('!');
            let names = rules.map(|(_, rules)| identifiers(rules));
            let has = |word: &&str| names.as_ref().is_some_and(|names| names.contains(*word));
            OF_ITEMS.iter().any(has)
        };
        if !used.iter().any(has_items) {
            continue;
        }
        let texts: Vec<&str> = used.iter().map(|name| macros[name]).collect();
        let made = expanded(&texts.join("\n"), &code[span.clone()]);
        if let Some(made) = made.and_then(|made| on_one_line(&made)) {
            let lines = code[span.clone()].matches('\n').count();
            edits.replace(span, made + &"\n".repeat(lines));
        }
    }
    edits
}

/// Name and text of a macro.
fn of_macro(item: &ItemText) -> Option<(&str, &str)> {
    (item.kind == ItemKind::Macro).then_some((item.name.as_deref()?, item.text.as_str()))
}

/// Items as they fit on one line; `None` when there is anything else, or a text of several lines.
fn on_one_line(made: &str) -> Option<String> {
    let (items, rest) = split_items(&lifted(made, true).apply(made));
    let line = normalised(made);
    (!items.is_empty() && rest.trim().is_empty() && !line.contains('\n')).then_some(line)
}

/// The macros that a call can come to, the called one among them.
fn used<'a>(name: &str, macros: &BTreeMap<&'a str, &str>) -> BTreeSet<&'a str> {
    let mut used = BTreeSet::new();
    let mut waiting: Vec<&str> = macros
        .get_key_value(name)
        .into_iter()
        .map(|(name, _)| *name)
        .collect();
    while let Some(name) = waiting.pop() {
        if used.insert(name) {
            let names = identifiers(macros[name]);
            waiting.extend(macros.keys().filter(|name| names.contains(**name)));
        }
    }
    used
}

/// The calls that are statements: the macro's name, and the bytes.
fn calls(code: &str) -> Vec<(String, Range<usize>)> {
    let calls = |tree: &Tree| {
        let found = tree.statements().filter_map(|node| {
            let name = called_macro(&node)?.path()?.as_single_name_ref()?;
            let span = tree.span(&node);
            // Not behind an attribute.
            let name = name.text().to_string();
            code[span.clone()]
                .starts_with(&name)
                .then_some((name, span))
        });
        found.collect()
    };
    read(code, calls).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::defines_items;

    #[test]
    fn calls_become_the_items_that_they_make() {
        let known = defines_items(
            "macro_rules! one { ($n:ident) => { fn $n() {} } }\n\
             macro_rules! say { ($t:expr) => { println!($t) } }\n\
             macro_rules! via { ($n:ident) => { one!($n); } }",
        );
        let made = |code: &str, expansion: &str| {
            let edits = made_items(code, known.iter(), |macros, call| {
                assert!(
                    macros.contains("one!") || macros.contains("one {"),
                    "{macros}"
                );
                assert!(call.contains("one!") || call.contains("via!"), "{call}");
                Some(expansion.to_owned())
            });
            edits.apply(code)
        };
        assert_eq!(
            made("let a = 1; one!(f); a", "fn f() {\n}"),
            "let a = 1; fn f ( ) { } a"
        );
        assert_eq!(made("one! {\n  f\n}\na", "struct S;"), "struct S ;\n\n\na");
        assert_eq!(made("via!(f)", "struct S;"), "struct S ;");
        for (code, expansion) in [
            ("one!(f);", "fn f() {} f()"),
            ("one!(f);", "1 + 1"),
            ("one!(f);", "const A: &str = \"a\n\";"),
            (
                "say!(1); other!(f); #[a] one!(f); a::one!(f); { one!(f); }",
                "fn f() {}",
            ),
            ("let b = one!(f);", "fn f() {}"),
        ] {
            assert_eq!(made(code, expansion), code);
        }
    }
}
