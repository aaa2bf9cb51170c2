//! What has become of each input of a map: it waits, an engine has it, it is done, or it has failed for good.
//! The one home of the rule that a finished map has exactly one result or one error per input, whatever died
//! meanwhile. Pure, and not concerned with who should get what.
//!
//! Inputs are not kept one by one but in pieces: what was pulled at once, until an engine's death or a limit
//! divides it.

mod held;

use std::collections::VecDeque;
use std::ops::Range;

use rustc_hash::FxHashMap;

use crate::wire::Span;
use held::Held;

/// An item that ended this many engines is given up.
pub const TRIES: u32 = 3;

/// A chunk that was lost this often without an item that was to blame is given up too.
pub const LOSSES: u32 = 10;

/// An item that has no result for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    pub item: u64,
    /// It was begun; otherwise the engines ended before they came to it.
    pub begun: bool,
}

/// Inputs that are sent together: all of a pulled chunk, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whose payload it is a part of.
    pub source: u32,
    pub span: Span,
    losses: u32,
    /// The worker that it was dealt to.
    pub home: Option<usize>,
}

impl Piece {
    pub fn items(&self) -> u64 {
        self.span.to - self.span.from
    }

    /// Its first input's index.
    pub fn first(&self) -> u64 {
        self.span.first + self.span.from
    }

    fn part(&self, from: u64, to: u64) -> Self {
        let mut part = *self;
        (part.span.from, part.span.to) = (from, to);
        part
    }
}

#[derive(Clone, Debug)]
pub struct Ledger {
    total: Option<u64>,
    /// Pulled, and neither done nor failed.
    pieces: FxHashMap<u32, Piece>,
    /// Those of them that no worker has.
    waiting: VecDeque<u32>,
    /// Those that workers have.
    held: Held,
    /// How many pieces there are of each pulled chunk.
    sources: FxHashMap<u32, u32>,
    /// How many engines an item has ended.
    strikes: FxHashMap<u64, u32>,
    next_piece: u32,
    pulled: u64,
    done: u64,
    failed: u64,
    exhausted: bool,
    stopped: bool,
    /// What workers that claim inputs themselves have done: ranges that do not touch, in order.
    ran: Vec<Range<u64>>,
    /// There are such workers, and they are not done.
    claiming: bool,
}

impl Ledger {
    /// For so many workers; `total` when the number of inputs is known.
    pub fn new(total: Option<u64>, workers: usize) -> Self {
        Self {
            total,
            pieces: FxHashMap::default(),
            waiting: VecDeque::new(),
            held: Held::by(workers),
            sources: FxHashMap::default(),
            strikes: FxHashMap::default(),
            next_piece: 0,
            pulled: 0,
            done: 0,
            failed: 0,
            exhausted: total == Some(0),
            stopped: false,
            ran: Vec::new(),
            claiming: false,
        }
    }

    /// For workers that claim inputs themselves.
    pub fn claimed(total: Option<u64>, workers: usize) -> Self {
        Self {
            claiming: true,
            ..Self::new(total, workers)
        }
    }

    pub fn total(&self) -> Option<u64> {
        self.total
    }

    pub fn workers(&self) -> usize {
        self.held.workers()
    }

    /// There is one worker more.
    pub fn joined(&mut self) {
        self.held.joined();
    }

    /// Inputs that have come.
    pub fn pulled(&self) -> u64 {
        self.pulled
    }

    /// Inputs that are still to come, when that is known.
    pub fn remaining(&self) -> Option<u64> {
        self.total.map(|total| total.saturating_sub(self.pulled))
    }

