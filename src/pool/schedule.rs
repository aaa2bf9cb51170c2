//! Which chunk goes to which engine, and how large the next one is. Pure: state and events in, decisions
//! out; no clock, no socket, no payload.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A chunk lost with its engine runs elsewhere; one that took this many engines with it is given up.
const TRIES: u32 = 3;

/// Up to this many items per engine travel one by one: enough of them to balance, few enough to afford it.
const ONE_BY_ONE: u64 = 32;

/// What a chunk should take: long against the cost of sending one, short against a user's patience.
const CHUNK_TIME: Duration = Duration::from_millis(20);

/// How much larger than the one before a chunk may be while the time per item is still being learnt.
const GROWTH: u64 = 8;

/// The bound of inputs that are pulled but not yet sent, in chunks per engine.
const AHEAD: usize = 1;

/// What the owner of the schedule is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Ask the map's caller for up to `max` further inputs.
    Pull { max: u64 },
    /// Send a chunk to the worker with this index.
    Send { chunk: u32, worker: usize },
    /// Every input has its result.
    Finish,
    /// The chunk ended three engines.
    GiveUp { chunk: u32 },
    /// Nobody is left to work.
    Stranded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub first: u64,
    pub count: u64,
    tries: u32,
}

#[derive(Debug, Default)]
struct Worker {
    dead: bool,
    chunks: Vec<u32>,
}

#[derive(Debug)]
pub struct Schedule {
    total: Option<u64>,
    workers: Vec<Worker>,
    /// Pulled and not finished.
    chunks: BTreeMap<u32, Chunk>,
    /// Pulled, or lost with an engine, and not sent.
    waiting: VecDeque<u32>,
    next_chunk: u32,
    pulled: u64,
    done: u64,
    pulling: bool,
    exhausted: bool,
    ended: bool,
    last_size: u64,
    /// Items finished and the time they took, newer ones weighing more.
    seen_items: f64,
    seen_time: f64,
}

impl Schedule {
    /// A schedule for `workers` engines; `total` when the number of inputs is known.
    pub fn new(total: Option<u64>, workers: usize) -> Self {
        Self {
            total,
            workers: (0..workers).map(|_| Worker::default()).collect(),
            chunks: BTreeMap::new(),
            waiting: VecDeque::new(),
            next_chunk: 0,
            pulled: 0,
            done: 0,
            pulling: false,
            exhausted: total == Some(0),
            ended: false,
            last_size: 0,
            seen_items: 0.0,
            seen_time: 0.0,
        }
    }

    /// How many chunks there will be, when that is fixed before the start.
    pub fn planned_chunks(&self) -> Option<u64> {
        self.total
            .filter(|total| *total <= ONE_BY_ONE * self.workers.len() as u64)
    }

    pub fn done(&self) -> u64 {
        self.done
    }

    pub fn chunk(&self, chunk: u32) -> Option<Chunk> {
        self.chunks.get(&chunk).copied()
    }

    /// The caller gave `count` inputs; their chunk's number, unless there were none.
    pub fn pulled(&mut self, count: u64, exhausted: bool) -> Option<u32> {
        self.pulling = false;
        self.exhausted |= exhausted;
        if count == 0 {
            return None;
        }
        let number = self.next_chunk;
        self.next_chunk += 1;
        self.chunks.insert(
            number,
            Chunk {
                first: self.pulled,
                count,
                tries: 0,
            },
        );
        self.waiting.push_back(number);
        self.pulled += count;
        if self.total.is_some_and(|total| self.pulled >= total) {
            self.exhausted = true;
        }
        Some(number)
    }

    /// A worker finished a chunk with all its results.
    pub fn finished(&mut self, worker: usize, chunk: u32, busy: Duration) -> Option<Chunk> {
        let worker = self.workers.get_mut(worker)?;
        worker.chunks.retain(|other| *other != chunk);
        let chunk = self.chunks.remove(&chunk)?;
        self.done += chunk.count;
        // Half-forgotten, so that a drift of the costs is followed.
        self.seen_items = self.seen_items / 2.0 + chunk.count as f64;
        self.seen_time = self.seen_time / 2.0 + busy.as_secs_f64();
        Some(chunk)
    }

