//! `%reset`: a session as new, with its pools and history.

use clap::Args;

use super::{Call, Example, Magic};
use crate::outcome::{Event, Sink};
use crate::session::{Done, Session};

/// forgets all variables and definitions
#[derive(Args)]
pub struct Reset;

impl Magic for Reset {
    const NAME: &'static str = "reset";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%reset",
        shows: "forgotten",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        session.reset(sink);
        let text = "all variables and definitions are forgotten; crates, pools and history stay";
        sink.send(Event::Text(text.to_owned()));
        Ok(())
    }
}
