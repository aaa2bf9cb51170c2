//! `%cd`: the working folder of session, engines and shell commands.

use clap::{Args, ValueHint};

use super::{Call, Example, Magic};
use crate::outcome::{Event, Sink};
use crate::session::{Done, Session};

/// goes to another folder, with all engines
#[derive(Args)]
#[command(after_help = "`{name}` stands for a variable's value. `!cd` ends with its own command.")]
pub struct Cd {
    /// where to; home without it, `-` is the folder before
    #[arg(value_hint = ValueHint::DirPath)]
    folder: Option<String>,
}

impl Magic for Cd {
    const NAME: &'static str = "cd";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%cd .",
        shows: "/",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let to = self.folder.map(|to| session.filled_in(&to, sink));
        let to = to.transpose()?;
        let there = session.change_folder(to.as_deref())?;
        sink.send(Event::Text(there.display().to_string()));
        Ok(())
    }
}
