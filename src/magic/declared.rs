//! A magic as the list has it: its declaration as plain data, whatever the type of its options is.

use clap::{ArgMatches, Command};

use super::{Call, Example, Magic, Takes};
use crate::outcome::Sink;
use crate::session::{Done, Session};

/// A magic whose options are read: what is left is to run it.
pub(super) type Run = Box<dyn FnOnce(&Call<'_>, &mut Session, &mut dyn Sink) -> Done>;

pub struct Declared {
    pub name: &'static str,
    pub takes: Takes,
    pub has_cell_form: bool,
    pub code_behind: &'static [&'static str],
    pub options_behind: bool,
    pub binds: bool,
    pub takes_suffix: bool,
    pub examples: &'static [Example],
    options: fn(Command) -> Command,
    read: fn(&ArgMatches) -> Result<Run, clap::Error>,
}

impl Declared {
    pub(super) const fn of<M: Magic>() -> Self {
        Self {
            name: M::NAME,
            takes: M::TAKES,
            has_cell_form: M::HAS_CELL_FORM,
            code_behind: M::CODE_BEHIND,
            options_behind: M::OPTIONS_BEHIND,
            binds: M::BINDS,
            takes_suffix: M::TAKES_SUFFIX,
            examples: M::EXAMPLES,
            options: M::augment_args,
            read: |matches| {
                let magic = M::from_arg_matches(matches)?;
                Ok(Box::new(move |call, session, sink| {
                    magic.run(call, session, sink)
                }))
            },
        }
    }

    /// Name, description and options.
    pub fn command(&self) -> Command {
        (self.options)(Command::new(self.name))
    }

    /// One line on what it is for.
    pub(super) fn about(&self) -> String {
        about(&self.command())
    }

    pub(super) fn read(&self, matches: &ArgMatches) -> Result<Run, clap::Error> {
        (self.read)(matches)
    }
}

/// One line on what a magic, or a subcommand of one, is for.
pub(super) fn about(command: &Command) -> String {
    command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default()
}
