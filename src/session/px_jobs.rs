//! `%px` in the background: each takes its turn on its engines, is settled when they are done, is told, and waits
//! with what it came to until that is looked at.

use std::time::Duration;

use super::crew::{Awaited, Crew, End, Flight, FlightId, Followed, Hold, OnInterrupt};
use super::crew::{PxJob, Stage, Waits, until};
use super::jobs::goes_on;
use super::px::{Asked, Plan};
use super::px_outcome::Outcome;
use super::{Failed, Session};
use crate::ids::{JobId, PoolName, Rank};
use crate::outcome::{About, Event, JobEnd, JobWork, Report, Sink};

/// Jobs whose outcome is kept; the oldest are forgotten.
const KEPT: usize = 64;

/// How long the prompt may wait for an event: whatever it waits for wakes it.
const IDLE: Duration = Duration::from_secs(60);

/// What a job can do next.
enum Step {
    /// It is its turn.
    Begin,
    /// Its pool is gone before it ran.
    GiveUp,
    /// It has come down.
    Settle(Box<Flight>, Box<Plan>),
}

impl Session {
    /// Starts a `%px`, or puts it in line, and waits for nothing.
    pub(super) fn px_later(&mut self, asked: Asked, sink: &mut dyn Sink) -> Result<(), Failed> {
        self.advance_px(sink);
        let jobs = &self.crew.jobs;
        let in_line = jobs.in_front(&asked.pool, &asked.ranks, jobs.px.len());
        let stage = match in_line {
            Some(_) => Stage::Queued,
            None => self.begin_px(&asked, sink)?,
        };
        let job = self.crew.hub().number();
        self.crew.jobs.px.push(PxJob::new(job, asked, stage));
        let runs = match in_line {
            Some(other) => format!("waits for job {other}"),
            None => "runs on the engines".to_owned(),
        };
        sink.send(Event::Text(format!(
            "job {job} {runs}; `%pxresult` shows the result"
        )));
        Ok(())
    }

    fn begin_px(&mut self, asked: &Asked, sink: &mut dyn Sink) -> Result<Stage, Failed> {
        self.revive(&asked.pool, &asked.ranks, sink);
        let (batches, plan) = self.plan_px(asked, sink)?;
        let hold = Hold {
            values: true,
            output: true,
            ..Hold::default()
        };
        let flight = self.crew.take_off(asked.cell, &batches, hold);
        Ok(Stage::Flying(flight, Box::new(plan)))
    }

    /// A `%px` that ran in the foreground goes on without anybody waiting.
    pub(super) fn left_behind(&mut self, id: FlightId, plan: Plan) -> Result<(), Failed> {
        if let Some(flight) = self.crew.flight(id) {
            flight.hold_output();
        }
        let job = self.crew.hub().number();
        let (asked, stage) = (plan.asked.clone(), Stage::Flying(id, Box::new(plan)));
        self.crew.jobs.px.push(PxJob::new(job, asked, stage));
        Err(goes_on(job).into())
    }

    /// Waits until no `%px` in the background runs or waits on these engines, which run one cell after the
    /// other.
    pub(super) fn await_engines(
        &mut self,
        pool: &PoolName,
        ranks: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        self.until(Free { pool, ranks }, sink)
    }

    /// Waits, and has the `%px` cells in the background take their turns meanwhile.
    pub(super) fn until<A: Awaited>(
        &mut self,
        awaited: A,
        sink: &mut dyn Sink,
    ) -> Result<A::Outcome, Failed> {
        until(self, awaited, sink)
    }

    /// Settles the account of the `%px` cells in the background that are over, and begins those whose turn it
    /// is. Only while no cell is in flight.
    pub(super) fn advance_px(&mut self, sink: &mut dyn Sink) {
        for place in 0..self.crew.jobs.px.len() {
            while let Some(step) = self.next_step(place) {
                self.advance_one(place, step, sink);
            }
        }
        let jobs = &mut self.crew.jobs.px;
        while jobs.iter().filter(|job| job.is_over()).count() > KEPT {
            let oldest = jobs.iter().position(PxJob::is_over).unwrap_or_default();
            release(jobs.remove(oldest));
        }
    }

