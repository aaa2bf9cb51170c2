//! How engines begin: waited for, told what to run first, and started again when they have died.

use std::time::{Duration, Instant};

use super::namespace::Namespace;
use super::pump::{Awaited, Beginning};
use super::{Failed, Session};
use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{ErrorKind, Event, Report, Sink};
use crate::pool::Init;

/// How long engines may take to answer for the first time.
const START_PATIENCE: Duration = Duration::from_secs(20);

impl Session {
    /// Waits until engines that were launched are up.
    pub(super) fn wait_until_up(
        &mut self,
        engines: &[EngineId],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let awaited = engines.iter().map(|engine| (*engine, Beginning::Awaited));
        self.crew.starting.extend(awaited);
        let since = Instant::now();
        let begun = self.until(AllUp { engines, since }, sink);
        self.crew
            .starting
            .retain(|engine, _| !engines.contains(engine));
        begun
    }

    /// Runs what engines of a pool begin with.
    pub(super) fn initialise(
        &mut self,
        name: &PoolName,
        ranks: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let pool = self.pool_named(Some(&name.0))?;
        let Some(code) = pool.init.clone().filter(|_| !ranks.is_empty()) else {
            return Ok(());
        };
        for (engine, artifact, after) in self.px_init(name, ranks, &code, sink)? {
            let init = Init {
                so: artifact.so.clone(),
                entry: artifact.entry.clone(),
                cell: self.cell(),
            };
            self.crew.hub.init(vec![engine], init);
            self.crew.begun_with.insert(engine, after);
        }
        Ok(())
    }

    /// Starts engines that have died again, and names what was lost with them.
    pub(super) fn revive(&mut self, pool: &PoolName, ranks: &[Rank], sink: &mut dyn Sink) {
        let Ok(pool) = self.pool_named(Some(&pool.0)).cloned() else {
            return;
        };
        if !pool
            .engines
            .iter()
            .any(|engine| self.crew.dead.contains(engine))
        {
            return;
        }
        let dead = self.dead_engines();
        let causes: Vec<(Rank, &String)> = ranks
            .iter()
            .filter_map(|rank| {
                let engine = pool.engines.get(rank.0 as usize)?;
                Some((*rank, dead.get(engine)?))
            })
            .collect();
        let Some((first, cause)) = causes.first() else {
            return;
        };
        let what = match causes.len() {
            1 => format!("engine {first} of {} was dead ({cause})", pool.name),
            _ => {
                let numbers: Vec<String> =
                    causes.iter().map(|(rank, _)| rank.to_string()).collect();
                format!("engines {} of {} were dead", numbers.join(","), pool.name)
            }
        };
        let ranks: Vec<Rank> = causes.iter().map(|(rank, _)| *rank).collect();
        match self.restart(&pool, &ranks, sink) {
            Ok(lost) => {
                let lost = match lost.as_slice() {
                    [] => String::new(),
                    lost => format!("; lost there: {}", lost.join(", ")),
                };
                sink.send(Event::Notice(format!("{what} and started again{lost}")));
            }
            Err(failed) => {
                // They are still dead, which their rows tell.
                for report in failed.0 {
                    sink.send(Event::Error(report));
                }
            }
        }
    }

    /// The variables that are gone with an engine: not those that its pool begins with.
    pub(super) fn lost_with(&self, engine: EngineId) -> Vec<String> {
        let again = self.crew.begun_with.get(&engine).map(Namespace::variables);
        let mut lost = self.variables_of(engine);
        lost.retain(|name| again.is_none_or(|again| !again.contains_key(name)));
        lost
    }

    /// Waits until engines that stand in for others have run what they begin with.
    pub(super) fn await_beginnings(
        &mut self,
        engines: &[EngineId],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        self.until(Begun { engines }, sink)
    }
}

/// Engines that were launched are up.
struct AllUp<'a> {
    engines: &'a [EngineId],
    since: Instant,
}

impl Awaited for AllUp<'_> {
    type Outcome = ();

    fn look(&mut self, session: &mut Session, _: &mut dyn Sink) -> Result<Option<()>, Failed> {
        let mut missing = 0;
        for engine in self.engines {
            match session.crew.starting.get(engine) {
                Some(Beginning::NotStarted(why)) => {
                    return Err(Report::new(
                        ErrorKind::System,
                        format!("an engine could not be started: {why}"),
                    )
                    .hint("fewer engines need fewer processes and file descriptors: `-n N`")
                    .into());
                }
                Some(Beginning::Died(cause)) => {
                    let what = format!("an engine died while it started: {cause}");
                    return Err(Report::new(ErrorKind::EngineDied, what).into());
                }
                Some(Beginning::Awaited) => missing += 1,
                Some(Beginning::Up) | None => {}
            }
        }
        if missing > 0 && self.since.elapsed() >= START_PATIENCE {
            let what = format!("{missing} engines did not answer within 20 s");
            return Err(Report::new(ErrorKind::System, what).into());
        }
        Ok((missing == 0).then_some(()))
    }

    fn interrupted(&mut self, _: &mut Session, _: &mut dyn Sink) -> Result<(), Failed> {
        Err(super::explain::interrupted("starting engines").into())
    }
}

/// Engines have run what they begin with.
struct Begun<'a> {
    engines: &'a [EngineId],
}

impl Awaited for Begun<'_> {
    type Outcome = ();

    fn look(&mut self, session: &mut Session, _: &mut dyn Sink) -> Result<Option<()>, Failed> {
        let unready = |engine: &EngineId| session.crew.unready.contains(engine);
        Ok((!self.engines.iter().any(unready)).then_some(()))
    }

    fn interrupted(&mut self, _: &mut Session, _: &mut dyn Sink) -> Result<(), Failed> {
        Err(super::explain::interrupted("starting engines").into())
    }
}
