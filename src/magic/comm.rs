//! `%comm`: what the ranks of a pool have sent each other, and what nobody has received.

use clap::Args;

use super::values::OnTargets;
use super::{Call, Example, Magic};
use crate::cell::Targets;
use crate::ids::PoolName;
use crate::outcome::{Event, Report, Sink};
use crate::session::{Done, Session};

/// shows who has sent how much to whom by `comm`, and who has waited how long
#[derive(Args)]
#[command(
    after_help = "In %px cells engines speak with each other: `comm::send(&x, to)` and `comm::recv::<T>(from)`, \
                  `comm::barrier()`, `comm::broadcast`, `comm::all_reduce` and the other calls of MPI by their names. \
                  Rows are senders, columns receivers: messages, and their bytes. What collective calls send is counted apart. \
                  Counts begin with the pool and when its engines change. Messages that nobody has received can still \
                  be received in a later cell."
)]
pub struct Comm {
    /// drop the messages that nobody has received, and say how many
    #[arg(long, conflicts_with = "targets")]
    clear: bool,
    #[command(flatten)]
    on: OnTargets,
    /// the pool; the one in use without it. `%comm_NAME` says the same
    #[arg(short, long, value_name = "NAME")]
    pool: Option<PoolName>,
}

impl Magic for Comm {
    const NAME: &'static str = "comm";
    const TAKES_SUFFIX: bool = true;
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%pool start -n 2\n%px if comm::rank() == 0 { comm::send(&7, 1); }\n%comm",
            shows: "1 message of 4 B",
        },
        Example {
            input: "%comm --clear",
            shows: "dropped 1 message",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let own = self.pool.as_ref().map(|name| name.0.as_str());
        if let (Some(own), Some(suffix)) = (own, call.suffix)
            && own != suffix
        {
            let what = format!("%comm: two pools are named, {suffix} and {own}");
            return Err(Report::usage(what).into());
        }
        let pool = own.or(call.suffix);
        if self.clear {
            let (pool, dropped) = session.drop_unreceived(pool, sink)?;
            let messages = crate::render::units::counted(dropped.len() as u64, "messages");
            let text = match dropped.len() {
                0 => format!("{pool}: all messages have been received"),
                _ => format!("{pool}: dropped {messages} that nobody has received"),
            };
            sink.send(Event::Text(text));
            return Ok(());
        }
        let targets = self.on.targets.unwrap_or_else(Targets::all);
        let report = session.comm_report(pool, &targets, sink)?;
        sink.send(Event::Comm(report));
        Ok(())
    }
}
