//! `%wait`: waits for jobs.

use std::time::Instant;

use clap::{Arg, Command};

use super::values::{job, seconds};
use super::{Call, Example, Magic};
use crate::ids::JobId;
use crate::outcome::Sink;
use crate::session::{Failed, Session};

pub struct Wait;

impl Magic for Wait {
    fn command(&self) -> Command {
        Command::new("wait")
            .about("waits for jobs")
            .arg(
                Arg::new("jobs")
                    .value_name("JOB")
                    .num_args(0..)
                    .help("their numbers; the last one without any"),
            )
            .arg(
                Arg::new("timeout")
                    .long("timeout")
                    .value_name("SECS")
                    .allow_hyphen_values(true)
                    .help("no longer than this in all; the jobs run on"),
            )
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\n%map -a |x: u64| x + 1 over 0..4\n%wait --timeout 60\nlet r = %result\nr",
            shows: "[1, 2, 3, 4]",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let timeout = call
            .text_of("timeout")
            .map(|text| seconds("--timeout", text))
            .transpose()?;
        let numbers: Vec<JobId> = call
            .all_of("jobs")
            .into_iter()
            .map(job)
            .collect::<Result<_, _>>()?;
        if numbers.is_empty() {
            return session.wait_job(None, timeout, sink);
        }
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        for job in numbers {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            session.wait_job(Some(job), left, sink)?;
        }
        Ok(())
    }
}