    /// A worker is gone; what it had runs elsewhere, before anything new.
    pub fn died(&mut self, worker: usize) {
        let Some(worker) = self.workers.get_mut(worker) else {
            return;
        };
        worker.dead = true;
        for number in std::mem::take(&mut worker.chunks).into_iter().rev() {
            if let Some(chunk) = self.chunks.get_mut(&number) {
                chunk.tries += 1;
                self.waiting.push_front(number);
            }
        }
    }

    /// What to do now. Call it after every event.
    pub fn decide(&mut self) -> Vec<Decision> {
        let mut decisions = Vec::new();
        if self.ended {
            return decisions;
        }
        if self.exhausted && self.chunks.is_empty() {
            self.ended = true;
            return vec![Decision::Finish];
        }
        if let Some(&chunk) = self
            .waiting
            .iter()
            .find(|chunk| self.chunks.get(chunk).is_some_and(|c| c.tries >= TRIES))
        {
            self.ended = true;
            return vec![Decision::GiveUp { chunk }];
        }
        if self.workers.iter().all(|worker| worker.dead) {
            self.ended = true;
            return vec![Decision::Stranded];
        }
        for depth in 1..=self.depth() {
            for worker in 0..self.workers.len() {
                let free = &self.workers[worker];
                if free.dead || free.chunks.len() >= depth {
                    continue;
                }
                let Some(chunk) = self.waiting.pop_front() else {
                    break;
                };
                self.workers[worker].chunks.push(chunk);
                decisions.push(Decision::Send { chunk, worker });
            }
        }
        if !self.exhausted && !self.pulling && self.waiting.len() < AHEAD * self.workers.len() {
            self.pulling = true;
            let max = self.next_size();
            self.last_size = max;
            decisions.push(Decision::Pull { max });
        }
        decisions
    }

    /// How many chunks an engine may hold: a second one hides the way there, but near the end it would
    /// wait behind the first while others are idle.
    fn depth(&self) -> usize {
        let many = 8 * self.workers.len() as u64 * self.last_size.max(1);
        let plenty = self.remaining().is_none_or(|remaining| remaining > many);
        if plenty && self.planned_chunks().is_none() && self.seen_items > 0.0 {
            2
        } else {
            1
        }
    }

    fn remaining(&self) -> Option<u64> {
        self.total.map(|total| total.saturating_sub(self.pulled))
    }

