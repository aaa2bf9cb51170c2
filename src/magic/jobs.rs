//! `%jobs`: what runs, and whose results are kept.

use clap::Args;

use super::values::job;
use super::{Call, Example, Magic};
use crate::ids::JobId;
use crate::outcome::{Event, Field, JobState, Report, Sink, Table};
use crate::session::{CHUNKS, Done, JobStatus, Session, counted};

/// lists the jobs, shows one with its code, or drops the results of finished ones
#[derive(Args)]
pub struct Jobs {
    /// this one alone, with the code that it runs; of one that an earlier session has left, the whole cell
    #[arg(value_name = "JOB", value_parser = job, conflicts_with = "drop")]
    job: Option<JobId>,
    /// forget the results of this job, or of all that are finished
    #[arg(long, value_name = "JOB|all", value_parser = job_or_all)]
    drop: Option<Which>,
}

impl Magic for Jobs {
    const NAME: &'static str = "jobs";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\n%map -a |x: u64| x + 1 over 0..4\n%wait\n%jobs",
        shows: "done",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        if let Some(which) = self.drop {
            let which = match which {
                Which::All => None,
                Which::One(job) => Some(job),
            };
            let said = match session.drop_job(which, sink)? {
                0 => "no job to drop".to_owned(),
                1 => "dropped the results of 1 job".to_owned(),
                jobs => format!("dropped the results of {jobs} jobs"),
            };
            sink.send(Event::Text(said));
            return Ok(());
        }
        if let Some(job) = self.job {
            let (status, cell) = session.job_with_code(job, sink)?;
            sink.send(Event::Table(table(std::slice::from_ref(&status))));
            let why = status
                .why
                .map(|why| format!("{}: {why}", state(status.state)));
            let parts: Vec<String> = [cell].into_iter().chain(why).collect();
            sink.send(Event::Text(parts.join("\n\n")));
            return Ok(());
        }
        let jobs = session.jobs(sink);
        sink.send(if jobs.is_empty() {
            Event::Text("no jobs".to_owned())
        } else {
            Event::Table(table(&jobs))
        });
        Ok(())
    }
}

/// A finished job, or all of them.
#[derive(Clone, Copy)]
pub(super) enum Which {
    All,
    One(JobId),
}

fn job_or_all(text: &str) -> Result<Which, Report> {
    match text {
        "all" => Ok(Which::All),
        number => job(number).map(Which::One),
    }
}

/// `job 2 (done), job 3 (4 of 9 chunks done)`
pub(super) fn named(jobs: &[JobStatus]) -> String {
    let named = |status: &JobStatus| {
        let state = match status.state {
            JobState::Done => "done".to_owned(),
            _ => format!("{} done", counted(status)),
        };
        format!("job {} ({state})", status.job)
    };
    jobs.iter().map(named).collect::<Vec<_>>().join(", ")
}

/// `2 running, 1 done`
pub(super) fn tallied(jobs: &[JobStatus]) -> String {
    let states = [
        JobState::Running,
        JobState::Done,
        JobState::Failed,
        JobState::Cancelled,
    ];
    let tally = |of: &JobState| {
        let count = jobs.iter().filter(|status| status.state == *of).count();
        (count > 0).then(|| format!("{count} {}", state(*of)))
    };
    let tallies: Vec<String> = states.iter().filter_map(tally).collect();
    match tallies.is_empty() {
        true => "none".to_owned(),
        false => tallies.join(", "),
    }
}

/// As `%jobs` lists them.
pub(super) fn table(jobs: &[JobStatus]) -> Table {
    let row = |status: &JobStatus| {
        let seconds = status.elapsed.as_secs_f64();
        let rate = status.done as f64 / seconds;
        let text = |text: &str| Field::Text(text.to_owned());
        vec![
            Field::Count(status.job.0.into()),
            text(&status.what),
            Field::Text(state(status.state)),
            Field::Text(match status.total {
                // What another session has queued is not looked into.
                Some(total) if status.unit == CHUNKS => format!("{}/{total} {CHUNKS}", status.done),
                Some(total) => format!("{}/{total}", status.done),
                None => status.done.to_string(),
            }),
            if rate.is_finite() && status.done > 0 {
                Field::Text(format!("{}/s", short(rate)))
            } else {
                Field::Empty
            },
            Field::Seconds(seconds),
            text(&status.pool.0),
            if status.bytes == 0 {
                Field::Empty
            } else {
                Field::Bytes(status.bytes)
            },
        ]
    };
    Table {
        title: None,
        columns: vec![
            "job", "what", "state", "items", "rate", "elapsed", "pool", "memory",
        ],
        rows: jobs.iter().map(row).collect(),
    }
}

/// A rate with about three digits.
fn short(rate: f64) -> String {
    match rate {
        rate if rate < 10.0 => format!("{rate:.2}"),
        rate if rate < 100.0 => format!("{rate:.1}"),
        rate => format!("{rate:.0}"),
    }
}

fn state(state: JobState) -> String {
    match state {
        JobState::Waiting => "waiting".to_owned(),
        JobState::Running => "running".to_owned(),
        JobState::Stopping { left: None } => "stopping".to_owned(),
        JobState::Stopping { left: Some(left) } => {
            format!("stopping, {:.0} s left", left.as_secs_f64().ceil())
        }
        JobState::Done => "done".to_owned(),
        JobState::Failed => "failed".to_owned(),
        JobState::Cancelled => "cancelled".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ids::PoolName;

    #[test]
    fn a_job_is_a_row() {
        let mut status = JobStatus {
            job: JobId(3),
            what: "fib".to_owned(),
            unit: "items",
            state: JobState::Running,
            done: 40,
            total: Some(100),
            elapsed: Duration::from_secs(16),
            pool: PoolName("p0".to_owned()),
            bytes: 320,
            why: None,
        };
        let text = |word: &str| Field::Text(word.to_owned());
        let rows = table(std::slice::from_ref(&status)).rows;
        assert_eq!(
            rows[0],
            [
                Field::Count(3),
                text("fib"),
                text("running"),
                text("40/100"),
                text("2.50/s"),
                Field::Seconds(16.0),
                text("p0"),
                Field::Bytes(320),
            ]
        );
        status.state = JobState::Stopping {
            left: Some(Duration::from_millis(2100)),
        };
        (status.done, status.total, status.bytes) = (0, None, 0);
        let rows = table(&[status]).rows;
        assert_eq!(
            rows[0][2..],
            [
                text("stopping, 3 s left"),
                text("0"),
                Field::Empty,
                Field::Seconds(16.0),
                text("p0"),
                Field::Empty,
            ]
        );
    }

    #[test]
    fn rates_have_three_digits() {
        for (rate, shown) in [(0.333, "0.33"), (12.34, "12.3"), (98_765.4, "98765")] {
            assert_eq!(short(rate), shown);
        }
    }
}
