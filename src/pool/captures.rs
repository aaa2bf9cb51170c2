//! Captured variables by their content's hash: kept as long as maps may use them again.

use std::collections::BTreeMap;

use crate::wire::Payload;

/// Bytes that are kept for later maps.
const MOST: u64 = 1 << 30;

/// Values that are kept as open files.
const FILES: usize = 8;

/// Values of [`SHARED`] that are kept: code may go from one to another.
const OF_CODE: usize = 4;

/// What code calls the value that it gives to a map; variables have names of their own.
const SHARED: &str = "shared";

#[derive(Default)]
pub struct Captures {
    values: BTreeMap<u128, Value>,
    uses: u64,
}

struct Value {
    /// The variables that it was taken from.
    names: Vec<String>,
    payload: Payload,
    bytes: u64,
    used: u64,
}

impl Captures {
    /// The bytes of a value, when they are here; it was used now.
    pub fn get(&mut self, hash: u128) -> Option<Payload> {
        self.uses += 1;
        let value = self.values.get_mut(&hash)?;
        value.used = self.uses;
        Some(value.payload.clone())
    }

    pub fn has(&self, hash: u128) -> bool {
        self.values.contains_key(&hash)
    }

    /// Keeps a value of variables, which have no earlier one any more; gives those that were dropped for it, none
    /// of them one of `needed`.
    pub fn keep(
        &mut self,
        hash: u128,
        names: Vec<String>,
        payload: Payload,
        needed: &[u128],
    ) -> Vec<u128> {
        self.uses += 1;
        let (bytes, used) = (payload.length(), self.uses);
        let same = if names == [SHARED] { OF_CODE } else { 1 };
        self.values.insert(
            hash,
            Value {
                names: names.clone(),
                payload,
                bytes,
                used,
            },
        );
        let mut dropped = Vec::new();
        let mut keep_at_most = |most: usize, counts: &dyn Fn(&Value) -> bool| {
            while self.values.values().filter(|value| counts(value)).count() > most {
                let oldest = self
                    .values
                    .iter()
                    .filter(|(other, value)| {
                        counts(value) && **other != hash && !needed.contains(other)
                    })
                    .min_by_key(|(_, value)| value.used)
                    .map(|(hash, _)| *hash);
                let Some(oldest) = oldest else { break };
                self.values.remove(&oldest);
                dropped.push(oldest);
            }
        };
        keep_at_most(same, &|value| value.names == names);
        keep_at_most(FILES, &|value| matches!(value.payload, Payload::Shared(_)));
        while self.values.values().map(|value| value.bytes).sum::<u64>() > MOST {
            let oldest = self
                .values
                .iter()
                .filter(|(other, _)| **other != hash && !needed.contains(other))
                .min_by_key(|(_, value)| value.used)
                .map(|(hash, _)| *hash);
            let Some(oldest) = oldest else { break };
            self.values.remove(&oldest);
            dropped.push(oldest);
        }
        dropped
    }

    /// Drops the values of variables that are gone, or are others now.
    pub fn drop_those_of(&mut self, gone: &[String], needed: &[u128]) -> Vec<u128> {
        let is_gone = |(hash, value): &(&u128, &Value)| {
            value.names.iter().any(|name| gone.contains(name)) && !needed.contains(hash)
        };
        let dropped: Vec<u128> = self
            .values
            .iter()
            .filter(is_gone)
            .map(|(hash, _)| *hash)
            .collect();
        for hash in &dropped {
            self.values.remove(hash);
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;

    use super::*;

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let large = || {
            let file = crate::wire::memory_file().unwrap();
            file.write_all_at(&(MOST / 2).to_ne_bytes(), 8).unwrap();
            Payload::Shared(std::sync::Arc::new(file.into()))
        };
        let mut captures = Captures::default();
        let mut keep = |hash: u128, needed: &[u128]| {
            captures.keep(hash, vec![hash.to_string()], large(), needed)
        };
        assert_eq!(keep(1, &[]), []);
        assert_eq!(keep(2, &[]), []);
        assert!(captures.get(1).is_some());
        let mut keep = |hash: u128, needed: &[u128]| {
            captures.keep(hash, vec![hash.to_string()], large(), needed)
        };
        assert_eq!(keep(3, &[]), [2]);
        assert_eq!(keep(4, &[1]), [3]);
        assert!(captures.has(1) && captures.has(4) && !captures.has(2));
    }

    #[test]
    fn a_variable_has_one_value() {
        let mut captures = Captures::default();
        let small = || Payload::of(vec![1, 2, 3]).unwrap();
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(captures.keep(1, names(&["k"]), small(), &[]), []);
        assert_eq!(captures.keep(2, names(&["k", "l"]), small(), &[]), []);
        assert_eq!(captures.keep(3, names(&["k"]), small(), &[]), [1]);
        // A job in the background still uses its value.
        assert_eq!(captures.keep(4, names(&["k"]), small(), &[3]), []);
        assert_eq!(captures.keep(5, names(&["k"]), small(), &[]), [3, 4]);
        assert_eq!(captures.drop_those_of(&names(&["l"]), &[]), [2]);
        assert_eq!(captures.drop_those_of(&names(&["k"]), &[5]), []);
        assert_eq!(captures.drop_those_of(&names(&["k"]), &[]), [5]);
        // Code may go from one value to another.
        for hash in 10..14 {
            assert_eq!(captures.keep(hash, names(&[SHARED]), small(), &[]), []);
        }
        assert_eq!(captures.keep(14, names(&[SHARED]), small(), &[]), [10]);
    }

    #[test]
    fn few_values_are_open_files() {
        let mut captures = Captures::default();
        for hash in 0..100_u128 {
            let large = Payload::of(vec![1; 100_000]).unwrap();
            let dropped = captures.keep(hash, vec![hash.to_string()], large, &[]);
            let last = hash.checked_sub(FILES as u128);
            assert_eq!(dropped, Vec::from_iter(last));
        }
    }
}
