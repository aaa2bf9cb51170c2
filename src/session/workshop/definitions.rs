//! The definitions that all engines share, and what each of them changes.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::blocks::{Blocks, carried_by, is_carrier};
use crate::cell::{
    Associated, ItemKind, ItemText, identifiers, implementation, imported, is_const_fn, normalised,
    split_items,
};
use crate::ids::CellId;
use crate::session::namespace::Namespace;
use crate::wire::places::Place;

/// Every definition of the session in the order of its cells. A namespace that has not seen the newest ones
/// gets them in front of its next cell.
#[derive(Debug, Default)]
pub struct Definitions {
    log: Vec<Entry>,
    items: BTreeMap<String, ItemText>,
    blocks: Blocks,
    /// What `impl`s say that types can be made of, by its key.
    associated: BTreeMap<String, Associated>,
    /// What each imported name stands for.
    imports: BTreeMap<String, String>,
    /// How often each name has come to mean another thing.
    changes: BTreeMap<String, u64>,
    version: u64,
}

/// The definitions of one cell.
#[derive(Debug)]
struct Entry {
    text: String,
    /// Each definition by itself, and where it was written.
    homes: Vec<(String, Place)>,
    /// Names that mean another thing since then: what was redefined, and what is made of it.
    changed: BTreeSet<String>,
}

impl Definitions {
    /// Adds a compiled cell's definitions; `home` is the place of a line of theirs.
    pub fn add(&mut self, items: &[ItemText], home: impl Fn(usize) -> Option<Place>) {
        // A crate is added to every namespace by itself.
        let items: Vec<ItemText> = items
            .iter()
            .filter(|item| external_crate(item).is_none())
            .cloned()
            .collect();
        let items = items.as_slice();
        if items.is_empty() {
            return;
        }
        let changed = self.changed_by(items);
        let redefined = self.redefined_by(items);
        let at_home = |item: &ItemText| Some((item.text.trim().to_owned(), home(item.line)?));
        let mut homes: Vec<(String, Place)> = items.iter().filter_map(at_home).collect();
        let revised = self.blocks.revised(items);
        for (old, new) in revised.edited() {
            // It has kept its lines.
            let home = self.homes().filter(|(text, _)| *text == old).last();
            homes.extend(home.map(|(_, home)| (new.to_owned(), home)));
        }
        let mut text = revised.text();
        text.push_str(&carried_by(items));
        self.blocks.take(revised, items);
        for item in items {
            if let Some(name) = &item.name {
                self.items.insert(name.clone(), item.clone());
            }
            for said in associated(item) {
                self.associated.insert(said.key.clone(), said);
            }
        }
        if let Some(last) = self.log.last_mut()
            && last.text == text
        {
            last.homes = homes;
            return;
        }
        for name in redefined {
            *self.changes.entry(name).or_default() += 1;
        }
        self.imports.extend(imports(items));
        let mut hasher = DefaultHasher::new();
        (self.version, &text).hash(&mut hasher);
        self.version = hasher.finish();
        self.log.push(Entry {
            text,
            homes,
            changed,
        });
    }

    /// A definition as it stands, with the `impl`s behind it.
    pub fn text_of(&self, name: &str) -> Option<String> {
        self.blocks.text_of(name)
    }

    /// All of them, by name.
    pub fn texts(&self) -> BTreeMap<String, String> {
        let names = self.items.keys();
        names
            .filter_map(|name| Some((name.clone(), self.text_of(name)?)))
            .collect()
    }

