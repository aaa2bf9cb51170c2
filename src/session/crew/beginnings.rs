//! How engines begin, and what is waited for until they have.

use std::time::{Duration, Instant};

use super::Crew;
use super::pump::Awaited;
use crate::ids::EngineId;
use crate::outcome::{DeathCause, Doing, ErrorKind, PoolCause, Report, Sink, StartFault};
use crate::session::Failed;
use crate::session::explain::interrupted;
use crate::session::namespace::Namespace;

/// How long engines may take to answer for the first time. What starts those of MPI gives up long before, and says why.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// How an engine that was launched has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Beginning {
    Awaited,
    Up,
    NotStarted(StartFault),
    Died(DeathCause),
}

impl Crew {
    /// Waits until engines that were launched are up.
    pub(super) fn wait_until_up(
        &mut self,
        engines: &[EngineId],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let awaited = engines.iter().map(|engine| (*engine, Beginning::Awaited));
        self.starting.extend(awaited);
        let since = Instant::now();
        let begun = self.until(AllUp { engines, since }, sink);
        self.starting.retain(|engine, _| !engines.contains(engine));
        begun
    }

    /// The variables that are gone with an engine: not those that its pool begins with.
    pub(super) fn lost_with(&self, engine: EngineId) -> Vec<String> {
        let again = self.begun_with.get(&engine).map(Namespace::variables);
        let mut lost = self.variables_of(engine);
        lost.retain(|name| again.is_none_or(|again| !again.contains_key(name)));
        lost
    }

    /// Waits until engines that stand in for others have run what they begin with, and until no engine is at an item of
    /// a map whose caller is gone.
    pub fn await_beginnings(
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

    fn look(&mut self, crew: &mut Crew, _: &mut dyn Sink) -> Result<Option<()>, Failed> {
        let mut missing = 0;
        for engine in self.engines {
            match crew.starting.get(engine) {
                Some(Beginning::NotStarted(why)) => {
                    let cause = PoolCause::NotStarted { why: why.clone() };
                    return Err(Report::new(ErrorKind::System, cause).into());
                }
                Some(Beginning::Died(cause)) => {
                    let cause = PoolCause::DiedAtStart(cause.clone());
                    return Err(Report::new(ErrorKind::EngineDied, cause).into());
                }
                Some(Beginning::Awaited) => missing += 1,
                Some(Beginning::Up) | None => {}
            }
        }
        if missing > 0 && self.since.elapsed() >= START_PATIENCE {
            let cause = PoolCause::NoAnswer {
                engines: missing,
                seconds: START_PATIENCE.as_secs(),
            };
            return Err(Report::new(ErrorKind::System, cause).into());
        }
        Ok((missing == 0).then_some(()))
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(interrupted(Doing::StartingEngines).into())
    }
}

/// Engines have run what they begin with, and are free.
struct Begun<'a> {
    engines: &'a [EngineId],
}

impl Awaited for Begun<'_> {
    type Outcome = ();

    fn look(&mut self, crew: &mut Crew, _: &mut dyn Sink) -> Result<Option<()>, Failed> {
        let unready = |engine: &EngineId| crew.unready.contains(engine);
        Ok((!self.engines.iter().any(unready)).then_some(()))
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(interrupted(Doing::StartingEngines).into())
    }
}
