//! A map under way: its assignment plus what that must not know, the payloads, the engines and the clock. It
//! speaks with its caller; what engines are to get it says, and the hub sends it.

mod beginning;
mod caller;
mod claims;
mod ending;
mod queued;
mod report;
mod times;

pub use queued::{Queued, Written};
pub use report::Seen;

use std::time::{Duration, Instant};

use regatta_cell::options::{MapOptions, Schedule};
use rustc_hash::FxHashMap;

use super::assignment::{Assignment, Next};
use super::dispatch::{Decision, Elsewhere};
use super::ledger::GivenUp;
use super::turns::ActiveJob;
use super::{ItemEnd, MapFailure, MapFault};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{ChunkSpan, DeathCause, ItemRow, Lookups, PoolKind, Spent};
use crate::wire::{
    AWAKE, Channel, ChunkEnded, PanicInfo, Payload, Runs, Task, ToCaller, ToEngine, monotonic,
};

pub struct Map {
    pub job: JobId,
    /// The local engine.
    pub caller: EngineId,
    pub options: MapOptions,
    channel: Channel,
    pool: PoolName,
    /// The type of a result.
    output: String,
    runners: Runners,
    assignment: Assignment,
    workers: Vec<Worker>,
    /// By worker; none on threads.
    engines: Vec<EngineId>,
    places: FxHashMap<EngineId, usize>,
    /// Seconds of engines that it had, and a start that is as good as that of the jobs before it.
    served: f64,
    payloads: FxHashMap<u32, Payload>,
    started: Instant,
    began: u64,
    told: Instant,
    spans: Vec<ChunkSpan>,
    items: Vec<ItemRow>,
    spent: Spent,
    failed: u64,
    bytes: u64,
    wall: Option<Duration>,
    cancelled: bool,
    failure: Option<MapFailure>,
    /// The same in words.
    why: Option<String>,
    /// `Over` was sent.
    closing: bool,
    /// Its engines are on other hosts.
    pub far: bool,
    /// Somebody waits for its end and tells it.
    pub awaited: bool,
    /// User code can reach its results.
    pub held: bool,
    /// The caller has answered it, or is gone.
    closed: bool,
    /// The caller is gone.
    gone: bool,
}

/// Who runs its items.
enum Runners {
    /// Engines, and what they run.
    Engines(Box<Task>),
    /// Threads of the caller's process; its number of the map.
    Threads { map: u64 },
    /// Engines of nodes that take its inputs from a queue.
    Queue(Box<Queued>),
}

impl Runners {
    fn kind(&self) -> PoolKind {
        match self {
            Self::Engines(_) | Self::Queue(_) => PoolKind::Processes,
            Self::Threads { .. } => PoolKind::Threads,
        }
    }
}

struct Worker {
    rank: Rank,
    /// The function was sent.
    told: bool,
    items: u64,
    chunks: u64,
    busy: Duration,
    lookups: Lookups,
    first_items: Vec<u64>,
    deaths: Vec<DeathCause>,
    sent: FxHashMap<u32, u64>,
    /// When it ended its last chunk, on the monotonic clock.
    free: u64,
    /// The item that it was at, as a number that changes with each, and since when.
    at: Option<(u64, Instant)>,
    /// The item that it is at, of those that it claimed.
    claimed: Option<u64>,
}

/// What the hub is to do.
#[derive(Debug)]
pub enum Step {
    Send {
        engine: EngineId,
        message: ToEngine,
        payload: Payload,
    },
    /// The engine gets what the job's chunks run, unless it has it.
    Prepare { engine: EngineId, task: Task },
    /// These engines are to end their chunks after the item that they are at.
    Stop(Vec<EngineId>),
    /// It has failed; the caller has been told.
    Failed(MapFailure),
}

impl Map {
    /// Its next event may come before this thread would have been woken for it.
    pub fn is_young(&self) -> bool {
        self.has_engines() && !self.far && self.started.elapsed() < AWAKE
    }

