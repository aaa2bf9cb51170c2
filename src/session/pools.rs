//! Pools as the user starts, resizes and restarts them. What their engines begin with is run here, for which it
//! takes the workshop and the crew.

use std::time::{Duration, Instant};

use super::crew::entry_of;
use super::{Code, Failed, Pool, PoolRequest, Session};
use crate::cell::Targets;
use crate::ids::{CellId, EngineId, PoolName, Rank};
use crate::outcome::{About, EngineChange, Event, MpiCause, PoolKind, Report, Sink};
use crate::pool::Init;

/// What engines begin with has not run through on all of them.
struct NotBegun {
    failed: Failed,
    /// Those that Ctrl-C has killed.
    killed: Vec<EngineId>,
}

impl Session {
    pub fn pools(&self) -> &[Pool] {
        self.crew.pools()
    }

    /// The pool in use.
    pub fn current_pool(&self) -> Option<&Pool> {
        self.crew.current_pool()
    }

    /// The pool with this name, or the one in use.
    pub fn pool_named(&self, name: Option<&str>) -> Result<&Pool, Report> {
        self.crew.pool_named(name)
    }

    /// Starts a pool and makes it the one in use.
    pub fn start_pool(
        &mut self,
        request: PoolRequest,
        sink: &mut dyn Sink,
    ) -> Result<(Pool, Duration), Failed> {
        let since = Instant::now();
        let before = self.current_pool().map(|pool| pool.name.clone());
        if request.starter.cluster().is_some() {
            // Whoever needs it tries again.
            let _ = self.name_boards();
        }
        let pool = self.crew.open(request, sink)?;
        if let Err(NotBegun { failed, .. }) = self.initialise(&pool.name, &pool.all_ranks(), sink) {
            // What has failed first is told.
            let _ = self.stop_pool(Some(&pool.name.0), false, sink);
            if let Some(before) = before {
                self.crew.use_pool(&before);
            }
            return Err(failed);
        }
        if let Some(cluster) = pool.starter.cluster() {
            cluster.keep_on();
        }
        Ok((pool, since.elapsed()))
    }

    /// Stops pools; clusters that would outlive the session end too; all of them when `name` is `None` and `all` is set.
    pub fn stop_pool(
        &mut self,
        name: Option<&str>,
        all: bool,
        sink: &mut dyn Sink,
    ) -> Result<Vec<Pool>, Report> {
        let stopped = self.crew.close(name, all)?;
        let mut ended = Ok(());
        for pool in &stopped {
            self.px_settings.of_pools.remove(&pool.name);
            if let Some(cluster) = pool.starter.cluster() {
                // One that does not end keeps no other from it.
                let its = cluster.end();
                ended = ended.and(its);
            }
        }
        // A pool of the same name may be started next.
        self.advance_px(sink);
        ended?;
        Ok(stopped)
    }

    pub fn use_pool(&mut self, name: &str) -> Result<Pool, Report> {
        let pool = self.pool_named(Some(name))?.clone();
        self.crew.use_pool(&pool.name);
        Ok(pool)
    }

    /// Changes the number of engines; the ones with the highest ranks come and go.
    pub fn resize_pool(
        &mut self,
        size: i64,
        sink: &mut dyn Sink,
    ) -> Result<(Pool, Duration), Failed> {
        let since = Instant::now();
        let (pool, new) = self.crew.resize(None, size, sink)?;
        self.begin_engines(&pool.name, &new, sink)?;
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
        let mut ranks = pool.ranks(targets)?;
        if pool.starter.mpi().is_some() && ranks.len() < pool.engines.len() {
            return Err(Report::usage(MpiCause::AllRestart).into());
        }
        ranks.sort();
        let since = Instant::now();
        let lost = self.restart(&pool.name, &ranks, sink)?;
        let pool = self.pool_named(None)?.clone();
        Ok((pool, ranks, lost, since.elapsed()))
    }

