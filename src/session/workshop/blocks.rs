//! What evcxr keeps under which name: an item, and the `impl`s behind it. An `impl` is replaced with the name that
//! it is kept under, so one that is edited needs what it was kept under to be sent again without it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::cell::{
    Edits, Impl, ItemKind, ItemText, identifiers, implementation, imported, normalised,
};

/// How the names begin under which `impl`s are kept that stand behind no item of their own type.
const CARRIER: &str = "_REGATTA_";

pub fn is_carrier(name: &str) -> bool {
    name.starts_with(CARRIER)
}

/// The blocks of a session as they are now, by name.
#[derive(Clone, Debug, Default)]
pub struct Blocks(BTreeMap<String, Block>);

#[derive(Clone, Debug)]
struct Block {
    /// The item that has the name.
    item: String,
    impls: Vec<Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    text: String,
    what: Impl,
}

/// The blocks that new `impl`s take something from, as they are to be from now on.
#[derive(Debug, Default)]
pub struct Revised {
    blocks: BTreeMap<String, Block>,
    /// `impl`s that lose a part of their members: before and after.
    edited: Vec<(String, String)>,
}

impl Revised {
    /// What is sent again.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for block in self.blocks.values() {
            let impls = block.impls.iter().map(|kept| kept.text.as_str());
            for item in std::iter::once(block.item.as_str()).chain(impls) {
                text.push_str(item);
                text.push('\n');
            }
        }
        text
    }

    pub fn edited(&self) -> impl Iterator<Item = (&str, &str)> {
        let edited = self.edited.iter();
        edited.map(|(old, new)| (old.as_str(), new.as_str()))
    }
}

impl Blocks {
    /// What a cell's `impl`s leave of earlier ones for the same trait and type: nothing of a trait's, and of the
    /// others the members that are not written anew.
    pub fn revised(&self, items: &[ItemText]) -> Revised {
        let mut revised = Revised::default();
        let new: Vec<Impl> = impls(items)
            .filter_map(|item| implementation(&item.text))
            .collect();
        if new.is_empty() {
            return revised;
        }
        // What the cell writes anew is replaced as a whole.
        let anew: BTreeSet<String> = owners(items).into_iter().flatten().collect();
        for (name, block) in &self.0 {
            if anew.contains(name) {
                continue;
            }
            let mut left = block.clone();
            let mut touched = false;
            left.impls.retain_mut(|kept| {
                let before = kept.text.clone();
                for later in &new {
                    let Some(text) = kept.what.left_by(&kept.text, later) else {
                        continue;
                    };
                    touched = true;
                    let Some(what) = implementation(&text) else {
                        return false;
                    };
                    *kept = Kept { text, what };
                }
                if kept.text != before {
                    revised.edited.push((before, kept.text.clone()));
                }
                true
            });
            if touched {
                revised.blocks.insert(name.clone(), left);
            }
        }
        revised
    }

    /// An item, and the `impl`s behind it, a line break between them.
    pub fn text_of(&self, name: &str) -> Option<String> {
        let block = self.0.get(name)?;
        let impls = block.impls.iter().map(|kept| kept.text.as_str());
        let texts: Vec<&str> = std::iter::once(block.item.as_str()).chain(impls).collect();
        Some(texts.join("\n"))
    }

    /// Takes a cell's definitions over.
    pub fn take(&mut self, revised: Revised, items: &[ItemText]) {
        self.0.extend(revised.blocks);
        for (item, owner) in items.iter().zip(owners(items)) {
            if item.kind == ItemKind::Use {
                for (name, _) in imported(&item.text) {
                    self.0.remove(&name);
                }
            }
            let Some(owner) = owner else { continue };
            let text = item.text.trim();
            if item.kind != ItemKind::Impl {
                let item = text.to_owned();
                let impls = Vec::new();
                self.0.insert(owner, Block { item, impls });
                continue;
            }
            let Some(what) = implementation(text) else {
                continue;
            };
            let kept = Kept {
                text: text.to_owned(),
                what,
            };
            if is_carrier(&owner) {
                let block = Block {
                    item: carrier(&owner),
                    impls: vec![kept],
                };
                self.0.insert(owner, block);
            } else if let Some(block) = self.0.get_mut(&owner) {
                block.impls.push(kept);
            }
        }
    }

    /// Whether an `impl` as it is written is one of those that there are.
    pub fn has(&self, text: &str) -> bool {
        let mut impls = self.0.values().flat_map(|block| &block.impls);
        impls.any(|kept| kept.text == text.trim())
    }
}

fn impls(items: &[ItemText]) -> impl Iterator<Item = &ItemText> {
    items.iter().filter(|item| item.kind == ItemKind::Impl)
}

