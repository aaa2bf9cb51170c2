//! The pieces of a job of which nothing was heard, and what is to be queued again when the server loses one of them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

/// Bytes of messages that are kept for one job. What is queued when there are so many cannot be queued again.
const KEPT: usize = 64 << 20;

#[derive(Debug, Default)]
pub struct Open {
    /// By number, the message that the piece is.
    pieces: BTreeMap<u32, Option<Bytes>>,
    /// In the messages.
    bytes: usize,
}

impl Open {
    pub fn insert(&mut self, piece: u32, message: &Bytes) {
        let is_kept = self.bytes + message.len() <= KEPT;
        if is_kept {
            self.bytes += message.len();
        }
        self.pieces.insert(piece, is_kept.then(|| message.clone()));
    }

    /// Something was heard of it; whether that is the first time.
    pub fn remove(&mut self, piece: u32) -> bool {
        let found = self.pieces.remove(&piece);
        if let Some(Some(message)) = &found {
            self.bytes -= message.len();
        }
        found.is_some()
    }

    pub fn contains(&self, piece: u32) -> bool {
        self.pieces.contains_key(&piece)
    }

    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    pub fn numbers(&self) -> BTreeSet<u32> {
        self.pieces.keys().copied().collect()
    }

    /// What these pieces are; `None` when one of them was not kept.
    pub fn messages(&self, of: &BTreeSet<u32>) -> Option<Vec<(u32, Bytes)>> {
        let wanted = self.pieces.iter().filter(|(piece, _)| of.contains(piece));
        wanted
            .map(|(piece, message)| Some((*piece, message.clone()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_kept_as_far_as_there_is_room_for_them() {
        let mut open = Open::default();
        let large = Bytes::from(vec![7; KEPT - 1]);
        let small = Bytes::from_static(b"ab");
        open.insert(0, &large);
        open.insert(1, &small);
        assert_eq!(open.numbers(), BTreeSet::from([0, 1]));
        assert_eq!(open.messages(&BTreeSet::from([1])), None);
        assert!(open.messages(&BTreeSet::from([0])).is_some());
        assert!(open.remove(0) && !open.remove(0));
        open.insert(2, &small);
        // Of what is not open nothing is queued again.
        let found = open.messages(&BTreeSet::from([0, 2]));
        assert_eq!(found, Some(vec![(2, small)]));
        assert!(open.remove(2) && open.remove(1) && open.is_empty());
        assert_eq!(open.bytes, 0);
    }
}
