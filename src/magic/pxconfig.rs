//! `%pxconfig`: defaults for the options of later `%px` cells.

use clap::Command;

use super::px::{options, with_options};
use super::{Call, Example, Magic};
use crate::outcome::{Event, Field, Sink, Table};
use crate::session::{Failed, Session};

pub struct Pxconfig;

impl Magic for Pxconfig {
    fn command(&self) -> Command {
        with_options(
            Command::new("pxconfig").about("sets and shows defaults for the options of %px"),
        )
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
        session.px_defaults = options(call, &session.px_defaults)?;
        let now = &session.px_defaults;
        let signal = now
            .signal_on_interrupt
            .map_or("SIGINT", crate::pool::Signal::as_str);
        let rows = [
            ("targets", now.targets.to_string()),
            ("block", now.block.to_string()),
            ("stream", now.stream.to_string()),
            ("verbose", now.verbose.to_string()),
            (
                "progress-after",
                format!("{} s", now.progress_after.as_secs_f64()),
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
            title: None,
            columns: vec!["option", "now"],
            rows,
        }));
        Ok(())
    }
}
