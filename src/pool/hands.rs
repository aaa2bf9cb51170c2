//! Engines that join the maps under way, and engines that leave them: what was added works at once, and what goes ends what
//! it has before it goes.

use super::PoolUse;
use super::hub::State;
use super::map::Map;
use crate::ids::{EngineId, JobId, PoolName, Rank};
use crate::wire::{Payload, ToEngine};

impl State {
    /// These engines are the pool's too, from their ranks on; they are up.
    pub(super) fn joined(&mut self, pool: &PoolName, new: &[(EngineId, Rank)]) {
        for used in &mut self.pools {
            if let PoolUse::Processes { name, engines } = used
                && name == pool
            {
                engines.extend(new.iter().map(|(engine, _)| *engine));
            }
        }
        let takes = |map: &&mut Map| map.takes_hands_of(pool);
        let mut jobs: Vec<JobId> = Vec::new();
        for map in self.maps.values_mut().filter(takes) {
            new.iter()
                .for_each(|(engine, rank)| map.joined(*engine, *rank));
            jobs.push(map.job);
        }
        jobs.into_iter().for_each(|job| self.go_on(job));
    }

    /// These engines are given no more chunks of maps.
    pub(super) fn leave(&mut self, engines: &[EngineId]) {
        for used in &mut self.pools {
            if let PoolUse::Processes { engines: of, .. } = used {
                of.retain(|engine| !engines.contains(engine));
            }
        }
        let links = engines.iter().filter_map(|it| self.engines.get(it));
        links.for_each(|process| process.link.takes_pieces(false));
        let mut jobs = Vec::new();
        for (job, map) in &mut self.maps {
            if engines.iter().any(|engine| map.involves(*engine)) {
                engines.iter().for_each(|engine| map.left(*engine));
                jobs.push(*job);
            }
        }
        jobs.into_iter().for_each(|job| self.go_on(job));
    }

    /// These engines are not to leave any more: they take part in the maps that begin from now on.
    pub(super) fn stay(&self, engines: &[EngineId]) {
        let links = engines.iter().filter_map(|it| self.engines.get(it));
        links.for_each(|process| process.link.takes_pieces(true));
    }

    /// Whether all of these have ended what they had.
    pub(super) fn are_free(&self, engines: &[EngineId]) -> bool {
        let is_busy = |engine: &EngineId| {
            let process = self.engines.get(engine);
            process.is_some_and(|process| {
                process.is_alive() && (process.given() > 0 || self.taken_by(process).is_some())
            })
        };
        !engines.iter().any(is_busy)
    }

    /// The engines of a pool have these ranks now: each its place.
    pub(super) fn renumber(&mut self, engines: &[EngineId]) {
        let size = engines.len() as u32;
        let mut before = Vec::new();
        for (rank, engine) in (0..).map(Rank).zip(engines) {
            if let Some(process) = self.engines.get_mut(engine) {
                before.push(process.launch.rank);
                // Also for those that will stand in for it.
                (process.launch.rank, process.launch.size) = (rank, size);
            }
            self.send(
                *engine,
                &ToEngine::Renumbered { rank, size },
                &Payload::None,
            );
        }
        let pool = |engine| self.engines.get(engine)?.launch.pool.clone();
        if let Some(pool) = engines.iter().find_map(pool) {
            self.world_renumbered(&pool, &before);
        }
    }
}
