//! Pools: their engines launched, stopped and launched again, and kept account of when they die.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::{Crew, is_ours};
use crate::cell::Targets;
use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{DeathCause, MpiCause, PoolCause, PoolKind, Report, Sink};
use crate::pool::cluster::MOST_ON_HOST;
use crate::pool::{EndEarly, EngineState, EngineStatus, Launch, PoolUse, Starter, WhichMaps};
use crate::session::{Code, Failed};
use crate::wire::world::MOST_RANKS;

/// More engines than this on one machine are a slip of the finger.
pub const MOST: u32 = MOST_ON_HOST;

/// The same on several of them: more could not speak with each other.
const MOST_FAR: u32 = MOST_RANKS;

#[derive(Clone, Debug)]
pub struct Pool {
    pub name: PoolName,
    pub kind: PoolKind,
    pub size: u32,
    /// By rank; empty for threads.
    pub engines: Vec<EngineId>,
    /// What every engine begins with.
    pub init: Option<Code>,
    /// Items of maps that one process does.
    pub items: Option<NonZeroU64>,
    pub starter: Starter,
}

/// What a pool is started as.
#[derive(Clone, Debug)]
pub struct PoolRequest {
    pub kind: PoolKind,
    /// As many as cores without it.
    pub size: Option<i64>,
    /// A free one without it.
    pub name: Option<String>,
    /// What every engine begins with.
    pub init: Option<Code>,
    /// Items of maps that one process does, before another takes its place.
    pub items: Option<NonZeroU64>,
    pub starter: Starter,
}

impl PoolRequest {
    /// Threads have nothing of their own, and MPI's processes are not exchanged for others.
    fn check(&self) -> Result<(), Report> {
        if self.starter.mpi().is_some() && self.items.is_some() {
            return Err(Report::usage(MpiCause::NotExchanged));
        }
        if self.kind != PoolKind::Threads {
            return Ok(());
        }
        if self.items.is_some() {
            return Err(Report::usage(PoolCause::ThreadsEnd));
        }
        if self.init.is_some() {
            return Err(Report::usage(PoolCause::ThreadsBorrow));
        }
        Ok(())
    }
}

impl Pool {
    /// Every engine that is a process.
    pub fn all_ranks(&self) -> Vec<Rank> {
        (0..self.engines.len() as u32).map(Rank).collect()
    }

    /// These ranks, and those that begin and end with them.
    pub fn with_others(&self, ranks: &[Rank]) -> Vec<Rank> {
        match self.starter.mpi() {
            Some(_) if !ranks.is_empty() => self.all_ranks(),
            _ => ranks.to_vec(),
        }
    }

    /// The engines that are meant.
    pub fn ranks(&self, targets: &Targets) -> Result<Vec<Rank>, Report> {
        targets
            .resolve(self.size)
            .map_err(|error| Report::usage(error.to_string()))
    }
}

impl Crew {
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// The pool in use.
    pub fn current_pool(&self) -> Option<&Pool> {
        let current = self.current.as_ref()?;
        self.pools.iter().find(|pool| pool.name == *current)
    }

    /// The pool with this name, or the one in use.
    pub fn pool_named(&self, name: Option<&str>) -> Result<&Pool, Report> {
        let Some(name) = name else {
            let none = || Report::usage(PoolCause::NoneStarted);
            return self.current_pool().ok_or_else(none);
        };
        self.pools
            .iter()
            .find(|pool| pool.name.0 == name)
            .ok_or_else(|| {
                let (name, pools) = (name.to_owned(), self.pools.iter());
                let others = pools.map(|pool| pool.name.clone()).collect();
                Report::usage(PoolCause::Unknown { name, others })
            })
    }

