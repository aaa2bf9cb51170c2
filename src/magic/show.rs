//! `%show`: a value whole, through the pager where it is longer than the screen.

use clap::Command;

use super::{Call, Example, Magic, Takes};
use crate::outcome::{Event, Sink};
use crate::session::{Failed, Session};

pub struct Show;

impl Magic for Show {
    fn command(&self) -> Command {
        Command::new("show")
            .about("shows the whole of a value, through a pager")
            .after_help(
                "The pager is $PAGER, or less. Without a terminal the text stands in the output.",
            )
    }

    fn takes(&self) -> Takes {
        Takes::Code
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%show (0..200).collect::<Vec<u32>>()",
            shows: "100,",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let expression = call.text.trim_end().trim_end_matches(';');
        let value = session.whole_value(expression, call.at, sink)?;
        let cell = session.cell();
        sink.send(Event::Whole { cell, value });
        Ok(())
    }
}