    /// No further inputs will come.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted
    }

    /// Items that have a result or a failure.
    pub fn settled(&self) -> u64 {
        self.done + self.failed
    }

    /// Every input has its result or its failure, or the map was stopped and nothing runs any more.
    pub fn is_over(&self) -> bool {
        let is_idle = !self.claiming && self.held.is_empty();
        is_idle && (self.stopped || self.is_complete())
    }

    /// Every input has its result or its failure.
    pub fn is_complete(&self) -> bool {
        self.exhausted && self.settled() == self.pulled
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    pub fn piece(&self, piece: u32) -> Option<Piece> {
        self.pieces.get(&piece).copied()
    }

    /// Whether any part of a pulled chunk is still to be done.
    pub fn needs(&self, source: u32) -> bool {
        self.sources.contains_key(&source)
    }

    /// Pieces that no worker has, the next one first.
    pub fn waiting(&self) -> &VecDeque<u32> {
        &self.waiting
    }

    /// Pieces that a worker has.
    pub fn held(&self, worker: usize) -> usize {
        self.held.of(worker).map_or(0, VecDeque::len)
    }

    /// What the worker is at, or will be next.
    pub fn first_held(&self, worker: usize) -> Option<u32> {
        self.held.of(worker)?.front().copied()
    }

    /// Whether the worker has this piece.
    pub fn holds(&self, worker: usize, piece: u32) -> bool {
        self.held
            .of(worker)
            .is_some_and(|held| held.contains(&piece))
    }

    /// The workers, those with the fewest pieces first, and how many each has.
    pub fn lightest(&self) -> impl Iterator<Item = (usize, usize)> {
        self.held.lightest()
    }

    /// Items that a worker has.
    pub fn items_held(&self, worker: usize) -> u64 {
        let held = self.held.of(worker).into_iter().flatten();
        held.filter_map(|number| self.pieces.get(number))
            .map(Piece::items)
            .sum()
    }

    /// The caller gave `count` inputs, dealt to the worker `home` or to none; their chunk's number, unless there
    /// were none. `exhausted`: they are the last.
    pub fn came(&mut self, count: u64, exhausted: bool, home: Option<usize>) -> Option<u32> {
        self.exhausted |= exhausted;
        if count == 0 || self.stopped {
            return None;
        }
        let number = self.add(Piece {
            source: self.next_piece,
            span: Span {
                chunk: 0,
                first: self.pulled,
                count,
                from: 0,
                to: count,
            },
            losses: 0,
            home,
        });
        self.waiting.push_back(number);
        self.pulled += count;
        if self.total.is_some_and(|total| self.pulled >= total) {
            self.exhausted = true;
        }
        Some(number)
    }

    /// The worker is sent the waiting piece at `place`, or so many of its first items; the rest waits in front.
    /// Gives the number of what it is sent.
    pub fn give(&mut self, place: usize, worker: usize, at_most: u64) -> Option<u32> {
        let mut number = *self.waiting.get(place)?;
        let piece = self.pieces.get(&number).copied()?;
        if at_most == 0 || worker >= self.held.workers() {
            return None;
        }
        self.waiting.remove(place);
        if piece.items() <= at_most {
            self.held.push(worker, number);
            return Some(number);
        }
        let between = piece.span.from + at_most;
        self.remove(number);
        number = self.add(piece.part(piece.span.from, between));
        self.wait_in_front(piece.part(between, piece.span.to));
        self.held.push(worker, number);
        Some(number)
    }

    /// A worker finished a piece, or as many of its items as it came to before it was told to stop.
    pub fn finished(&mut self, worker: usize, number: u32, done: u64) -> Option<Piece> {
        if !self.held.remove(worker, number) {
            return None;
        }
        let piece = self.remove(number)?;
        let done = done.min(piece.items());
        self.done += done;
        if done < piece.items() && !self.stopped {
            // Nobody told it to stop, so the rest is as good as lost.
            self.wait_in_front(piece.part(piece.span.from + done, piece.span.to));
        }
        Some(piece)
    }

    /// Of a piece so many items have a result, and so many none for good: it is settled.
    pub fn settled_piece(&mut self, worker: usize, number: u32, done: u64, failed: u64) -> bool {
        if !self.held.remove(worker, number) {
            return false;
        }
        let Some(piece) = self.remove(number) else {
            return false;
        };
        self.done += done.min(piece.items());
        self.failed += failed.min(piece.items() - done.min(piece.items()));
        true
    }

    /// Of a map that was stopped: a worker has these pieces alone, and nothing will come of the others.
    pub fn holds_only(&mut self, worker: usize, numbers: &[u32]) {
        if self.stopped {
            for number in self.held.take(worker, |number| !numbers.contains(&number)) {
                self.remove(number);
            }
        }
    }

    /// A worker gives back pieces that it has not begun: they are the next ones again, for any worker. How many items
    /// they have.
    pub fn given_back(&mut self, worker: usize, numbers: &[u32]) -> u64 {
        let back = self.held.take(worker, |number| numbers.contains(&number));
        let mut items = 0;
        for number in back.into_iter().rev() {
            let Some(piece) = self.remove(number) else {
                continue;
            };
            items += piece.items();
            if !self.stopped {
                self.wait_in_front(Piece {
                    home: None,
                    ..piece
                });
            }
        }
        items
    }

    /// A worker has done inputs that it had claimed; how many of them had no result before.
    pub fn ran(&mut self, inputs: &[Range<u64>]) -> u64 {
        let most = self.total.unwrap_or(u64::MAX);
        let inputs = inputs.iter().map(|range| range.start..range.end.min(most));
        self.ran.extend(inputs.filter(|range| !range.is_empty()));
        // Of two lists in order it makes one.
        self.ran.sort_by_key(|range| range.start);
        self.ran.dedup_by(|next, last| {
            let touches = next.start <= last.end;
            if touches {
                last.end = last.end.max(next.end);
            }
            touches
        });
        let before = self.done;
        self.done = self.ran.iter().map(|range| range.end - range.start).sum();
        self.pulled = self.ran.last().map_or(0, |range| range.end);
        self.exhausted |= Some(self.pulled) == self.total;
        self.done - before
    }

    /// Workers that claim are done. `exhausted`: there was nothing more to claim; otherwise it is not wanted.
    pub fn claims_end(&mut self, exhausted: bool) {
        self.claiming = false;
        self.exhausted |= exhausted && self.total.is_none();
        self.stopped |= !self.is_complete();
    }

    /// A worker is gone; what it had is to run elsewhere, before anything new. `at`: the item that it was at.
    /// `give_up`: that item is not tried again. Gives the items that have no result for good.
    pub fn lost(&mut self, worker: usize, at: Option<u64>, give_up: bool) -> Vec<GivenUp> {
        let mut given_up = Vec::new();
        let held = self.held.take(worker, |_| true);
        for (place, number) in held.into_iter().enumerate().rev() {
            let Some(mut piece) = self.remove(number) else {
                continue;
            };
            if self.stopped {
                // Nothing runs again, and what it was at has no result.
                continue;
            }
            let item = at
                .and_then(|item| item.checked_sub(piece.span.first))
                .filter(|item| (piece.span.from..piece.span.to).contains(item));
            let Some(item) = item else {
                if place == 0 {
                    piece.losses += 1;
                }
                if piece.losses >= LOSSES {
                    let items = piece.first()..piece.first() + piece.items();
                    self.failed += piece.items();
                    given_up.extend(items.map(|item| GivenUp { item, begun: false }));
                } else {
                    self.wait_in_front(piece);
                }
                continue;
            };
            let index = piece.span.first + item;
            let strikes = self.strikes.entry(index).or_default();
            *strikes += 1;
            let out = give_up || *strikes >= TRIES;
            if out {
                given_up.push(GivenUp {
                    item: index,
                    begun: true,
                });
                self.failed += 1;
                self.strikes.remove(&index);
            }
            // The items behind it, itself, those before it: in front of the queue in their order.
            let (from, to) = (piece.span.from, piece.span.to);
            for (from, to, wanted) in [
                (item + 1, to, true),
                (item, item + 1, !out),
                (from, item, true),
            ] {
                if wanted && from < to {
                    self.wait_in_front(piece.part(from, to));
                }
            }
        }
        given_up
    }

    /// What was dealt to this worker may go to any.
    pub fn undeal(&mut self, worker: usize) {
        let dealt = |piece: &&mut Piece| piece.home == Some(worker);
        for piece in self.pieces.values_mut().filter(dealt) {
            piece.home = None;
        }
    }

    /// What waits is not wanted any more, nor is what comes or gets lost from now on.
    pub fn stop(&mut self) {
        self.stopped = true;
        for number in std::mem::take(&mut self.waiting) {
            self.remove(number);
        }
    }

    fn wait_in_front(&mut self, piece: Piece) {
        let number = self.add(piece);
        self.waiting.push_front(number);
    }

    fn add(&mut self, mut piece: Piece) -> u32 {
        // Never the same one again: an answer that comes late is known by it.
        let number = self.next_piece;
        self.next_piece += 1;
        piece.span.chunk = number;
        *self.sources.entry(piece.source).or_default() += 1;
        self.pieces.insert(number, piece);
        number
    }

    fn remove(&mut self, number: u32) -> Option<Piece> {
        let piece = self.pieces.remove(&number)?;
        if let Some(count) = self.sources.get_mut(&piece.source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&piece.source);
            }
        }
        Some(piece)
    }
}

#[cfg(test)]
mod tests;
