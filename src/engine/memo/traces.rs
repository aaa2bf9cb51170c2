//! What is on disk for `%memo explain` alone: what functions are made of, who made a result of which arguments, and which
//! results went for others.

use std::ops::Bound;

use heed::types::Bytes;
use heed::{Database, Env, RoTxn, RwTxn, WithoutTls};
use regatta_cell::host::now;
use serde::{Deserialize, Serialize};

use super::disk::DiskError;
use crate::outcome::Maker;

/// So many of those that went are remembered; then the older half is forgotten.
const GONE: u64 = 20_000;

/// Who made a result, and of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// When the session began, milliseconds since 1970.
    pub session: u64,
    pub by: Maker,
    /// As they would stand in the call.
    pub arguments: String,
}

/// A result without its value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Milliseconds since 1970.
    pub made: u64,
    /// Nanoseconds.
    pub took: u64,
    pub origin: Origin,
}

pub fn origin(bytes: &[u8]) -> Origin {
    postcard::from_bytes(bytes).unwrap_or_default()
}

pub struct Traces {
    /// By function: JSON.
    pub made_of: Database<Bytes, Bytes>,
    /// By function and arguments: when it went, milliseconds since 1970. It may be back since then.
    pub dropped: Database<Bytes, Bytes>,
}

type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

impl Traces {
    pub fn open(env: &Env<WithoutTls>, write: &mut RwTxn<'_>) -> Result<Self, DiskError> {
        Ok(Self {
            made_of: env.create_database(write, Some("made of"))?,
            dropped: env.create_database(write, Some("dropped"))?,
        })
    }

    /// A result goes for others.
    pub fn goes(&self, write: &mut RwTxn<'_>, key: &[u8]) -> Result<(), DiskError> {
        self.dropped.put(write, key, &now().to_le_bytes())?;
        if self.dropped.len(write)? > GONE {
            let mut all = Vec::new();
            for entry in self.dropped.iter(write)? {
                let (key, at) = entry?;
                let at = at.try_into().map_or(0, u64::from_le_bytes);
                all.push((at, key.to_vec()));
            }
            all.sort_unstable();
            all.truncate(all.len() / 2);
            for (_, key) in all {
                self.dropped.delete(write, &key)?;
            }
        }
        Ok(())
    }

    /// Nothing is left of a function, whose keys are in this range.
    pub fn forget(
        &self,
        write: &mut RwTxn<'_>,
        function: &[u8],
        range: &Range<'_>,
    ) -> Result<(), DiskError> {
        self.made_of.delete(write, function)?;
        self.dropped.delete_range(write, range)?;
        Ok(())
    }

    pub fn clear(&self, write: &mut RwTxn<'_>) -> Result<(), DiskError> {
        self.made_of.clear(write)?;
        self.dropped.clear(write)?;
        Ok(())
    }

    /// Reads everything.
    pub fn check(&self, read: &RoTxn<'_, WithoutTls>) -> Result<(), DiskError> {
        for all in [&self.made_of, &self.dropped] {
            for entry in all.iter(read)? {
                let (_, value) = entry?;
                std::hint::black_box(value.last());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use heed::EnvOpenOptions;

    #[test]
    fn of_those_that_went_the_latest_are_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = EnvOpenOptions::new().read_txn_without_tls();
        options.map_size(64 << 20).max_dbs(4);
        // SAFETY: nobody else knows the folder.
        let env = unsafe { options.open(folder.path()).unwrap() };
        let mut write = env.write_txn().unwrap();
        let traces = Traces::open(&env, &mut write).unwrap();
        for n in 0..GONE {
            let at = n.to_le_bytes();
            traces
                .dropped
                .put(&mut write, &n.to_be_bytes(), &at)
                .unwrap();
        }
        traces.goes(&mut write, b"last").unwrap();
        let has = |write: &RwTxn<'_>, key: &[u8]| traces.dropped.get(write, key).unwrap().is_some();
        assert!(has(&write, b"last") && has(&write, &(GONE - 1).to_be_bytes()));
        assert!(!has(&write, &0_u64.to_be_bytes()));
        assert!(traces.dropped.len(&write).unwrap() <= GONE / 2 + 1);
    }
}
