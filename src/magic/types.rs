//! `%types`: whether a value is shown with its type.

use clap::{Arg, Command, builder::PossibleValuesParser};

use super::{Call, Example, Magic};
use crate::outcome::{Event, Sink};
use crate::session::{Failed, Session};

pub struct Types;

impl Magic for Types {
    fn command(&self) -> Command {
        Command::new("types")
            .about("shows each value of a cell with its type; again: ends that")
            .arg(
                Arg::new("state")
                    .value_name("on|off")
                    .value_parser(PossibleValuesParser::new(["on", "off"]))
                    .help("without it, the other one of the two"),
            )
            .after_help(
                "`Out[4]: Vec<f64> = [1.5]` instead of `Out[4]: [1.5]`. In the init.md of the config folder it \
                 holds for every session. `%type EXPR` tells the type of one expression.",
            )
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%types on\n1.5",
            shows: ": f64 = 1.5",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let style = session.value_style();
        style.types = call
            .text_of("state")
            .map_or(!style.types, |state| state == "on");
        let said = if style.types {
            "%types on: values are shown with their types"
        } else {
            "%types off: values are shown without their types"
        };
        sink.send(Event::Text(said.to_owned()));
        Ok(())
    }
}
