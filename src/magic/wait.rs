//! `%wait`: waits for a job.

use clap::{Arg, Command};

use super::values::{job_of, seconds};
use super::{Call, Example, Magic};
use crate::outcome::Sink;
use crate::session::{Failed, Session};

pub struct Wait;

impl Magic for Wait {
    fn command(&self) -> Command {
        Command::new("wait")
            .about("waits for a job")
            .arg(
                Arg::new("job")
                    .value_name("JOB")
                    .help("its number; the last one without it"),
            )
            .arg(
                Arg::new("timeout")
                    .long("timeout")
                    .value_name("SECS")
                    .allow_hyphen_values(true)
                    .help("no longer than this; the job runs on"),
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
        session.wait_job(job_of(call)?, timeout, sink)
    }
}
