//! `%quit`: ends the session.

use clap::Command;

use super::{Call, Example, Magic};
use crate::outcome::Sink;
use crate::session::{Failed, Session};

pub struct Quit;

impl Magic for Quit {
    fn command(&self) -> Command {
        Command::new("quit").about("ends the session and its engines")
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn run(&self, _: &Call<'_>, session: &mut Session, _: &mut dyn Sink) -> Result<(), Failed> {
        session.quitting = true;
        Ok(())
    }
}