    /// Launches the engines of a new pool and makes it the one in use.
    pub fn open(&mut self, request: PoolRequest, sink: &mut dyn Sink) -> Result<Pool, Failed> {
        request.check()?;
        let PoolRequest {
            kind,
            size,
            name,
            init,
            items,
            starter,
        } = request;
        let size = size.unwrap_or_else(|| cores().into());
        let size = checked_size(size, starter.cluster().is_some())?;
        let letter = match kind {
            _ if starter.mpi().is_some() => "mpi",
            _ if starter.cluster().is_some() => "c",
            PoolKind::Threads => "t",
            PoolKind::Processes => "p",
        };
        let mut pool = Pool {
            name: self.free_name(name.as_deref(), letter, |_| false)?,
            kind,
            size,
            engines: Vec::new(),
            init,
            items,
            starter,
        };
        if kind == PoolKind::Processes {
            pool.engines = self.launch_all((0..size).map(Rank), size, &pool, sink)?;
        }
        self.pools.push(pool.clone());
        self.current = Some(pool.name.clone());
        Ok(pool)
    }

    /// Launches engines and waits until they are up; none of them is left when one does not come up.
    fn launch_all(
        &mut self,
        ranks: impl Iterator<Item = Rank>,
        size: u32,
        pool: &Pool,
        sink: &mut dyn Sink,
    ) -> Result<Vec<EngineId>, Failed> {
        let new = self.launch_some(ranks, size, pool);
        if let Err(failed) = self.wait_until_up(&new, sink) {
            self.discard(&new);
            self.hub.settle();
            return Err(failed);
        }
        Ok(new)
    }

    /// Launches engines, which may not come up.
    fn launch_some(
        &mut self,
        ranks: impl Iterator<Item = Rank>,
        size: u32,
        pool: &Pool,
    ) -> Vec<EngineId> {
        let launches: Vec<Launch> = ranks
            .map(|rank| self.next_launch(rank, size, Some(pool)))
            .collect();
        let new = launches.iter().map(|launch| launch.id).collect();
        match pool.starter.mpi() {
            Some(_) => self.hub.launch_together(launches),
            None => launches.into_iter().for_each(|it| self.hub.launch(it)),
        }
        new
    }

    /// This name, if no pool has it; without one the first of its kind that no pool has and that is not `used` elsewhere.
    pub fn free_name(
        &self,
        name: Option<&str>,
        letter: &str,
        used: impl Fn(&str) -> bool,
    ) -> Result<PoolName, Report> {
        let taken = |name: &str| self.pools.iter().any(|pool| pool.name.0 == name);
        if let Some(name) = name {
            let letters = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(letters) {
                return Err(Report::usage(PoolCause::NoName(name.to_owned())));
            }
            if taken(name) {
                return Err(Report::usage(PoolCause::Taken(name.to_owned())));
            }
            return Ok(PoolName(name.to_owned()));
        }
        let free = (0..)
            .map(|n| format!("{letter}{n}"))
            .find(|name| !taken(name) && !used(name));
        Ok(PoolName(free.unwrap_or_else(|| letter.to_owned())))
    }

    /// Ends pools; all of them when `name` is `None` and `all` is set.
    pub fn close(&mut self, name: Option<&str>, all: bool) -> Result<Vec<Pool>, Report> {
        let stopped: Vec<Pool> = if all {
            std::mem::take(&mut self.pools)
        } else {
            let name = self.pool_named(name)?.name.clone();
            let (stopped, left) = std::mem::take(&mut self.pools)
                .into_iter()
                .partition(|pool| pool.name == name);
            self.pools = left;
            stopped
        };
        for pool in &stopped {
            self.discard(&pool.engines);
            for job in self.jobs_on_threads() {
                if job.pool == pool.name {
                    self.hub.end_maps(WhichMaps::Job(job.job), EndEarly::Cancel);
                }
            }
        }
        if self.current_pool().is_none() {
            self.current = self.pools.last().map(|pool| pool.name.clone());
        }
        Ok(stopped)
    }

    /// Makes a pool the one in use.
    pub fn use_pool(&mut self, name: &PoolName) {
        self.current = Some(name.clone());
    }

