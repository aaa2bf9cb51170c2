//! `%detach`: has a job go on without this session.

use clap::Args;

use super::values::job;
use super::{Call, Example, Magic};
use crate::ids::JobId;
use crate::outcome::Sink;
use crate::session::{Done, Session};

/// has a job of a kept cluster go on without this session; `%result` takes its results, also after `regatta attach`
#[derive(Args)]
#[command(
    after_help = "All inputs of the job are queued on the cluster's server first; then its engines need nobody. \
    `%map -a` begins such a job, on a pool that `%pool start cluster --keep 24h` has started."
)]
pub struct Detach {
    /// its number; the last one without it
    #[arg(value_parser = job)]
    job: Option<JobId>,
}

impl Magic for Detach {
    const NAME: &'static str = "detach";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%help detach",
        shows: "job of a kept cluster",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        session.detach_job(self.job, sink)
    }
}
