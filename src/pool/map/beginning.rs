//! How a map begins: what its caller asks for becomes an assignment, a task for engines, and a plan to show.

use std::time::{Duration, Instant};

use regatta_cell::options::{MapOptions, Schedule as Kind};
use rustc_hash::FxHashMap;

use super::{Map, Worker};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{CaptureSize, MapPlan, PoolKind, Spent};
use crate::pool::assignment::Assignment;
use crate::pool::dispatch::Dispatch;
use crate::pool::inside::Inside;
use crate::pool::schedule::Schedule;
use crate::wire::{
    CapturesInfo, Channel, EAGER, Function, MapBegin, Runs, Task, Workers, monotonic,
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
    ) -> (Self, MapPlan) {
        let MapBegin {
            options,
            input_type,
            output_type,
            items,
            workers,
        } = begin;
        let (kind, fixed) = (options.schedule, options.chunk);
        let (function, captures, threads) = match workers {
            Workers::Engines { function, captures } => (Some(function), captures, None),
            Workers::Threads {
                size, map, began, ..
            } => (None, None, Some((size, map, began))),
        };
        let (dispatch, ranks): (Box<dyn Dispatch>, Vec<Rank>) = match threads {
            None => (
                Box::new(Schedule::new(kind, fixed)),
                engines.iter().map(|(_, rank, _)| *rank).collect(),
            ),
            Some((size, ..)) => (
                Box::new(Inside::new(kind, fixed)),
                (0..size).map(Rank).collect(),
            ),
        };
        let mut assignment = Assignment::new(items, ranks.len(), dispatch);
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
            kind: match threads {
                None => PoolKind::Processes,
                Some(_) => PoolKind::Threads,
            },
            engines: ranks.len() as u32,
        };
        let workers: Vec<Worker> = ranks.into_iter().map(Worker::new).collect();
        for (place, (.., alive)) in engines.iter().enumerate() {
            if !alive {
                assignment.died(place, None, false, false);
            }
        }
        if threads.is_none() && kind == Kind::Dynamic && !options.plan_only {
            // The caller sends its first inputs along.
            assignment.eager(EAGER);
        }
        let output = if options.collect {
            format!("Result<{output_type}, ItemError>")
        } else {
            output_type
        };
        let captures = captures.map(|info| info.hash);
        let task = function.map(|address| task(Function { address, captures }, &options));
        let map = Self {
            job,
            caller,
            options,
            channel,
            pool,
            output,
            task,
            assignment,
            workers,
            engines: engines.iter().map(|(engine, ..)| *engine).collect(),
            served: 0.0,
            payloads: FxHashMap::default(),
            started: Instant::now(),
            began: threads.map_or_else(monotonic, |(.., began)| began),
            on_threads: threads.map(|(_, map, _)| map),
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
    fn new(rank: Rank) -> Self {
        Self {
            rank,
            told: false,
            items: 0,
            chunks: 0,
            busy: Duration::ZERO,
            first_items: Vec::new(),
            deaths: Vec::new(),
            sent: FxHashMap::default(),
            free: 0,
            at: None,
            thread_at: None,
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
fn task(function: Function, options: &MapOptions) -> Task {
    Task {
        runs: Runs::Function(function),
        options: MapOptions {
            function: String::new(),
            pool: None,
            ranks: Vec::new(),
            captures: Vec::new(),
            ..options.clone()
        },
    }
}
