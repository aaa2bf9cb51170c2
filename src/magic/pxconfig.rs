//! `%pxconfig`: defaults for the options of later `%px` cells.

use clap::{Arg, ArgAction, Command};

use super::px::{pool_of, with_call, with_options};
use super::{Call, Example, Magic};
use crate::outcome::{Event, Field, Sink, Table};
use crate::session::{Failed, OnInterrupt, Session};

pub struct Pxconfig;

impl Magic for Pxconfig {
    fn command(&self) -> Command {
        let command =
            Command::new("pxconfig").about("sets and shows defaults for the options of %px");
        with_options(command).arg(
            Arg::new("reset")
                .long("reset")
                .action(ArgAction::SetTrue)
                .help("forget all that was set before"),
        )
    }

    fn takes_suffix(&self) -> bool {
        true
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pxconfig --progress-after 1",
            shows: "progress-after",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let pool = pool_of(call)?;
        if pool.is_some() {
            session.pool_named(pool.as_deref())?;
        }
        if call.flag("reset") {
            session.set_px_defaults(pool.as_deref(), None);
        }
        let mut now = with_call(session.px_defaults(pool.as_deref()).clone(), call)?;
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
