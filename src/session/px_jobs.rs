//! `%px` in the background: each takes its turn on its engines, lands when they are done, is told, and waits
//! with what it came to until that is looked at.

use std::time::{Duration, Instant};

use super::flight::FlightId;
use super::follow::{Followed, OnInterrupt};
use super::jobs::goes_on;
use super::pump::Awaited;
use super::px::{Asked, Course, Landed};
use super::px_out::Values;
use super::{Failed, JobStatus, Session};
use crate::ids::{JobId, PoolName, Rank};
use crate::outcome::{EngineOutcome, Event, JobState, PxReport, Report, Sink};

/// Jobs whose outcome is kept; the oldest are forgotten.
const KEPT: usize = 64;

/// How often events are looked at while the prompt waits.
const IDLE: Duration = Duration::from_millis(5);

/// A `%px` that nobody waits for.
#[derive(Debug)]
pub(super) struct PxJob {
    pub(super) job: JobId,
    pub(super) asked: Asked,
    pub(super) stage: Stage,
    since: Instant,
    /// Somebody waits for it, and need not be told that it is over.
    awaited: bool,
}

#[derive(Debug)]
pub(super) enum Stage {
    /// Its engines have other jobs to do first.
    Queued,
    Flying(FlightId, Box<Course>),
    Over(Box<End>),
}

/// What a job came to.
#[derive(Debug, Default)]
pub(super) struct End {
    /// `None` when it did not run.
    pub(super) report: Option<PxReport>,
    pub(super) values: Values,
    /// What else went wrong.
    pub(super) failed: Vec<Report>,
    took: Duration,
}

impl End {
    fn is_ok(&self) -> bool {
        self.failed.is_empty() && self.report.as_ref().is_some_and(PxReport::is_ok)
    }

    /// Why it failed, in a few words.
    fn why(&self) -> Option<String> {
        if let Some(report) = self.failed.first() {
            return Some(report.what.clone());
        }
        let rows = self.report.iter().flat_map(|report| &report.engines);
        let mut failures = rows.filter(|row| !row.outcome.is_ok());
        let first = failures.next()?;
        let what = match &first.outcome {
            EngineOutcome::Panicked { message, .. } => format!("panicked: {message}"),
            EngineOutcome::Errored { message } => message.clone(),
            EngineOutcome::Died { cause } => format!("died: {cause}"),
            EngineOutcome::Skipped { why } => why.clone(),
            EngineOutcome::Interrupted => "was interrupted".to_owned(),
            EngineOutcome::Done(_) => return None,
        };
        let more = match failures.count() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        Some(format!("engine {}{more}: {what}", first.rank))
    }
}

impl Session {
    /// Starts a `%px`, or puts it in line, and waits for nothing.
    pub(super) fn px_later(&mut self, asked: Asked, sink: &mut dyn Sink) -> Result<(), Failed> {
        self.advance_px(sink);
        let in_line = self.in_front(&asked.pool, &asked.ranks, self.crew.jobs.px.len());
        let stage = match in_line {
            Some(_) => Stage::Queued,
            None => self.begin_px(&asked, sink)?,
        };
        let job = self.crew.hub.number();
        self.crew.jobs.px.push(PxJob {
            job,
            asked,
            stage,
            since: Instant::now(),
            awaited: false,
        });
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
        let (batches, course) = self.plan_px(asked, sink)?;
        let hold = super::flight::Hold {
            values: true,
            output: true,
        };
        Ok(Stage::Flying(
            self.take_off(&batches, hold),
            Box::new(course),
        ))
    }

    /// A `%px` that ran in the foreground goes on without anybody waiting.
    pub(super) fn left_behind(&mut self, flight: FlightId, course: Course) -> Result<(), Failed> {
        if let Some(flight) = self.crew.flights.get_mut(&flight) {
            flight.hold_output();
        }
        let job = self.crew.hub.number();
        self.crew.jobs.px.push(PxJob {
            job,
            asked: course.asked.clone(),
            stage: Stage::Flying(flight, Box::new(course)),
            since: Instant::now(),
            awaited: false,
        });
        Err(goes_on(job).into())
    }

    /// The job among the first `count` that has to end before these engines are free.
    fn in_front(&self, pool: &PoolName, ranks: &[Rank], count: usize) -> Option<JobId> {
        let overlaps = |job: &&PxJob| {
            !matches!(job.stage, Stage::Over(_))
                && job.asked.pool == *pool
                && job.asked.ranks.iter().any(|rank| ranks.contains(rank))
        };
        let mut first = self.crew.jobs.px.iter().take(count).rev();
        first.find(overlaps).map(|job| job.job)
    }

