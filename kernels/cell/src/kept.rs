//! A table of results by their encoded arguments, which takes so much memory and no more: the least recently used go.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, BuildHasherDefault};
use std::mem::needs_drop;
use std::sync::Arc;

use crate::key::Fold;

pub(crate) type Table<T> = HashMap<Box<[u8]>, T, BuildHasherDefault<Fold>>;

/// What an entry takes besides its encoded key and result, about.
pub(crate) const OVERHEAD: usize = 96;

/// So many of those that went are remembered by the hashes of their keys.
const GONE: usize = 4096;

/// A result in a table. Its `clone` may be anything, and take long: it is called where no lock is held.
pub(crate) enum Held<V> {
    Plain(V),
    Shared(Arc<V>),
}

impl<V: Clone> Held<V> {
    pub fn of(value: V) -> Self {
        match needs_drop::<V>() {
            false => Self::Plain(value),
            true => Self::Shared(Arc::new(value)),
        }
    }

    /// The same once more, for a moment.
    #[inline]
    pub fn hold(&self) -> Self {
        match self {
            Self::Plain(value) => Self::Plain(value.clone()),
            Self::Shared(value) => Self::Shared(Arc::clone(value)),
        }
    }

    #[inline]
    pub fn give(self) -> V {
        match self {
            Self::Plain(value) => value,
            Self::Shared(value) => Arc::unwrap_or_clone(value),
        }
    }
}

pub(crate) struct Entry<V> {
    pub value: V,
    /// Nanoseconds that computing it took.
    pub took: u64,
    /// When that was: milliseconds since 1970, or 0 where nobody will ask.
    pub made: u64,
    /// When it was last looked up, counted in look-ups.
    used: u64,
    bytes: usize,
}

pub(crate) struct Kept<V> {
    table: Table<Entry<V>>,
    clock: u64,
    bytes: usize,
    gone: VecDeque<u64>,
}

impl<V> Kept<V> {
    pub const fn new() -> Self {
        Self {
            table: HashMap::with_hasher(BuildHasherDefault::new()),
            clock: 0,
            bytes: 0,
            gone: VecDeque::new(),
        }
    }

    /// An entry that is not used for it.
    pub fn peek(&self, key: &[u8]) -> Option<&Entry<V>> {
        self.table.get(key)
    }

    /// Whether what was kept by this key went for others, not long ago.
    pub fn went(&self, key: &[u8]) -> bool {
        self.gone.contains(&self.table.hasher().hash_one(key))
    }

    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Encoded bytes of all keys and results, and what goes with them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    #[inline]
    pub fn get(&mut self, key: &[u8]) -> Option<&Entry<V>> {
        self.clock += 1;
        let entry = self.table.get_mut(key)?;
        entry.used = self.clock;
        Some(entry)
    }

    pub fn remove(&mut self, key: &[u8]) -> Option<Entry<V>> {
        let gone = self.table.remove(key)?;
        self.bytes -= gone.bytes;
        Some(gone)
    }

    /// Keeps a result of so many encoded bytes; what goes for it, to be dropped where no lock is held.
    pub fn insert(
        &mut self,
        key: Box<[u8]>,
        (value, size): (V, usize),
        (took, made): (u64, u64),
        limit: usize,
    ) -> Vec<Entry<V>> {
        self.clock += 1;
        let bytes = key.len() + size + OVERHEAD;
        let entry = Entry {
            value,
            took,
            made,
            used: self.clock,
            bytes,
        };
        self.bytes += bytes;
        let mut gone: Vec<Entry<V>> = self.table.insert(key, entry).into_iter().collect();
        self.bytes -= gone.iter().map(|old| old.bytes).sum::<usize>();
        if self.bytes > limit {
            gone.extend(self.shrink(limit));
        }
        gone
    }

    /// Some more goes than must, so that not every call looks for the oldest.
    fn shrink(&mut self, limit: usize) -> Vec<Entry<V>> {
        let entries = self.table.values();
        let mut ages: Vec<(u64, usize)> = entries.map(|entry| (entry.used, entry.bytes)).collect();
        ages.sort_unstable();
        let mut last = 0;
        for (used, bytes) in ages {
            if self.bytes <= limit / 8 * 7 {
                break;
            }
            self.bytes -= bytes;
            last = used;
        }
        let hasher = self.table.hasher().clone();
        let old = self.table.extract_if(|_, entry| entry.used <= last);
        let gone = &mut self.gone;
        old.map(|(key, entry)| {
            if gone.len() == GONE {
                gone.pop_front();
            }
            gone.push_back(hasher.hash_one(&*key));
            entry
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_go_and_memory_is_bounded() {
        let limit = 100 * (OVERHEAD + 2);
        let mut kept = Kept::new();
        let key = |n: u8| Box::from([n].as_slice());
        for n in 0..120 {
            kept.insert(key(n), (n, 1), (0, 0), limit);
            assert!(kept.bytes() <= limit);
            assert_eq!(
                kept.get(&[0]).map(|entry| entry.value),
                Some(0),
                "just used"
            );
        }
        assert!(kept.get(&[119]).is_some() && kept.get(&[1]).is_none());
        assert!(kept.went(&[1]) && !kept.went(&[119]) && !kept.went(&[200]));
        assert!(kept.len() > 80);
        let counted = |kept: &Kept<u8>| kept.table.values().map(|entry| entry.bytes).sum::<usize>();
        assert_eq!(counted(&kept), kept.bytes());
        kept.insert(key(119), (7, 3), (0, 0), limit);
        assert!(kept.remove(&[0]).is_some() && kept.remove(&[0]).is_none());
        assert_eq!(counted(&kept), kept.bytes());
        assert_eq!(kept.get(&[119]).map(|entry| entry.value), Some(7));
    }
}