    fn next_step(&mut self, place: usize) -> Option<Step> {
        let PxJob { asked, stage, .. } = self.crew.jobs.px.get_mut(place)?;
        match stage {
            Stage::Over(_) => None,
            Stage::Queued => {
                let (pool, ranks) = (asked.pool.clone(), asked.ranks.clone());
                if self.crew.pool_named(Some(&pool.0)).is_err() {
                    return Some(Step::GiveUp);
                }
                let in_front = self.crew.jobs.in_front(&pool, &ranks, place);
                in_front.is_none().then_some(Step::Begin)
            }
            Stage::Flying(id, _) => {
                let id = *id;
                let flight = self.crew.landed(id)?;
                let stage = &mut self.crew.jobs.px[place].stage;
                match std::mem::replace(stage, Stage::Queued) {
                    Stage::Flying(_, plan) => Some(Step::Settle(Box::new(flight), plan)),
                    _ => None,
                }
            }
        }
    }

    fn advance_one(&mut self, place: usize, step: Step, sink: &mut dyn Sink) {
        let asked = self.crew.jobs.px[place].asked.clone();
        let mut took = Duration::ZERO;
        let next = match step {
            Step::GiveUp => {
                let what = format!("{} was stopped before it ran", asked.pool);
                Err(Report::usage(what).into())
            }
            Step::Begin => self.acting_for(asked.cell, |session| session.begin_px(&asked, sink)),
            Step::Settle(flight, plan) => {
                took = flight.elapsed();
                let settled = self.acting_for(asked.cell, |session| {
                    session.settle_px(*flight, *plan, false, sink)
                });
                match settled {
                    Ok(outcome) if !outcome.again.is_empty() => {
                        // It is still its turn.
                        self.crew.jobs.px[place].asked = asked.again(outcome);
                        Ok(Stage::Queued)
                    }
                    Ok(mut outcome) => {
                        let ran = std::mem::take(&mut outcome.ran);
                        let end = self.brought_in(outcome, &asked, took, sink);
                        let job = self.crew.jobs.px[place].job;
                        self.after_px(&asked.pool, asked.cell, ran, Some(job), sink);
                        Ok(Stage::Over(Box::new(end)))
                    }
                    Err(failed) => Err(failed),
                }
            }
        };
        let stage = next.unwrap_or_else(|Failed(failed)| {
            Stage::Over(Box::new(End {
                failed,
                took,
                ..End::default()
            }))
        });
        let job = &mut self.crew.jobs.px[place];
        job.stage = stage;
        tell_end(job, sink);
    }

    /// Binds what `-o` names.
    fn brought_in(
        &mut self,
        mut outcome: Outcome,
        asked: &Asked,
        took: Duration,
        sink: &mut dyn Sink,
    ) -> End {
        let values = outcome.values();
        let bound = match &asked.options.out {
            Some(name) => self.bind_values(name, &values, sink),
            None => Ok(()),
        };
        End {
            report: Some(outcome.report),
            values,
            failed: bound.err().map(|failed| failed.0).unwrap_or_default(),
            took,
        }
    }

    /// Takes what happens while the prompt waits, and lets `%px` cells in the background go on, until `enough`.
    /// Whoever makes it so wakes the session.
    pub fn idle(&mut self, enough: &dyn Fn() -> bool, sink: &mut dyn Sink) {
        // A hub that is gone is told by the next cell.
        let _ = self.until(Enough(enough), sink);
    }

