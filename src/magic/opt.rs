//! `%opt`: how cells are optimised, whether arithmetic is checked, how long shown values are.

use clap::{Arg, Command, builder::PossibleValuesParser};

use super::{Call, Example, Magic};
use crate::compiler::Setting;
use crate::outcome::{Event, Report, Sink};
use crate::session::{Failed, Session};

pub struct Opt;

impl Magic for Opt {
    fn command(&self) -> Command {
        Command::new("opt")
            .about("sets the optimisation of later cells, their checks, and the lines of a value")
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
            .arg(
                Arg::new("lines").long("lines").value_name("N|all").help(
                    "lines of a long value, the middle of which is left out (10 at the start)",
                ),
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
        if let Some(lines) = call.text_of("lines") {
            session.value_style().lines = lines_of(lines)?;
        }
        let lines = session.value_style().lines;
        let (mut level, mut checks) = ("2", true);
        for setting in session.settings() {
            match setting {
                Setting::OptLevel(set) => level = set,
                Setting::Checks(on) => checks = *on,
            }
        }
        let checks = if checks { "on" } else { "off" };
        let lines = match lines {
            usize::MAX => "all lines of a value".to_owned(),
            lines => format!("{lines} lines of a long value"),
        };
        let text = format!(
            "opt-level {level}, overflow checks {checks}; for cells compiled from now on; {lines}"
        );
        sink.send(Event::Text(text));
        Ok(())
    }
}

fn lines_of(text: &str) -> Result<usize, Report> {
    match text.parse() {
        Ok(lines @ 1..) => Ok(lines),
        _ if text == "all" => Ok(usize::MAX),
        _ => Err(
            Report::usage(format!("--lines {text}: not a number of lines"))
                .hint("a number from 1 on, or `all`"),
        ),
    }
}
