//! Which engine has which inputs of a map: its ledger, its engines' seats, and the dispatch that brings them
//! together. The pure half of a map: no clock, no socket, no payload.

use std::ops::Range;
use std::time::Duration;

use regatta_cell::options::Chunks;

use super::cluster::queue::Sizes;
use super::dispatch::{Decision, Dispatch, Elsewhere, Health, Seat};
use super::ledger::{GivenUp, Ledger, Piece};

#[derive(Debug)]
pub struct Assignment {
    ledger: Ledger,
    seats: Vec<Seat>,
    supply: Supply,
    /// The workers' processes may do a limited number of items each.
    limited: bool,
}

/// A worker's seat when it comes.
const NEW: Seat = Seat {
    health: Health::Alive,
    left: u64::MAX,
    held_up: false,
};

/// How inputs come to workers.
#[derive(Debug)]
enum Supply {
    /// They are sent what this decides.
    Sent(Box<dyn Dispatch>),
    /// They claim them by this rule, each as soon as it is free: there is nothing to decide, only to be told.
    Claimed(Chunks),
    /// Nodes take them from a queue, which is the ledger's one worker. The seats are of their engines.
    Queued(Sizes),
}

/// How it goes on.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    Do(Vec<Decision>),
    /// Nothing is left to do: every input has its result or its failure, or the map was stopped.
    Finish,
    /// Nobody is left to work.
    Stranded,
}

impl Assignment {
    /// For so many workers, all of them alive; `total` when the number of inputs is known.
    pub fn new(total: Option<u64>, workers: usize, dispatch: Box<dyn Dispatch>) -> Self {
        Self::supplied(Ledger::new(total, workers), Supply::Sent(dispatch))
    }

    /// For workers that claim inputs themselves.
    pub fn claimed(total: Option<u64>, workers: usize, chunks: Chunks) -> Self {
        Self::supplied(Ledger::claimed(total, workers), Supply::Claimed(chunks))
    }

    /// For nodes with so many engines, which take inputs from a queue.
    pub fn queued(total: Option<u64>, engines: usize, sizes: Sizes) -> Self {
        let mut assignment = Self::supplied(Ledger::new(total, 1), Supply::Queued(sizes));
        assignment.seats.resize(engines, NEW);
        assignment
    }

    fn supplied(ledger: Ledger, supply: Supply) -> Self {
        Self {
            seats: vec![NEW; ledger.workers()],
            ledger,
            supply,
            limited: false,
        }
    }

    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    pub fn health(&self, worker: usize) -> Health {
        self.seats
            .get(worker)
            .map_or(Health::Dead, |seat| seat.health)
    }

    /// How many chunks there will be, when that is fixed before the start.
    pub fn planned_chunks(&self) -> Option<u64> {
        match &self.supply {
            Supply::Sent(dispatch) => dispatch.planned_chunks(&self.ledger),
            Supply::Claimed(chunks) => chunks.planned(self.ledger.total()?),
            Supply::Queued(sizes) => sizes.planned_chunks(&self.ledger),
        }
    }

    /// So many chunks come before they were asked for.
    pub fn eager(&mut self, chunks: u32) {
        if let Some(dispatch) = self.dispatch() {
            dispatch.eager(chunks);
        }
    }

    /// One process may do so many items: larger chunks would be sent in parts.
    pub fn pull_at_most(&mut self, items: u64) {
        self.limited = true;
        if let Some(dispatch) = self.dispatch() {
            dispatch.pull_at_most(items);
        }
    }

    fn dispatch(&mut self) -> Option<&mut dyn Dispatch> {
        match &mut self.supply {
            Supply::Sent(dispatch) => Some(&mut **dispatch),
            Supply::Queued(sizes) => Some(sizes),
            Supply::Claimed(_) => None,
        }
    }

    /// Whether what was queued has not got to the server: no more is asked for then.
    pub fn queue_is_full(&mut self, full: bool) {
        if let Supply::Queued(sizes) = &mut self.supply {
            sizes.is_full(full);
        }
    }

    /// Whether all inputs are to be queued, however many wait there.
    pub fn queue_all(&mut self, all: bool) {
        if let Supply::Queued(sizes) = &mut self.supply {
            sizes.queue_all(all);
        }
    }

    /// Of a queued piece so many items have a result, after this time, and so many none for good.
    pub fn settled(&mut self, piece: u32, done: u64, failed: u64, busy: Duration) {
        if self.ledger.settled_piece(0, piece, done, failed)
            && let Some(dispatch) = self.dispatch()
        {
            dispatch.ended(done, busy);
        }
    }

    /// Of a map that was stopped: these pieces are still to be told of, and no others.
    pub fn queue_holds(&mut self, pieces: &[u32]) {
        self.ledger.holds_only(0, pieces);
    }

    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// Items that each worker may still be sent; `None`: any number.
    pub fn has_left(&mut self, items: impl Iterator<Item = Option<u64>>) {
        for (seat, left) in self.seats.iter_mut().zip(items) {
            seat.left = left.unwrap_or(u64::MAX);
        }
    }

