//! Captured variables by their content's hash: kept as long as maps may use them again.

use std::collections::BTreeMap;

use crate::wire::Payload;

/// Bytes that are kept for later maps.
const MOST: u64 = 1 << 30;

#[derive(Default)]
pub struct Captures {
    values: BTreeMap<u128, Value>,
    uses: u64,
}

struct Value {
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

    /// Keeps a value; gives those that were dropped for it, which are none of `needed`.
    pub fn keep(&mut self, hash: u128, payload: Payload, needed: &[u128]) -> Vec<u128> {
        self.uses += 1;
        let (bytes, used) = (payload.length(), self.uses);
        self.values.insert(
            hash,
            Value {
                payload,
                bytes,
                used,
            },
        );
        let mut dropped = Vec::new();
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
        assert_eq!(captures.keep(1, large(), &[]), []);
        assert_eq!(captures.keep(2, large(), &[]), []);
        assert!(captures.get(1).is_some());
        assert_eq!(captures.keep(3, large(), &[]), [2]);
        assert_eq!(captures.keep(4, large(), &[1]), [3]);
        assert!(captures.has(1) && captures.has(4) && !captures.has(2));
    }
}
