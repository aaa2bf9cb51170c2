//! The engines of an MPI pool: they begin and end together.

use super::engine::Engine;
use super::hub::State;
use super::{Launch, PoolEvent};
use crate::ids::EngineId;
use crate::outcome::{DeathCause, StartFault};
use crate::wire::WireError;

use super::deaths::End;

impl State {
    pub(super) fn launch_together(&mut self, launches: Vec<Launch>) {
        let Some(start) = launches
            .first()
            .and_then(|launch| launch.starter.mpi().cloned())
        else {
            return;
        };
        match self.launcher.launch_together(&launches, &start) {
            Ok(links) => {
                for (launch, link) in launches.into_iter().zip(links) {
                    self.world_joined(&launch);
                    self.is_now(launch.id, Engine::new(launch, link));
                }
            }
            Err(error) => {
                let fault = StartFault::from(error);
                for Launch { id: engine, .. } in launches {
                    let why = fault.clone();
                    self.emit(engine, PoolEvent::NotStarted { engine, why });
                }
            }
        }
    }

    pub(super) fn is_of_world(&self, engine: EngineId) -> bool {
        let process = self.engines.get(&engine);
        process.is_some_and(|process| process.launch.starter.mpi().is_some())
    }

    /// All engines of the pool of this one, by rank.
    fn members_with(&self, engine: EngineId) -> Vec<EngineId> {
        let Some(pool) = self.engines.get(&engine).map(|it| it.launch.pool.clone()) else {
            return Vec::new();
        };
        let all = self.engines.iter();
        let mut all: Vec<_> = all.filter(|(_, other)| other.launch.pool == pool).collect();
        all.sort_by_key(|(_, other)| other.launch.rank);
        all.into_iter().map(|(engine, _)| *engine).collect()
    }

    /// One has ended, and so have all. The first to end is told first.
    pub(super) fn bury_world(&mut self, engine: EngineId, error: Option<&WireError>) {
        let mut ended = Vec::new();
        for member in self.members_with(engine) {
            if self.engines.get(&member).is_some_and(Engine::is_alive)
                && let Some(end) = self.end_of(member, error)
            {
                ended.push((member, end));
            }
        }
        let is_other = |end: &End| matches!(end.cause, DeathCause::Together { .. });
        ended.sort_by_key(|(_, end)| is_other(end));
        let unwanted: Vec<bool> = ended
            .iter()
            .map(|(member, _)| self.unwanted.remove(member).is_some())
            .collect();
        let used = ended.iter().any(|(member, _)| self.is_used(*member));
        let ready = ended.iter().any(|(_, end)| end.ready);
        // Engines that do not even start are not tried again.
        let replaced = (used || unwanted.contains(&true)) && ready && self.replace_world(engine);
        for (engine, end) in ended {
            // Only the first has ended of what it was at.
            let at = end.at.filter(|_| !is_other(&end));
            self.tell_death(engine, &end.cause, at, replaced);
        }
    }

    /// Starts the engines of a pool anew, as the same engines. Whether none of them is dead then.
    pub(super) fn replace_world(&mut self, engine: EngineId) -> bool {
        let members = self.members_with(engine);
        let launches: Vec<Launch> = members
            .iter()
            .filter_map(|member| self.engines.get(member))
            .map(|process| process.launch.clone())
            .collect();
        let is_alive = |member: &EngineId| self.engines.get(member).is_some_and(Engine::is_alive);
        if members.iter().all(is_alive) {
            return true;
        }
        let start = launches
            .first()
            .and_then(|launch| launch.starter.mpi().cloned());
        let links = start.map(|start| self.launcher.launch_together(&launches, &start));
        let Some(Ok(links)) = links else {
            return false;
        };
        for (member, link) in members.into_iter().zip(links) {
            self.stands_in(member, link);
        }
        true
    }
}
