//! `%pxresult`: the result of the last `%px`, waited for if need be.

use clap::Args;

use super::map_options::binding;
use super::px::OutputArgs;
use super::values::job;
use super::{Call, Example, Magic};
use crate::ids::JobId;
use crate::outcome::Sink;
use crate::session::{Done, PxWanted, Session};

/// waits for `%px -a`, or shows the last result again
#[derive(Args)]
pub struct Pxresult {
    /// its number; without it all that were not shown
    #[arg(value_parser = job)]
    job: Option<JobId>,
    #[command(flatten)]
    outputs: OutputArgs,
}

impl Magic for Pxresult {
    const NAME: &'static str = "pxresult";
    const BINDS: bool = true;
    const TAKES_SUFFIX: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pool start -n 2\n%px -a engine::rank() + 5\n%pxresult",
        shows: "6",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        if call.suffix.is_some() {
            session.pool_named(call.suffix)?;
        }
        let wanted = PxWanted {
            job: self.job,
            pool: call.suffix.map(str::to_owned),
            group: self.outputs.grouping(),
            bind: binding(call.bind, self.outputs.out.flatten(), Self::NAME)?,
        };
        session.px_result(&wanted, sink)
    }
}