    /// Other engines in the place of these; what those had.
    fn restart(
        &mut self,
        pool: &PoolName,
        ranks: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<Vec<String>, Failed> {
        let lost = self.crew.renew(pool, ranks, sink)?;
        self.begin_engines(pool, ranks, sink)?;
        Ok(lost)
    }

    pub(super) fn restart_all_pools(&mut self, sink: &mut dyn Sink) {
        for pool in self.pools().to_vec() {
            // An engine that doesn't come up is dead, which `%pool list` shows.
            let _ = self.restart(&pool.name, &pool.all_ranks(), sink);
        }
    }

    /// Puts new engines in the place of killed ones, and names what was lost.
    pub(super) fn replace(&mut self, killed: &[EngineId], sink: &mut dyn Sink) {
        for (pool, ranks) in self.crew.ranks_of(killed) {
            let ranks = match self.pool_named(Some(&pool.0)) {
                Ok(pool) => pool.with_others(&ranks),
                Err(_) => ranks,
            };
            let lost = self.restart(&pool, &ranks, sink);
            sink.send(restarted(self.cell(), &pool, &ranks, lost));
        }
    }

    /// Starts engines that have died again, and names what was lost with them.
    pub(super) fn revive(&mut self, pool: &PoolName, ranks: &[Rank], sink: &mut dyn Sink) {
        if let Err(failed) = self.try_to_revive(pool, ranks, sink) {
            // They are still dead, which their rows tell.
            failed.tell(sink);
        }
    }

    /// The same, and why not.
    pub(super) fn try_to_revive(
        &mut self,
        pool: &PoolName,
        ranks: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let Ok(pool) = self.pool_named(Some(&pool.0)) else {
            return Ok(());
        };
        let name = pool.name.clone();
        let dead = self.crew.dead_of(pool, ranks);
        if dead.is_empty() {
            return Ok(());
        }
        let ranks: Vec<Rank> = dead.iter().map(|(rank, _)| *rank).collect();
        let ranks = pool.with_others(&ranks);
        let lost = self.restart(&name, &ranks, sink)?;
        let pool = name;
        let revived = EngineChange::Revived { pool, dead, lost };
        sink.send(Event::Engines(About::cell(self.cell()), revived));
        Ok(())
    }

    /// Runs what engines of a pool begin with; those that Ctrl-C kills meanwhile are launched again and run it too.
    pub(super) fn begin_engines(
        &mut self,
        pool: &PoolName,
        first: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let mut ranks = first.to_vec();
        let mut ended = Ok(());
        while let Err(NotBegun { failed, killed }) = self.initialise(pool, &ranks, sink) {
            ended = ended.and(Err(failed));
            let Some((_, killed)) = self.crew.ranks_of(&killed).pop() else {
                break;
            };
            let killed = self.pool_named(Some(&pool.0))?.with_others(&killed);
            let lost = self.crew.renew(pool, &killed, sink);
            let is_up = lost.is_ok();
            sink.send(restarted(self.cell(), pool, &killed, lost));
            if !is_up {
                break;
            }
            ranks = killed;
        }
        if ended.is_err()
            && let Ok(pool) = self.pool_named(Some(&pool.0))
        {
            // With whatever they have run of it they take part in maps.
            let engines = first
                .iter()
                .filter_map(|it| pool.engines.get(it.0 as usize));
            self.crew.hub().stay(engines.copied().collect());
        }
        ended
    }

    /// Runs what engines of a pool begin with.
    fn initialise(
        &mut self,
        name: &PoolName,
        ranks: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<(), NotBegun> {
        let init = |pool: &Pool| pool.init.clone();
        let code: Option<Code> = self.pool_named(Some(&name.0)).ok().and_then(init);
        let Some(code) = code.filter(|_| !ranks.is_empty()) else {
            return Ok(());
        };
        let cell = self.cell();
        let mut killed = Vec::new();
        let begun = self.px_init(name, ranks, &code, &mut killed, sink);
        let begun = begun.map_err(|failed| NotBegun { failed, killed })?;
        for (engine, artifact, after) in begun {
            let places = self.workshop.places(&artifact, &code, cell);
            let init = Init {
                entry: entry_of(&artifact, places),
                cell,
            };
            self.crew.begins_with(engine, init, after);
        }
        Ok(())
    }
}

fn restarted(
    cell: CellId,
    pool: &PoolName,
    ranks: &[Rank],
    lost: Result<Vec<String>, Failed>,
) -> Event {
    let restarted = EngineChange::Restarted {
        pool: pool.clone(),
        ranks: ranks.to_vec(),
        lost: lost.ok(),
    };
    Event::Engines(About::cell(cell), restarted)
}
