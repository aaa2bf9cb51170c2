//! Functions whose results are kept, and what engines have told of them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Crew;
use crate::ids::EngineId;
use crate::outcome::Notice;
use crate::pool::EngineState;
use crate::wire::{MemoTold, MemoTrouble};

#[derive(Default)]
pub struct Memos {
    functions: BTreeMap<String, Function>,
    /// What was said of the results on disk.
    troubles: Vec<MemoTrouble>,
}

#[derive(Default)]
struct Function {
    hits: u64,
    disk_hits: u64,
    misses: u64,
    /// On disk: results and bytes.
    on_disk: Option<(u64, u64)>,
    /// Nanoseconds.
    saved: u64,
    /// What each engine has in memory: results and bytes.
    memory: HashMap<EngineId, (u64, u64)>,
}

/// A row of `%memo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoRow {
    pub function: String,
    /// Calls that found their result in the memory of their process.
    pub hits: u64,
    /// Calls that found it on disk.
    pub disk_hits: u64,
    /// Calls that computed.
    pub misses: u64,
    /// Results that are kept on disk, or else in memory, and their bytes.
    pub entries: u64,
    pub bytes: u64,
    /// The time that computing took for what was found.
    pub saved: Duration,
}

impl Memos {
    /// Functions of these names keep their results from now on.
    pub fn defined(&mut self, names: Vec<String>) {
        for name in names {
            self.functions.entry(name).or_default();
        }
    }

    pub fn told(&mut self, engine: EngineId, functions: Vec<MemoTold>) {
        for told in functions {
            let function = self.functions.entry(told.name).or_default();
            function.hits += told.hits;
            function.disk_hits += told.disk_hits;
            function.on_disk = told.on_disk;
            function.misses += told.misses;
            function.saved = function.saved.saturating_add(told.saved);
            function.memory.insert(engine, (told.entries, told.bytes));
        }
    }

    /// What is to be said of it; each thing once in a session.
    pub fn trouble(&mut self, trouble: MemoTrouble) -> Option<Notice> {
        if self.troubles.contains(&trouble) {
            return None;
        }
        self.troubles.push(trouble.clone());
        Some(match trouble {
            MemoTrouble::SetAside { file } => Notice::MemoSetAside { file },
            MemoTrouble::Off { why } => Notice::MemoOff { why },
        })
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// The numbers of a function begin anew, or all.
    pub fn clear(&mut self, function: Option<&str>) {
        for (name, one) in &mut self.functions {
            if function.is_none_or(|wanted| wanted == name) {
                *one = Function::default();
            }
        }
    }

    fn rows(&self, lives: impl Fn(EngineId) -> bool) -> Vec<MemoRow> {
        let row = |(name, function): (&String, &Function)| {
            let living = function.memory.iter().filter(|(engine, _)| lives(**engine));
            let (entries, bytes) =
                living.fold((0, 0), |sum, (_, one)| (sum.0 + one.0, sum.1 + one.1));
            let (entries, bytes) = function.on_disk.unwrap_or((entries, bytes));
            MemoRow {
                function: name.clone(),
                hits: function.hits,
                disk_hits: function.disk_hits,
                misses: function.misses,
                entries,
                bytes,
                saved: Duration::from_nanos(function.saved),
            }
        };
        self.functions.iter().map(row).collect()
    }
}

impl Crew {
    /// The functions whose results are kept, by name.
    pub fn memo_rows(&self) -> Vec<MemoRow> {
        let all = self.hub.status();
        self.memos.rows(|engine| {
            let status = all.iter().find(|status| status.id == engine);
            status.is_some_and(|status| !matches!(status.state, EngineState::Dead(_)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_tell_adds_up_and_memory_goes_with_them() {
        let mut memos = Memos::default();
        memos.defined(vec!["f".to_owned(), "g".to_owned()]);
        let told = |hits, entries| MemoTold {
            name: "f".to_owned(),
            hits,
            disk_hits: 0,
            on_disk: None,
            misses: 1,
            saved: 10,
            entries,
            bytes: 100 * entries,
        };
        memos.told(EngineId(0), vec![told(2, 1)]);
        memos.told(EngineId(1), vec![told(3, 4)]);
        memos.told(EngineId(0), vec![told(1, 2)]);
        let row = |memos: &Memos, dead: u32| memos.rows(|engine| engine.0 != dead).remove(0);
        let all = row(&memos, 9);
        assert_eq!(
            (all.hits, all.misses, all.entries, all.bytes),
            (6, 3, 6, 600)
        );
        assert_eq!(all.saved, Duration::from_nanos(30));
        assert_eq!((row(&memos, 1).hits, row(&memos, 1).entries), (6, 2));
        memos.clear(Some("g"));
        assert_eq!(row(&memos, 9), all);
        memos.clear(Some("f"));
        assert_eq!((row(&memos, 9).hits, row(&memos, 9).entries), (0, 0));
        assert_eq!(memos.names().collect::<Vec<_>>(), ["f", "g"]);
    }
}