    /// The caller gave `count` inputs; their chunk's number, unless there were none.
    pub fn pulled(&mut self, count: u64, exhausted: bool) -> Option<u32> {
        let home = match &mut self.supply {
            Supply::Sent(dispatch) => dispatch.offered(count, &self.seats),
            Supply::Queued(sizes) => sizes.offered(count, &self.seats),
            Supply::Claimed(_) => None,
        };
        self.ledger.came(count, exhausted, home)
    }

    /// A worker finished a piece, or as many of its items as it came to before it was told to stop.
    pub fn finished(
        &mut self,
        worker: usize,
        piece: u32,
        done: u64,
        busy: Duration,
    ) -> Option<Piece> {
        let piece = self.ledger.finished(worker, piece, done)?;
        self.is_held_up(worker, false);
        if let Some(dispatch) = self.dispatch() {
            dispatch.ended(done, busy);
        }
        Some(piece)
    }

    /// A worker gives back pieces that it has not begun, and is sent no more before it ends what it is at; how many
    /// items these were.
    pub fn given_back(&mut self, worker: usize, pieces: &[u32]) -> u64 {
        self.is_held_up(worker, true);
        self.ledger.given_back(worker, pieces)
    }

    fn is_held_up(&mut self, worker: usize, is: bool) {
        if let Some(seat) = self.seats.get_mut(worker) {
            seat.held_up = is;
        }
    }

    /// As [`Ledger::ran`].
    pub fn ran(&mut self, inputs: &[Range<u64>]) -> u64 {
        self.ledger.ran(inputs)
    }

    /// As [`Ledger::claims_end`].
    pub fn claims_end(&mut self, exhausted: bool) {
        self.ledger.claims_end(exhausted);
    }

    /// A worker is gone; `replaced`: another one starts in its place. The rest is as in [`Ledger::lost`].
    pub fn died(
        &mut self,
        worker: usize,
        at: Option<u64>,
        give_up: bool,
        replaced: bool,
    ) -> Vec<GivenUp> {
        self.is_held_up(worker, false);
        if replaced {
            self.set_health(worker, Health::Starting);
        } else {
            self.left(worker);
        }
        if self.is_queued() {
            // Its node sees to what it had.
            return Vec::new();
        }
        self.ledger.lost(worker, at, give_up)
    }

    /// There is one worker more, which is sent what is not dealt yet.
    pub fn joined(&mut self) {
        self.seats.push(NEW);
        if !self.is_queued() {
            self.ledger.joined();
        }
    }

    /// A worker ends the pieces that it has, and is sent no more.
    pub fn left(&mut self, worker: usize) {
        self.set_health(worker, Health::Dead);
        if !self.is_queued() {
            self.ledger.undeal(worker);
        }
    }

    fn is_queued(&self) -> bool {
        matches!(self.supply, Supply::Queued(_))
    }

    /// A worker that has no piece starts anew.
    pub fn renewed(&mut self, worker: usize) {
        self.set_health(worker, Health::Starting);
    }

    /// Another engine stands in the place of one that had died.
    pub fn revived(&mut self, worker: usize) {
        self.set_health(worker, Health::Alive);
    }

    fn set_health(&mut self, worker: usize, health: Health) {
        if let Some(seat) = self.seats.get_mut(worker) {
            seat.health = health;
        }
    }

    /// No new pieces are sent.
    pub fn stop(&mut self) {
        self.ledger.stop();
    }

    /// Inputs that are here and no worker has.
    pub fn is_waiting(&self) -> bool {
        !self.ledger.waiting().is_empty()
    }

    /// Seconds of work that the worker has, at most; infinite while nothing is known of its length.
    pub fn ahead(&self, worker: usize) -> f64 {
        match (self.ledger.items_held(worker), &self.supply) {
            (items @ 1.., Supply::Sent(dispatch)) => dispatch.seconds(items),
            _ => 0.0,
        }
    }

    /// What to do now, beside what others have the workers do. Call it after every event.
    pub fn next(&mut self, elsewhere: &Elsewhere) -> Next {
        if self.ledger.is_over() {
            return Next::Finish;
        }
        if self.ledger.is_stopped() {
            return Next::Do(Vec::new());
        }
        let is_gone = |(worker, seat): (usize, &Seat)| {
            // Who leaves ends what it has.
            seat.health == Health::Dead && (self.is_queued() || self.ledger.held(worker) == 0)
        };
        if self.seats.iter().enumerate().all(is_gone) {
            return Next::Stranded;
        }
        Next::Do(match &mut self.supply {
            Supply::Sent(dispatch) => dispatch.decide(&mut self.ledger, &mut self.seats, elsewhere),
            Supply::Queued(sizes) => sizes.decide(&mut self.ledger, &mut self.seats, elsewhere),
            Supply::Claimed(_) => Vec::new(),
        })
    }
}