    /// The names that would mean another thing with these definitions. A value whose type has one of them in
    /// its name can't be kept: its bytes are the old type's.
    pub fn changed_by(&self, items: &[ItemText]) -> BTreeSet<String> {
        let shapes = |item: &&ItemText| match item.kind {
            // A trait's object has a table of its functions.
            ItemKind::Type
            | ItemKind::Const
            | ItemKind::Macro
            | ItemKind::Trait
            | ItemKind::Other => true,
            ItemKind::Fn => is_const_fn(&item.text),
            // By the names of what they say, below.
            ItemKind::Impl | ItemKind::Use => false,
        };
        let redefined = |item: &&ItemText| {
            let old = item.name.as_ref().and_then(|name| self.items.get(name));
            old.is_some_and(|old| normalised(&old.text) != normalised(&item.text))
        };
        let mut changed: BTreeSet<String> = items
            .iter()
            .filter(shapes)
            .filter(redefined)
            .filter_map(|item| item.name.clone())
            .collect();
        for said in items.iter().flat_map(associated) {
            let old = self.associated.get(&said.key);
            if old.is_some_and(|old| old.text != said.text) {
                changed.insert(said.name);
            }
        }
        // What is made of something changed is changed.
        let mut grown = !changed.is_empty();
        while grown {
            grown = false;
            let items = self.items.iter().filter(|(_, item)| shapes(item));
            let items = items.map(|(name, item)| (name, &item.text));
            let said = self
                .associated
                .values()
                .map(|said| (&said.name, &said.text));
            for (name, text) in items.chain(said) {
                let names = identifiers(text);
                if !changed.contains(name) && changed.iter().any(|other| names.contains(other)) {
                    changed.insert(name.clone());
                    grown = true;
                }
            }
        }
        changed
    }

    /// Every name that these definitions give another meaning, also a function's or an import's.
    fn redefined_by(&self, items: &[ItemText]) -> BTreeSet<String> {
        let mut names = self.changed_by(items);
        for item in items {
            let named = item.name.as_ref().and_then(|name| self.items.get(name));
            if let Some(old) = named
                && normalised(&old.text) != normalised(&item.text)
            {
                names.extend(item.name.clone());
            }
        }
        let other =
            |(name, path): &(String, String)| self.imports.get(name).is_some_and(|old| old != path);
        names.extend(imports(items).filter(other).map(|(name, _)| name));
        names
    }

    /// How often each name will have changed with these definitions, for the compiler.
    pub fn changes_with(&self, items: &[ItemText]) -> BTreeMap<String, u64> {
        let mut changes = self.changes.clone();
        for name in self.redefined_by(items) {
            *changes.entry(name).or_default() += 1;
        }
        changes
    }

