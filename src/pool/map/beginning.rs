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
use crate::wire::{Channel, EAGER, Function, MapBegin, Runs, Task, Workers, monotonic};

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
        let capture = |((name, kind), bytes): (&(String, String), &u64)| CaptureSize {
            name: name.clone(),
            type_name: kind.clone(),
            bytes: *bytes,
        };
        let sizes = captures.iter().flat_map(|info| &info.sizes);
        let plan = MapPlan {
            function: options.function.clone(),
            input_type,
            output_type: output_type.clone(),
            items,
            chunks: assignment.planned_chunks(),
            schedule: options.schedule,
            captures: options.captures.iter().zip(sizes).map(capture).collect(),
            captures_there: false,
            pool: pool.clone(),
            kind: match threads {
                None => PoolKind::Processes,
                Some(_) => PoolKind::Threads,
            },
            engines: ranks.len() as u32,
        };
        let worker = |rank| Worker {
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
        };
        let workers: Vec<Worker> = ranks.into_iter().map(worker).collect();
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
        let captured = captures.as_ref().map(|info| info.hash);
        let task = function.map(|function| Task {
            runs: Runs::Function(Function {
                address: function,
                captures: captured,
            }),
            // Engines know nothing of names.
            options: MapOptions {
                function: String::new(),
                pool: None,
                ranks: Vec::new(),
                captures: Vec::new(),
                ..options.clone()
            },
        });
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