    /// How long it has been under way, or was.
    pub fn elapsed(&self) -> Duration {
        self.wall.unwrap_or_else(|| self.started.elapsed())
    }

    /// Items done, and how many there are when that is known.
    pub fn progress(&self) -> (u64, Option<u64>) {
        (
            self.assignment.ledger().settled(),
            self.assignment.ledger().total(),
        )
    }

    pub fn captures(&self) -> Option<u128> {
        let Runs::Function(function) = self.task()?.runs;
        function.captures
    }

    /// What engines run for it.
    fn task(&self) -> Option<&Task> {
        match &self.runners {
            Runners::Engines(task) => Some(task),
            Runners::Queue(queued) => Some(&queued.task),
            Runners::Threads { .. } => None,
        }
    }

    /// Itself beside other jobs.
    pub fn active(&self) -> ActiveJob<'_> {
        ActiveJob {
            assignment: &self.assignment,
            engines: match self.runners {
                // Nodes see to it that each job gets its turn.
                Runners::Queue(_) => &[],
                _ => &self.engines,
            },
        }
    }

    /// Inputs wait for an engine.
    pub fn is_waiting(&self) -> bool {
        !self.closing && self.assignment.is_waiting()
    }

    /// Seconds of engines that it has had; the job with the least is served first.
    pub fn served(&self, now: u64) -> f64 {
        let running = |(place, worker): (usize, &Worker)| {
            let piece = self.assignment.ledger().first_held(place)?;
            let sent = *worker.sent.get(&piece)?;
            Some(now.saturating_sub(sent.max(worker.free)) as f64 / 1e9)
        };
        let running = self.workers.iter().enumerate().filter_map(running);
        self.served + running.sum::<f64>()
    }

    /// Its turn is no earlier than that of a job that has had so much.
    pub fn join_at(&mut self, served: f64) {
        self.served = served;
    }

    /// One process may do so many items.
    pub fn pull_at_most(&mut self, items: u64) {
        self.assignment.pull_at_most(items);
    }

    /// Its engines' processes may do a limited number of items each.
    pub fn is_limited(&self) -> bool {
        self.assignment.is_limited()
    }

    /// Before [`Map::steps`]: the items that each engine's process may still be given; `None`: any number.
    pub fn has_left(&mut self, items: impl Iterator<Item = Option<u64>>) {
        self.assignment.has_left(items);
    }

    /// Another process takes the place of an engine's that has nothing of this map.
    pub fn renewed(&mut self, engine: EngineId) {
        if let Some(place) = self.place(engine) {
            let worker = &mut self.workers[place];
            (worker.told, worker.at) = (false, None);
            self.assignment.renewed(place);
        }
    }

    /// What to do now; to be called after each of the events below.
    pub fn steps(&mut self, elsewhere: &Elsewhere) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.closing {
            return steps;
        }
        self.look_whether_full();
        let now = monotonic();
        let decisions = match self.assignment.next(elsewhere) {
            Next::Do(decisions) => decisions,
            Next::Finish => {
                self.over(None);
                return steps;
            }
            Next::Stranded if self.waits_for_engines() => return steps,
            Next::Stranded => {
                steps.push(self.fail(None, None, MapFault::NoEngineLeft));
                return steps;
            }
        };
        self.goes_on();
        for decision in decisions {
            match decision {
                Decision::Pull { items, chunks } => {
                    self.tell(&ToCaller::Pull { items, chunks }, &Payload::None);
                }
                Decision::Send { piece, .. } if self.is_queued() => self.queue(piece, now),
                Decision::Send { piece, worker } => self.send(piece, worker, now, &mut steps),
            }
        }
        self.all_queued();
        steps
    }

    fn send(&mut self, piece: u32, worker: usize, now: u64, steps: &mut Vec<Step>) {
        let Some(found) = self.assignment.ledger().piece(piece) else {
            return;
        };
        let (Some(payload), Runners::Engines(task), Some(engine), Some(worker)) = (
            self.payloads.get(&found.source),
            &self.runners,
            self.engines.get(worker).copied(),
            self.workers.get_mut(worker),
        ) else {
            return;
        };
        if !worker.told {
            worker.told = true;
            steps.push(Step::Prepare {
                engine,
                task: Task::clone(task),
            });
        }
        worker.sent.insert(piece, now);
        steps.push(Step::Send {
            engine,
            message: ToEngine::Chunk {
                job: self.job,
                span: found.span,
            },
            payload: payload.clone(),
        });
    }

    /// The caller has encoded inputs.
    pub fn inputs(&mut self, count: u64, exhausted: bool, encode: u64, payload: Payload) {
        self.spent.encode += Duration::from_nanos(encode);
        if let Some(source) = self.assignment.pulled(count, exhausted) {
            self.payloads.insert(source, payload);
        }
    }

    /// An engine has ended a chunk; the results go to the caller.
    pub fn chunk_done(
        &mut self,
        engine: EngineId,
        chunk: u32,
        ended: &ChunkEnded,
        results: Payload,
    ) -> Vec<Step> {
        let ledger = self.assignment.ledger();
        let Some(place) = self.place(engine) else {
            return Vec::new();
        };
        let Some(piece) = ledger.piece(chunk).filter(|_| ledger.holds(place, chunk)) else {
            return Vec::new();
        };
        let first = piece.first();
        let rank = self.workers[place].rank;
        // An engine, or its node, says what it likes.
        let done = ended.done.min(piece.items());
        self.note_ended(place, chunk, first, done, ended);
        if let Some(panic) = &ended.error {
            let fault = MapFault::Panicked(PanicInfo::clone(panic));
            self.bytes += results.length();
            return vec![self.fail(Some(rank), Some(first + ended.done), fault)];
        }
        let busy = Duration::from_nanos(ended.busy);
        self.assignment.finished(place, chunk, done, busy);
        if !self.assignment.ledger().needs(piece.source)
            && let Some(inputs) = self.payloads.remove(&piece.source)
        {
            inputs.release();
        }
        if done > 0 {
            self.bytes += results.length();
            let count = done;
            self.tell(&ToCaller::Results { first, count, rank }, &results);
        }
        Vec::new()
    }

    /// An engine gives back chunks that it has not begun; how many items these were.
    pub fn given_back(&mut self, engine: EngineId, chunks: &[u32]) -> u64 {
        let Some(place) = self.place(engine) else {
            return 0;
        };
        for chunk in chunks {
            self.workers[place].sent.remove(chunk);
        }
        self.assignment.given_back(place, chunks)
    }

    /// Inputs of which all is settled are not kept, also when that is because they were given up.
    fn drop_inputs(&mut self) {
        let ledger = self.assignment.ledger();
        let settled = |source: &u32, _: &mut Payload| !ledger.needs(*source);
        for (_, inputs) in self.payloads.extract_if(settled) {
            inputs.release();
        }
    }

    /// An engine is gone. `at`: the item that it was at; `late`: it was ended for taking too long.
    pub fn died(
        &mut self,
        engine: EngineId,
        cause: &DeathCause,
        at: Option<u64>,
        late: bool,
        replaced: bool,
    ) -> Vec<Step> {
        let Some(place) = self.place(engine) else {
            return Vec::new();
        };
        let worker = &mut self.workers[place];
        worker.deaths.push(cause.clone());
        (worker.told, worker.at) = (false, None);
        let rank = worker.rank;
        self.note_lost(place);
        let given_up = self.assignment.died(place, at, late, replaced);
        if self.closing {
            return Vec::new();
        }
        for given_up in given_up {
            if let Some(step) = self.has_given_up(rank, given_up, late, cause) {
                return vec![step];
            }
        }
        self.drop_inputs();
        Vec::new()
    }

    /// An item has no result for good: the map's end, unless it collects errors.
    fn has_given_up(
        &mut self,
        rank: Rank,
        GivenUp { item, begun }: GivenUp,
        late: bool,
        cause: &DeathCause,
    ) -> Option<Step> {
        let end = ItemEnd::of(begun, late, cause.clone());
        if !self.options.collect {
            return Some(self.fail(Some(rank), Some(item), end.into()));
        }
        self.failed += 1;
        let fault = end.into();
        self.tell(&ToCaller::Failed { item, fault }, &Payload::None);
        None
    }

    /// Another process stands in for an engine that had died.
    pub fn revived(&mut self, engine: EngineId) {
        if let Some(place) = self.place(engine) {
            self.assignment.revived(place);
        }
    }

    /// Whether engines that join this pool take part in it: not when it is for some of them, or dealt out at its beginning.
    pub fn takes_hands_of(&self, pool: &PoolName) -> bool {
        let is_dealt = self.options.schedule == Schedule::Static;
        self.pool == *pool
            && self.has_engines()
            && !(self.closing || is_dealt)
            && self.options.ranks.is_empty()
    }

    pub fn joined(&mut self, engine: EngineId, rank: Rank) {
        if !self.involves(engine) {
            self.places.insert(engine, self.engines.len());
            self.engines.push(engine);
            self.workers.push(Worker::new(rank));
            self.assignment.joined();
        }
    }

    /// It ends what it has, and is sent no more.
    pub fn left(&mut self, engine: EngineId) {
        if let Some(place) = self.place(engine) {
            self.assignment.left(place);
        }
    }

    /// Engines at an item for longer than is allowed. `at` tells where an engine is.
    pub fn late(&mut self, at: impl Fn(EngineId) -> Option<(u64, u64)>) -> Vec<(EngineId, u64)> {
        let Some(limit) = self.options.timeout else {
            return Vec::new();
        };
        // A node looks at its engines itself.
        if self.closing || self.is_queued() {
            return Vec::new();
        }
        let mut late = Vec::new();
        for (worker, engine) in self.workers.iter_mut().zip(&self.engines) {
            let Some((item, number)) = at(*engine) else {
                worker.at = None;
                continue;
            };
            match worker.at {
                Some((before, since)) if before == number => {
                    if since.elapsed() >= limit {
                        late.push((*engine, item));
                    }
                }
                _ => worker.at = Some((number, Instant::now())),
            }
        }
        late
    }

    /// Whether items have a time limit, so that engines have to be looked at often.
    pub fn has_limit(&self) -> bool {
        self.options.timeout.is_some()
    }

    fn place(&self, engine: EngineId) -> Option<usize> {
        self.places.get(&engine).copied()
    }

    pub fn involves(&self, engine: EngineId) -> bool {
        self.place(engine).is_some()
    }

    pub fn engines(&self) -> Vec<EngineId> {
        self.engines.clone()
    }

    /// Whether it is engines that run its items: they can be killed, and other jobs wait for them.
    pub fn has_engines(&self) -> bool {
        !matches!(self.runners, Runners::Threads { .. })
    }

    /// The processes in which its items run.
    pub fn processes(&self) -> Vec<EngineId> {
        match self.runners {
            Runners::Engines(_) | Runners::Queue(_) => self.engines(),
            Runners::Threads { .. } => vec![self.caller],
        }
    }

    /// Those of them that may be busy with it, as far as they may be killed.
    pub fn busy_processes(&self) -> Vec<EngineId> {
        match self.runners {
            Runners::Engines(_) => (0..)
                .zip(&self.engines)
                .filter(|(place, _)| self.assignment.ledger().held(*place) > 0)
                .map(|(_, engine)| *engine)
                .collect(),
            // Which ones they are their pages tell.
            Runners::Queue(_) => self.engines(),
            // All of the user's variables are there.
            Runners::Threads { .. } if self.options.background => Vec::new(),
            Runners::Threads { .. } => vec![self.caller],
        }
    }
}

#[cfg(test)]
mod tests;
