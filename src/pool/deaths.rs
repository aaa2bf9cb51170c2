//! Engines that end: buried, told of, and another one started in their place where maps need it.

use std::num::NonZeroU64;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::engine::Engine;
use super::hub::State;
use super::link::Link;
use super::{EngineState, Init, PoolEvent, Work};
use crate::ids::{EngineId, JobId, Rank};
use crate::outcome::DeathCause;
use crate::wire::{Payload, VERSION, WireError};

/// How long an engine that closed its connection may take to end.
pub const LAST_BREATH: Duration = Duration::from_millis(200);

/// How an engine has ended.
pub struct End {
    pub cause: DeathCause,
    /// The job and the item that it was at.
    pub at: Option<(JobId, u64)>,
    /// It has answered since its start.
    pub ready: bool,
}

impl State {
    /// Engines that have ended while a child of theirs holds their socket open.
    pub(super) fn find_ended(&mut self) {
        let ended: Vec<EngineId> = self
            .engines
            .iter_mut()
            .filter(|(_, process)| process.is_alive())
            .filter_map(|(engine, process)| process.link.has_ended().map(|_| *engine))
            .collect();
        for engine in ended {
            self.bury(engine, None);
        }
    }

    /// `error` is why its connection ended.
    pub(super) fn bury(&mut self, engine: EngineId, error: Option<&WireError>) {
        if self.is_of_world(engine) {
            return self.bury_world(engine, error);
        }
        let Some(End { cause, at, ready }) = self.end_of(engine, error) else {
            return;
        };
        let used = self.is_used(engine);
        // An engine that does not even start is not tried again.
        let unwanted = self.unwanted.remove(&engine).is_some();
        let replaced = (used || unwanted) && ready && self.replace(engine);
        self.tell_death(engine, &cause, at, replaced);
        let local = |process: &Engine| process.launch.pool.is_none();
        if self.engines.get(&engine).is_some_and(local) {
            // The next one has a number of its own; this one's pipes and sockets are closed.
            self.is_gone(engine);
        }
    }

    /// Waits for an engine's end; `error` is why its connection ended.
    pub(super) fn end_of(&mut self, engine: EngineId, error: Option<&WireError>) -> Option<End> {
        self.pass_on_prints(engine, usize::MAX);
        let process = self.engines.get_mut(&engine)?;
        let ended = process.link.bury(LAST_BREATH);
        let cause = match error {
            // Its end is no riddle then.
            Some(WireError::Version(says)) => DeathCause::Version {
                says: *says,
                ours: VERSION,
            },
            _ => ended,
        };
        let at = self
            .maps
            .keys()
            .find_map(|job| process.link.at(*job).map(|(item, _)| (*job, item)));
        process.state = EngineState::Dead(cause.clone());
        let ready = process.answered;
        self.world_died(engine);
        Some(End { cause, at, ready })
    }

    /// Whether maps of others' are to run on the engine.
    pub(super) fn is_used(&self, engine: EngineId) -> bool {
        let mut maps = self.maps.values();
        maps.any(|map| map.caller != engine && map.involves(engine))
    }

    /// Tells the session and the maps of an end. `at`: the job and the item that the engine was at.
    pub(super) fn tell_death(
        &mut self,
        engine: EngineId,
        cause: &DeathCause,
        at: Option<(JobId, u64)>,
        replaced: bool,
    ) {
        self.drop_maps_of(engine, self.is_local(engine));
        self.emit(
            engine,
            PoolEvent::Died {
                engine,
                cause: cause.clone(),
                replaced,
            },
        );
        self.died_in_maps(engine, cause, at, replaced);
    }

    /// Another process takes the place of an engine that has done all the items that one process may do.
    pub(super) fn renew_if_spent(&mut self, engine: EngineId) {
        let Some(process) = self.engines.get_mut(&engine) else {
            return;
        };
        if !process.is_spent() {
            return;
        }
        let items = process.launch.items.map_or(0, NonZeroU64::get);
        process.link.signal(Signal::SIGKILL);
        process.link.bury(LAST_BREATH);
        self.pass_on_prints(engine, usize::MAX);
        let cause = DeathCause::Spent { items };
        let replaced = self.replace(engine);
        if let Some(process) = self.engines.get_mut(&engine).filter(|_| !replaced) {
            process.state = EngineState::Dead(cause.clone());
        }
        self.drop_maps_of(engine, self.is_local(engine));
        self.emit(
            engine,
            PoolEvent::Died {
                engine,
                cause: cause.clone(),
                replaced,
            },
        );
        if replaced {
            for map in self.maps.values_mut() {
                map.renewed(engine);
            }
        } else {
            self.died_in_maps(engine, &cause, None, false);
        }
    }

    /// Starts other processes in the place of those that are dead when a map begins, and tells so.
    pub(super) fn revive(&mut self, caller: EngineId, engines: &mut [(EngineId, Rank, bool)]) {
        let cause = |engine: &EngineId| match &self.engines.get(engine)?.state {
            EngineState::Dead(cause) => Some(cause.clone()),
            _ => None,
        };
        let ids = engines.iter().map(|(engine, ..)| *engine);
        let causes: Vec<_> = ids.map(|engine| (engine, cause(&engine))).collect();
        let mut dead = Vec::new();
        for ((engine, cause), (.., alive)) in causes.into_iter().zip(engines) {
            if let (Some(cause), false) = (cause, *alive)
                && self.replace(engine)
            {
                *alive = true;
                dead.push((engine, cause));
            }
        }
        if !dead.is_empty() {
            self.emit(caller, PoolEvent::Revived { dead });
        }
    }

    /// Starts another process in the place of one that has died.
    fn replace(&mut self, engine: EngineId) -> bool {
        if self.is_of_world(engine) {
            return self.replace_world(engine);
        }
        let Some(old) = self.engines.get(&engine) else {
            return false;
        };
        match self.launcher.launch(&old.launch) {
            Ok(link) => {
                self.stands_in(engine, link);
                true
            }
            Err(_) => false,
        }
    }

    /// This is the process that an engine is now.
    pub(super) fn stands_in(&mut self, engine: EngineId, link: Box<dyn Link>) {
        let Some(old) = self.engines.get(&engine) else {
            return;
        };
        let mut new = Engine::new(old.launch.clone(), link);
        (new.tasks, new.busy) = (old.tasks, old.busy);
        self.world_joined(&new.launch);
        let init = new.launch.init.clone();
        self.is_now(engine, new);
        if let Some(Init { entry, cell }) = init {
            let pools = self.pool_specs();
            let run = self.run_message(entry, pools);
            if let Some(process) = self.engines.get_mut(&engine) {
                process.begins(Work::Cell(cell));
                process.link.begins_with(&run);
            }
            self.send(engine, &run, &Payload::None);
        }
    }
}
