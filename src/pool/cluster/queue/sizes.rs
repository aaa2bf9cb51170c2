//! How a queued map's inputs become pieces: how large the next ones are, and how many may wait in the queue. Nodes take
//! them as their engines have room, so there is nobody to choose. Pure, as every dispatch.

use std::time::Duration;

use regatta_cell::options::Schedule as Kind;

use crate::pool::dispatch::{Decision, Dispatch, Elsewhere, Seat};
use crate::pool::ledger::Ledger;
use crate::pool::pace::{CHUNK_TIME, GROWTH, ONE_BY_ONE, Pace};

/// Towards the end pieces shrink, for balance, but not below this.
const LEAST_TIME: f64 = 0.001;

/// Pieces in the queue per engine while their size is still being learnt.
const LEARNING: u64 = 2;

/// The most pieces in the queue: what is there outlives the session.
const DEEPEST: u64 = 1024;

/// The most that are asked for at once: the caller encodes them one after the other.
const TOGETHER: u64 = 64;

#[derive(Debug)]
pub struct Sizes {
    kind: Kind,
    /// Items per piece, when that is fixed.
    fixed: Option<u64>,
    engines: u64,
    /// Pieces asked for that have not come.
    pulling: u64,
    last: u64,
    pace: Pace,
    /// What was queued has not got to the server.
    full: bool,
    /// All inputs are to be queued, however many wait there.
    all: bool,
}

impl Sizes {
    /// For nodes with so many engines. `fixed`: the size of pieces, when that is given.
    pub fn new(kind: Kind, fixed: Option<u64>, engines: usize) -> Self {
        Self {
            kind,
            fixed,
            engines: engines.max(1) as u64,
            pulling: 0,
            last: 0,
            pace: Pace::default(),
            full: false,
            all: false,
        }
    }

    /// Whether no more inputs should be asked for now.
    pub fn is_full(&mut self, full: bool) {
        self.full = full;
    }

    /// Whether all inputs are queued from now on.
    pub fn queue_all(&mut self, all: bool) {
        self.all = all;
    }

    fn is_one_by_one(&self, total: Option<u64>) -> bool {
        self.fixed.is_none()
            && self.kind == Kind::Dynamic
            && total.is_some_and(|total| total <= ONE_BY_ONE * self.engines)
    }

    /// Items of the next piece, and whether those after it are as good as known to be of the same size.
    fn next(&self, ledger: &Ledger) -> (u64, bool) {
        let share = |of: u64| ledger.remaining().map(|left| left / (of * self.engines));
        if self.kind == Kind::Guided {
            let half = share(2).unwrap_or(ledger.pulled() / self.engines);
            return (half.max(self.fixed.unwrap_or(1)).max(1), false);
        }
        if let Some(fixed) = self.fixed {
            return (fixed, true);
        }
        if self.is_one_by_one(ledger.total()) {
            return (1, true);
        }
        let Some(per_item) = self.pace.per_item() else {
            return (1, false);
        };
        let wanted = (CHUNK_TIME.as_secs_f64() / per_item) as u64;
        let grown = self.last.max(1) * GROWTH;
        let least = (LEAST_TIME / per_item) as u64;
        let tail = share(4).map_or(u64::MAX, |share| share.max(least));
        let size = wanted.min(grown).min(tail).max(1);
        (size, wanted <= grown)
    }

    fn pull(&mut self, ledger: &Ledger) -> Option<Decision> {
        if self.full || ledger.is_exhausted() {
            return None;
        }
        let (items, is_known) = self.next(ledger);
        let room = match is_known {
            _ if self.all => u64::MAX,
            true => DEEPEST,
            false => LEARNING * self.engines,
        };
        let there = ledger.held(0) as u64 + ledger.waiting().len() as u64 + self.pulling;
        // Asked for in bulk, so that the caller is not woken for each.
        let is_learning = !is_known && !self.all;
        if there > room / 2 && there >= self.engines || self.pulling > 0 && is_learning {
            return None;
        }
        let mut pieces = (room - there.min(room)).clamp(1, TOGETHER);
        if is_learning {
            pieces = pieces.min(self.engines);
        }
        if let Some(left) = ledger.remaining() {
            let asked = self.pulling * self.last;
            pieces = pieces.min(left.saturating_sub(asked).div_ceil(items));
        }
        if pieces == 0 {
            return None;
        }
        self.last = items;
        self.pulling += pieces;
        Some(Decision::Pull {
            items,
            chunks: pieces as u32,
        })
    }
}

impl Dispatch for Sizes {
    fn planned_chunks(&self, ledger: &Ledger) -> Option<u64> {
        let total = ledger.total()?;
        match self.fixed {
            _ if self.kind == Kind::Guided => None,
            Some(fixed) => Some(total.div_ceil(fixed)),
            None => self.is_one_by_one(Some(total)).then_some(total),
        }
    }

    fn eager(&mut self, chunks: u32) {
        self.pulling += u64::from(chunks);
        self.last = self.fixed.unwrap_or(1);
    }

    fn pull_at_most(&mut self, _: u64) {}

    fn offered(&mut self, _: u64, _: &[Seat]) -> Option<usize> {
        self.pulling = self.pulling.saturating_sub(1);
        None
    }

    fn ended(&mut self, items: u64, busy: Duration) {
        if items > 0 {
            self.pace.ended(items, busy);
        }
    }

