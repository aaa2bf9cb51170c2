//! `%pxresult`: the result of the last `%px`, waited for if need be.

use clap::{Arg, Command};

use super::map_options::binding;
use super::px::{grouping, output_options};
use super::values::job_of;
use super::{Call, Example, Magic};
use crate::outcome::Sink;
use crate::session::{Failed, PxWanted, Session};

pub struct Pxresult;

impl Magic for Pxresult {
    fn command(&self) -> Command {
        Command::new("pxresult")
            .about("waits for `%px -a`, or shows the last result again")
            .arg(
                Arg::new("job")
                    .value_name("JOB")
                    .help("its number; without it all that were not shown"),
            )
            .args(output_options())
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\n%px -a engine::rank() + 5\n%pxresult",
            shows: "6",
        }]
    }

    fn binds(&self) -> bool {
        true
    }

    fn takes_suffix(&self) -> bool {
        true
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        if call.suffix.is_some() {
            session.pool_named(call.suffix)?;
        }
        let wanted = PxWanted {
            job: job_of(call)?,
            pool: call.suffix.map(str::to_owned),
            bind: binding(call, "pxresult")?,
            group: grouping(call),
        };
        session.px_result(&wanted, sink)
    }
}
