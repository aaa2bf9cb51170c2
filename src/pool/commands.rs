//! What the session has the hub do.

use std::sync::mpsc::Sender;
use std::time::Duration;

use super::deaths::LAST_BREATH;
use super::engine::Engine;
use super::hub::State;
use super::map::Map;
use super::{Command, EndEarly, EngineState, JobRecord, Launch, PoolEvent, Run, WhichMaps, Work};
use crate::ids::{EngineId, JobId};
use crate::outcome::{DeathCause, Timeline};
use crate::wire::{Payload, ToEngine};

/// How long the engines of an MPI pool may take to leave MPI.
const FAREWELL: Duration = Duration::from_secs(1);

impl State {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Launch(launch) => self.launch(launch),
            Command::LaunchTogether(launches) => self.launch_together(launches),
            Command::Run(run) => self.run(run),
            Command::Stop(engines) => self.stop(engines),
            Command::Signal(engines, signal) => {
                for process in engines.iter().filter_map(|engine| self.engines.get(engine)) {
                    process.link.interrupt(signal);
                }
            }
            Command::Maps(verb, which, answer) => self.end_maps(verb, which, &answer),
            // Who asked and is gone needs no answer.
            Command::Jobs(answer) => {
                let _ = answer.send(self.job_records());
            }
            Command::Timeline(job, answer) => {
                let _ = answer.send(self.timeline(job));
            }
            Command::Number(answer) => {
                let _ = answer.send(JobId(self.next_job));
                self.next_job += 1;
            }
            Command::NumbersBehind(job) => {
                self.next_job = self.next_job.max(job.0.saturating_add(1))
            }
            Command::Written(written) => self.written = written,
            Command::Detach(job, answer) => {
                let _ = answer.send(self.detach(job));
            }
            Command::Stays(job, answer) => {
                let _ = answer.send(self.stays(job));
            }
            Command::Status(answer) => {
                let statuses = self.engines.values().map(|process| self.status(process));
                let _ = answer.send(statuses.collect());
            }
            Command::Forget(job) => self.forget_job(job),
            Command::Resized(engines, size) => self.resized(engines, size),
            Command::Joined(pool, engines) => self.joined(&pool, &engines),
            Command::Leave(engines) => self.leave(&engines),
            Command::Stay(engines) => self.stay(&engines),
            Command::Free(engines, answer) => {
                let _ = answer.send(self.are_free(&engines));
            }
            Command::Renumbered(engines) => self.renumber(&engines),
            Command::Environment(name, value) => {
                self.launcher.set_environment(&name, value.as_deref());
                self.tell_all(&ToEngine::Environment { name, value });
            }
            Command::Library(library, file) => self.know(library, file),
            Command::Folder(path) => {
                let asked = true;
                self.tell_all(&ToEngine::Folder { path, asked });
            }
            Command::ClearMemo(functions) => self.tell_all(&ToEngine::ClearMemo { functions }),
            Command::AskMemo(engine) => {
                self.send(engine, &ToEngine::AskMemo, &Payload::None);
            }
            Command::Init(engines, init) => {
                let pools = self.pool_specs();
                let run = self.run_message(init.entry.clone(), pools);
                for engine in engines {
                    if let Some(process) = self.engines.get_mut(&engine) {
                        process.link.begins_with(&run);
                        process.launch.init = Some(init.clone());
                    }
                }
            }
            Command::LetGo(variables) => self.let_go_of(&variables),
            Command::Comm(pool, answer) => {
                let _ = answer.send(self.comm_table(&pool));
            }
            Command::AskMessages(engines, pool, clear) => {
                for engine in engines {
                    let pool = pool.clone();
                    let ask = ToEngine::AskMessages { pool, clear };
                    self.send(engine, &ask, &Payload::None);
                }
            }
            Command::EndWaits(engines, answer) => {
                let _ = answer.send(self.end_waits(&engines));
            }
            Command::Quit => {}
        }
    }

    fn launch(&mut self, launch: Launch) {
        let engine = launch.id;
        self.world_joined(&launch);
        match self.launcher.launch(&launch) {
            Ok(link) => {
                // Those that stand in for it begin by themselves, if there is something to begin with.
                let begins = false;
                self.is_now(engine, Engine::new(Launch { begins, ..launch }, link));
            }
            Err(error) => {
                let why = error.into();
                self.emit(engine, PoolEvent::NotStarted { engine, why });
            }
        }
    }

    /// The answer is which ones there were.
    fn end_maps(&mut self, verb: EndEarly, which: WhichMaps, answer: &Sender<Vec<JobId>>) {
        let jobs = self.jobs(which);
        let _ = answer.send(jobs.clone());
        for job in jobs {
            if let Some(map) = self.maps.get_mut(&job) {
                map.awaited = matches!(which, WhichMaps::Job(_));
            }
            self.end_early(job, verb);
        }
    }

    fn job_records(&self) -> Vec<JobRecord> {
        let over = self.finished.iter().map(|(record, _)| record.clone());
        over.chain(self.maps.values().map(Map::record)).collect()
    }

    fn timeline(&self, job: JobId) -> Option<Timeline> {
        let running = self.maps.get(&job).map(Map::timeline);
        let over = self.finished.iter().find(|(record, _)| record.job == job);
        running.or_else(|| over.map(|(_, timeline)| timeline.clone()))
    }

    fn forget_job(&mut self, job: JobId) {
        self.forget_queue(job);
        for (record, _) in &mut self.finished {
            // Its timeline stays for a while, as that of any map.
            record.background &= record.job != job;
            record.held &= record.job != job;
        }
    }

    fn resized(&mut self, engines: Vec<EngineId>, size: u32) {
        let pool = |engine| self.engines.get(engine)?.launch.pool.clone();
        if let Some(pool) = engines.iter().find_map(pool) {
            self.world_is_now(&pool, false, size);
        }
        for engine in engines {
            if let Some(process) = self.engines.get_mut(&engine) {
                // Also for those that will stand in for it.
                process.launch.size = size;
            }
            self.send(engine, &ToEngine::Resized { size }, &Payload::None);
        }
    }

    fn run(&mut self, run: Run) {
        self.world_begins(&run);
        self.pools = run.pools;
        let pools = self.pool_specs();
        let message = self.run_message(run.entry, pools);
        // All that engines take is on its way before one of them runs: what several take goes once to their host.
        for (engine, values) in run.engines.iter().zip(&run.data) {
            let is_alive = self.engines.get(engine).is_some_and(Engine::is_alive);
            for value in values.iter().filter(|_| is_alive) {
                self.send(*engine, &ToEngine::Data, value);
            }
        }
        for engine in run.engines {
            match self.engines.get_mut(&engine) {
                Some(process) if process.is_alive() => {
                    process.begins(Work::Cell(run.cell));
                    self.send(engine, &message, &Payload::None);
                }
                // Its death has been told, but perhaps after this command was given.
                Some(_) | None => self.emit(
                    engine,
                    PoolEvent::Died {
                        engine,
                        cause: DeathCause::EndedBefore,
                        replaced: false,
                    },
                ),
            }
        }
    }

    pub(super) fn stop(&mut self, engines: Vec<EngineId>) {
        engines.iter().for_each(|engine| self.world_died(*engine));
        let is_local = |engine: &&EngineId| self.is_local(**engine);
        let locals: Vec<EngineId> = engines.iter().filter(is_local).copied().collect();
        let mut stopped: Vec<Engine> = engines
            .iter()
            .filter_map(|engine| self.is_gone(*engine))
            .collect();
        for process in &stopped {
            process.link.dismiss(process.state == EngineState::Idle);
        }
        for process in &mut stopped {
            let patience = match process.launch.starter.mpi() {
                Some(_) => FAREWELL,
                None => LAST_BREATH,
            };
            process.link.bury(patience);
        }
        let pools = stopped.iter().filter_map(|of| of.launch.pool.clone());
        self.world_without(&pools.collect::<Vec<_>>());
        for engine in engines {
            self.unwanted.remove(&engine);
            self.drop_maps_of(engine, locals.contains(&engine));
            self.died_in_maps(engine, &DeathCause::Stopped, None, false);
        }
    }

    fn tell_all(&mut self, message: &ToEngine) {
        let engines: Vec<EngineId> = self.engines.keys().copied().collect();
        for engine in engines {
            self.send(engine, message, &Payload::None);
        }
    }
}
