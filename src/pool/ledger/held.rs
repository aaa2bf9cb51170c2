//! Which worker has which pieces, and who has the fewest: with a thousand workers nobody looks at each of them to find out.

use std::collections::{BTreeSet, VecDeque};

/// By worker, the pieces that it has, in the order in which it was sent them.
#[derive(Clone, Debug)]
pub struct Held {
    pieces: Vec<VecDeque<u32>>,
    /// How many they are, and who has them.
    loads: BTreeSet<(usize, usize)>,
    total: usize,
}

impl Held {
    pub fn by(workers: usize) -> Self {
        Self {
            pieces: vec![VecDeque::new(); workers],
            loads: (0..workers).map(|worker| (0, worker)).collect(),
            total: 0,
        }
    }

    pub fn workers(&self) -> usize {
        self.pieces.len()
    }

    /// Nobody has any.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// There is one worker more.
    pub fn joined(&mut self) {
        self.loads.insert((0, self.pieces.len()));
        self.pieces.push(VecDeque::new());
    }

    /// In the order in which it was sent them; `None`: there is no such worker.
    pub fn of(&self, worker: usize) -> Option<&VecDeque<u32>> {
        self.pieces.get(worker)
    }

    /// The workers, those with the fewest pieces first, and how many each has.
    pub fn lightest(&self) -> impl Iterator<Item = (usize, usize)> {
        self.loads.iter().map(|(load, worker)| (*worker, *load))
    }

    pub fn push(&mut self, worker: usize, piece: u32) {
        self.change(worker, |pieces| pieces.push_back(piece));
    }

    /// Whether it had this one.
    pub fn remove(&mut self, worker: usize, piece: u32) -> bool {
        self.change(worker, |pieces| {
            let place = pieces.iter().position(|other| *other == piece);
            place.is_some_and(|place| pieces.remove(place).is_some())
        })
    }

    /// Takes from it those that `goes` tells.
    pub fn take(&mut self, worker: usize, goes: impl Fn(u32) -> bool) -> VecDeque<u32> {
        self.change(worker, |pieces| {
            let (gone, kept) = { pieces.iter() }.partition(|piece| goes(**piece));
            *pieces = kept;
            gone
        })
    }

    fn change<T: Default>(
        &mut self,
        worker: usize,
        what: impl FnOnce(&mut VecDeque<u32>) -> T,
    ) -> T {
        let Some(pieces) = self.pieces.get_mut(worker) else {
            return T::default();
        };
        let before = pieces.len();
        let changed = what(pieces);
        let after = pieces.len();
        if after != before {
            self.loads.remove(&(before, worker));
            self.loads.insert((after, worker));
            self.total = self.total + after - before;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_the_fewest_comes_first() {
        let mut held = Held::by(3);
        for (worker, piece) in [(0, 1), (0, 2), (1, 3)] {
            held.push(worker, piece);
        }
        let order = |held: &Held| held.lightest().collect::<Vec<_>>();
        assert_eq!(order(&held), [(2, 0), (1, 1), (0, 2)]);
        assert!(held.remove(1, 3) && !held.remove(1, 3) && !held.remove(7, 1));
        held.joined();
        held.push(2, 4);
        assert_eq!(order(&held), [(1, 0), (3, 0), (2, 1), (0, 2)]);
        assert_eq!(held.take(0, |piece| piece == 1), [1]);
        assert_eq!(held.of(0).unwrap(), &[2]);
        assert!(!held.is_empty());
        assert_eq!(held.take(0, |_| true), [2]);
        assert_eq!(held.take(2, |_| true), [4]);
        assert!(held.is_empty());
    }
}
