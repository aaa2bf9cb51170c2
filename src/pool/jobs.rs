//! The maps under way, as the hub runs them: begun, asked, ended early, replaced engines and all.

use super::PoolEvent;
use super::dispatch::Elsewhere;
use super::engine::Engine;
use super::hub::State;
use super::map::{Map, Step};
use super::turns::{self, ActiveJob, Jobs};
use crate::ids::{EngineId, JobId};
use crate::outcome::DeathCause;
use crate::wire::{Payload, Runs, ToEngine, monotonic};

impl State {
    /// Does what a map wants next, and what others want that were waiting for its engines.
    pub(super) fn go_on(&mut self, job: JobId) {
        if self.is_alone() {
            Jobs::go_on(self, job, &Elsewhere::default());
        } else {
            self.due.insert(job);
            self.go_on_with_due();
        }
    }

    /// One map, whose engines have nothing else: there is nothing to weigh. Threads are nobody else's.
    fn is_alone(&self) -> bool {
        let mut maps = self.maps.values().filter(|map| map.has_engines());
        let map = match (maps.next(), maps.next()) {
            (None, _) => return true,
            (Some(map), None) => map,
            _ => return false,
        };
        let active = map.active();
        let mut workers = active.engines.iter().enumerate();
        workers
            .all(|(worker, engine)| self.given(*engine) == active.assignment.ledger().held(worker))
    }

    /// Goes on with the maps to which something has happened, and gives engines that are free to whichever map
    /// has had the least of them.
    pub(super) fn go_on_with_due(&mut self) {
        let due = std::mem::take(&mut self.due);
        if due.is_empty() {
            return;
        }
        if self.is_alone() {
            for job in due {
                Jobs::go_on(self, job, &Elsewhere::default());
            }
        } else {
            turns::round(self, &due);
        }
    }

    /// An engine has become free of something that no map had sent: maps may wait for it.
    pub(super) fn engine_is_free(&mut self, engine: EngineId) {
        let waits = |map: &Map| map.is_waiting() && map.involves(engine);
        let waiting = self.maps.iter().filter(|(_, map)| waits(map));
        self.due.extend(waiting.map(|(job, _)| *job));
    }

    pub(super) fn take(&mut self, job: JobId, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Send {
                    engine,
                    message,
                    payload,
                } => self.send(engine, &message, &payload),
                Step::Prepare { engine, task } => {
                    let Runs::Function(function) = task.runs;
                    if let Some(hash) = function.captures
                        && let Some(payload) = self.captures.get(hash)
                        && let Some(process) = self.engines.get_mut(&engine)
                        && process.captures.insert(hash)
                    {
                        self.send(engine, &ToEngine::Capture { hash }, &payload);
                    }
                    let over = self.engines.get_mut(&engine);
                    for job in over
                        .map(|process| std::mem::take(&mut process.over))
                        .unwrap_or_default()
                    {
                        self.send(engine, &ToEngine::JobOver { job }, &Payload::None);
                    }
                    let task = self.task_message(job, task);
                    self.send(engine, &task, &Payload::None);
                }
                Step::Stop(engines) => self.stop_items(job, &engines),
                Step::Failed(failure) => {
                    let engines = self.maps.get(&job).map(Map::engines).unwrap_or_default();
                    self.stop_items(job, &engines);
                    if self
                        .maps
                        .get(&job)
                        .is_some_and(|map| !map.options.background)
                    {
                        self.pass_on_all_prints();
                        self.emit_of(job, PoolEvent::MapFailed(failure));
                    }
                }
            }
        }
    }

    pub(super) fn stop_items(&self, job: JobId, engines: &[EngineId]) {
        for process in engines.iter().filter_map(|id| self.engines.get(id)) {
            process.link.stop_job(job);
        }
    }

    /// An engine has ended a chunk.
    pub(super) fn chunk_done(
        &mut self,
        engine: EngineId,
        job: JobId,
        chunk: u32,
        ended: &crate::wire::ChunkEnded,
        results: Payload,
    ) {
        let Some(map) = self.maps.get_mut(&job) else {
            // It is over.
            results.release();
            return self.engine_is_free(engine);
        };
        let steps = map.chunk_done(engine, chunk, ended, results);
        self.take(job, steps);
        self.due.insert(job);
    }

    /// An engine gives back chunks that it has not begun.
    pub(super) fn given_back(&mut self, engine: EngineId, job: JobId, chunks: &[u32]) {
        let map = self.maps.get_mut(&job);
        let items = map.map_or(0, |map| map.given_back(engine, chunks));
        if let Some(process) = self.engines.get_mut(&engine) {
            process.gives_back(chunks.len(), items);
        }
        self.free_if_idle(engine);
        self.due.insert(job);
    }

    /// An engine is gone: its items run elsewhere.
    pub(super) fn died_in_maps(
        &mut self,
        engine: EngineId,
        cause: &DeathCause,
        at: Option<(JobId, u64)>,
        replaced: bool,
    ) {
        let late = self.late.remove(&engine);
        let jobs: Vec<JobId> = self.maps.keys().copied().collect();
        for job in jobs {
            let Some(map) = self.maps.get_mut(&job) else {
                continue;
            };
            let item = at.filter(|(at, _)| *at == job).map(|(_, item)| item);
            let slow = late.is_some() && item == late;
            let steps = map.died(engine, cause, item, slow, replaced);
            self.take(job, steps);
            self.go_on(job);
        }
    }

    /// An engine answers for the first time.
    pub(super) fn revived(&mut self, engine: EngineId) {
        for job in self.maps.keys().copied().collect::<Vec<_>>() {
            if let Some(map) = self.maps.get_mut(&job).filter(|map| map.involves(engine)) {
                map.revived(engine);
                self.go_on(job);
            }
        }
    }
}

impl Jobs for State {
    fn numbers(&self) -> Vec<JobId> {
        let maps = self.maps.iter().filter(|(_, map)| map.has_engines());
        maps.map(|(job, _)| *job).collect()
    }

    fn active(&self, job: JobId) -> Option<ActiveJob<'_>> {
        self.maps.get(&job).map(Map::active)
    }

    fn served(&self, job: JobId) -> f64 {
        let now = monotonic();
        self.maps.get(&job).map_or(0.0, |map| map.served(now))
    }

    fn given(&self, engine: EngineId) -> usize {
        let process = self.engines.get(&engine);
        process.map_or(0, |process| process.given() as usize)
    }

    fn go_on(&mut self, job: JobId, elsewhere: &Elsewhere) {
        let Some(map) = self.maps.get_mut(&job) else {
            return;
        };
        // Nothing is sent before what the function captures is here.
        if map.captures().is_some_and(|hash| !self.captures.has(hash)) {
            return;
        }
        self.begin_queue(job);
        let Some(map) = self.maps.get_mut(&job) else {
            return;
        };
        let left = |engine: &EngineId| {
            let process = self.engines.get(engine);
            process.and_then(Engine::left)
        };
        if map.is_limited() {
            map.has_left(map.engines().iter().map(left));
        }
        let steps = map.steps(elsewhere);
        self.take(job, steps);
    }
}
