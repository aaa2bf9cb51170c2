//! A piece at a node: which of its items an engine is to run next, what has come of the others, and which item is to blame
//! when engines end. Pure.

use std::collections::BTreeMap;
use std::ops::Range;

use super::schema::{Done, Part, Strikes};
use crate::ids::Rank;
use crate::outcome::DeathCause;
use crate::pool::ledger::{LOSSES, TRIES};
use crate::wire::{ChunkEnded, Span};

/// What is to be done when an engine has ended at a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// The next engine goes on with it.
    GoOn,
    /// It goes back to the queue.
    GiveBack,
}

#[derive(Debug)]
pub struct Narrowed {
    span: Span,
    /// The next item, from the span's `first`.
    at: u64,
    /// One item at a time, so that the one is known that ends engines.
    one_by_one: bool,
    strikes: Strikes,
    /// A node has had it and said nothing when it went: perhaps one of the items takes whole nodes with it.
    is_suspect: bool,
    /// The item of which others are told as if it had ended so many engines.
    foretold: Option<(u64, u32)>,
    /// Items without a result for good, which are not reached yet.
    given_up: BTreeMap<u64, Part>,
    parts: Vec<Part>,
    is_over: bool,
}

impl Narrowed {
    /// One that was taken from the queue so often, this time counted; with what is known of it.
    pub fn new(span: Span, deliveries: u64, strikes: Strikes) -> Self {
        let is_suspect = deliveries > strikes.returns + 1;
        let mut piece = Self {
            at: span.from,
            one_by_one: is_suspect || strikes.losses > 0 || !strikes.items.is_empty(),
            is_suspect,
            foretold: None,
            strikes,
            given_up: BTreeMap::new(),
            parts: Vec::new(),
            is_over: false,
            span,
        };
        piece.is_over = piece.at >= piece.span.to;
        piece
    }

    /// What an engine is to run of it; `None` when it is done.
    pub fn next(&mut self) -> Option<Span> {
        self.pass_given_up();
        if self.is_over {
            return None;
        }
        let to = match self.one_by_one {
            true => self.at + 1,
            false => self.span.to,
        };
        Some(Span {
            from: self.at,
            to,
            ..self.span
        })
    }

    /// What an engine of this rank is to run of it, and what others are to be told before: with an item that takes this node
    /// with it, nobody could tell afterwards. Items of which that was told often enough are given up.
    pub fn next_by(&mut self, rank: Rank) -> Option<(Span, Option<Strikes>)> {
        loop {
            let span = self.next()?;
            if !self.is_suspect {
                return Some((span, None));
            }
            let item = span.first + span.from;
            let strikes = self.strikes.items.get(&item).copied().unwrap_or(0);
            if strikes >= TRIES {
                self.give_up(rank, item, (true, false), &DeathCause::WithNode);
                continue;
            }
            let foretold = Some((item, strikes + 1));
            let is_new = std::mem::replace(&mut self.foretold, foretold) != foretold;
            let told = is_new.then(|| {
                let mut told = self.strikes.clone();
                told.items.insert(item, strikes + 1);
                told
            });
            return Some((span, told));
        }
    }

    /// Whether something has come of its items.
    pub fn is_begun(&self) -> bool {
        !self.parts.is_empty()
    }

    fn pass_given_up(&mut self) {
        while let Some(part) = self.given_up.remove(&(self.span.first + self.at)) {
            self.parts.push(part);
            self.at += 1;
        }
        self.is_over |= self.at >= self.span.to;
    }

    /// An engine has ended what [`Self::next`] has named.
    pub fn ended(&mut self, rank: Rank, ended: ChunkEnded, results: Vec<u8>) {
        let first = self.span.first + self.at;
        self.at = (self.at + ended.done).min(self.span.to);
        // Of what was stopped or has failed nothing more is wanted.
        let is_cut = ended.error.is_some() || ended.stopped || ended.done == 0;
        self.parts.push(Part::Ran {
            rank,
            first,
            ended,
            results,
        });
        self.is_over |= is_cut;
        self.pass_given_up();
    }