    fn next_size(&self) -> u64 {
        if self.planned_chunks().is_some() || self.seen_items == 0.0 {
            return 1;
        }
        let per_item = (self.seen_time / self.seen_items).max(1e-9);
        let wanted = (CHUNK_TIME.as_secs_f64() / per_item) as u64;
        let tail = self
            .remaining()
            .map_or(u64::MAX, |left| left / (4 * self.workers.len() as u64));
        wanted.min(self.last_size.max(1) * GROWTH).min(tail).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a schedule against simulated engines; returns per worker the items it finished, and the
    /// simulated wall time.
    fn play(
        costs: &[f64],
        workers: usize,
        mut kill: impl FnMut(usize, u32) -> bool,
    ) -> (Vec<Vec<u64>>, f64) {
        let mut schedule = Schedule::new(Some(costs.len() as u64), workers);
        let mut finished = vec![Vec::new(); workers];
        let mut free_at = vec![0.0; workers];
        let mut queue: Vec<(f64, usize, u32)> = Vec::new();
        let mut now = 0.0;
        loop {
            let mut pulled = true;
            while pulled {
                pulled = false;
                for decision in schedule.decide() {
                    match decision {
                        Decision::Pull { max } => {
                            let left = costs.len() as u64 - schedule.pulled;
                            schedule.pulled(max.min(left), max >= left);
                            pulled = true;
                        }
                        Decision::Send { chunk, worker } => {
                            let Chunk { first, count, .. } = schedule.chunk(chunk).unwrap();
                            let cost: f64 =
                                costs[first as usize..(first + count) as usize].iter().sum();
                            free_at[worker] = f64::max(free_at[worker], now) + cost;
                            queue.push((free_at[worker], worker, chunk));
                        }
                        Decision::Finish => return (finished, now),
                        other => panic!("{other:?}"),
                    }
                }
            }
            queue.sort_by(|a, b| b.0.total_cmp(&a.0));
            let (at, worker, chunk) = queue.pop().expect("no hang");
            now = at;
            if kill(worker, chunk) {
                schedule.died(worker);
                queue.retain(|(_, other, _)| *other != worker);
                continue;
            }
            let Chunk { first, count, .. } = schedule.chunk(chunk).unwrap();
            let cost: f64 = costs[first as usize..(first + count) as usize].iter().sum();
            schedule.finished(worker, chunk, Duration::from_secs_f64(cost));
            finished[worker].extend(first..first + count);
        }
    }

    #[test]
    fn six_uneven_items_are_balanced_one_by_one() {
        let fib = [39.1, 24.2, 14.9, 9.2, 5.7, 3.5].map(|cost| cost / 1000.0);
        let (finished, wall) = play(&fib, 2, |_, _| false);
        assert_eq!(finished.iter().map(Vec::len).sum::<usize>(), 6);
        assert!(fib.iter().sum::<f64>() / wall > 1.95, "{finished:?}");
    }

    #[test]
    fn every_item_is_done_once_whatever_dies() {
        for seed in 1..200_u32 {
            let costs: Vec<f64> = (0..2000_u32)
                .map(|n| f64::from((n * seed) % 17) * 1e-4 + 1e-6)
                .collect();
            let mut alive = 4;
            let mut deadly = std::collections::BTreeSet::new();
            let (finished, _) = play(&costs, 4, |_, chunk| {
                // A chunk that always kills would be given up.
                let dies = alive > 1 && (chunk + 1) % (seed + 3) == 0 && deadly.insert(chunk);
                alive -= u32::from(dies);
                dies
            });
            let mut items: Vec<u64> = finished.concat();
            items.sort_unstable();
            assert_eq!(items, (0..2000).collect::<Vec<_>>(), "seed {seed}");
        }
    }

    #[test]
    fn many_small_items_travel_in_few_chunks() {
        let mut schedule = Schedule::new(Some(1_000_000), 2);
        let (mut sent, mut left) = (0, 1_000_000_u64);
        let mut running = Vec::new();
        'map: loop {
            for decision in schedule.decide() {
                match decision {
                    Decision::Pull { max } => {
                        let count = max.min(left);
                        left -= count;
                        schedule.pulled(count, left == 0);
                    }
                    Decision::Send { chunk, worker } => {
                        sent += 1;
                        running.push((worker, chunk));
                    }
                    Decision::Finish => break 'map,
                    other => panic!("{other:?}"),
                }
            }
            if let Some((worker, chunk)) = running.pop() {
                let count = schedule.chunk(chunk).unwrap().count;
                schedule.finished(worker, chunk, Duration::from_nanos(50 * count));
            }
        }
        assert!(sent < 200, "{sent} chunks");
    }

    #[test]
    fn a_chunk_that_ends_every_engine_is_given_up() {
        let mut schedule = Schedule::new(Some(1), 5);
        assert_eq!(schedule.decide(), [Decision::Pull { max: 1 }]);
        schedule.pulled(1, true);
        for _ in 0..3 {
            let [Decision::Send { worker, .. }] = schedule.decide()[..] else {
                panic!()
            };
            schedule.died(worker);
        }
        assert_eq!(schedule.decide(), [Decision::GiveUp { chunk: 0 }]);
    }

    #[test]
    fn no_engine_left_is_told() {
        let mut schedule = Schedule::new(Some(9), 1);
        schedule.died(0);
        assert_eq!(schedule.decide(), [Decision::Stranded]);
    }

    #[test]
    fn no_input_is_a_finished_map() {
        assert_eq!(Schedule::new(Some(0), 2).decide(), [Decision::Finish]);
    }
}
