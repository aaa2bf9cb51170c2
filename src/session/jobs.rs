//! Jobs as the user sees them: listed, waited for, cancelled, dropped. A map in the background is a variable of
//! the local engine's, `regatta_job_N`, or one of the user's; the hub knows how far it is.

use std::time::{Duration, Instant};

use super::children::whole_milliseconds;
use super::crew::{Awaited, Crew, JOB_VARIABLE, MapJob};
use super::{Code, Done, Failed, Pool, PxWanted, Session, explain};
use crate::ids::{JobId, PoolName};
use crate::outcome::{
    Counted, Doing, ErrorKind, Event, JobAnswer, JobState, Progress, Report, Sink, Timeline,
};
use crate::pool::{EndEarly, JobRecord, WhichMaps};

/// A job of the session, under way or with results that are kept.
#[derive(Clone, Debug)]
pub struct JobStatus {
    pub job: JobId,
    /// The function or the code as the user wrote it.
    pub what: String,
    /// What is counted: `items`, `engines`.
    pub unit: &'static str,
    pub state: JobState,
    /// Those that are done.
    pub done: u64,
    /// `None` when the inputs don't say how many they are.
    pub total: Option<u64>,
    pub elapsed: Duration,
    pub pool: PoolName,
    /// Memory held for its results, in bytes.
    pub bytes: u64,
    /// Why it failed.
    pub why: Option<String>,
}

/// Ctrl-C ended the wait for a job.
pub(super) fn goes_on(job: JobId) -> Report {
    explain::interrupted(Doing::Waiting).hint(format!("job {job} goes on; `%cancel {job}` ends it"))
}

impl Session {
    /// The name of the next background map's variable.
    pub(super) fn next_job_variable(&self) -> String {
        format!(
            "{JOB_VARIABLE}{}_{}",
            self.cell(),
            self.crew.jobs.maps.len()
        )
    }

    /// Whether the local engine still has a job's variable.
    pub(super) fn has_variable(&self, variable: &str) -> bool {
        let local = self.crew.namespace(self.crew.local());
        local.is_some_and(|namespace| namespace.variables().contains_key(variable))
    }

    /// Notes a map that has just begun in the background.
    pub(super) fn job_begun(&mut self, variable: &str, sink: &mut dyn Sink) {
        let newest = self
            .crew
            .hub()
            .jobs()
            .into_iter()
            .filter(|record| record.background);
        let Some(JobRecord { job, .. }) = newest.max_by_key(|record| record.job) else {
            return;
        };
        self.crew.jobs.maps.push(MapJob {
            job,
            variable: variable.to_owned(),
            commands: None,
        });
        if self.crew.px_of_threads(job).is_some() {
            sink.send(Event::Text(format!(
                "job {job} runs on the threads; `%pxresult {job}` shows the result"
            )));
            return;
        }
        sink.send(Event::Text(format!(
            "job {job} runs in the background: `%jobs` lists it, `let r = %result {job}` waits for its results"
        )));
    }

    /// Every job that runs or whose results are kept, oldest first.
    pub fn jobs(&mut self, sink: &mut dyn Sink) -> Vec<JobStatus> {
        self.crew.drain_events(sink);
        self.advance_px(sink);
        self.statuses()
    }

    /// The same, of what has been heard so far.
    pub fn statuses(&self) -> Vec<JobStatus> {
        self.crew.statuses()
    }

    /// Waits for all jobs; whether all of them went well. Those that failed are told.
    pub fn finish_jobs(&mut self, sink: &mut dyn Sink) -> bool {
        let (mut ok, mut left) = (true, false);
        for JobStatus { job, .. } in self.jobs(sink) {
            // Those that need no session are not waited for.
            if self.crew.former(job).is_some() {
                continue;
            }
            let finished = if self.is_px_job(job) {
                self.px_result(&PxWanted::of(job), sink)
            } else {
                // How those of code went is for code to say.
                self.await_job(job, None, sink)
                    .and_then(|()| match self.crew.jobs.is_map(job) {
                        true => self.map_went_well(job),
                        false => Ok(()),
                    })
                    .and_then(|()| self.tell_commands_of(job, sink))
            };
            if let Err(Failed(reports)) = finished {
                ok = false;
                left = reports
                    .iter()
                    .any(|report| report.kind == ErrorKind::Interrupted);
                for report in reports {
                    sink.send(Event::Error(report));
                }
            }
            if left {
                break;
            }
        }
        ok
    }

    pub(super) fn map_went_well(&self, job: JobId) -> Result<(), Failed> {
        let all = self.crew.statuses();
        let status = all.iter().find(|status| status.job == job);
        match status.filter(|status| status.state == JobState::Failed) {
            Some(status) => Err(failed(status).into()),
            None => Ok(()),
        }
    }