/// The name under which each item is kept: its own, or for an `impl` that of the item of its type right before
/// it, or a carrier's.
fn owners(items: &[ItemText]) -> Vec<Option<String>> {
    let mut before: Option<String> = None;
    let owner = |item: &ItemText| match item.kind {
        // evcxr attaches an `impl` to the item before it, which here could be any.
        ItemKind::Impl => {
            let header = item.text.split('{').next().unwrap_or_default();
            let names = identifiers(header);
            if before.as_ref().is_none_or(|name| !names.contains(name)) {
                let mut hasher = DefaultHasher::new();
                normalised(&item.text).hash(&mut hasher);
                before = Some(format!("{CARRIER}{:X}", hasher.finish()));
            }
            before.clone()
        }
        // evcxr attaches nothing to it.
        ItemKind::Macro => item.name.clone(),
        _ => {
            if item.name.is_some() {
                before.clone_from(&item.name);
            }
            item.name.clone()
        }
    };
    items.iter().map(owner).collect()
}

fn carrier(name: &str) -> String {
    format!("const {name}: () = ();")
}

/// The carriers that a cell's `impl`s need, as edits of the code that `items` were read from.
pub fn carriers(items: &[ItemText]) -> Edits {
    let mut edits = Edits::default();
    for (item, owner) in items.iter().zip(owners(items)) {
        if let Some(name) = own_carrier(item, owner) {
            edits.insert(item.span.start, format!("{} ", carrier(&name)));
        }
    }
    edits
}

/// Items one after the other, with the carriers that they need.
pub fn carried_by(items: &[ItemText]) -> String {
    let mut text = String::new();
    for (item, owner) in items.iter().zip(owners(items)) {
        if let Some(name) = own_carrier(item, owner) {
            text.push_str(&carrier(&name));
            text.push(' ');
        }
        text.push_str(item.text.trim());
        text.push('\n');
    }
    text
}

fn own_carrier(item: &ItemText, owner: Option<String>) -> Option<String> {
    owner.filter(|name| item.kind == ItemKind::Impl && is_carrier(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::defines_items;

    /// What is sent again before each cell, and the code of the last one with its carriers.
    fn sent(cells: &[&str]) -> (Vec<String>, String) {
        let mut blocks = Blocks::default();
        let mut sent = Vec::new();
        let mut last = String::new();
        for cell in cells {
            let items = defines_items(cell);
            let revised = blocks.revised(&items);
            sent.push(revised.text());
            blocks.take(revised, &items);
            last = carriers(&items).apply(cell);
        }
        (sent, last)
    }

    /// Without the hashes of carriers' names.
    fn plain(text: &str) -> String {
        let mut parts = text.split(CARRIER);
        let mut plain = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            plain.push('C');
            plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
        }
        plain
    }

    #[test]
    fn an_impl_takes_the_place_of_an_earlier_one() {
        let again = |cells: &[&str]| plain(sent(cells).0.last().unwrap());
        let horn = "struct Horn;\nimpl Horn { fn a() {} fn b() {} }\nimpl Tr for Horn {}";
        assert_eq!(
            again(&[horn, "impl Horn { fn b() {} }"]),
            "struct Horn;\nimpl Horn { fn a() {}  }\nimpl Tr for Horn {}\n"
        );
        assert_eq!(
            again(&[horn, "impl Tr for Horn { fn f() {} }"]),
            "struct Horn;\nimpl Horn { fn a() {} fn b() {} }\n"
        );
        assert_eq!(
            again(&[horn, "impl Horn { fn b() {} }", "impl Horn { fn a() {} }"]),
            "struct Horn;\nimpl Tr for Horn {}\n"
        );
        let alone = "impl Tr for Horn { fn f() { 1; } }";
        assert_eq!(
            again(&[alone, "impl Tr for Horn { fn f() { 2; } }"]),
            "const C: () = ();\n"
        );
        assert_eq!(again(&[alone, alone]), "", "under the same name");
        assert_eq!(again(&[horn, horn]), "", "replaced with its type");
        assert_eq!(again(&[horn, "impl Horn { fn c() {} }"]), "");
        assert_eq!(again(&[horn, "struct Horn;", "impl Tr for Horn {}"]), "");
        assert_eq!(again(&[horn, "use a::Horn;", "impl Tr for Horn {}"]), "");
    }

    #[test]
    fn an_impl_behind_no_item_of_its_type_is_kept_by_itself() {
        let code = |cell: &str| plain(&sent(&[cell]).1);
        for alone in [
            "struct A; impl A {}\nimpl Tr for A {}",
            "macro_rules! m { () => {} }\nlet a = 1;",
        ] {
            assert_eq!(code(alone), alone);
        }
        assert_eq!(
            code("let a = 1; /// Why.\nimpl A {}\nfn f() {} impl B {}"),
            "let a = 1; const C: () = (); /// Why.\nimpl A {}\nfn f() {} const C: () = (); impl B {}"
        );
    }
}