    /// Changes the number of engines of the pool in use; also gives the ranks that are new.
    pub fn resize(
        &mut self,
        name: Option<&str>,
        size: i64,
        sink: &mut dyn Sink,
    ) -> Result<(Pool, Vec<Rank>), Failed> {
        let mut pool = self.pool_named(name)?.clone();
        let size = checked_size(size, pool.starter.cluster().is_some())?;
        if pool.starter.mpi().is_some() {
            return Err(Report::usage(MpiCause::NotResized {
                pool: pool.name,
                size,
            })
            .into());
        }
        if pool.kind == PoolKind::Processes {
            if (size as usize) < pool.engines.len() {
                let gone = pool.engines.split_off(size as usize);
                self.discard(&gone);
            }
            if let Some(cluster) = pool.starter.cluster() {
                cluster.has_size(size);
            }
            let ranks = (pool.engines.len() as u32..size).map(Rank);
            let new = self.launch_all(ranks, size, &pool, sink)?;
            self.hub.resized(pool.engines.clone(), size);
            let first = pool.engines.len() as u32;
            let ranks = (first..).map(Rank);
            self.hub
                .joined(&pool.name, new.iter().copied().zip(ranks).collect());
            pool.engines.extend(new);
        }
        let new = (pool.size.min(size)..size).map(Rank).collect();
        pool.size = size;
        self.put_back(pool.clone());
        Ok((pool, new))
    }

    /// Ends engines of a pool; the others have the ranks from 0 on, in their order.
    pub fn dismiss(&mut self, name: &PoolName, engines: &[EngineId]) -> Result<Pool, Report> {
        let mut pool = self.pool_named(Some(&name.0))?.clone();
        self.discard(engines);
        let before = std::mem::take(&mut pool.engines);
        let stays = |engine: &EngineId| !engines.contains(engine);
        pool.engines = before.iter().copied().filter(stays).collect();
        if let Some(cluster) = pool.starter.cluster() {
            cluster.renumber(|rank| {
                let engine = before.get(rank.0 as usize)?;
                let place = pool.engines.iter().position(|other| other == engine)?;
                Some(Rank(place as u32))
            });
        }
        pool.size = pool.engines.len() as u32;
        self.hub.renumbered(pool.engines.clone());
        self.put_back(pool.clone());
        Ok(pool)
    }