    pub(super) fn px_job(&self, job: JobId) -> Result<&PxJob, Report> {
        self.crew.jobs.px_job(job).ok_or_else(|| {
            Report::usage(format!("job {job} is no %px"))
                .hint("`%jobs` lists the jobs; `%result` takes the results of a map")
        })
    }

    pub(super) fn is_px_job(&self, job: JobId) -> bool {
        self.px_job(job).is_ok() || self.crew.px_of_threads(job).is_some()
    }

    /// Interrupts a `%px` in the background as Ctrl-C does and shows what it came to; false when there is none
    /// of this number.
    pub(super) fn cancel_px_job(
        &mut self,
        job: JobId,
        sink: &mut dyn Sink,
    ) -> Result<bool, Failed> {
        let Some(PxJob { asked, stage, .. }) = self.crew.jobs.take_px(job) else {
            return Ok(false);
        };
        let (id, plan) = match stage {
            Stage::Queued | Stage::Over(_) => return Ok(true),
            Stage::Flying(id, plan) => (id, plan),
        };
        let mut wait = asked.wait();
        if wait.on_interrupt == OnInterrupt::Nothing {
            wait.on_interrupt = OnInterrupt::default();
        }
        wait.interrupted = true;
        if let Followed::Over(flown) = self.crew.follow(id, wait, sink)? {
            self.replace(&flown.killed, sink);
            let mut outcome = self.settle_px(flown.flight, *plan, flown.interrupted, sink)?;
            let values = outcome.values();
            // Its table tells how it ended.
            let _ = self.show_px(outcome.report, values, sink);
        }
        Ok(true)
    }

    pub(super) fn drop_px_job(&mut self, job: JobId) {
        if let Some(job) = self.crew.jobs.take_px(job) {
            release(job);
        }
    }
}

fn release(job: PxJob) {
    if let Stage::Over(end) = job.stage {
        end.values.release();
    }
}

/// Tells of a job that is over, unless somebody waits for it.
fn tell_end(job: &PxJob, sink: &mut dyn Sink) {
    let Stage::Over(end) = &job.stage else {
        return;
    };
    if job.awaited {
        return;
    }
    let about = About {
        cell: Some(job.asked.cell),
        job: Some(job.job),
    };
    let end = JobEnd {
        job: job.job,
        work: JobWork::Px {
            cell: job.asked.cell,
            pool: job.asked.pool.clone(),
            failed: end.why(),
        },
        took: end.took,
    };
    sink.send(Event::JobOver(about, end));
}

/// Engines that no `%px` in the background runs or waits on.
struct Free<'a> {
    pool: &'a PoolName,
    ranks: &'a [Rank],
}

impl Free<'_> {
    fn in_front(&self, crew: &Crew) -> Option<JobId> {
        let all = crew.jobs.px.len();
        crew.jobs.in_front(self.pool, self.ranks, all)
    }
}

impl Awaited for Free<'_> {
    type Outcome = ();

    fn look(&mut self, crew: &mut Crew, _: &mut dyn Sink) -> Result<Option<()>, Failed> {
        Ok(self.in_front(crew).is_none().then_some(()))
    }

    fn interrupted(&mut self, crew: &mut Crew) -> Result<(), Failed> {
        match self.in_front(crew) {
            Some(job) => Err(goes_on(job).into()),
            None => Ok(()),
        }
    }
}

/// The prompt has been answered.
struct Enough<'a>(&'a dyn Fn() -> bool);

impl Awaited for Enough<'_> {
    type Outcome = ();

    fn patience(&self) -> Duration {
        IDLE
    }

    fn look(&mut self, _: &mut Crew, _: &mut dyn Sink) -> Result<Option<()>, Failed> {
        Ok((self.0)().then_some(()))
    }

    /// The prompt's.
    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Ok(())
    }
}

impl Waits for Session {
    fn crew(&mut self) -> &mut Crew {
        &mut self.crew
    }

    fn due(&mut self, sink: &mut dyn Sink) {
        self.advance_px(sink);
    }
}