    /// Waits until no `%px` in the background runs or waits on these engines, which run one cell after the
    /// other.
    pub(super) fn await_engines(
        &mut self,
        pool: &PoolName,
        ranks: &[Rank],
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let free = Free {
            pool: pool.clone(),
            ranks: ranks.to_vec(),
        };
        self.until(free, sink)
    }

    /// Settles the account of the `%px` cells in the background that are over, and begins those whose turn it
    /// is. Only while no cell is in flight.
    pub(super) fn advance_px(&mut self, sink: &mut dyn Sink) {
        for place in 0..self.crew.jobs.px.len() {
            self.advance_one(place, sink);
        }
        let over = |job: &PxJob| matches!(job.stage, Stage::Over(_));
        while self.crew.jobs.px.iter().filter(|job| over(job)).count() > KEPT {
            let oldest = self.crew.jobs.px.iter().position(over).unwrap_or_default();
            self.forget_px(oldest);
        }
    }

    fn forget_px(&mut self, place: usize) {
        if let Stage::Over(end) = self.crew.jobs.px.remove(place).stage {
            end.values.release();
        }
    }

    fn advance_one(&mut self, place: usize, sink: &mut dyn Sink) {
        let PxJob { asked, stage, .. } = &self.crew.jobs.px[place];
        if matches!(stage, Stage::Over(_)) {
            return;
        }
        let asked = asked.clone();
        match stage {
            Stage::Over(_) => {}
            Stage::Queued => {
                let pool = self.crew.pools.iter().any(|pool| pool.name == asked.pool);
                let next = if !pool {
                    let what = format!("{} was stopped before it ran", asked.pool);
                    Err(Report::usage(what).into())
                } else if self.in_front(&asked.pool, &asked.ranks, place).is_none() {
                    self.history.acting = Some(asked.cell);
                    let begun = self.begin_px(&asked, sink);
                    self.history.acting = None;
                    begun
                } else {
                    return;
                };
                match next {
                    Ok(stage) => self.crew.jobs.px[place].stage = stage,
                    Err(Failed(failed)) => {
                        let end = End {
                            failed,
                            ..End::default()
                        };
                        self.job_ends(place, end, sink);
                    }
                }
            }
            Stage::Flying(flight, _) => {
                let id = *flight;
                if self
                    .crew
                    .flights
                    .get(&id)
                    .is_some_and(|flight| !flight.is_over())
                {
                    return;
                }
                let Stage::Flying(_, course) =
                    std::mem::replace(&mut self.crew.jobs.px[place].stage, Stage::Queued)
                else {
                    return;
                };
                let flight = self.crew.flights.remove(&id).unwrap_or_default();
                let took = flight.elapsed();
                self.history.acting = Some(asked.cell);
                let landed = self.landed(flight, *course, false, sink);
                self.history.acting = None;
                match landed {
                    Ok(landed) if !landed.again.is_empty() => {
                        // It is still its turn.
                        self.crew.jobs.px[place].asked = asked.again(landed);
                        self.advance_one(place, sink);
                    }
                    Ok(landed) => {
                        let end = self.brought_in(landed, &asked, took, sink);
                        self.job_ends(place, end, sink);
                    }
                    Err(Failed(failed)) => {
                        let end = End {
                            failed,
                            took,
                            ..End::default()
                        };
                        self.job_ends(place, end, sink);
                    }
                }
            }
        }
    }

    /// Binds what `-o` names.
    fn brought_in(
        &mut self,
        mut landed: Landed,
        asked: &Asked,
        took: Duration,
        sink: &mut dyn Sink,
    ) -> End {
        let values = landed.values();
        let bound = match &asked.options.out {
            Some(name) => self.bind_values(name, &values, sink),
            None => Ok(()),
        };
        End {
            report: Some(landed.report),
            values,
            failed: bound.err().map(|failed| failed.0).unwrap_or_default(),
            took,
        }
    }

    fn job_ends(&mut self, place: usize, end: End, sink: &mut dyn Sink) {
        let PxJob {
            job,
            asked,
            awaited,
            ..
        } = &self.crew.jobs.px[place];
        if !awaited {
            let what = format!("%px of {} on {}", asked.cell.name(), asked.pool);
            sink.send(Event::Text(match end.why() {
                None => format!(
                    "job {job} finished: {what} in {:.3} s; `%pxresult {job}` shows the results",
                    end.took.as_secs_f64()
                ),
                Some(why) => {
                    format!("job {job} failed: {what}: {why}; `%pxresult {job}` tells more")
                }
            }));
        }
        self.crew.jobs.px[place].stage = Stage::Over(Box::new(end));
    }

    /// Whether a `%px` in the background is not over.
    pub fn has_px_under_way(&self) -> bool {
        self.crew
            .jobs
            .px
            .iter()
            .any(|job| !matches!(job.stage, Stage::Over(_)))
    }