    pub(super) fn status(
        &mut self,
        job: Option<JobId>,
        sink: &mut dyn Sink,
    ) -> Result<JobStatus, Failed> {
        let all = self.jobs(sink);
        let wanted = match job {
            Some(job) => all.iter().find(|status| status.job == job),
            None => all.last(),
        };
        wanted.cloned().ok_or_else(|| {
            let numbers: Vec<String> = all.iter().map(|status| status.job.to_string()).collect();
            let what = match job {
                Some(job) => format!("there is no job {job}"),
                None => "there is no job".to_owned(),
            };
            let hint = match numbers.as_slice() {
                [] => "`%map -a F over EXPR` begins one in the background".to_owned(),
                numbers => format!("there is {}; `%jobs` lists them", numbers.join(", ")),
            };
            Report::usage(what).hint(hint).into()
        })
    }

    /// Waits for a job, the last one when `None`, at most `timeout`, and says how it ended.
    pub fn wait_job(
        &mut self,
        job: Option<JobId>,
        timeout: Option<Duration>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let job = self.status(job, sink)?.job;
        self.await_job(job, timeout, sink)?;
        let status = self.status(Some(job), sink)?;
        sink.send(Event::JobAnswer(answer(status, false)));
        self.tell_commands_of(job, sink)
    }

    /// Of a job that has come to its end.
    pub(super) fn tell_commands_of(&mut self, job: JobId, sink: &mut dyn Sink) -> Done {
        let all = self.crew.statuses();
        let is_done = |status: &&JobStatus| status.job == job && status.state == JobState::Done;
        match all.iter().find(is_done) {
            Some(_) => self.tell_commands(job, sink),
            None => Ok(()),
        }
    }

    /// Waits until a job is over.
    pub(super) fn await_job(
        &mut self,
        job: JobId,
        timeout: Option<Duration>,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let over = JobOver {
            job,
            timeout,
            cancelled: false,
            since: Instant::now(),
            revives: Some(Instant::now()),
        };
        self.await_end(over, sink)
    }

    fn await_end(&mut self, mut over: JobOver, sink: &mut dyn Sink) -> Result<(), Failed> {
        let job = over.job;
        self.crew.jobs.set_awaited(job, true);
        self.crew.jobs.awaited.insert(job);
        let waited = loop {
            match self.until(&mut over, sink) {
                Ok(Waited::Weak(pool)) => {
                    let ranks = self.pool_named(Some(&pool.0)).map(Pool::all_ranks);
                    let ranks = ranks.unwrap_or_default();
                    over.revives = match self.try_to_revive(&pool, &ranks, sink) {
                        Ok(()) => Some(Instant::now() + REVIVED),
                        Err(failed) if failed.is_interrupted() => break Err(goes_on(job).into()),
                        Err(failed) => {
                            failed.tell(sink);
                            None
                        }
                    };
                }
                Ok(Waited::Over) => break Ok(()),
                Err(failed) => break Err(failed),
            }
        };
        self.crew.jobs.set_awaited(job, false);
        if waited.is_err() {
            self.crew.jobs.awaited.remove(&job);
        }
        sink.send(Event::Progress(None));
        waited
    }

    /// Stops a job; items that finished keep their results.
    pub fn cancel_job(&mut self, job: JobId, sink: &mut dyn Sink) -> Result<(), Failed> {
        let status = self.status(Some(job), sink)?;
        if status.state.is_over() {
            return Err(Report::usage(format!("job {job} is over: {}", counted(&status))).into());
        }
        if self.cancel_former(job) {
            let status = self.status(Some(job), sink)?;
            sink.send(Event::JobAnswer(answer(status, true)));
            return Ok(());
        }
        let hub = self.crew.hub();
        let maps = hub.end_maps(WhichMaps::Job(job), EndEarly::Cancel);
        if maps.is_empty() && self.cancel_px_job(job, sink)? {
            sink.send(Event::JobAnswer(answer(status, true)));
            return Ok(());
        }
        let over = JobOver {
            job,
            timeout: Some(CANCEL_PATIENCE),
            cancelled: true,
            since: Instant::now(),
            revives: None,
        };
        self.await_end(over, sink)?;
        let status = self.status(Some(job), sink)?;
        if self.is_px_job(job) {
            // Its table tells how it ended.
            let _ = self.px_result(&PxWanted::of(job), sink);
        }
        sink.send(Event::JobAnswer(answer(status, true)));
        Ok(())
    }

