//! Cells that need no compiler because they were compiled before and nothing they depend on has changed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::cell::{Keeping, calls_macro, identifiers};
use crate::compiler::{Artifact, Compiled};

/// How many compiled cells are remembered.
const REMEMBERED: usize = 256;

#[derive(Debug, Default)]
pub struct Cache {
    cells: HashMap<Key, Entry>,
    order: VecDeque<Key>,
}

/// What a cell depends on besides variables.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    pub code: String,
    /// What its functions keep.
    pub memo: Option<Keeping>,
    /// Of the definitions, crates and settings.
    pub version: (u64, u64),
}

#[derive(Debug)]
struct Entry {
    artifact: Arc<Artifact>,
    before: BTreeMap<String, String>,
    after: BTreeMap<String, String>,
}

/// What reads files or the environment while it is compiled: its text does not tell what it gives.
const READS: [&str; 5] = [
    "include",
    "include_str",
    "include_bytes",
    "env",
    "option_env",
];

impl Cache {
    pub fn keep(&mut self, key: Key, before: &BTreeMap<String, String>, compiled: &Compiled) {
        if calls_macro(&compiled.artifact.source, &READS) {
            return;
        }
        let entry = Entry {
            artifact: compiled.artifact.clone(),
            before: before.clone(),
            after: compiled.after.variables().clone(),
        };
        if self.cells.insert(key.clone(), entry).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.cells.remove(&oldest);
        }
    }

    /// The artifact of the same cell, when running it in a namespace with these variables does what
    /// compiling it anew would do, and leaves the same variables.
    pub fn find(&self, key: &Key, variables: &BTreeMap<String, String>) -> Option<Arc<Artifact>> {
        let entry = self.cells.get(key)?;
        let has = |(name, kind): (&String, &String)| variables.get(name) == Some(kind);
        let nothing_consumed = entry
            .before
            .keys()
            .all(|name| entry.after.contains_key(name));
        let names = identifiers(&key.code);
        let new_meaning = variables.keys().any(|name| {
            !entry.before.contains_key(name)
                && !entry.after.contains_key(name)
                && names.contains(name)
        });
        let same = nothing_consumed
            && !new_meaning
            && entry.before.iter().all(has)
            && entry.after.iter().all(has);
        same.then(|| entry.artifact.clone())
    }

    pub fn clear(&mut self) {
        *self = Self::default();
    }
}
