//! `%opt`: how cells are optimised, and whether arithmetic is checked.

use clap::{Arg, Command, builder::PossibleValuesParser};

use super::{Call, Example, Magic};
use crate::compiler::Setting;
use crate::outcome::{Event, Sink};
use crate::session::{Failed, Session};

pub struct Opt;

impl Magic for Opt {
    fn command(&self) -> Command {
        Command::new("opt")
            .about("sets the optimisation of later cells, and their checks")
            .arg(
                Arg::new("level")
                    .value_parser(PossibleValuesParser::new(["0", "1", "2", "3", "s", "z"]))
                    .help("rustc's opt-level; cells start with 2"),
            )
            .arg(
                Arg::new("checks")
                    .long("checks")
                    .value_name("on|off")
                    .value_parser(PossibleValuesParser::new(["on", "off"]))
                    .help("integer overflow checks and debug assertions (on at the start)"),
            )
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%opt",
            shows: "opt-level 2",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        if let Some(level) = call.text_of("level") {
            session.configure(Setting::OptLevel(level.to_owned()));
        }
        if let Some(checks) = call.text_of("checks") {
            session.configure(Setting::Checks(checks == "on"));
        }
        let (mut level, mut checks) = ("2", true);
        for setting in session.settings() {
            match setting {
                Setting::OptLevel(set) => level = set,
                Setting::Checks(on) => checks = *on,
            }
        }
        let checks = if checks { "on" } else { "off" };
        let text =
            format!("opt-level {level}, overflow checks {checks}; for cells compiled from now on");
        sink.send(Event::Text(text));
        Ok(())
    }
}