    /// Drops the results of a job, or of all that are finished; how many jobs that were.
    pub fn drop_job(&mut self, job: Option<JobId>, sink: &mut dyn Sink) -> Result<usize, Failed> {
        let all = self.jobs(sink);
        let dropped: Vec<JobStatus> = match job {
            Some(job) => {
                let status = self.status(Some(job), sink)?;
                if !status.state.is_over() {
                    return Err(Report::usage(format!("job {job} runs"))
                        .hint(format!("`%cancel {job}` ends it"))
                        .into());
                }
                vec![status]
            }
            None => all
                .into_iter()
                .filter(|status| status.state.is_over())
                .collect(),
        };
        let mut code = Code::default();
        for status in &dropped {
            let is_it = |other: &&MapJob| other.job == status.job;
            if let Some(MapJob { variable, .. }) = self.crew.jobs.maps.iter().find(is_it)
                && self.has_variable(variable)
            {
                code = code.generated(&format!("drop({variable});\n"));
            }
            self.drop_former(status.job);
            self.crew.hub().forget_job(status.job);
            self.drop_px_job(status.job);
        }
        self.run_local(&code, sink)?;
        self.crew
            .jobs
            .maps
            .retain(|other| dropped.iter().all(|status| status.job != other.job));
        Ok(dropped.len())
    }

    /// Which engine worked on what when; of the last job when `None`.
    pub fn timeline(&mut self, job: Option<JobId>) -> Result<Timeline, Failed> {
        let records = self.crew.hub().jobs();
        let wanted = match job {
            Some(job) => records.iter().find(|record| record.job == job),
            None => records.last(),
        };
        let found = wanted.and_then(|record| self.crew.hub().timeline(record.job));
        found.ok_or_else(|| {
            let what = match job {
                Some(job) => format!("there is no timeline of job {job}"),
                None => "no map has run yet".to_owned(),
            };
            let hint = "a map is remembered: `%map F over EXPR`; the last 64 are";
            Report::usage(what).hint(hint).into()
        })
    }
}

/// A map in the background that has failed.
pub(super) fn failed(status: &JobStatus) -> Report {
    let why = status.why.as_deref().unwrap_or("the local engine is gone");
    let what = format!("job {} failed: {why}", status.job);
    Report::new(ErrorKind::Map, what)
}

/// Longer than the countdown after which the engines of a cancelled job are killed.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

/// `12 of 100 items`
pub fn counted(status: &JobStatus) -> String {
    match status.total {
        Some(total) => format!("{} of {total} {}", status.done, status.unit),
        None => format!("{} {}", status.done, status.unit),
    }
}

/// What there is to say of a job that has come to its end.
fn answer(status: JobStatus, cancelled_now: bool) -> JobAnswer {
    JobAnswer {
        job: status.job,
        cancelled_now,
        state: status.state,
        counted: Counted {
            done: status.done,
            total: status.total,
            unit: status.unit,
        },
        why: status.why,
    }
}

/// The end of a job.
struct JobOver {
    job: JobId,
    timeout: Option<Duration>,
    /// It has been told to end.
    cancelled: bool,
    since: Instant,
    /// From when on engines that are dead are started again for it.
    revives: Option<Instant>,
}

/// How often engines are started again for a job that needs no session.
const REVIVED: Duration = Duration::from_secs(2);

enum Waited {
    Over,
    /// Engines of this pool are dead that the job needs, and have a host.
    Weak(PoolName),
}

impl Awaited for &mut JobOver {
    type Outcome = Waited;

    fn look(&mut self, crew: &mut Crew, sink: &mut dyn Sink) -> Result<Option<Waited>, Failed> {
        let job = self.job;
        let all = crew.statuses();
        let Some(status) = all.iter().find(|status| status.job == job) else {
            return Ok(Some(Waited::Over));
        };
        if status.state.is_over() {
            return Ok(Some(Waited::Over));
        }
        let waited = self.since.elapsed();
        if self.timeout.is_some_and(|timeout| waited >= timeout) {
            let what = format!(
                "job {job} is not done within {} s: {}",
                whole_milliseconds(self.timeout.unwrap_or(waited)),
                counted(status)
            );
            // Only threads can't be ended, and have not yet.
            let next = match self.cancelled {
                true => "it ends with the items that are under way; `%reset` ends them by force",
                false => "it goes on; `%wait` waits again, `%cancel` ends it",
            };
            return Err(Report::new(ErrorKind::Map, what).hint(next).into());
        }
        let is_due = self.revives.is_some_and(|at| at <= Instant::now());
        if is_due && crew.lacks_engines(&status.pool) {
            return Ok(Some(Waited::Weak(status.pool.clone())));
        }
        if waited > Duration::from_millis(700) {
            sink.send(Event::Progress(Some(Progress {
                what: format!("job {job}"),
                unit: status.unit,
                done: status.done,
                total: status.total,
                elapsed: status.elapsed,
            })));
        }
        Ok(None)
    }

    fn interrupted(&mut self, _: &mut Crew) -> Result<(), Failed> {
        Err(goes_on(self.job).into())
    }
}
