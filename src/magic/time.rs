//! `%time`: runs code once and tells how long that took.

use clap::Args;

use super::evaluate::run_text;
use super::{Call, Example, Magic, Takes};
use crate::outcome::{Event, Sink, Timing};
use crate::session::{Done, Session};

/// runs code once and tells how long that took
#[derive(Args)]
pub struct Time;

impl Magic for Time {
    const NAME: &'static str = "time";
    const TAKES: Takes = Takes::Code;
    const HAS_CELL_FORM: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%time (0..1000u64).sum::<u64>()",
        shows: "wall",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let before = session.timing();
        // On its own lines, so that columns in errors are the cell's.
        let text = " ".repeat(call.at.1.saturating_sub(1)) + call.text;
        run_text(session, &text, call.at.0, sink)?;
        let after = session.timing();
        let run = after.run.saturating_sub(before.run).as_secs_f64();
        let compile = Some(after.compile.saturating_sub(before.compile));
        sink.send(Event::Timing(Timing {
            per_loop: vec![run],
            loops: 1,
            compile,
        }));
        Ok(())
    }
}
