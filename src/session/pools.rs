//! Pools of the session: started, resized, restarted, and kept account of when engines die.

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::{Code, Failed, Session};
use crate::cell::Targets;
use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{Event, PoolKind, Report, Sink};
use crate::pool::{Launch, PoolUse};

/// More engines than this are a slip of the finger.
const MOST: u32 = 256;

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
}

impl Pool {
    /// Every engine that is a process.
    pub(super) fn all_ranks(&self) -> Vec<Rank> {
        (0..self.engines.len() as u32).map(Rank).collect()
    }

    /// The engines that are meant.
    pub(super) fn ranks(&self, targets: &Targets) -> Result<Vec<Rank>, Report> {
        targets
            .resolve(self.size)
            .map_err(|error| Report::usage(error.to_string()))
    }
}

impl Session {
    pub fn pools(&self) -> &[Pool] {
        &self.crew.pools
    }

    /// The pool in use.
    pub fn current_pool(&self) -> Option<&Pool> {
        let current = self.crew.current.as_ref()?;
        self.crew.pools.iter().find(|pool| pool.name == *current)
    }

    /// The pool with this name, or the one in use.
    pub fn pool_named(&self, name: Option<&str>) -> Result<&Pool, Report> {
        let Some(name) = name else {
            return self.current_pool().ok_or_else(|| {
                Report::usage("no pool is started")
                    .hint("`%pool start` starts one process engine per core")
            });
        };
        self.crew
            .pools
            .iter()
            .find(|pool| pool.name.0 == name)
            .ok_or_else(|| {
                let names: Vec<&str> = self
                    .crew
                    .pools
                    .iter()
                    .map(|pool| pool.name.0.as_str())
                    .collect();
                let report = Report::usage(format!("there is no pool `{name}`"));
                match names.as_slice() {
                    [] => report.hint("no pool is started: `%pool start`"),
                    names => report.hint(format!("there is {}", names.join(", "))),
                }
            })
    }

    /// Starts a pool and makes it the one in use.
    pub fn start_pool(
        &mut self,
        request: PoolRequest,
        sink: &mut dyn Sink,
    ) -> Result<(Pool, Duration), Failed> {
        let PoolRequest {
            kind,
            size,
            name,
            init,
            items,
        } = request;
        if items.is_some() && kind == PoolKind::Threads {
            return Err(
                Report::usage("the threads of a pool end with each cell anyway")
                    .hint("`--tasks-per-engine` is for process engines: `%pool start processes`")
                    .into(),
            );
        }
        if init.is_some() && kind == PoolKind::Threads {
            return Err(Report::usage(
                "the threads of a pool have nothing of their own to begin with",
            )
            .hint("they borrow the session's variables: run the code as a cell")
            .into());
        }
        let size = checked_size(size.unwrap_or_else(cores))?;
        let name = self.free_name(name.as_deref(), kind)?;
        let since = Instant::now();
        let mut pool = Pool {
            name: name.clone(),
            kind,
            size,
            engines: Vec::new(),
            init,
            items,
        };
        if kind == PoolKind::Processes {
            for rank in 0..size {
                let engine = self.launch(Rank(rank), size, Some(&pool));
                pool.engines.push(engine);
            }
            if let Err(failed) = self.wait_until_up(&pool.engines, sink) {
                self.discard(&pool.engines);
                self.crew.hub.settle();
                return Err(failed);
            }
        }
        self.crew.pools.push(pool.clone());
        let before = self.crew.current.replace(name.clone());
        if let Err(failed) = self.initialise(&name, &pool.all_ranks(), sink) {
            self.stop_pool(Some(&name.0), false, sink)?;
            self.crew.current = before;
            return Err(failed);
        }
        Ok((pool, since.elapsed()))
    }

    fn free_name(&self, name: Option<&str>, kind: PoolKind) -> Result<PoolName, Report> {
        let taken = |name: &str| self.crew.pools.iter().any(|pool| pool.name.0 == name);
        if let Some(name) = name {
            let letters = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(letters) {
                return Err(Report::usage(format!("`{name}` cannot name a pool"))
                    .hint("a name has letters, digits, `-` and `_`"));
            }
            if taken(name) {
                return Err(Report::usage(format!("there is already a pool `{name}`"))
                    .hint(format!("`%pool stop {name}` first, or choose another name")));
            }
            return Ok(PoolName(name.to_owned()));
        }
        let letter = if kind == PoolKind::Threads { 't' } else { 'p' };
        let free = (0..)
            .map(|n| format!("{letter}{n}"))
            .find(|name| !taken(name));
        Ok(PoolName(free.unwrap_or_else(|| letter.to_string())))
    }

