//! `%quit`: ends the session.

use clap::Args;

use super::{Call, Example, Magic};
use crate::outcome::Sink;
use crate::session::{Done, Session};

/// ends the session and its engines
#[derive(Args)]
pub struct Quit;

impl Magic for Quit {
    const NAME: &'static str = "quit";
    const EXAMPLES: &'static [Example] = &[];

    fn run(self, _: &Call<'_>, session: &mut Session, _: &mut dyn Sink) -> Done {
        session.quitting = true;
        Ok(())
    }
}
