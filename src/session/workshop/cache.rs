//! Cells that need no compiler because they were compiled before and nothing they depend on has changed.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use crate::cell::{Keeps, identifiers};
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
    pub memo: Option<Keeps>,
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
const READS: [&str; 4] = ["include!", "include_str!", "include_bytes!", "env!"];

fn reads(source: &str) -> bool {
    let called = |at: usize| source.get(at..).unwrap_or_default().trim_start();
    READS.iter().any(|name| {
        let mut found = source.match_indices(name);
        found.any(|(at, _)| called(at + name.len()).starts_with(['(', '[', '{']))
    })
}

impl Cache {
    pub fn keep(&mut self, key: Key, before: &BTreeMap<String, String>, compiled: &Compiled) {
        if reads(&compiled.artifact.source) {
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

#[cfg(test)]
mod tests {
    use super::reads;

    #[test]
    fn what_reads_while_it_is_compiled_is_told_by_the_calls() {
        assert!(reads("let a = include_str! (\"a.txt\");"));
        assert!(reads("const P: &str = option_env![\"PATH\"].unwrap();"));
        assert!(!reads("// included via include_str! then\nlet a = 1;"));
    }
}
