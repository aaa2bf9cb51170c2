//! `%cancel`: stops a job.

use clap::{Arg, Command};

use super::values::job_of;
use super::{Call, Example, Magic};
use crate::outcome::{JobState, Report, Sink};
use crate::session::{Failed, JobStatus, Session};

pub struct Cancel;

impl Magic for Cancel {
    fn command(&self) -> Command {
        Command::new("cancel")
            .about("stops a job; items that finished keep their results")
            .arg(
                Arg::new("job")
                    .value_name("JOB")
                    .help("its number; the last one that runs without it"),
            )
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\n%map -a |x: u64| { std::thread::sleep(std::time::Duration::from_millis(200)); x } over 0..1000\n%cancel",
            shows: "cancel",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let running =
            |status: &JobStatus| matches!(status.state, JobState::Running | JobState::Waiting);
        let job = match job_of(call)? {
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
