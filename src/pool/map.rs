//! A map under way: the schedule plus what it must not know, the payloads, the engines and the clock. It
//! says what to send; the hub sends it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::schedule::{Chunk, Decision, Schedule};
use super::{MapFailure, MapFault};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{MapPlan, MapReport, MapRow, PoolKind};
use crate::wire::{ChunkEnded, FunctionAddress, ToEngine};

/// How many of an engine's first items the map table looks at.
const FIRST: usize = 8;

/// How often a running map tells how far it is.
const PROGRESS: Duration = Duration::from_millis(100);

pub struct Map {
    pub job: JobId,
    /// The local engine, whose cell waits.
    pub caller: EngineId,
    pub shown: bool,
    pool: PoolName,
    total: Option<u64>,
    address: FunctionAddress,
    schedule: Schedule,
    workers: Vec<Worker>,
    payloads: BTreeMap<u32, Vec<u8>>,
    started: Instant,
    told: Instant,
}

struct Worker {
    engine: EngineId,
    rank: Rank,
    items: u64,
    chunks: u64,
    busy: Duration,
    first_items: Vec<u64>,
    died: Option<String>,
}

/// What the hub is to do.
#[derive(Debug)]
pub enum Step {
    Send {
        engine: EngineId,
        message: ToEngine,
        payload: Vec<u8>,
    },
    /// The map is over, for better or worse.
    Over(Option<MapFailure>),
}

/// What a cell asks for.
pub struct Wanted {
    pub function: String,
    pub input_type: String,
    pub output_type: String,
    pub items: Option<u64>,
    pub address: FunctionAddress,
}

impl Map {
    /// A map for the engines that are alive, with its plan.
    pub fn new(
        job: JobId,
        caller: EngineId,
        pool: PoolName,
        engines: Vec<(EngineId, Rank)>,
        wanted: Wanted,
    ) -> (Self, MapPlan) {
        let schedule = Schedule::new(wanted.items, engines.len());
        let plan = MapPlan {
            function: wanted.function.clone(),
            input_type: wanted.input_type,
            output_type: wanted.output_type,
            items: wanted.items,
            chunks: schedule.planned_chunks(),
            schedule: crate::outcome::Schedule::Dynamic,
            captures: Vec::new(),
            pool: pool.clone(),
            kind: PoolKind::Processes,
            engines: engines.len() as u32,
        };
        let worker = |(engine, rank)| Worker {
            engine,
            rank,
            items: 0,
            chunks: 0,
            busy: Duration::ZERO,
            first_items: Vec::new(),
            died: None,
        };
        let map = Self {
            job,
            caller,
            shown: !wanted.function.is_empty(),
            pool,
            total: wanted.items,
            address: wanted.address,
            schedule,
            workers: engines.into_iter().map(worker).collect(),
            payloads: BTreeMap::new(),
            started: Instant::now(),
            told: Instant::now(),
        };
        (map, plan)
    }

    /// What to do now; to be called after each of the events below.
    pub fn steps(&mut self) -> Vec<Step> {
        self.schedule
            .decide()
            .into_iter()
            .filter_map(|decision| self.step(decision))
            .collect()
    }

    fn step(&mut self, decision: Decision) -> Option<Step> {
        let over = |fault, item| {
            Some(Step::Over(Some(MapFailure {
                rank: None,
                item,
                what: fault,
                died: Vec::new(),
            })))
        };
        match decision {
            Decision::Pull { max } => Some(Step::Send {
                engine: self.caller,
                message: ToEngine::Pull { max },
                payload: Vec::new(),
            }),
            Decision::Send { chunk, worker } => {
                let Chunk { count, .. } = self.schedule.chunk(chunk)?;
                let function = self.address.clone();
                Some(Step::Send {
                    engine: self.workers.get(worker)?.engine,
                    message: ToEngine::Chunk {
                        job: self.job,
                        chunk,
                        count,
                        function,
                    },
                    payload: self.payloads.get(&chunk)?.clone(),
                })
            }
            Decision::Finish => Some(Step::Over(None)),
            Decision::GiveUp { chunk } => {
                let cause = self
                    .workers
                    .iter()
                    .rev()
                    .find_map(|worker| worker.died.clone());
                let item = self.schedule.chunk(chunk).map(|chunk| chunk.first);
                over(MapFault::Crashed(cause.unwrap_or_default()), item)
            }
            Decision::Stranded => over(MapFault::NoEngineLeft, None),
        }
    }