    /// Lets `%px` cells in the background go on while the prompt waits, until `enough`.
    pub fn idle(&mut self, enough: &dyn Fn() -> bool, sink: &mut dyn Sink) {
        while !enough() && self.has_px_under_way() {
            self.idle_turn(IDLE, sink);
            self.advance_px(sink);
        }
    }

    pub(super) fn px_job(&self, job: JobId) -> Result<&PxJob, Report> {
        self.crew
            .jobs
            .px
            .iter()
            .find(|other| other.job == job)
            .ok_or_else(|| {
                Report::usage(format!("job {job} is no %px"))
                    .hint("`%jobs` lists the jobs; `%result` takes the results of a map")
            })
    }

    pub(super) fn is_px_job(&self, job: JobId) -> bool {
        self.px_job(job).is_ok()
    }

    /// Marks a job as one that somebody waits for, or does not any more.
    pub(super) fn set_awaited(&mut self, job: JobId, awaited: bool) {
        if let Some(job) = self.crew.jobs.px.iter_mut().find(|other| other.job == job) {
            job.awaited = awaited;
        }
    }

    /// The `%px` cells in the background, engine by engine.
    pub(super) fn px_statuses(&self) -> Vec<JobStatus> {
        let status = |job: &PxJob| {
            let (state, done, elapsed) = match &job.stage {
                Stage::Queued => (JobState::Waiting, 0, job.since.elapsed()),
                Stage::Flying(flight, _) => {
                    let flying = self
                        .crew
                        .flights
                        .get(flight)
                        .map_or(0, |f| f.flying().len());
                    let done = job.asked.ranks.len().saturating_sub(flying);
                    (JobState::Running, done, job.since.elapsed())
                }
                Stage::Over(end) => {
                    let state = if end.is_ok() {
                        JobState::Done
                    } else {
                        JobState::Failed
                    };
                    let rows = end.report.iter().flat_map(|report| &report.engines);
                    let ok = rows.filter(|row| row.outcome.is_ok()).count();
                    (state, ok, end.took)
                }
            };
            JobStatus {
                job: job.job,
                what: format!("%px of {}", job.asked.cell.name()),
                unit: "engines",
                state,
                done: done as u64,
                total: Some(job.asked.ranks.len() as u64),
                elapsed,
                pool: job.asked.pool.clone(),
                bytes: 0,
                why: match &job.stage {
                    Stage::Over(end) => end.why(),
                    _ => None,
                },
            }
        };
        self.crew.jobs.px.iter().map(status).collect()
    }

    /// Interrupts a `%px` in the background as Ctrl-C does and shows what it came to; false when there is none
    /// of this number.
    pub(super) fn cancel_px_job(
        &mut self,
        job: JobId,
        sink: &mut dyn Sink,
    ) -> Result<bool, Failed> {
        let Some(place) = self.crew.jobs.px.iter().position(|other| other.job == job) else {
            return Ok(false);
        };
        let PxJob { asked, stage, .. } = self.crew.jobs.px.remove(place);
        let (id, course) = match stage {
            Stage::Queued | Stage::Over(_) => return Ok(true),
            Stage::Flying(id, course) => (id, course),
        };
        let mut wait = asked.wait();
        if wait.on_interrupt == OnInterrupt::Nothing {
            wait.on_interrupt = OnInterrupt::default();
        }
        self.crew.interrupt.press();
        if let Followed::Over {
            flight,
            interrupted,
        } = self.follow(id, wait, sink)?
        {
            let mut landed = self.landed(flight, *course, interrupted, sink)?;
            let values = landed.values();
            // Its table tells how it ended.
            let _ = self.show_px(landed.report, values, sink);
        }
        Ok(true)
    }

    pub(super) fn drop_px_job(&mut self, job: JobId) {
        if let Some(place) = self.crew.jobs.px.iter().position(|other| other.job == job) {
            self.forget_px(place);
        }
    }
}

/// Engines that no `%px` in the background runs or waits on.
struct Free {
    pool: PoolName,
    ranks: Vec<Rank>,
}

impl Awaited for Free {
    type Outcome = ();

    fn look(&mut self, session: &mut Session, sink: &mut dyn Sink) -> Result<Option<()>, Failed> {
        session.advance_px(sink);
        let all = session.crew.jobs.px.len();
        let busy = session.in_front(&self.pool, &self.ranks, all);
        Ok(busy.is_none().then_some(()))
    }

    fn interrupted(&mut self, session: &mut Session, _: &mut dyn Sink) -> Result<(), Failed> {
        let all = session.crew.jobs.px.len();
        match session.in_front(&self.pool, &self.ranks, all) {
            Some(job) => Err(goes_on(job).into()),
            None => Ok(()),
        }
    }
}
