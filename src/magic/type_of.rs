//! `%type`: the type of an expression, which is not run.

use clap::Command;

use super::{Call, Example, Magic, Takes};
use crate::outcome::{Event, Sink};
use crate::session::{Failed, Session};

pub struct TypeOf;

impl Magic for TypeOf {
    fn command(&self) -> Command {
        Command::new("type").about("tells an expression's type without running it")
    }

    fn takes(&self) -> Takes {
        Takes::Code
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%type vec![1u8].into_iter().map(f64::from).collect::<Vec<_>>()",
            shows: "Vec<f64>",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let text = call.text.trim_end().trim_end_matches(';');
        let kind = session.type_of(text, call.at, sink)?;
        sink.send(Event::Text(kind));
        Ok(())
    }
}
