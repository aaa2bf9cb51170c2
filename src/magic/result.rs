//! `%result`: the results of a job, waited for if need be.

use clap::Args;

use super::values::job;
use super::{Call, Example, Magic};
use crate::ids::JobId;
use crate::outcome::Sink;
use crate::session::{Done, Session};

/// gives the results of a job, waiting for them if need be; the job keeps them
#[derive(Args)]
#[command(override_usage = "let NAME = %result [JOB]\n       %result [JOB]")]
pub struct TakeResult {
    /// its number; the last one without it
    #[arg(value_parser = job)]
    job: Option<JobId>,
}

impl Magic for TakeResult {
    const NAME: &'static str = "result";
    const BINDS: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\n%map -a |x: u64| x * 10 over 1..=3\nlet tens = %result\ntens",
        shows: "[10, 20, 30]",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        session.job_result(self.job, call.bind, sink)
    }
}
