//! Which chunk goes to which engine, and how large the next one is. Pure: state and events in, decisions
//! out; no clock, no socket, no payload.

use std::collections::VecDeque;
use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::wire::{Schedule as Kind, Span};

/// An item that ended this many engines is given up.
const TRIES: u32 = 3;

/// A chunk that was lost this often without an item that was to blame is given up too.
const LOSSES: u32 = 10;

/// Up to this many items per engine travel one by one: enough of them to balance, few enough to afford it.
const ONE_BY_ONE: u64 = 32;

/// What a chunk should take: long against the cost of sending one, short against a user's patience.
const CHUNK_TIME: Duration = Duration::from_millis(20);

/// Towards the end chunks shrink, for balance, but not below this: sending one costs some of it.
const LEAST_TIME: Duration = Duration::from_micros(200);

/// How much larger than the one before a chunk may be while the time per item is still being learnt.
const GROWTH: u64 = 8;

/// The work that waits at an engine should last so long: it hides the way there.
const AHEAD: Duration = Duration::from_millis(1);

/// The most chunks that wait at one engine.
const DEEPEST: usize = 512;

/// Work of others that is shorter counts as none: it is over before an engine that is free could be asked.
pub const SHORT: f64 = 2.0 * AHEAD.as_secs_f64();

/// What other jobs, and cells, have the workers do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Elsewhere {
    /// Per worker, seconds of their work that is there; infinite when that is not known. Empty: none.
    pub ahead: Vec<f64>,
    /// Another job waits for one of these workers.
    pub wanted: bool,
    /// Another job's turn comes first.
    pub waits: bool,
}

impl Elsewhere {
    /// Whether work that is sent now would begin at once, or nearly so.
    fn leaves(&self, worker: usize) -> bool {
        let ahead = self.ahead.get(worker).copied().unwrap_or_default();
        ahead == 0.0 || ahead <= SHORT && !self.waits
    }

    fn ahead(&self, worker: usize) -> f64 {
        self.ahead.get(worker).copied().unwrap_or_default()
    }
}

/// An item that has no result for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    pub item: u64,
    /// It was begun; otherwise the engines ended before they came to it.
    pub begun: bool,
}

/// What the owner of the schedule is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Ask the map's caller for `chunks` chunks of up to `items` further inputs.
    Pull { items: u64, chunks: u32 },
    /// Send a piece to the worker with this index.
    Send { piece: u32, worker: usize },
    /// Nothing is left to do: every input has its result or its failure, or the map was stopped.
    Finish,
    /// Nobody is left to work.
    Stranded,
}

/// Inputs that are sent together: all of a pulled chunk, or what is left of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Whose payload it is a part of.
    pub source: u32,
    pub span: Span,
    losses: u32,
    /// The worker that it was dealt to.
    home: Option<usize>,
}

impl Piece {
    fn items(&self) -> u64 {
        self.span.to - self.span.from
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Alive,
    /// Dead, and another one starts in its place.
    Starting,
    Dead,
}

#[derive(Debug)]
struct Worker {
    health: Health,
    /// Items that it may still be sent.
    left: u64,
    /// Sent and not finished, in order.
    pieces: VecDeque<u32>,
}

#[derive(Debug)]
pub struct Schedule {
    kind: Kind,
    total: Option<u64>,
    fixed: Option<u64>,
    workers: Vec<Worker>,
    /// Pulled and not finished.
    pieces: FxHashMap<u32, Piece>,
    /// Pulled, or lost with an engine, and not sent.
    waiting: VecDeque<u32>,
    /// How many pieces there are of each pulled chunk.
    sources: FxHashMap<u32, u32>,
    strikes: FxHashMap<u64, u32>,
    next_piece: u32,
    chunks: u64,
    pulled: u64,
    done: u64,
    /// Chunks asked for that have not come.
    pulling: u32,
    exhausted: bool,
    stopped: bool,
    ended: bool,
    last_size: u64,
    /// Chunks have no more items.
    largest: u64,
    /// Items finished and the time they took, newer ones weighing more.
    seen_items: f64,
    seen_time: f64,
}

impl Schedule {
    /// A schedule for `workers` engines; `total` when the number of inputs is known, `fixed` when the size of
    /// chunks is.
    pub fn new(kind: Kind, total: Option<u64>, fixed: Option<u64>, workers: usize) -> Self {
        let worker = || Worker {
            health: Health::Alive,
            left: u64::MAX,
            pieces: VecDeque::new(),
        };
        Self {
            kind,
            total,
            fixed,
            workers: std::iter::repeat_with(worker).take(workers).collect(),
            pieces: FxHashMap::default(),
            waiting: VecDeque::new(),
            sources: FxHashMap::default(),
            strikes: FxHashMap::default(),
            next_piece: 0,
            chunks: 0,
            pulled: 0,
            done: 0,
            pulling: 0,
            exhausted: total == Some(0),
            stopped: false,
            ended: false,
            last_size: 0,
            largest: u64::MAX,
            seen_items: 0.0,
            seen_time: 0.0,
        }
    }