    /// An engine has ended at it. `item`: the one that it was at; `late`: it was ended for taking too long.
    pub fn died(&mut self, rank: Rank, item: Option<u64>, late: bool, cause: &DeathCause) -> After {
        let was_one_by_one = std::mem::replace(&mut self.one_by_one, true);
        let Some(item) = item.filter(|item| self.left().contains(item)) else {
            self.strikes.losses += 1;
            if self.strikes.losses < LOSSES {
                return if was_one_by_one {
                    After::GoOn
                } else {
                    After::GiveBack
                };
            }
            for item in self.left() {
                self.give_up(rank, item, (false, late), cause);
            }
            self.pass_given_up();
            return After::GoOn;
        };
        let strikes = self.strikes.items.entry(item).or_default();
        *strikes += 1;
        if late || *strikes >= TRIES {
            self.give_up(rank, item, (true, late), cause);
            self.pass_given_up();
        } else if !was_one_by_one {
            return After::GiveBack;
        }
        After::GoOn
    }

    fn give_up(&mut self, rank: Rank, item: u64, (begun, late): (bool, bool), cause: &DeathCause) {
        let part = Part::GivenUp {
            rank,
            item,
            begun,
            late,
            cause: cause.clone(),
        };
        self.given_up.entry(item).or_insert(part);
    }

    /// Items that have neither a result nor none for good, by their indices.
    fn left(&self) -> Range<u64> {
        self.span.first + self.at..self.span.first + self.span.to
    }

    /// No further item of it is run.
    pub fn stop(&mut self) {
        self.is_over = true;
    }

    /// What others have to know when it goes back to the queue.
    pub fn into_strikes(self) -> Strikes {
        self.strikes
    }

