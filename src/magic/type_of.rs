//! `%type`: the type of an expression, which is not run.

use clap::Args;

use super::{Call, Example, Magic, Takes};
use crate::outcome::{Event, Sink};
use crate::session::{Done, Session};

/// tells an expression's type without running it
#[derive(Args)]
pub struct TypeOf;

impl Magic for TypeOf {
    const NAME: &'static str = "type";
    const TAKES: Takes = Takes::Code;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%type vec![1u8].into_iter().map(f64::from).collect::<Vec<_>>()",
        shows: "Vec<f64>",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let text = call.text.trim_end().trim_end_matches(';');
        let kind = session.type_of(text, call.at, sink)?;
        sink.send(Event::Text(kind));
        Ok(())
    }
}
