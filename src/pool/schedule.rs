//! The hub's own dispatch: chunks are pushed to whichever engine is freest, and their size follows the time
//! that items take.

use std::time::Duration;

use super::dispatch::{Decision, Dispatch, Elsewhere, Health, SHORT, Seat};
use super::ledger::Ledger;
use super::pace::{CHUNK_TIME, GROWTH, ONE_BY_ONE, Pace};
use regatta_cell::options::Schedule as Kind;

/// Towards the end chunks shrink, for balance, but not below this: sending one costs some of it.
const LEAST_TIME: Duration = Duration::from_micros(200);

/// The work that waits at an engine should last so many seconds: it hides the way there.
const AHEAD: f64 = SHORT / 2.0;

/// The same of shell commands: an engine gives back what waits behind one that takes its time, so that more may wait,
/// and more of them and of their results travels together.
const COMMANDS_AHEAD: f64 = 0.02;

/// The most chunks that wait at one engine.
const DEEPEST: usize = 512;

#[derive(Debug)]
pub struct Schedule {
    kind: Kind,
    /// Items per chunk, when that is fixed.
    fixed: Option<u64>,
    /// Items are shell commands.
    commands: bool,
    chunks: u64,
    /// Chunks asked for that have not come.
    pulling: u32,
    last_size: u64,
    /// Chunks have no more items.
    largest: u64,
    pace: Pace,
}

impl Schedule {
    /// `fixed`: the size of chunks, when that is given.
    pub fn new(kind: Kind, fixed: Option<u64>) -> Self {
        Self {
            kind,
            fixed,
            commands: false,
            chunks: 0,
            pulling: 0,
            last_size: 0,
            largest: u64::MAX,
            pace: Pace::default(),
        }
    }

    /// The same, of items that are shell commands or not.
    pub fn of_commands(self, commands: bool) -> Self {
        Self { commands, ..self }
    }
}

impl Dispatch for Schedule {
    fn planned_chunks(&self, ledger: &Ledger) -> Option<u64> {
        let total = ledger.total()?;
        let workers = ledger.workers() as u64;
        match (self.kind, self.fixed) {
            (Kind::Static, None) => Some(total.min(workers)),
            (Kind::Guided, _) => None,
            (_, Some(fixed)) => Some(total.div_ceil(fixed)),
            (Kind::Dynamic, None) => (total <= ONE_BY_ONE * workers).then_some(total),
        }
    }

    fn eager(&mut self, chunks: u32) {
        self.pulling += chunks;
        self.last_size = self.fixed.unwrap_or(1);
    }

    fn pull_at_most(&mut self, items: u64) {
        self.largest = items;
    }

    fn offered(&mut self, items: u64, seats: &[Seat]) -> Option<usize> {
        self.pulling = self.pulling.saturating_sub(1);
        if items == 0 {
            return None;
        }
        let dealt = (self.chunks % seats.len().max(1) as u64) as usize;
        self.chunks += 1;
        let waits_for = |seat: &Seat| self.kind == Kind::Static && seat.health != Health::Dead;
        seats.get(dealt).is_some_and(waits_for).then_some(dealt)
    }

    fn ended(&mut self, items: u64, busy: Duration) {
        self.pace.ended(items, busy);
    }

    fn seconds(&self, items: u64) -> f64 {
        self.pace.of(items)
    }

    fn decide(
        &mut self,
        ledger: &mut Ledger,
        seats: &mut [Seat],
        elsewhere: &Elsewhere,
    ) -> Vec<Decision> {
        let mut decisions = Vec::new();
        let depth = self.depth(ledger, elsewhere.wanted);
        while let Some((worker, place)) = self.next_send(ledger, seats, depth, elsewhere) {
            let Some(piece) = ledger.give(place, worker, seats[worker].left) else {
                break;
            };
            let items = ledger.piece(piece).map_or(0, |piece| piece.items());
            seats[worker].left = seats[worker].left.saturating_sub(items);
            decisions.push(Decision::Send { piece, worker });
        }
        decisions.extend(self.pull(ledger, depth));
        decisions
    }
}

