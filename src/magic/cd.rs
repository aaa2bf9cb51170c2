//! `%cd`: the working folder of session, engines and shell commands.

use clap::{Arg, Command};

use super::{Call, Example, Magic};
use crate::outcome::{Event, Sink};
use crate::session::{Failed, Session};

pub struct Cd;

impl Magic for Cd {
    fn command(&self) -> Command {
        Command::new("cd")
            .about("goes to another folder, with all engines")
            .arg(
                Arg::new("file")
                    .value_name("FOLDER")
                    .help("where to; home without it, `-` is the folder before"),
            )
            .after_help("`{name}` stands for a variable's value. `!cd` ends with its own command.")
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%cd .",
            shows: "/",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let to = call.text_of("file");
        let to = to.map(|to| session.filled_in(to, sink)).transpose()?;
        let there = session.change_folder(to.as_deref())?;
        sink.send(Event::Text(there.display().to_string()));
        Ok(())
    }
}