    pub fn into_done(self) -> Done {
        Done {
            first: self.span.first + self.span.from,
            items: self.span.to - self.span.from,
            parts: self.parts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::PanicInfo;

    const SPAN: Span = Span {
        chunk: 0,
        first: 100,
        count: 4,
        from: 0,
        to: 4,
    };

    fn next(piece: &mut Narrowed) -> Option<(u64, u64)> {
        piece.next().map(|span| (span.from, span.to))
    }

    /// The items that have a result, and those that were given up with whether they were begun and late.
    fn told(piece: Narrowed) -> (Vec<u64>, Vec<(u64, bool, bool)>) {
        let (mut ran, mut given_up) = (Vec::new(), Vec::new());
        for part in piece.into_done().parts {
            match part {
                Part::Ran { first, ended, .. } => ran.extend(first..first + ended.done),
                Part::GivenUp {
                    item, begun, late, ..
                } => given_up.push((item, begun, late)),
            }
        }
        (ran, given_up)
    }

    fn known<const N: usize>(items: [(u64, u32); N], returns: u64) -> Strikes {
        Strikes {
            items: items.into(),
            returns,
            ..Strikes::new()
        }
    }

    const KILLED: DeathCause = DeathCause::Signal(9);
    const RANK: Rank = Rank(3);

    #[test]
    fn all_of_it_runs_at_once() {
        let mut piece = Narrowed::new(SPAN, 1, Strikes::new());
        assert_eq!(next(&mut piece), Some((0, 4)));
        piece.ended(RANK, ChunkEnded::well(4), vec![1]);
        assert_eq!(next(&mut piece), None);
        assert_eq!(told(piece), (vec![100, 101, 102, 103], vec![]));
    }

    #[test]
    fn an_item_that_ends_three_engines_is_given_up_by_name() {
        let mut piece = Narrowed::new(SPAN, 1, Strikes::new());
        assert_eq!(piece.died(RANK, Some(102), false, &KILLED), After::GiveBack);
        let strikes = piece.into_strikes().returned();
        assert_eq!(strikes, known([(102, 1)], 1));

        let mut piece = Narrowed::new(SPAN, 2, strikes);
        for at in [0, 1] {
            assert_eq!(next(&mut piece), Some((at, at + 1)));
            piece.ended(RANK, ChunkEnded::well(1), vec![1]);
        }
        assert_eq!(next(&mut piece), Some((2, 3)));
        assert_eq!(piece.died(RANK, Some(102), false, &KILLED), After::GoOn);
        assert_eq!(next(&mut piece), Some((2, 3)));
        assert_eq!(piece.died(RANK, Some(102), false, &KILLED), After::GoOn);
        assert_eq!(next(&mut piece), Some((3, 4)));
        piece.ended(RANK, ChunkEnded::well(1), vec![1]);
        assert_eq!(next(&mut piece), None);
        assert_eq!(told(piece), (vec![100, 101, 103], vec![(102, true, false)]));
    }

    #[test]
    fn an_item_that_takes_three_nodes_with_it_is_given_up_by_name() {
        // Of the first one nobody knows at which item it was.
        let mut strikes = Strikes::new();
        for deliveries in 2..5 {
            let mut piece = Narrowed::new(SPAN, deliveries, strikes.clone());
            for at in 0..2 {
                let (span, before) = piece.next_by(RANK).unwrap();
                assert_eq!((span.from, span.to), (at, at + 1));
                strikes = before.unwrap();
                if at == 0 {
                    piece.ended(RANK, ChunkEnded::well(1), vec![1]);
                }
            }
            // Asked for again, it is known already.
            assert_eq!(piece.next_by(RANK).unwrap().1, None);
            assert!(piece.into_strikes().items.len() < 2);
        }
        assert_eq!(strikes, known([(101, 3)], 0));
        let mut piece = Narrowed::new(SPAN, 5, strikes);
        let mut ran = Vec::new();
        while let Some((span, _)) = piece.next_by(RANK) {
            ran.push(span.from);
            piece.ended(RANK, ChunkEnded::well(1), vec![1]);
        }
        assert_eq!(ran, [0, 2, 3]);
        assert_eq!(told(piece), (vec![100, 102, 103], vec![(101, true, false)]));
        // Ends that engines' deaths explain are no reason to tell of each item.
        let mut piece = Narrowed::new(SPAN, 2, known([(102, 1)], 1));
        assert_eq!(piece.next_by(RANK).unwrap().1, None);
    }

    /// Nodes that were told to end, or could not read what it needs, have given it back as often as it may have losses.
    #[test]
    fn one_that_was_given_back_is_none_to_suspect() {
        let returns = u64::from(LOSSES);
        let mut piece = Narrowed::new(SPAN, returns + 1, known([], returns));
        let (span, before) = piece.next_by(RANK).unwrap();
        assert_eq!((span.from, span.to, before), (0, 4, None));
        assert_eq!(piece.died(RANK, None, false, &KILLED), After::GiveBack);
        assert!(piece.next().is_some());
        // The next one that has it went without a word.
        let mut piece = Narrowed::new(SPAN, returns + 2, known([], returns));
        assert!(piece.next_by(RANK).unwrap().1.is_some());
    }

    /// A server that was restarted delivers again what no engine has ended at.
    #[test]
    fn deliveries_are_no_strikes() {
        let mut piece = Narrowed::new(SPAN, 4, Strikes::new());
        for _ in 0..2 {
            assert_eq!(piece.died(RANK, Some(100), false, &KILLED), After::GoOn);
            assert_eq!(next(&mut piece), Some((0, 1)));
        }
        piece.died(RANK, Some(100), false, &KILLED);
        assert_eq!(next(&mut piece), Some((1, 2)));
    }

    #[test]
    fn an_item_that_is_late_is_given_up_at_once_and_those_before_it_run_again() {
        let mut piece = Narrowed::new(SPAN, 1, Strikes::new());
        assert_eq!(piece.died(RANK, Some(101), true, &KILLED), After::GoOn);
        for at in [0, 2, 3] {
            assert_eq!(next(&mut piece), Some((at, at + 1)));
            piece.ended(RANK, ChunkEnded::well(1), vec![1]);
        }
        assert_eq!(next(&mut piece), None);
        assert_eq!(told(piece), (vec![100, 102, 103], vec![(101, true, true)]));
    }

    #[test]
    fn what_no_engine_comes_to_is_lost() {
        let mut piece = Narrowed::new(SPAN, 1, Strikes::new());
        assert_eq!(piece.died(RANK, None, false, &KILLED), After::GiveBack);
        let strikes = piece.into_strikes().returned();
        let mut piece = Narrowed::new(SPAN, 2, strikes);
        for _ in 1..LOSSES {
            assert!(piece.next().is_some());
            assert_eq!(piece.died(RANK, None, false, &KILLED), After::GoOn);
        }
        assert_eq!(next(&mut piece), None);
        let lost = |item| (item, false, false);
        assert_eq!(told(piece), (vec![], (100..104).map(lost).collect()));
    }

    #[test]
    fn a_panic_or_a_stop_ends_it() {
        let mut piece = Narrowed::new(SPAN, 1, Strikes::new());
        let mut panicked = ChunkEnded::well(1);
        panicked.error = Some(Box::new(PanicInfo::plain("no")));
        piece.ended(RANK, panicked, vec![1]);
        assert_eq!(next(&mut piece), None);
        assert_eq!(told(piece), (vec![100], vec![]));

        let mut piece = Narrowed::new(SPAN, 2, Strikes::new());
        piece.ended(RANK, ChunkEnded::well(1), vec![1]);
        piece.stop();
        assert_eq!(next(&mut piece), None);
    }
}
