//! `%show`: a value whole, through the pager where it is longer than the screen.

use clap::Args;

use super::{Call, Example, Magic, Takes};
use crate::outcome::{Event, Sink};
use crate::session::{Done, Session};

/// shows the whole of a value, through a pager
#[derive(Args)]
#[command(
    after_help = "The pager is $PAGER, or less. Without a terminal the text stands in the output."
)]
pub struct Show;

impl Magic for Show {
    const NAME: &'static str = "show";
    const TAKES: Takes = Takes::Code;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%show (0..200).collect::<Vec<u32>>()",
        shows: "100,",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let expression = call.text.trim_end().trim_end_matches(';');
        let value = session.whole_value(expression, call.at, sink)?;
        let cell = session.cell();
        sink.send(Event::Whole { cell, value });
        Ok(())
    }
}