    /// Larger chunks would be sent in parts.
    pub fn pull_at_most(&mut self, items: u64) {
        self.largest = items;
    }

    pub fn is_limited(&self) -> bool {
        self.largest < u64::MAX
    }

    /// Items that each worker may still be sent; `None`: any number.
    pub fn has_left(&mut self, items: impl Iterator<Item = Option<u64>>) {
        for (worker, left) in self.workers.iter_mut().zip(items) {
            worker.left = left.unwrap_or(u64::MAX);
        }
    }

    /// A worker that has no piece starts anew.
    pub fn renewed(&mut self, worker: usize) {
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.health = Health::Starting;
        }
    }

    /// How many chunks there will be, when that is fixed before the start.
    pub fn planned_chunks(&self) -> Option<u64> {
        let total = self.total?;
        let workers = self.workers.len() as u64;
        match (self.kind, self.fixed) {
            (Kind::Static, None) => Some(total.min(workers)),
            (Kind::Guided, _) => None,
            (_, Some(fixed)) => Some(total.div_ceil(fixed)),
            (Kind::Dynamic, None) => (total <= ONE_BY_ONE * workers).then_some(total),
        }
    }

    /// Items that have a result or a failure.
    pub fn done(&self) -> u64 {
        self.done
    }

    pub fn piece(&self, piece: u32) -> Option<Piece> {
        self.pieces.get(&piece).copied()
    }

    /// Whether any part of a pulled chunk is still to be done.
    pub fn needs(&self, source: u32) -> bool {
        self.sources.contains_key(&source)
    }

    /// Pieces that engines have now.
    pub fn running(&self) -> usize {
        self.workers.iter().map(|worker| worker.pieces.len()).sum()
    }

    /// What the worker is at, or will be next.
    pub fn first_held(&self, worker: usize) -> Option<u32> {
        self.workers.get(worker)?.pieces.front().copied()
    }

    /// Inputs that came before they were asked for.
    pub fn eager(&mut self, chunks: u32) {
        self.pulling += chunks;
        self.last_size = self.fixed.unwrap_or(1);
    }

