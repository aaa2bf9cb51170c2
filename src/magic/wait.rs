//! `%wait`: waits for jobs.

use std::time::{Duration, Instant};

use clap::Args;

use super::values::{job, seconds};
use super::{Call, Example, Magic};
use crate::ids::JobId;
use crate::outcome::Sink;
use crate::session::{Done, Session};

/// waits for jobs
#[derive(Args)]
pub struct Wait {
    /// their numbers; the last one without any
    #[arg(value_name = "JOB", value_parser = job)]
    jobs: Vec<JobId>,
    /// no longer than this in all; the jobs run on
    #[arg(
        long,
        value_name = "SECS",
        allow_hyphen_values = true,
        value_parser = |text: &str| seconds("--timeout", text)
    )]
    timeout: Option<Duration>,
}

impl Magic for Wait {
    const NAME: &'static str = "wait";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\n%map -a |x: u64| x + 1 over 0..4\n%wait --timeout 60\nlet r = %result\nr",
        shows: "[1, 2, 3, 4]",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        if self.jobs.is_empty() {
            return session.wait_job(None, self.timeout, sink);
        }
        let until = self
            .timeout
            .and_then(|timeout| Instant::now().checked_add(timeout));
        for job in self.jobs {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            session.wait_job(Some(job), left, sink)?;
        }
        Ok(())
    }
}
