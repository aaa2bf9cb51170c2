//! Functions whose results are kept, and what engines have told of them.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use super::Crew;
use super::pump::Awaited;
use crate::ids::EngineId;
use crate::outcome::{Notice, Sink};
use crate::pool::EngineState;
use crate::session::Failed;
use crate::wire::{MemoShare, MemoTold, MemoTrouble};

/// How long an engine may take to look at what is on disk, which it may have to read through first.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
pub struct Memos {
    functions: BTreeMap<String, Function>,
    /// What is on disk, of all sessions, as it was last told: by name, results and bytes.
    shelf: BTreeMap<String, (u64, u64)>,
    /// How often it was told.
    shelves: u64,
    /// What was said of the results on disk.
    troubles: Vec<MemoTrouble>,
}

#[derive(Default)]
struct Function {
    hits: u64,
    disk_hits: u64,
    misses: u64,
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
            function.misses += told.misses;
            function.saved = function.saved.saturating_add(told.saved);
            function.memory.insert(engine, (told.entries, told.bytes));
        }
    }

    pub fn told_shelf(&mut self, shares: Vec<MemoShare>) {
        let shares = shares.into_iter();
        self.shelf = shares
            .map(|share| (share.name, (share.entries, share.bytes)))
            .collect();
        self.shelves += 1;
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

    /// The names of this session's functions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.functions.keys().map(String::as_str)
    }

    /// The numbers of these functions begin anew.
    pub fn clear(&mut self, names: &[String]) {
        for (name, one) in &mut self.functions {
            if names.contains(name) {
                *one = Function::default();
            }
        }
        self.shelf.retain(|name, _| !names.contains(name));
    }

    /// This session's functions, by name; and those that only other sessions have called.
    fn rows(&self, lives: impl Fn(EngineId) -> bool) -> (Vec<MemoRow>, Vec<MemoRow>) {
        let row = |(name, function): (&String, &Function)| {
            let living = function.memory.iter().filter(|(engine, _)| lives(**engine));
            let (entries, bytes) =
                living.fold((0, 0), |sum, (_, one)| (sum.0 + one.0, sum.1 + one.1));
            let on_disk = self.shelf.get(name).copied();
            let (entries, bytes) = on_disk.unwrap_or((entries, bytes));
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
        let elsewhere = Function::default();
        let others = self.shelf.keys();
        let others = others.filter(|name| !self.functions.contains_key(*name));
        (
            self.functions.iter().map(row).collect(),
            others.map(|name| row((name, &elsewhere))).collect(),
        )
    }
}

impl Crew {
    /// The functions whose results are kept, by name, and those of other sessions.
    pub fn memo_rows(
        &mut self,
        sink: &mut dyn Sink,
    ) -> Result<(Vec<MemoRow>, Vec<MemoRow>), Failed> {
        self.hub.ask_memo(self.local);
        let told = Told {
            before: self.memos.shelves,
            until: Instant::now() + PATIENCE,
        };
        self.until(told, sink)?;
        let all = self.hub.status();
        Ok(self.memos.rows(|engine| {
            let status = all.iter().find(|status| status.id == engine);
            status.is_some_and(|status| !matches!(status.state, EngineState::Dead(_)))
        }))
    }
}

/// What is on disk was told; an engine that does not tell it is not waited for.
struct Told {
    before: u64,
    until: Instant,
}

impl Awaited for Told {
    type Outcome = ();

    fn look(&mut self, crew: &mut Crew, _: &mut dyn Sink) -> Result<Option<()>, Failed> {
        let told = crew.memos.shelves != self.before;
        Ok((told || Instant::now() >= self.until).then_some(()))
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        self.until = Instant::now();
        Ok(())
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
            misses: 1,
            saved: 10,
            entries,
            bytes: 100 * entries,
        };
        memos.told(EngineId(0), vec![told(2, 1)]);
        memos.told(EngineId(1), vec![told(3, 4)]);
        memos.told(EngineId(0), vec![told(1, 2)]);
        let row = |memos: &Memos, dead: u32| memos.rows(|engine| engine.0 != dead).0.remove(0);
        let all = row(&memos, 9);
        assert_eq!(
            (all.hits, all.misses, all.entries, all.bytes),
            (6, 3, 6, 600)
        );
        assert_eq!(all.saved, Duration::from_nanos(30));
        assert_eq!((row(&memos, 1).hits, row(&memos, 1).entries), (6, 2));
        memos.clear(&["g".to_owned()]);
        assert_eq!(row(&memos, 9), all);
        let share = |name: &str| MemoShare {
            name: name.to_owned(),
            entries: 50,
            bytes: 5000,
        };
        memos.told_shelf(vec![share("f"), share("other")]);
        assert_eq!((row(&memos, 9).hits, row(&memos, 9).entries), (6, 50));
        let (here, others) = memos.rows(|_| true);
        assert_eq!((here.len(), others.len()), (2, 1));
        assert_eq!((&*others[0].function, others[0].entries), ("other", 50));
        memos.clear(&["f".to_owned()]);
        assert_eq!((row(&memos, 9).hits, row(&memos, 9).entries), (0, 0));
        assert_eq!(memos.names().collect::<Vec<_>>(), ["f", "g"]);
    }
}
