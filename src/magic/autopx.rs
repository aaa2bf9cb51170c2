//! `%autopx`: every plain cell becomes a `%px`, until it is said again.

use clap::Command;

use super::px::{options, with_options};
use super::{Call, Example, Magic};
use crate::outcome::{Event, Sink};
use crate::session::{Failed, Session};

pub struct Autopx;

impl Magic for Autopx {
    fn command(&self) -> Command {
        with_options(
            Command::new("autopx").about("runs later plain cells on the engines; again: ends that"),
        )
    }

    fn takes_suffix(&self) -> bool {
        true
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\n%autopx\n%autopx",
            shows: "%autopx off",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let said = if session.autopx.is_some() {
            session.autopx = None;
            "%autopx off: plain cells run in the local engine again"
        } else {
            let options = options(call, session)?;
            session.pool_named(options.pool.as_deref())?;
            session.autopx = Some(options);
            "%autopx on: plain cells run on the engines until the next %autopx"
        };
        sink.send(Event::Text(said.to_owned()));
        Ok(())
    }
}
