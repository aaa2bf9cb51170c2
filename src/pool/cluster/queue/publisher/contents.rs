//! What the server has by its content, and which of it goes when no job needs it any more. Pure.

use std::collections::{HashMap, VecDeque};

/// Bytes of captured values that stay with the server though no job needs them: the next one may.
const SPARE: u64 = 1 << 30;

#[derive(Debug, Default)]
pub struct Contents {
    /// In bytes.
    lengths: HashMap<u128, u64>,
    /// Captured values that no job needs now, the oldest first.
    spare: VecDeque<u128>,
}

impl Contents {
    /// Whether the server has it, for a job that needs it from now on.
    pub fn has(&mut self, content: u128) -> bool {
        self.spare.retain(|spare| *spare != content);
        self.lengths.contains_key(&content)
    }

    /// The server has it now.
    pub fn put(&mut self, content: u128, length: u64) {
        self.lengths.insert(content, length);
    }

    pub fn forget(&mut self, content: u128) {
        self.spare.retain(|spare| *spare != content);
        self.lengths.remove(&content);
    }

    /// Nothing is known of the server.
    pub fn clear(&mut self) {
        self.lengths.clear();
        self.spare.clear();
    }

    /// No job needs it now; what is to go because of that.
    pub fn spares(&mut self, content: u128) -> Vec<u128> {
        // What an earlier session has put is not counted here.
        if !self.lengths.contains_key(&content) {
            return vec![content];
        }
        if !self.spare.contains(&content) {
            self.spare.push_back(content);
        }
        let length = |content: &u128| self.lengths.get(content).copied();
        let mut gone = Vec::new();
        while self.spare.iter().filter_map(length).sum::<u64>() > SPARE {
            gone.extend(self.spare.pop_front());
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_when_there_are_many() {
        let mut contents = Contents::default();
        for content in 1..=4 {
            contents.put(content, SPARE / 2);
        }
        assert_eq!(contents.spares(1), []);
        assert_eq!(contents.spares(2), []);
        // Twice, as two jobs have it.
        assert_eq!(contents.spares(2), []);
        assert_eq!(contents.spares(3), [1]);
        contents.forget(1);
        assert!(!contents.has(1));
        // It is needed again, so it does not go.
        assert!(contents.has(2));
        assert_eq!(contents.spares(4), []);
        assert_eq!(contents.spares(2), [3]);
    }

    #[test]
    fn what_is_too_large_or_not_known_goes_at_once() {
        let mut contents = Contents::default();
        assert_eq!(contents.spares(7), [7]);
        contents.put(1, SPARE + 1);
        assert_eq!(contents.spares(1), [1]);
    }
}
