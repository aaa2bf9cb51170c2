//! `%pxconfig`: defaults for the options of later `%px` cells.

use clap::Args;

use super::px::PxArgs;
use super::{Call, Example, Magic};
use crate::outcome::{Event, Field, Sink, Table};
use crate::session::{Done, OnInterrupt, Session};

/// sets and shows defaults for the options of %px
#[derive(Args)]
pub struct Pxconfig {
    #[command(flatten)]
    px: PxArgs,
    /// forget all that was set before
    #[arg(long)]
    reset: bool,
}

impl Magic for Pxconfig {
    const NAME: &'static str = "pxconfig";
    const TAKES_SUFFIX: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%pxconfig --progress-after 1",
        shows: "progress-after",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let pool = self.px.pool(call)?;
        if pool.is_some() {
            session.pool_named(pool.as_deref())?;
        }
        if self.reset {
            session.set_px_defaults(pool.as_deref(), None);
        }
        let mut now = self.px.on(session.px_defaults(pool.as_deref()).clone());
        now.pool.clone_from(&pool);
        session.set_px_defaults(pool.as_deref(), Some(now.clone()));
        let signal = match now.on_interrupt {
            OnInterrupt::Signal(signal) => signal.as_str(),
            OnInterrupt::Nothing => "0: nothing",
        };
        let rows = [
            ("targets", now.targets.to_string()),
            ("block", now.block.to_string()),
            ("stream", now.stream.to_string()),
            ("verbose", now.verbose.to_string()),
            (
                "progress-after",
                match now.progress_after {
                    Some(after) => format!("{} s", after.as_secs_f64()),
                    None => "-1: never".to_owned(),
                },
            ),
            ("signal-on-interrupt", signal.to_owned()),
            (
                "group-outputs",
                format!("{:?}", now.group_outputs).to_lowercase(),
            ),
            ("out", now.out.clone().unwrap_or_else(|| "none".to_owned())),
            ("local", now.local.to_string()),
        ];
        let row =
            |(name, value): (&str, String)| vec![Field::Text(name.to_owned()), Field::Text(value)];
        let rows = rows.into_iter().map(row).collect();
        sink.send(Event::Table(Table {
            title: pool.map(|pool| format!("%px on {pool}")),
            columns: vec!["option", "now"],
            rows,
        }));
        Ok(())
    }
}
