//! Functions whose results are kept in this process: what is counted of them, and told to the session.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use regatta_cell::host::{Bytes, MemoCounts};

use super::context::{Context, context};
use super::host::text;
use crate::wire::{FromEngine, MemoTold, Payload, WireError};

/// The functions that this process has called.
#[derive(Default)]
pub struct Memos(Mutex<Vec<Function>>);

struct Function {
    name: String,
    counts: &'static MemoCounts,
    /// As it was told.
    told: Told,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Told {
    hits: u64,
    misses: u64,
    saved: u64,
    entries: u64,
    bytes: u64,
}

impl Told {
    fn of(counts: &MemoCounts) -> Self {
        Self {
            hits: counts.hits.load(Relaxed),
            misses: counts.misses.load(Relaxed),
            saved: counts.saved.load(Relaxed),
            entries: counts.entries.load(Relaxed),
            bytes: counts.bytes.load(Relaxed),
        }
    }
}

impl Memos {
    fn functions(&self) -> MutexGuard<'_, Vec<Function>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, name: String) -> &'static MemoCounts {
        // A table stays as long as the code that it is a static of: to the end of the process.
        let counts: &MemoCounts = Box::leak(Box::default());
        self.functions().push(Function {
            name,
            counts,
            told: Told::default(),
        });
        counts
    }

    /// Drops the results of a function, or all.
    pub fn clear(&self, function: Option<&str>) {
        for one in self.functions().iter_mut() {
            if function.is_none_or(|name| name == one.name) {
                one.counts.cleared.fetch_add(1, Relaxed);
                // Its own code drops them when it is next called.
                one.counts.entries.store(0, Relaxed);
                one.counts.bytes.store(0, Relaxed);
            }
        }
    }

    /// Queues what has changed since it was last told, for the session.
    pub fn tell(&self, context: &Context) -> Result<(), WireError> {
        let functions = self.changes();
        if !functions.is_empty() {
            context
                .link
                .queue(&FromEngine::Memo { functions }, &Payload::None)?;
        }
        Ok(())
    }

    /// By name; several functions may have had it.
    fn changes(&self) -> Vec<MemoTold> {
        let mut functions = self.functions();
        if functions.iter().all(|one| one.told == Told::of(one.counts)) {
            return Vec::new();
        }
        let mut found: BTreeMap<String, MemoTold> = BTreeMap::new();
        for one in functions.iter_mut() {
            let (now, before) = (Told::of(one.counts), one.told);
            one.told = now;
            let told = found.entry(one.name.clone()).or_default();
            told.name.clone_from(&one.name);
            told.hits += now.hits - before.hits;
            told.misses += now.misses - before.misses;
            told.saved += now.saved.wrapping_sub(before.saved);
            told.entries += now.entries;
            told.bytes += now.bytes;
        }
        found.into_values().collect()
    }
}

pub extern "C" fn open(name: Bytes) -> *const MemoCounts {
    context().memos.open(text(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_told_once_and_by_name() {
        let memos = Memos::default();
        let (old, new) = (memos.open("f".to_owned()), memos.open("f".to_owned()));
        assert!(memos.changes().is_empty());
        for (counts, hits) in [(old, 2), (new, 1)] {
            counts.hits.store(hits, Relaxed);
            counts.entries.store(5, Relaxed);
        }
        let told = memos.changes();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].hits, told[0].entries), (3, 10));
        assert!(memos.changes().is_empty());
        new.hits.store(2, Relaxed);
        assert_eq!(memos.changes()[0].hits, 1);

        memos.clear(Some("g"));
        assert_eq!(new.cleared.load(Relaxed), 0);
        memos.clear(Some("f"));
        assert_eq!(new.cleared.load(Relaxed), 1);
        assert_eq!(memos.changes()[0].entries, 0);
    }
}
