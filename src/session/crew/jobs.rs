//! Jobs as the crew knows them: maps in the background, of which the hub knows how far they are, and `%px` cells in
//! the background, each of which takes its turn on its engines.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::Crew;
use super::flight::FlightId;
use super::outs::is_out;
use crate::ids::{CellId, JobId, PoolName, Rank};
use crate::outcome::{
    FirstFailure, JobEnd, JobState, JobWork, PoolKind, PxReport, Report, ThreadsFailed,
};
use crate::pool::JobRecord;
use crate::session::JobStatus;
use crate::session::former::FormerJob;
use crate::session::parallel::JobCommands;
use crate::session::px::{Asked, Plan};
use crate::session::px_out::Values;

/// The jobs of a session.
#[derive(Debug, Default)]
pub struct Jobs {
    pub px: Vec<PxJob>,
    /// Maps in the background that magics began.
    pub maps: Vec<MapJob>,
    /// Jobs of clusters that no map of this session is.
    pub former: Vec<FormerJob>,
    /// Those whose end was waited for: it need not be told besides.
    pub awaited: HashSet<JobId>,
}

/// A map in the background, and the variable that has its results.
#[derive(Clone, Debug)]
pub struct MapJob {
    pub job: JobId,
    pub variable: String,
    /// What it runs when these are commands, until it is told how they went.
    pub commands: Option<JobCommands>,
}

/// A `%px` that nobody waits for.
#[derive(Debug)]
pub struct PxJob {
    pub job: JobId,
    pub asked: Asked,
    pub stage: Stage,
    pub since: Instant,
    /// Somebody waits for it, and need not be told that it is over.
    pub awaited: bool,
}

#[derive(Debug)]
pub enum Stage {
    /// Its engines have other jobs to do first.
    Queued,
    Flying(FlightId, Box<Plan>),
    Over(Box<End>),
}

/// What a job came to.
#[derive(Debug, Default)]
pub struct End {
    /// `None` when it did not run.
    pub report: Option<PxReport>,
    pub values: Values,
    /// What else went wrong.
    pub failed: Vec<Report>,
    pub took: Duration,
}

impl End {
    fn is_ok(&self) -> bool {
        self.failed.is_empty() && self.report.as_ref().is_some_and(PxReport::is_ok)
    }

    /// Why it failed, in a few words.
    pub fn why(&self) -> Option<String> {
        if let Some(report) = self.failed.first() {
            return Some(report.to_string());
        }
        let rows = self.report.iter().flat_map(|report| &report.engines);
        let mut failures = rows.filter(|row| !row.outcome.is_ok());
        let first = failures.next()?;
        let first = FirstFailure {
            rank: first.rank,
            outcome: &first.outcome,
            more: failures.count(),
        };
        Some(first.to_string())
    }
}

impl PxJob {
    pub fn new(job: JobId, asked: Asked, stage: Stage) -> Self {
        Self {
            job,
            asked,
            stage,
            since: Instant::now(),
            awaited: false,
        }
    }

    pub fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over(_))
    }
}

impl Jobs {
    /// The `%px` among the first `count` that has to end before these engines are free.
    pub fn in_front(&self, pool: &PoolName, ranks: &[Rank], count: usize) -> Option<JobId> {
        let overlaps = |job: &&PxJob| {
            !job.is_over()
                && job.asked.pool == *pool
                && job.asked.ranks.iter().any(|rank| ranks.contains(rank))
        };
        let mut first = self.px.iter().take(count).rev();
        first.find(overlaps).map(|job| job.job)
    }

    pub fn px_job(&self, job: JobId) -> Option<&PxJob> {
        self.px.iter().find(|other| other.job == job)
    }

    /// Takes a `%px` out of the list.
    pub fn take_px(&mut self, job: JobId) -> Option<PxJob> {
        let place = self.px.iter().position(|other| other.job == job)?;
        Some(self.px.remove(place))
    }

    /// Marks a job as one that somebody waits for, or does not any more.
    pub fn set_awaited(&mut self, job: JobId, awaited: bool) {
        if let Some(job) = self.px.iter_mut().find(|other| other.job == job) {
            job.awaited = awaited;
        }
    }

    /// What has the results of a map that a magic began.
    pub fn variable(&self, job: JobId) -> Option<&str> {
        let map = self.maps.iter().find(|other| other.job == job)?;
        Some(&map.variable)
    }

    /// Whether a magic began a map.
    pub fn is_map(&self, job: JobId) -> bool {
        self.maps.iter().any(|other| other.job == job)
    }
}

