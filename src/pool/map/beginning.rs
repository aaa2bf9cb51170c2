//! How a map begins: what its caller asks for becomes an assignment, a task for engines, and a plan to show.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

use super::{Map, Worker, told};
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::outcome::{CaptureSize, MapPlan, PoolKind, Spent};
use crate::pool::assignment::Assignment;
use crate::pool::schedule::Schedule;
use crate::wire::{Channel, EAGER, MapBegin, Schedule as Kind, Task, monotonic};

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
            wish,
            input_type,
            output_type,
            items,
            function,
            captures,
        } = begin;
        let dispatch = Box::new(Schedule::new(wish.schedule, wish.chunk));
        let mut assignment = Assignment::new(items, engines.len(), dispatch);
        let capture = |(name, kind, bytes): &(String, String, u64)| CaptureSize {
            name: name.clone(),
            type_name: kind.clone(),
            bytes: *bytes,
        };
        let plan = MapPlan {
            function: wish.function.clone(),
            input_type,
            output_type: output_type.clone(),
            items,
            chunks: assignment.planned_chunks(),
            schedule: told(wish.schedule),
            captures: captures
                .iter()
                .flat_map(|info| info.variables.iter().map(capture))
                .collect(),
            captures_there: false,
            pool: pool.clone(),
            kind: PoolKind::Processes,
            engines: engines.len() as u32,
        };
        let worker = |(engine, rank, _): &(EngineId, Rank, bool)| Worker {
            engine: *engine,
            rank: *rank,
            told: false,
            items: 0,
            chunks: 0,
            busy: Duration::ZERO,
            first_items: Vec::new(),
            deaths: Vec::new(),
            sent: FxHashMap::default(),
            free: 0,
            at: None,
        };
        let workers: Vec<Worker> = engines.iter().map(worker).collect();
        for (place, (.., alive)) in engines.iter().enumerate() {
            if !alive {
                assignment.died(place, None, false, false);
            }
        }
        if wish.schedule == Kind::Dynamic && !wish.plan_only {
            // The caller sends its first inputs along.
            assignment.eager(EAGER);
        }
        let output = if wish.collect {
            format!("Result<{output_type}, ItemError>")
        } else {
            output_type
        };
        let variables = captures.iter().flat_map(|info| &info.variables);
        let capture_names = variables.map(|(name, ..)| name.clone()).collect();
        let task = Task {
            function,
            captures: captures.map(|info| info.hash),
            collect: wish.collect,
            timed: wish.timed,
            retries: wish.retries,
            seed: wish.seed,
        };
        let map = Self {
            job,
            caller,
            wish,
            channel,
            capture_names,
            pool,
            output,
            task,
            assignment,
            workers,
            engines: engines.iter().map(|(engine, ..)| *engine).collect(),
            served: 0.0,
            payloads: FxHashMap::default(),
            started: Instant::now(),
            began: monotonic(),
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