    /// Launches other engines in the place of these; what those had.
    pub fn renew(
        &mut self,
        pool: &PoolName,
        ranks: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<Vec<String>, Failed> {
        let mut pool = self.pool_named(Some(&pool.0))?.clone();
        let ranks = &pool.with_others(ranks);
        let mut lost = Vec::new();
        let old: Vec<EngineId> = ranks
            .iter()
            .filter_map(|rank| pool.engines.get(rank.0 as usize))
            .copied()
            .collect();
        for engine in &old {
            lost.extend(self.lost_with(*engine));
            lost.extend(self.graves.remove(engine).unwrap_or_default());
        }
        self.discard(&old);
        let new = self.launch_some(ranks.iter().copied(), pool.size, &pool);
        for (rank, engine) in ranks.iter().zip(&new) {
            if let Some(slot) = pool.engines.get_mut(rank.0 as usize) {
                *slot = *engine;
            }
        }
        self.put_back(pool);
        lost.sort();
        lost.dedup();
        self.wait_until_up(&new, sink)?;
        Ok(lost)
    }

    /// Which of these engines each pool has.
    pub fn ranks_of(&self, engines: &[EngineId]) -> Vec<(PoolName, Vec<Rank>)> {
        let of_pool = |pool: &Pool| {
            let ranks = (0..).map(Rank).zip(&pool.engines);
            let ranks = ranks.filter(|(_, engine)| engines.contains(engine));
            let ranks: Vec<Rank> = ranks.map(|(rank, _)| rank).collect();
            (!ranks.is_empty()).then(|| (pool.name.clone(), ranks))
        };
        self.pools.iter().filter_map(of_pool).collect()
    }

    /// The engines of a pool that are dead, and why.
    pub fn dead_of(&self, pool: &Pool, ranks: &[Rank]) -> Vec<(Rank, DeathCause)> {
        if !pool.engines.iter().any(|engine| self.dead.contains(engine)) {
            return Vec::new();
        }
        let mut dead = self.dead_engines();
        let cause = |rank: &Rank| {
            let engine = pool.engines.get(rank.0 as usize)?;
            Some((*rank, dead.remove(engine)?))
        };
        ranks.iter().filter_map(cause).collect()
    }

    pub fn dead_engines(&self) -> BTreeMap<EngineId, DeathCause> {
        let dead = |status: EngineStatus| match status.state {
            EngineState::Dead(cause) => Some((status.id, cause)),
            _ => None,
        };
        self.hub.status().into_iter().filter_map(dead).collect()
    }

    /// Keeps in mind what an engine that has died had.
    pub(super) fn bury(&mut self, engine: EngineId) {
        let lost = self.lost_with(engine);
        self.unready.remove(&engine);
        self.dead.insert(engine);
        self.namespaces.remove(&engine);
        if !lost.is_empty() {
            self.graves.insert(engine, lost);
        }
    }

    fn put_back(&mut self, pool: Pool) {
        if let Some(slot) = self.pools.iter_mut().find(|other| other.name == pool.name) {
            *slot = pool;
        }
    }

    fn discard(&mut self, engines: &[EngineId]) {
        self.hub.stop(engines.to_vec());
        for flight in self.flights.values_mut() {
            for engine in engines {
                flight.give_up(*engine, &DeathCause::Stopped);
            }
        }
        for engine in engines {
            self.dead.remove(engine);
            self.unready.remove(engine);
            self.begun_with.remove(engine);
            self.namespaces.remove(engine);
            self.graves.remove(engine);
        }
    }

    pub fn variables_of(&self, engine: EngineId) -> Vec<String> {
        let namespace = self.namespaces.get(&engine);
        namespace
            .into_iter()
            .flat_map(|n| n.variables().keys().cloned())
            .filter(|name| !is_ours(name))
            .collect()
    }

    pub fn launch_local(&mut self) {
        self.dead.remove(&self.local);
        self.namespaces.remove(&self.local);
        self.graves.remove(&self.local);
        self.outs.engine_gone();
        let launch = self.next_launch(Rank(0), 1, None);
        self.local = launch.id;
        self.hub.launch(launch);
    }

    fn next_launch(&mut self, rank: Rank, size: u32, pool: Option<&Pool>) -> Launch {
        let id = EngineId(self.next_engine);
        self.next_engine += 1;
        Launch {
            id,
            rank,
            size,
            pool: pool.map(|pool| pool.name.clone()),
            init: None,
            begins: pool.is_some_and(|pool| pool.init.is_some()),
            items: pool.and_then(|pool| pool.items),
            starter: pool.map(|pool| pool.starter.clone()).unwrap_or_default(),
        }
    }

    /// What the next cell's maps may use; the pool in use comes first.
    pub fn pools_in_use(&self) -> Vec<PoolUse> {
        let current = self.current_pool();
        let others = self
            .pools
            .iter()
            .filter(|pool| Some(&pool.name) != self.current.as_ref());
        let used = |pool: &Pool| match pool.kind {
            PoolKind::Threads => PoolUse::Threads {
                name: pool.name.clone(),
                size: pool.size,
            },
            PoolKind::Processes => PoolUse::Processes {
                name: pool.name.clone(),
                engines: pool.engines.clone(),
            },
        };
        current.into_iter().chain(others).map(used).collect()
    }
}

/// `far`: of a cluster.
fn checked_size(size: i64, far: bool) -> Result<u32, Report> {
    let (most, cores) = (if far { MOST_FAR } else { MOST }, cores());
    match u32::try_from(size) {
        Ok(0) | Err(_) => Err(Report::usage(PoolCause::TooFew { size, cores })),
        Ok(size) if size > most => {
            let cores = (!far).then_some(cores);
            Err(Report::usage(PoolCause::TooMany { size, most, cores }))
        }
        Ok(size) => Ok(size),
    }
}

/// How many engines this machine runs at once.
pub fn cores() -> u32 {
    let cores = std::thread::available_parallelism();
    cores.map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(u32::MAX))
}
