//! `%pxresult`: the result of the last `%px`, waited for if need be.

use clap::Command;

use super::{Call, Example, Magic};
use crate::outcome::Sink;
use crate::session::{Failed, Session};

pub struct Pxresult;

impl Magic for Pxresult {
    fn command(&self) -> Command {
        Command::new("pxresult").about("waits for `%px -a`, or shows the last result again")
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%pool start -n 2\n%px -a engine::rank() + 5\n%pxresult",
            shows: "6",
        }]
    }

    fn run(&self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Result<(), Failed> {
        session.px_result(sink)
    }
}
