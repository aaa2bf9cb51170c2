//! `%types`: whether a value is shown with its type.

use clap::Args;

use super::values::Switch;
use super::{Call, Example, Magic};
use crate::outcome::{Event, Sink};
use crate::session::{Done, Session};

/// shows each value of a cell with its type; again: ends that
#[derive(Args)]
#[command(
    after_help = "`Out[4]: Vec<f64> = [1.5]` instead of `Out[4]: [1.5]`. In the init.md of the config folder it \
                  holds for every session. `%type EXPR` tells the type of one expression."
)]
pub struct Types {
    /// without it, the other one of the two
    #[arg(value_name = "on|off")]
    state: Option<Switch>,
}

impl Magic for Types {
    const NAME: &'static str = "types";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%types on\n1.5",
        shows: ": f64 = 1.5",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let style = session.value_style();
        style.types = self.state.map_or(!style.types, |state| state == Switch::On);
        let said = if style.types {
            "%types on: values are shown with their types"
        } else {
            "%types off: values are shown without their types"
        };
        sink.send(Event::Text(said.to_owned()));
        Ok(())
    }
}