impl Schedule {
    /// The freest worker, and which waiting piece it is to get.
    fn next_send(
        &self,
        ledger: &Ledger,
        seats: &[Seat],
        depth: usize,
        elsewhere: &Elsewhere,
    ) -> Option<(usize, usize)> {
        let has_room = |worker: usize| {
            let seat = &seats[worker];
            let depth = if seat.held_up { 1 } else { depth };
            seat.health == Health::Alive && seat.left > 0 && ledger.held(worker) < depth
        };
        let freest = || {
            if elsewhere.ahead.is_empty() {
                return { ledger.lightest() }
                    .take_while(|(_, held)| *held < depth)
                    .map(|(worker, _)| worker)
                    .find(|worker| has_room(*worker));
            }
            (0..seats.len())
                .filter(|worker| has_room(*worker) && elsewhere.leaves(*worker))
                .min_by(|one, other| {
                    let ahead = elsewhere.ahead(*one).total_cmp(&elsewhere.ahead(*other));
                    ahead.then(ledger.held(*one).cmp(&ledger.held(*other)))
                })
        };
        if self.kind != Kind::Static {
            return (!ledger.waiting().is_empty())
                .then(freest)
                .flatten()
                .map(|worker| (worker, 0));
        }
        ledger
            .waiting()
            .iter()
            .enumerate()
            .find_map(|(place, number)| {
                // What was dealt to a worker waits for it anyway, there or here.
                let worker = match ledger.piece(*number)?.home {
                    Some(home) => has_room(home).then_some(home),
                    None => freest(),
                };
                Some((worker?, place))
            })
    }

    fn pull(&mut self, ledger: &Ledger, depth: usize) -> Option<Decision> {
        let window = ledger.workers() * if depth > 2 { depth } else { 1 };
        let have = ledger.waiting().len() + self.pulling as usize;
        // Asked for in bulk, so that the caller is not woken for each.
        if ledger.is_exhausted() || have > window / 2 && have >= ledger.workers() {
            return None;
        }
        let items = self.next_size(ledger)?;
        let mut chunks = if self.varies() {
            if self.pulling > 0 {
                return None;
            }
            1
        } else {
            (window - have).max(1) as u64
        };
        if let Some(left) = ledger.remaining() {
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
    fn depth(&self, ledger: &Ledger, wanted: bool) -> usize {
        let dealt = self.kind == Kind::Static;
        if dealt && (!wanted || self.fixed.is_none()) {
            return DEEPEST;
        }
        let size = self.last_size.max(1);
        let many = 8 * ledger.workers() as u64 * size;
        let plenty = ledger.remaining().is_none_or(|remaining| remaining > many);
        let Some(per_item) = self.pace.per_item() else {
            return 1;
        };
        if !dealt && (!plenty || self.fixed.is_none() && self.planned_chunks(ledger).is_some()) {
            return 1;
        }
        let fits = |ahead: f64| (ahead / (per_item * size as f64)) as usize;
        if wanted {
            return fits(AHEAD).clamp(1, DEEPEST);
        }
        let share = ledger.remaining().map_or(DEEPEST, |left| {
            (left / (4 * size * ledger.workers() as u64)) as usize
        });
        if self.commands {
            // Of long ones none waits, for then it would only go back and forth.
            fits(COMMANDS_AHEAD).min(share).clamp(1, DEEPEST)
        } else {
            fits(AHEAD).min(share).clamp(2, DEEPEST)
        }
    }

    /// The size of the next chunk; `None` when nothing may be pulled now.
    fn next_size(&self, ledger: &Ledger) -> Option<u64> {
        let size = self.wanted_size(ledger)?;
        let is_dealt = self.kind == Kind::Static && self.fixed.is_none();
        Some(if is_dealt {
            size
        } else {
            size.min(self.largest)
        })
    }

    fn wanted_size(&self, ledger: &Ledger) -> Option<u64> {
        let workers = ledger.workers().max(1) as u64;
        match (self.kind, self.fixed) {
            (Kind::Static, None) => {
                let total = ledger.total()?;
                let at = self.chunks + u64::from(self.pulling);
                Some((total * (at + 1) / workers - total * at / workers).max(1))
            }
            (Kind::Guided, fixed) => {
                let left = ledger.remaining().unwrap_or(ledger.pulled().max(workers));
                Some((left / (2 * workers)).max(fixed.unwrap_or(1)))
            }
            (_, Some(fixed)) => Some(fixed),
            (Kind::Dynamic, None) => {
                let is_planned = self.planned_chunks(ledger).is_some();
                let Some(per_item) = self.pace.per_item().filter(|_| !is_planned) else {
                    return Some(1);
                };
                let wanted = (CHUNK_TIME.as_secs_f64() / per_item) as u64;
                let least = (LEAST_TIME.as_secs_f64() / per_item) as u64;
                let tail = ledger.remaining().map_or(u64::MAX, |left| {
                    (left / (4 * workers)).max(least.min(left.div_ceil(workers)))
                });
                Some(wanted.min(self.last_size.max(1) * GROWTH).min(tail).max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests;