    /// The variables of a namespace that cannot be kept: their types have changed since it was up to date,
    /// or do with `items`.
    pub fn outdated(&self, namespace: &Namespace, items: &[ItemText]) -> Vec<String> {
        let mut changed = self.changed_by(items);
        for entry in self.log.get(namespace.seen..).unwrap_or_default() {
            changed.extend(entry.changed.iter().cloned());
        }
        if changed.is_empty() {
            return Vec::new();
        }
        let concerned = |kind: &str| {
            let names = identifiers(kind);
            changed.iter().any(|name| names.contains(name))
        };
        let variables = namespace.variables().iter();
        variables
            .filter(|(_, kind)| concerned(kind))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Those that a namespace has seen.
    pub fn until(&self, seen: usize) -> String {
        let seen = self.log.get(..seen).unwrap_or(&self.log);
        seen.iter().map(|entry| entry.text.as_str()).collect()
    }

    fn unseen(&self, seen: usize) -> String {
        let unseen = self.log.get(seen..).unwrap_or_default();
        unseen.iter().map(|entry| entry.text.as_str()).collect()
    }

    /// What goes before a cell with these definitions: those that a namespace lacks, and what the cell's `impl`s
    /// leave of earlier ones.
    pub fn before(&self, seen: usize, items: &[ItemText]) -> String {
        self.unseen(seen) + &self.blocks.revised(items).text()
    }

    /// What the definitions come to: of each name the last one, and what goes with it.
    pub fn source(&self) -> String {
        let (items, _) = split_items(&self.unseen(0));
        let is_last = |at: usize, item: &ItemText| {
            let same = |later: &ItemText| match item.kind {
                ItemKind::Impl => later.text == item.text,
                _ => later.name == item.name && later.kind == item.kind,
            };
            let is_alone = item.name.is_none() && item.kind != ItemKind::Impl;
            is_alone || !items[at + 1..].iter().any(same)
        };
        let mut source = String::new();
        for (at, item) in items.iter().enumerate() {
            let ours = item.name.as_deref().is_some_and(is_carrier);
            let gone = item.kind == ItemKind::Impl && !self.blocks.has(&item.text);
            if !ours && !gone && is_last(at, item) {
                source.push_str(&item.text);
                source.push('\n');
            }
        }
        source
    }

    /// Every definition as it was written, and where; the newest last.
    pub fn homes(&self) -> impl Iterator<Item = (&str, Place)> {
        let homes = self.log.iter().flat_map(|entry| &entry.homes);
        homes.map(|(text, place)| (text.as_str(), *place))
    }

    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Changes with every definition.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The function of this name as it was written.
    pub fn text(&self, function: &str) -> Option<&str> {
        let item = self.items.get(function)?;
        (item.kind == ItemKind::Fn).then_some(item.text.as_str())
    }

    /// The cell that has given a name another meaning, if one did.
    pub fn changed_in(&self, name: &str) -> Option<CellId> {
        self.changes.get(name).filter(|count| **count > 0)?;
        let text = self.items.get(name)?.text.trim();
        let homes = self.homes().filter(|(home, _)| *home == text);
        homes.last().map(|(_, place)| place.cell)
    }

    /// Every item that has a name.
    pub fn items(&self) -> impl Iterator<Item = &ItemText> {
        self.items.values()
    }

    /// Names of functions and types, for completion and `%who`.
    pub fn names(&self) -> impl Iterator<Item = (&str, ItemKind)> {
        self.items
            .iter()
            .map(|(name, item)| (name.as_str(), item.kind))
    }

    pub fn clear(&mut self) {
        *self = Self {
            version: self.version + 1,
            // A static that is defined again later is not the one from before.
            changes: self
                .items
                .keys()
                .chain(self.changes.keys())
                .map(|name| (name.clone(), self.changes.get(name).unwrap_or(&0) + 1))
                .collect(),
            ..Self::default()
        };
    }
}

/// What an `impl` says that types can be made of.
fn associated(item: &ItemText) -> Vec<Associated> {
    let item = (item.kind == ItemKind::Impl).then(|| implementation(&item.text));
    let said = item.flatten().map(|item| item.associated().collect());
    said.unwrap_or_default()
}

fn imports(items: &[ItemText]) -> impl Iterator<Item = (String, String)> {
    let uses = items.iter().filter(|item| item.kind == ItemKind::Use);
    uses.flat_map(|item| imported(&item.text))
}

/// The crate of an `extern crate`, unless it is one of Rust's own.
pub fn external_crate(item: &ItemText) -> Option<&str> {
    let rest = item
        .text
        .trim()
        .strip_prefix("extern")?
        .trim_start()
        .strip_prefix("crate ")?;
    let name = rest.split([';', ' ']).find(|word| !word.is_empty())?;
    (!["std", "core", "alloc", "proc_macro", "test"].contains(&name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::defines_items;

    #[test]
    fn what_is_made_of_a_redefined_type_has_changed_too() {
        let mut definitions = Definitions::default();
        for cell in [
            "#[derive(Debug)] struct In { a: i32 }",
            "struct Out { i: In }\ntype Outs = Vec<Out>;\nfn f(i: In) {}",
            "const N: usize = 2;\nstruct A([u8; N]);",
            "mod m { pub struct S(pub u8); }",
            "struct Foo;\nimpl Foo { const LEN: usize = 1; const TWICE: usize = 2 * Self::LEN; fn f() {} }",
            "struct L([u8; Foo::LEN]); struct T([u8; Foo::TWICE]);",
            "impl Tr for Foo { type Held = u8; }\nstruct H(<Foo as Tr>::Held);",
            "const unsafe fn n() -> usize { 3 }\nstruct B([u8; unsafe { n() }]);",
        ] {
            definitions.add(&defines_items(cell), |_| None);
        }
        let changed = |cell: &str| {
            let names = definitions.changed_by(&defines_items(cell));
            names.into_iter().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            changed("#[derive(Debug)] struct In { a: String }"),
            "In Out Outs"
        );
        assert_eq!(
            changed("#[derive(Debug)]\nstruct In {\n    a: i32\n}"),
            "",
            "only laid out anew"
        );
        assert_eq!(changed("const N: usize = 64;"), "A N");
        assert_eq!(changed("mod m { pub struct S(pub String); }"), "m");
        assert_eq!(changed("fn f() {}"), "");
        assert_eq!(
            changed("struct Foo;\nimpl Foo { const LEN: usize = 9; }"),
            "L LEN T TWICE"
        );
        assert_eq!(changed("impl Foo { fn f() { 1; } const NEW: u8 = 1; }"), "");
        assert_eq!(changed("impl Tr for Foo { type Held = u16; }"), "H Held");
        assert_eq!(changed("const unsafe fn n() -> usize { 3000 }"), "B n");
        assert_eq!(changed("struct New;"), "");
    }

    #[test]
    fn the_source_has_the_last_definition_of_each_name() {
        let mut definitions = Definitions::default();
        for cell in [
            "struct A(u8);\nfn a() {}",
            "struct A(u16);",
            "impl A { fn f(&self) {} }",
        ] {
            definitions.add(&defines_items(cell), |_| None);
        }
        assert_eq!(
            definitions.source(),
            "fn a() {}\nstruct A(u16);\nimpl A { fn f(&self) {} }\n"
        );
    }

    #[test]
    fn an_impl_goes_with_the_type_that_it_was_written_behind() {
        let mut definitions = Definitions::default();
        for cell in [
            "struct A(u8);\nimpl A { fn new() {} }\nmacro_rules! m { () => {} }\nimpl A { fn f(&self) {} }",
            "struct B;\nimpl B { fn kept() {} }",
            "struct A(u16);",
            "impl A { fn new() {} }",
        ] {
            definitions.add(&defines_items(cell), |_| None);
        }
        assert_eq!(
            definitions.source(),
            "macro_rules! m { () => {} }\nstruct B;\nimpl B { fn kept() {} }\nstruct A(u16);\nimpl A { fn new() {} }\n"
        );
    }

    #[test]
    fn it_is_counted_how_often_a_name_has_changed() {
        let counts = |counts: &[(&str, u64)]| -> BTreeMap<String, u64> {
            counts
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect()
        };
        let mut definitions = Definitions::default();
        let mut define = |cell: &str| {
            let items = defines_items(cell);
            let changes = definitions.changes_with(&items);
            definitions.add(&items, |_| None);
            assert_eq!(definitions.changes_with(&[]), changes, "{cell}");
            changes
        };
        assert_eq!(
            define("static N: u8 = 1;\nfn f() {}\nuse a::S;"),
            BTreeMap::new()
        );
        assert_eq!(define("static N: u8 = 2;"), counts(&[("N", 1)]));
        assert_eq!(
            define("static  N : u8 = 2;\nfn f() {}"),
            counts(&[("N", 1)])
        );
        assert_eq!(define("static N: u8 = 1;"), counts(&[("N", 2)]));
        assert_eq!(
            define("fn f() { }\nfn f() -> u8 { 1 }"),
            counts(&[("N", 2), ("f", 1)])
        );
        assert_eq!(
            define("use b::{S, T};"),
            counts(&[("N", 2), ("S", 1), ("f", 1)])
        );
    }
}
