//! How a map begins: what its caller asks for becomes an assignment, a task for engines, and a plan to show.

use std::time::{Duration, Instant};

use regatta_cell::options::{Chunks, MapOptions, Schedule as Kind};
use rustc_hash::FxHashMap;

use super::{Map, Queued, Runners, Worker};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{CaptureSize, Lookups, MapPlan, Spent};
use crate::pool::assignment::Assignment;
use crate::pool::cluster::queue::{Queue, Sizes};
use crate::pool::schedule::Schedule;
use crate::wire::{
    CapturesInfo, Channel, EAGER, Function, FunctionAddress, MapBegin, Runs, Task, Workers,
    monotonic,
};

impl Map {
    /// A map for some engines, with its plan.
    pub fn new(
        job: JobId,
        caller: EngineId,
        channel: Channel,
        pool: PoolName,
        engines: &[(EngineId, Rank, bool)],
        begin: MapBegin,
        queue: Option<Queue>,
    ) -> (Self, MapPlan) {
        let MapBegin {
            options,
            input_type,
            output_type,
            items,
            workers,
        } = begin;
        let began = match workers {
            Workers::Engines { .. } => monotonic(),
            Workers::Threads { began, .. } => began,
        };
        let (kind, fixed) = (options.schedule, options.chunk);
        let (runners, mut assignment, ranks, captures) = match workers {
            Workers::Engines { function, captures } => {
                let ranks: Vec<Rank> = engines.iter().map(|(_, rank, _)| *rank).collect();
                let hash = captures.as_ref().map(|info| info.hash);
                let task = task(function, hash, &options);
                let (runners, assignment) = match queue {
                    Some(queue) => {
                        let sizes = Sizes::new(kind, fixed, ranks.len());
                        let types = [&input_type, &output_type].map(String::clone);
                        let queued = Queued::new(queue, task, types);
                        let assignment = Assignment::queued(items, ranks.len(), sizes);
                        (Runners::Queue(Box::new(queued)), assignment)
                    }
                    None => {
                        let dispatch = Schedule::new(kind, fixed).of_commands(options.commands);
                        let assignment = Assignment::new(items, ranks.len(), Box::new(dispatch));
                        (Runners::Engines(Box::new(task)), assignment)
                    }
                };
                (runners, assignment, ranks, captures)
            }
            Workers::Threads { size, map, .. } => {
                let ranks: Vec<Rank> = (0..size).map(Rank).collect();
                let chunks = Chunks::of(&options, size);
                let assignment = Assignment::claimed(items, ranks.len(), chunks);
                (Runners::Threads { map }, assignment, ranks, None)
            }
        };
        let plan = MapPlan {
            function: options.function.clone(),
            input_type,
            output_type: output_type.clone(),
            items,
            chunks: assignment.planned_chunks(),
            schedule: options.schedule,
            captures: sizes(&options, captures.as_ref()),
            captures_there: false,
            pool: pool.clone(),
            kind: runners.kind(),
            engines: ranks.len() as u32,
        };
        let workers: Vec<Worker> = ranks.into_iter().map(Worker::new).collect();
        for (place, (.., alive)) in engines.iter().enumerate() {
            if !alive {
                assignment.died(place, None, false, false);
            }
        }
        if kind == Kind::Dynamic && !options.plan_only {
            // The caller sends its first inputs along.
            assignment.eager(EAGER);
        }
        let output = if options.collect {
            format!("Result<{output_type}, ItemError>")
        } else {
            output_type
        };
        let map = Self {
            job,
            caller,
            options,
            channel,
            pool,
            output,
            runners,
            assignment,
            workers,
            engines: engines.iter().map(|(engine, ..)| *engine).collect(),
            places: { (0..).zip(engines) }
                .map(|(place, (engine, ..))| (*engine, place))
                .collect(),
            served: 0.0,
            payloads: FxHashMap::default(),
            started: Instant::now(),
            began,
            told: Instant::now(),
            spans: Vec::new(),
            items: Vec::new(),
            spent: Spent::default(),
            failed: 0,
            bytes: 0,
            wall: None,
            cancelled: false,
            failure: None,
            why: None,
            closing: false,
            far: false,
            awaited: false,
            held: true,
            closed: false,
            gone: false,
        };
        (map, plan)
    }
}

impl Worker {
    /// One that has been given nothing yet.
    pub fn new(rank: Rank) -> Self {
        Self {
            rank,
            told: false,
            items: 0,
            chunks: 0,
            busy: Duration::ZERO,
            lookups: Lookups::default(),
            first_items: Vec::new(),
            deaths: Vec::new(),
            sent: FxHashMap::default(),
            free: 0,
            at: None,
            claimed: None,
        }
    }
}

/// The captured variables with their sizes.
fn sizes(options: &MapOptions, captures: Option<&CapturesInfo>) -> Vec<CaptureSize> {
    let sizes = captures.into_iter().flat_map(|info| &info.sizes);
    let named = options.captures.iter().zip(sizes);
    named
        .map(|((name, kind), bytes)| CaptureSize {
            name: name.clone(),
            type_name: kind.clone(),
            bytes: *bytes,
        })
        .collect()
}

/// What engines are told of the map; they know nothing of names.
fn task(address: FunctionAddress, captures: Option<u128>, options: &MapOptions) -> Task {
    Task {
        runs: Runs::Function(Function { address, captures }),
        options: MapOptions {
            function: String::new(),
            pool: None,
            ranks: Vec::new(),
            captures: Vec::new(),
            ..options.clone()
        },
    }
}