    /// Stops pools; all of them when `name` is `None` and `all` is set.
    pub fn stop_pool(
        &mut self,
        name: Option<&str>,
        all: bool,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Pool>, Report> {
        let stopped: Vec<Pool> = if all {
            std::mem::take(&mut self.crew.pools)
        } else {
            let name = self.pool_named(name)?.name.clone();
            let (stopped, left) = std::mem::take(&mut self.crew.pools)
                .into_iter()
                .partition(|pool| pool.name == name);
            self.crew.pools = left;
            stopped
        };
        for pool in &stopped {
            self.discard(&pool.engines);
            self.px_settings.of_pools.remove(&pool.name);
        }
        if self.current_pool().is_none() {
            self.crew.current = self.crew.pools.last().map(|pool| pool.name.clone());
        }
        // A pool of the same name may be started next.
        self.advance_px(sink);
        Ok(stopped)
    }

    pub fn use_pool(&mut self, name: &str) -> Result<Pool, Report> {
        let pool = self.pool_named(Some(name))?.clone();
        self.crew.current = Some(pool.name.clone());
        Ok(pool)
    }

    /// Changes the number of engines; the ones with the highest ranks come and go.
    pub fn resize_pool(
        &mut self,
        size: i64,
        sink: &mut dyn Sink,
    ) -> Result<(Pool, Duration), Failed> {
        let size = checked_size(size)?;
        let mut pool = self.pool_named(None)?.clone();
        let since = Instant::now();
        if pool.kind == PoolKind::Processes {
            if (size as usize) < pool.engines.len() {
                let gone = pool.engines.split_off(size as usize);
                self.discard(&gone);
            }
            let mut new = Vec::new();
            for rank in pool.engines.len() as u32..size {
                new.push(self.launch(Rank(rank), size, Some(&pool)));
            }
            if let Err(failed) = self.wait_until_up(&new, sink) {
                self.discard(&new);
                self.crew.hub.settle();
                return Err(failed);
            }
            self.crew.hub.resized(pool.engines.clone(), size);
            pool.engines.extend(new);
        }
        let old = pool.size.min(size);
        pool.size = size;
        self.put_back(pool.clone());
        let new: Vec<Rank> = (old..size).map(Rank).collect();
        self.initialise(&pool.name, &new, sink)?;
        Ok((pool, since.elapsed()))
    }

    /// Starts the targeted engines anew; their variables are gone, and named.
    pub fn restart_pool(
        &mut self,
        targets: &Targets,
        sink: &mut dyn Sink,
    ) -> Result<(Pool, Vec<Rank>, Vec<String>, Duration), Failed> {
        let pool = self.pool_named(None)?.clone();
        if pool.kind == PoolKind::Threads {
            return Err(Report::usage(format!(
                "{} is a thread pool: there is nothing to restart",
                pool.name
            ))
            .hint("its threads begin and end with each cell; `%reset` restarts the local engine")
            .into());
        }
        let ranks = pool.ranks(targets)?;
        let since = Instant::now();
        let lost = if pool.kind == PoolKind::Processes {
            self.restart(&pool, &ranks, sink)?
        } else {
            Vec::new()
        };
        let pool = self.pool_named(None)?.clone();
        Ok((pool, ranks, lost, since.elapsed()))
    }

    /// Other engines in the place of these; what those had.
    pub(super) fn restart(
        &mut self,
        pool: &Pool,
        ranks: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<Vec<String>, Failed> {
        let mut pool = pool.clone();
        let mut lost = Vec::new();
        let old: Vec<EngineId> = ranks
            .iter()
            .filter_map(|rank| pool.engines.get(rank.0 as usize))
            .copied()
            .collect();
        for engine in &old {
            lost.extend(self.lost_with(*engine));
            lost.extend(self.crew.graves.remove(engine).unwrap_or_default());
        }
        self.discard(&old);
        let mut new = Vec::new();
        for rank in ranks {
            let engine = self.launch(*rank, pool.size, Some(&pool));
            if let Some(slot) = pool.engines.get_mut(rank.0 as usize) {
                *slot = engine;
            }
            new.push(engine);
        }
        let name = pool.name.clone();
        self.put_back(pool);
        lost.sort();
        lost.dedup();
        self.wait_until_up(&new, sink)?;
        self.initialise(&name, ranks, sink)?;
        Ok(lost)
    }

    pub(super) fn restart_all_pools(&mut self, sink: &mut dyn Sink) {
        for pool in self.crew.pools.clone() {
            let ranks: Vec<Rank> = (0..pool.engines.len() as u32).map(Rank).collect();
            // An engine that doesn't come up is dead, which `%pool list` shows.
            let _ = self.restart(&pool, &ranks, sink);
        }
    }

    /// Puts new engines in the place of killed ones, and names what was lost.
    pub(super) fn replace(&mut self, killed: &[EngineId], sink: &mut dyn Sink) {
        for pool in self.crew.pools.clone() {
            let at = |(rank, engine): (usize, &EngineId)| {
                killed.contains(engine).then_some(Rank(rank as u32))
            };
            let ranks: Vec<Rank> = pool.engines.iter().enumerate().filter_map(at).collect();
            if ranks.is_empty() {
                continue;
            }
            let numbers: Vec<String> = ranks.iter().map(ToString::to_string).collect();
            let text = match self.restart(&pool, &ranks, sink) {
                Ok(lost) if lost.is_empty() => "no variables were lost".to_owned(),
                Ok(lost) => format!("lost there: {}", lost.join(", ")),
                Err(_) => "they did not come up again: `%pool restart`".to_owned(),
            };
            sink.send(Event::Notice(format!(
                "interrupted engines {} of {} were restarted; {text}",
                numbers.join(","),
                pool.name
            )));
        }
    }

    /// Keeps in mind what an engine that has died had.
    pub(super) fn bury(&mut self, engine: EngineId) {
        let lost = self.lost_with(engine);
        self.crew.unready.remove(&engine);
        self.crew.dead.insert(engine);
        self.crew.namespaces.remove(&engine);
        if !lost.is_empty() {
            self.crew.graves.insert(engine, lost);
        }
    }

    fn put_back(&mut self, pool: Pool) {
        if let Some(slot) = self
            .crew
            .pools
            .iter_mut()
            .find(|other| other.name == pool.name)
        {
            *slot = pool;
        }
    }

    fn discard(&mut self, engines: &[EngineId]) {
        self.crew.hub.stop(engines.to_vec());
        self.end_flights_of(engines, "it was stopped");
        for engine in engines {
            self.crew.dead.remove(engine);
            self.crew.unready.remove(engine);
            self.crew.begun_with.remove(engine);
            self.crew.namespaces.remove(engine);
            self.crew.graves.remove(engine);
        }
    }

    pub(super) fn variables_of(&self, engine: EngineId) -> Vec<String> {
        let namespace = self.crew.namespaces.get(&engine);
        namespace
            .into_iter()
            .flat_map(|n| n.variables().keys().cloned())
            .filter(|name| !super::jobs::is_ours(name))
            .collect()
    }

    pub(super) fn launch_local(&mut self) {
        self.crew.dead.remove(&self.crew.local);
        self.crew.namespaces.remove(&self.crew.local);
        self.crew.graves.remove(&self.crew.local);
        self.crew.outs.engine_gone();
        self.crew.local = self.launch(Rank(0), 1, None);
    }

    fn launch(&mut self, rank: Rank, size: u32, pool: Option<&Pool>) -> EngineId {
        let id = EngineId(self.crew.next_engine);
        self.crew.next_engine += 1;
        self.crew.hub.launch(Launch {
            id,
            rank,
            size,
            pool: pool.map(|pool| pool.name.clone()),
            init: None,
            items: pool.and_then(|pool| pool.items),
        });
        id
    }

    /// What the next cell's maps may use; the pool in use comes first.
    pub(super) fn pools_in_use(&self) -> Vec<PoolUse> {
        let current = self.current_pool();
        let others = self
            .crew
            .pools
            .iter()
            .filter(|pool| Some(&pool.name) != self.crew.current.as_ref());
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

fn checked_size(size: i64) -> Result<u32, Report> {
    match u32::try_from(size) {
        Ok(0) | Err(_) => Err(
            Report::usage(format!("a pool of {size} engines cannot work")).hint(format!(
                "this machine has {} cores: `-n {}`",
                cores(),
                cores()
            )),
        ),
        Ok(size) if size > MOST => {
            Err(
                Report::usage(format!("{size} engines are too many for one machine")).hint(
                    format!("the most is {MOST}; this machine has {} cores", cores()),
                ),
            )
        }
        Ok(size) => Ok(size),
    }
}

fn cores() -> i64 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as i64)
}
