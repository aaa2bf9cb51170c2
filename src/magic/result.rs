//! `%result`: the results of a job, waited for if need be.

use clap::{Arg, Command};

use super::values::job_of;
use super::{Call, Example, Magic};
use crate::outcome::Sink;
use crate::session::{Failed, Session};

pub struct TakeResult;

impl Magic for TakeResult {
    fn command(&self) -> Command {
        Command::new("result")
            .about("gives the results of a job, waiting for them if need be; the job keeps them")
            .override_usage("let NAME = %result [JOB]\n       %result [JOB]")
            .arg(
                Arg::new("job")
                    .value_name("JOB")
                    .help("its number; the last one without it"),
            )
    }

    fn binds(&self) -> bool {
        true
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\n%map -a |x: u64| x * 10 over 1..=3\nlet tens = %result\ntens",
            shows: "[10, 20, 30]",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        session.job_result(job_of(call)?, call.bind, sink)
    }
}