    /// The caller has encoded inputs.
    pub fn inputs(&mut self, count: u64, exhausted: bool, payload: Vec<u8>) {
        if let Some(chunk) = self.schedule.pulled(count, exhausted) {
            self.payloads.insert(chunk, payload);
        }
    }

    /// An engine has finished a chunk; the results go to the caller.
    pub fn chunk_done(
        &mut self,
        engine: EngineId,
        chunk: u32,
        ended: &ChunkEnded,
        results: Vec<u8>,
    ) -> Vec<Step> {
        let Some(index) = self
            .workers
            .iter()
            .position(|worker| worker.engine == engine)
        else {
            return Vec::new();
        };
        let Some(Chunk { first, .. }) = self.schedule.chunk(chunk) else {
            return Vec::new();
        };
        let busy = Duration::from_nanos(ended.busy);
        let worker = &mut self.workers[index];
        worker.items += ended.done;
        worker.chunks += 1;
        worker.busy += busy;
        let wanted = FIRST.saturating_sub(worker.first_items.len());
        worker
            .first_items
            .extend((first..first + ended.done).take(wanted));
        if let Some(panic) = &ended.error {
            let failure = MapFailure {
                rank: Some(worker.rank),
                item: Some(first + ended.done),
                what: MapFault::Panicked(panic.clone()),
                died: Vec::new(),
            };
            return vec![Step::Over(Some(failure))];
        }
        self.schedule.finished(index, chunk, busy);
        self.payloads.remove(&chunk);
        let message = ToEngine::Results {
            first,
            count: ended.done,
        };
        vec![Step::Send {
            engine: self.caller,
            message,
            payload: results,
        }]
    }

    pub fn died(&mut self, engine: EngineId, cause: &str) {
        if let Some(index) = self
            .workers
            .iter()
            .position(|worker| worker.engine == engine)
        {
            self.workers[index].died = Some(cause.to_owned());
            self.schedule.died(index);
        }
    }

    pub fn involves(&self, engine: EngineId) -> bool {
        self.workers.iter().any(|worker| worker.engine == engine)
    }

    /// Items done, of how many, since when; some ten times a second.
    pub fn progress(&mut self) -> Option<(u64, Option<u64>, Duration)> {
        if self.told.elapsed() < PROGRESS {
            return None;
        }
        self.told = Instant::now();
        Some((self.schedule.done(), self.total, self.started.elapsed()))
    }

    /// Per rank, the indices of its first results.
    pub fn first_items(&self) -> Vec<Vec<u64>> {
        let ranks = self
            .workers
            .iter()
            .map(|worker| worker.rank.0 as usize + 1)
            .max();
        let mut items = vec![Vec::new(); ranks.unwrap_or(0)];
        for worker in &self.workers {
            items[worker.rank.0 as usize] = worker.first_items.clone();
        }
        items
    }

    /// Engines that died meanwhile, and how.
    pub fn deaths(&self) -> Vec<(Rank, String)> {
        let died = |worker: &Worker| Some((worker.rank, worker.died.clone()?));
        self.workers.iter().filter_map(died).collect()
    }

    pub fn report(&self) -> MapReport {
        let row = |worker: &Worker| MapRow {
            rank: worker.rank,
            items: worker.items,
            chunks: worker.chunks,
            busy: worker.busy,
            results: Vec::new(),
        };
        MapReport {
            job: self.job,
            failed: 0,
            spent: crate::outcome::Spent::default(),
            items: Vec::new(),
            pool: self.pool.clone(),
            kind: PoolKind::Processes,
            engines: self.workers.iter().map(row).collect(),
            wall: self.started.elapsed(),
            serial: self.workers.iter().map(|worker| worker.busy).sum(),
            died: self.deaths(),
        }
    }
}