/// What the name of a job's variable begins with.
pub const JOB_VARIABLE: &str = "regatta_job_";

/// Whether a variable is a job's or a cell's value, of which the user sees the number only.
pub fn is_ours(variable: &str) -> bool {
    variable.starts_with(JOB_VARIABLE) || is_out(variable)
}

fn px_words(cell: CellId) -> String {
    format!("%px of {}", cell.name())
}

/// Why a `%px` on threads failed.
fn px_failed(record: &JobRecord) -> Option<String> {
    let threads = ThreadsFailed {
        failed: record.failed,
        of: record.total.unwrap_or(record.done),
    };
    let failed = || threads.to_string();
    record
        .why
        .clone()
        .or_else(|| (record.failed > 0).then(failed))
}

impl Crew {
    /// Maps in the background that run on threads of the local engine.
    pub fn jobs_on_threads(&self) -> impl Iterator<Item = JobRecord> {
        let runs = |record: &JobRecord| {
            record.background && record.kind == PoolKind::Threads && !record.state.is_over()
        };
        self.hub.jobs().into_iter().filter(runs)
    }

    /// The `%px` on threads of this number.
    pub fn px_of_threads(&self, job: JobId) -> Option<JobRecord> {
        let ours = |record: &JobRecord| record.job == job && record.px.is_some();
        self.hub.jobs().into_iter().find(ours)
    }

    /// Those of these maps that are under way on threads of the local engine.
    pub fn still_on_threads(&self, maps: &[JobId]) -> Vec<JobId> {
        let runs = |record: &JobRecord| {
            maps.contains(&record.job)
                && record.kind == PoolKind::Threads
                && !record.state.is_over()
        };
        let jobs = self.hub.jobs().into_iter().filter(runs);
        jobs.map(|record| record.job).collect()
    }

    /// Every job that runs or whose results are kept, oldest first.
    pub fn statuses(&self) -> Vec<JobStatus> {
        let records = self.hub.jobs();
        // Those that code began are listed as long as it can reach them.
        let codes =
            |record: &&JobRecord| record.background && (record.held || !record.state.is_over());
        // What died with the local engine has no results any more; why one failed is still told.
        let magics = |record: &&JobRecord| {
            let kept = record.held || matches!(record.state, JobState::Running | JobState::Failed);
            kept && self.jobs.is_map(record.job)
        };
        let mut all: Vec<JobStatus> = records
            .iter()
            .filter(|record| magics(record) || codes(record))
            .map(|record| self.map_status(record))
            .collect();
        all.extend(self.jobs.px.iter().map(|job| self.px_status(job)));
        all.extend(self.former_statuses());
        all.sort_by_key(|status| status.job);
        all
    }

    fn map_status(&self, record: &JobRecord) -> JobStatus {
        let status = JobStatus {
            job: record.job,
            what: record.what.clone(),
            unit: "items",
            state: record.state,
            done: record.done,
            total: record.total,
            elapsed: record.elapsed,
            pool: record.pool.clone(),
            bytes: record.bytes,
            why: record.why.clone(),
        };
        let Some(cell) = record.px else {
            return status;
        };
        let failed = px_failed(record);
        JobStatus {
            what: px_words(cell),
            unit: "engines",
            state: match (record.state, &failed) {
                (JobState::Done, Some(_)) => JobState::Failed,
                (state, _) => state,
            },
            done: record.done.saturating_sub(record.failed),
            why: failed,
            ..status
        }
    }

    /// How a `%px` on threads ended, when this map is one.
    pub fn px_on_threads(&self, end: &JobEnd) -> Option<JobWork> {
        let record = self.hub.jobs().into_iter().find(|it| it.job == end.job)?;
        let cell = record.px?;
        (record.state != JobState::Cancelled).then(|| JobWork::Px {
            cell,
            failed: px_failed(&record),
            pool: record.pool,
        })
    }

    fn px_status(&self, job: &PxJob) -> JobStatus {
        let (state, done, elapsed) = match &job.stage {
            Stage::Queued => (JobState::Waiting, 0, job.since.elapsed()),
            Stage::Flying(flight, _) => {
                let flying = self.flights.get(flight).map_or(0, |f| f.flying().len());
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
            what: px_words(job.asked.cell),
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
    }

    /// The `%px -a` that run or wait for their turn, and their pools.
    pub fn px_under_way(&self) -> impl Iterator<Item = (JobId, PoolName)> {
        let under_way = |job: &&PxJob| !job.is_over();
        let all = self.jobs.px.iter().filter(under_way);
        all.map(|job| (job.job, job.asked.pool.clone()))
    }
}
