//! Namespaces: what an engine's variables are, and the definitions that all engines share.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::cell::{ItemKind, ItemText, identifiers, split_items};
use crate::compiler::State;

/// The variables of one or several engines, as the compiler knows them.
#[derive(Clone, Debug)]
pub struct Namespace {
    pub state: State,
    /// How many entries of the definitions' log the state contains.
    pub seen: usize,
}

impl Namespace {
    pub fn variables(&self) -> &BTreeMap<String, String> {
        self.state.variables()
    }
}

/// Every definition of the session in the order of its cells. A namespace that has not seen the newest ones
/// gets them in front of its next cell.
#[derive(Debug, Default)]
pub struct Definitions {
    log: Vec<String>,
    names: BTreeMap<String, ItemKind>,
    version: u64,
}

impl Definitions {
    /// Adds a compiled cell's definitions.
    pub fn add(&mut self, items: &[ItemText]) {
        if items.is_empty() {
            return;
        }
        let mut text = String::new();
        if items[0].kind == ItemKind::Impl {
            // evcxr attaches an `impl` to the item before it, which here could be any.
            text = format!("const _REGATTA_{}: () = ();\n", self.log.len());
        }
        for item in items {
            text.push_str(item.text.trim());
            text.push('\n');
            if let Some(name) = &item.name {
                self.names.insert(name.clone(), item.kind);
            }
        }
        if self.log.iter().rev().take(1).any(|last| *last == text) {
            return;
        }
        let mut hasher = DefaultHasher::new();
        (self.version, &text).hash(&mut hasher);
        self.version = hasher.finish();
        self.log.push(text);
    }

    /// The definitions that a namespace lacks.
    pub fn unseen(&self, seen: usize) -> String {
        self.log.get(seen..).unwrap_or_default().concat()
    }

    pub fn len(&self) -> usize {
        self.log.len()
    }

    /// Changes with every definition.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Names of functions and types, for completion and `%who`.
    pub fn names(&self) -> impl Iterator<Item = (&str, ItemKind)> {
        self.names.iter().map(|(name, kind)| (name.as_str(), *kind))
    }

    pub fn clear(&mut self) {
        *self = Self {
            version: self.version + 1,
            ..Self::default()
        };
    }
}

/// The variables that `code` binds at its top level.
pub fn bound_names(code: &str) -> BTreeSet<String> {
    let (_, statements) = split_items(code);
    let mut names = BTreeSet::new();
    let mut rest = statements.as_str();
    while let Some(at) = rest.find("let ") {
        let pattern = &rest[at + 4..];
        let end = pattern.find(['=', ';']).unwrap_or(pattern.len());
        names.extend(identifiers(&pattern[..end]));
        rest = &pattern[end..];
    }
    names
}
