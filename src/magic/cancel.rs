//! `%cancel`: stops a job.

use clap::Args;

use super::values::job;
use super::{Call, Example, Magic};
use crate::ids::JobId;
use crate::outcome::{JobState, Report, Sink};
use crate::session::{Done, JobStatus, Session};

/// stops a job; items that finished keep their results
#[derive(Args)]
pub struct Cancel {
    /// its number; the last one that runs without it
    #[arg(value_parser = job)]
    job: Option<JobId>,
}

impl Magic for Cancel {
    const NAME: &'static str = "cancel";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\n%map -a |x: u64| { std::thread::sleep(std::time::Duration::from_millis(200)); x } over 0..1000\n%cancel",
        shows: "cancel",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let running =
            |status: &JobStatus| matches!(status.state, JobState::Running | JobState::Waiting);
        let job = match self.job {
            Some(job) => job,
            None => session
                .jobs(sink)
                .into_iter()
                .rfind(running)
                .map(|status| status.job)
                .ok_or_else(|| Report::usage("no job runs"))?,
        };
        session.cancel_job(job, sink)
    }
}