    fn seconds(&self, items: u64) -> f64 {
        self.pace.of(items)
    }

    /// The queue is worker 0, and takes whatever there is.
    fn decide(&mut self, ledger: &mut Ledger, _: &mut [Seat], _: &Elsewhere) -> Vec<Decision> {
        let mut decisions = Vec::new();
        while let Some(piece) = ledger.give(0, 0, u64::MAX) {
            decisions.push(Decision::Send { piece, worker: 0 });
        }
        decisions.extend(self.pull(ledger));
        decisions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a map of items of this length on so many engines that take pieces at once; the sizes of its pieces.
    fn run(sizes: &mut Sizes, total: u64, seconds: f64) -> (Vec<u64>, usize) {
        let mut ledger = Ledger::new(Some(total), 1);
        let (mut came, mut most) = (Vec::new(), 0);
        while !ledger.is_complete() {
            let decisions = sizes.decide(&mut ledger, &mut [], &Elsewhere::default());
            most = most.max(ledger.held(0));
            let mut has_pulled = false;
            for decision in decisions {
                if let Decision::Pull { items, chunks } = decision {
                    for _ in 0..chunks {
                        let items = items.min(total - ledger.pulled());
                        sizes.offered(items, &[]);
                        if items > 0 {
                            came.push(items);
                        }
                        ledger.came(items, ledger.pulled() + items == total, None);
                    }
                    has_pulled = true;
                }
            }
            if !has_pulled {
                let piece = ledger.first_held(0).expect("it waits for nothing");
                let items = ledger.piece(piece).unwrap().items();
                ledger.finished(0, piece, items);
                sizes.ended(items, Duration::from_secs_f64(items as f64 * seconds));
            }
        }
        (came, most)
    }

    #[test]
    fn few_items_are_pieces_of_their_own_and_all_are_queued() {
        let mut sizes = Sizes::new(Kind::Dynamic, None, 4);
        let (came, most) = run(&mut sizes, 100, 1.0);
        assert_eq!(came, vec![1; 100]);
        assert_eq!(most, 100, "all of them outlive the session");
    }

    #[test]
    fn many_short_items_become_few_pieces() {
        let mut sizes = Sizes::new(Kind::Dynamic, None, 4);
        let (came, _) = run(&mut sizes, 10_000, 1e-6);
        assert_eq!(came.iter().sum::<u64>(), 10_000);
        assert!(came.len() < 80, "{came:?}");
        assert!(came[..4].iter().all(|items| *items == 1), "{came:?}");
    }

    #[test]
    fn the_queue_is_short_while_the_size_is_learnt_and_deep_then() {
        let mut sizes = Sizes::new(Kind::Dynamic, None, 2);
        let (came, most) = run(&mut sizes, 100_000, 0.005);
        assert_eq!(came.iter().sum::<u64>(), 100_000);
        assert!(came.iter().all(|items| *items <= 4), "pieces of 20 ms");
        assert!(
            most as u64 > DEEPEST / 2 && most as u64 <= DEEPEST + TOGETHER,
            "{most}"
        );
    }

    #[test]
    fn all_are_queued_when_nobody_stays_to_do_it() {
        let mut sizes = Sizes::new(Kind::Dynamic, Some(1), 2);
        let (_, most) = run(&mut sizes, 5_000, 0.01);
        assert!(most as u64 <= DEEPEST + TOGETHER, "{most}");
        let mut sizes = Sizes::new(Kind::Dynamic, Some(1), 2);
        sizes.queue_all(true);
        let (_, most) = run(&mut sizes, 5_000, 0.01);
        assert_eq!(most, 5_000);
        // Also when nothing has ended from which to learn how large they may be.
        let mut sizes = Sizes::new(Kind::Dynamic, None, 2);
        sizes.queue_all(true);
        let (came, most) = run(&mut sizes, 5_000, 0.01);
        assert_eq!(most, came.len());
        // Somebody stays after all.
        let mut sizes = Sizes::new(Kind::Dynamic, Some(1), 2);
        sizes.queue_all(true);
        sizes.queue_all(false);
        let (_, most) = run(&mut sizes, 5_000, 0.01);
        assert!(most as u64 <= DEEPEST + TOGETHER, "{most}");
    }

    #[test]
    fn a_fixed_size_is_kept() {
        let mut sizes = Sizes::new(Kind::Dynamic, Some(7), 2);
        sizes.eager(2);
        for _ in 0..2 {
            sizes.offered(7, &[]);
        }
        let (came, _) = run(&mut sizes, 100, 0.01);
        assert_eq!(came.last(), Some(&2));
        assert!(came[..came.len() - 1].iter().all(|items| *items == 7));
    }

    #[test]
    fn nothing_is_pulled_while_the_server_does_not_take_it() {
        let mut sizes = Sizes::new(Kind::Dynamic, Some(1), 2);
        let mut ledger = Ledger::new(Some(10), 1);
        sizes.is_full(true);
        let mut decide =
            |sizes: &mut Sizes| sizes.decide(&mut ledger, &mut [], &Elsewhere::default());
        assert_eq!(decide(&mut sizes), []);
        sizes.is_full(false);
        assert_eq!(
            decide(&mut sizes),
            [Decision::Pull {
                items: 1,
                chunks: 10
            }]
        );
    }
}