    /// The caller gave `count` inputs; their chunk's number, unless there were none.
    pub fn pulled(&mut self, count: u64, exhausted: bool) -> Option<u32> {
        self.pulling = self.pulling.saturating_sub(1);
        if exhausted {
            self.exhausted = true;
            self.pulling = 0;
        }
        if count == 0 {
            return None;
        }
        let home = (self.kind == Kind::Static)
            .then(|| (self.chunks % self.workers.len().max(1) as u64) as usize);
        self.chunks += 1;
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

    fn add(&mut self, mut piece: Piece) -> u32 {
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

    /// A worker finished a piece, or as many of its items as it came to before it was told to stop.
    pub fn finished(
        &mut self,
        worker: usize,
        piece: u32,
        done: u64,
        busy: Duration,
    ) -> Option<Piece> {
        let worker = self.workers.get_mut(worker)?;
        let place = worker.pieces.iter().position(|other| *other == piece)?;
        worker.pieces.remove(place);
        let piece = self.remove(piece)?;
        self.done += done.min(piece.items());
        // Half-forgotten, so that a drift of the costs is followed.
        self.seen_items = self.seen_items / 2.0 + done as f64;
        self.seen_time = self.seen_time / 2.0 + busy.as_secs_f64();
        Some(piece)
    }

    /// A worker is gone; what it had runs elsewhere, before anything new. `at`: the item that it was at.
    /// `give_up`: that item is not tried again. Gives the items that have no result for good.
    pub fn died(
        &mut self,
        worker: usize,
        at: Option<u64>,
        give_up: bool,
        replaced: bool,
    ) -> Vec<GivenUp> {
        let Some(gone) = self.workers.get_mut(worker) else {
            return Vec::new();
        };
        gone.health = if replaced {
            Health::Starting
        } else {
            Health::Dead
        };
        let lost = std::mem::take(&mut gone.pieces);
        if !replaced {
            for piece in self
                .pieces
                .values_mut()
                .filter(|piece| piece.home == Some(worker))
            {
                piece.home = None;
            }
        }
        let mut given_up = Vec::new();
        for (place, number) in lost.into_iter().enumerate().rev() {
            let Some(mut piece) = self.remove(number) else {
                continue;
            };
            let item = at
                .and_then(|item| item.checked_sub(piece.span.first))
                .filter(|item| (piece.span.from..piece.span.to).contains(item));
            let Some(item) = item else {
                if place == 0 {
                    piece.losses += 1;
                }
                if piece.losses >= LOSSES {
                    let items =
                        piece.span.first + piece.span.from..piece.span.first + piece.span.to;
                    self.done += piece.items();
                    given_up.extend(items.map(|item| GivenUp { item, begun: false }));
                } else {
                    let number = self.add(piece);
                    self.waiting.push_front(number);
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
                self.done += 1;
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
                    let mut part = piece;
                    (part.span.from, part.span.to) = (from, to);
                    let number = self.add(part);
                    self.waiting.push_front(number);
                }
            }
        }
        given_up
    }

    /// Another engine stands in the place of one that had died.
    pub fn revived(&mut self, worker: usize) {
        if let Some(worker) = self.workers.get_mut(worker) {
            worker.health = Health::Alive;
        }
    }

    /// No new pieces are sent.
    pub fn stop(&mut self) {
        self.stopped = true;
        for number in std::mem::take(&mut self.waiting) {
            self.remove(number);
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Inputs that are here and no worker has.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Pieces that the worker has.
    pub fn held(&self, worker: usize) -> usize {
        self.workers
            .get(worker)
            .map_or(0, |worker| worker.pieces.len())
    }

    /// Seconds of work that the worker has, at most; infinite while nothing is known of its length.
    pub fn ahead(&self, worker: usize) -> f64 {
        let pieces = self.workers.get(worker).map(|worker| &worker.pieces);
        let items = |number: &u32| self.pieces.get(number).map_or(0, Piece::items);
        match pieces.into_iter().flatten().map(items).sum::<u64>() {
            0 => 0.0,
            _ if self.seen_items == 0.0 => f64::INFINITY,
            items => items as f64 * self.seen_time / self.seen_items,
        }
    }

    /// What to do now, beside what others have the workers do. Call it after every event.
    pub fn decide(&mut self, elsewhere: &Elsewhere) -> Vec<Decision> {
        let mut decisions = Vec::new();
        if self.ended {
            return decisions;
        }
        let idle = self.stopped && self.running() == 0;
        if idle || (self.exhausted && self.pieces.is_empty()) {
            self.ended = true;
            return vec![Decision::Finish];
        }
        if self.stopped {
            return decisions;
        }
        if self
            .workers
            .iter()
            .all(|worker| worker.health == Health::Dead)
        {
            self.ended = true;
            return vec![Decision::Stranded];
        }
        let depth = self.depth(elsewhere.wanted);
        while let Some((worker, place)) = self.next_send(depth, elsewhere) {
            let Some(piece) = self.waiting.remove(place) else {
                break;
            };
            let piece = self.first_part(piece, self.workers[worker].left);
            let items = self.pieces.get(&piece).map_or(0, Piece::items);
            let sent = &mut self.workers[worker];
            sent.left = sent.left.saturating_sub(items);
            sent.pieces.push_back(piece);
            decisions.push(Decision::Send { piece, worker });
        }
        decisions.extend(self.pull(depth));
        decisions
    }

    /// The piece, or so many of its first items; the rest waits in front.
    fn first_part(&mut self, number: u32, items: u64) -> u32 {
        let Some(piece) = self.pieces.get(&number).copied() else {
            return number;
        };
        if piece.items() <= items {
            return number;
        }
        let between = piece.span.from + items;
        let (mut part, mut rest) = (piece, piece);
        (part.span.to, rest.span.from) = (between, between);
        let (part, rest) = (self.add(part), self.add(rest));
        self.waiting.push_front(rest);
        self.remove(number);
        part
    }

    /// The freest worker, and which waiting piece it is to get.
    fn next_send(&self, depth: usize, elsewhere: &Elsewhere) -> Option<(usize, usize)> {
        let has_room = |worker: usize| {
            let worker = &self.workers[worker];
            worker.health == Health::Alive && worker.left > 0 && worker.pieces.len() < depth
        };
        let freest = || {
            (0..self.workers.len())
                .filter(|worker| has_room(*worker) && elsewhere.leaves(*worker))
                .min_by(|one, other| {
                    let ahead = elsewhere.ahead(*one).total_cmp(&elsewhere.ahead(*other));
                    let pieces = |worker: usize| self.workers[worker].pieces.len();
                    ahead.then(pieces(*one).cmp(&pieces(*other)))
                })
        };
        if self.kind != Kind::Static {
            return (!self.waiting.is_empty())
                .then(freest)
                .flatten()
                .map(|worker| (worker, 0));
        }
        self.waiting.iter().enumerate().find_map(|(place, number)| {
            // What was dealt to a worker waits for it anyway, there or here.
            let worker = match self.pieces.get(number)?.home {
                Some(home) => has_room(home).then_some(home),
                None => freest(),
            };
            Some((worker?, place))
        })
    }

    fn pull(&mut self, depth: usize) -> Option<Decision> {
        let window = self.workers.len() * if depth > 2 { depth } else { 1 };
        let have = self.waiting.len() + self.pulling as usize;
        // Asked for in bulk, so that the caller is not woken for each.
        if self.exhausted || have > window / 2 && have >= self.workers.len() {
            return None;
        }
        let items = self.next_size()?;
        let mut chunks = if self.varies() {
            if self.pulling > 0 {
                return None;
            }
            1
        } else {
            (window - have).max(1) as u64
        };
        if let Some(left) = self.remaining() {
            let asked = u64::from(self.pulling) * self.last_size;
            chunks = chunks.min(left.saturating_sub(asked).div_ceil(items));
        }
        if chunks == 0 {
            return None;
        }
        self.last_size = items;
        self.pulling += chunks as u32;
        Some(Decision::Pull {
            items,
            chunks: chunks as u32,
        })
    }

    /// Whether each chunk has a size of its own.
    fn varies(&self) -> bool {
        self.fixed.is_none() || self.kind == Kind::Guided
    }

    /// How many chunks an engine may hold. Near the end a second one would wait behind the first while others
    /// are idle, and so would another job's.
    fn depth(&self, wanted: bool) -> usize {
        let dealt = self.kind == Kind::Static;
        if dealt && (!wanted || self.fixed.is_none()) {
            return DEEPEST;
        }
        let size = self.last_size.max(1);
        let many = 8 * self.workers.len() as u64 * size;
        let plenty = self.remaining().is_none_or(|remaining| remaining > many);
        let is_known = self.seen_items > 0.0;
        if !is_known
            || !dealt && (!plenty || self.fixed.is_none() && self.planned_chunks().is_some())
        {
            return 1;
        }
        let chunk = (self.seen_time / self.seen_items).max(1e-9) * size as f64;
        let fits = (AHEAD.as_secs_f64() / chunk) as usize;
        if wanted {
            return fits.clamp(1, DEEPEST);
        }
        let share = self.remaining().map_or(DEEPEST, |left| {
            (left / (4 * size * self.workers.len() as u64)) as usize
        });
        fits.min(share).clamp(2, DEEPEST)
    }

    fn remaining(&self) -> Option<u64> {
        self.total.map(|total| total.saturating_sub(self.pulled))
    }

    /// The size of the next chunk; `None` when nothing may be pulled now.
    fn next_size(&self) -> Option<u64> {
        let size = self.wanted_size()?;
        let is_dealt = self.kind == Kind::Static && self.fixed.is_none();
        Some(if is_dealt {
            size
        } else {
            size.min(self.largest)
        })
    }

    fn wanted_size(&self) -> Option<u64> {
        let workers = self.workers.len().max(1) as u64;
        match (self.kind, self.fixed) {
            (Kind::Static, None) => {
                let total = self.total?;
                let at = self.chunks + u64::from(self.pulling);
                Some((total * (at + 1) / workers - total * at / workers).max(1))
            }
            (Kind::Guided, fixed) => {
                let left = self.remaining().unwrap_or(self.pulled.max(workers));
                Some((left / (2 * workers)).max(fixed.unwrap_or(1)))
            }
            (_, Some(fixed)) => Some(fixed),
            (Kind::Dynamic, None) => {
                if self.planned_chunks().is_some() || self.seen_items == 0.0 {
                    return Some(1);
                }
                let per_item = (self.seen_time / self.seen_items).max(1e-9);
                let wanted = (CHUNK_TIME.as_secs_f64() / per_item) as u64;
                let least = (LEAST_TIME.as_secs_f64() / per_item) as u64;
                let tail = self.remaining().map_or(u64::MAX, |left| {
                    (left / (4 * workers)).max(least.min(left.div_ceil(workers)))
                });
                Some(wanted.min(self.last_size.max(1) * GROWTH).min(tail).max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests;
