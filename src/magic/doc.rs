//! `%doc`, also written `?name` and `name?`: what something is, from its documentation.

use clap::Args;

use super::{Call, Example, Magic, Takes};
use crate::compiler::analysis::{Found, Question};
use crate::outcome::{Docs, Event, Report, Sink};
use crate::session::{Done, Session};
use crate::vocabulary::nearest;

/// tells what a name is: signature, type, documentation; also `?name` and `name?`
#[derive(Args)]
pub struct Doc {
    /// with its source; also `??name`
    #[arg(short, long)]
    source: bool,
    /// all of it, however long
    #[arg(short, long)]
    all: bool,
}

impl Magic for Doc {
    const NAME: &'static str = "doc";
    const TAKES: Takes = Takes::Code;
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%doc Vec::push",
            shows: "pub fn push(&mut self, value: T)",
        },
        Example {
            input: "?HashMap",
            shows: "use std::collections::HashMap;",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let name = call.text.trim().to_owned();
        let question = Question {
            name: name.clone(),
            source: self.source,
        };
        match session.docs(question, sink)? {
            Found::Docs(docs) => {
                sink.send(Event::Docs(Docs {
                    name,
                    whole: self.all,
                    ..*docs
                }));
                Ok(())
            }
            Found::Nothing { instead } => Err(unknown(&name, &instead).into()),
        }
    }
}

fn unknown(name: &str, instead: &[String]) -> Report {
    let report = Report::usage(format!("nothing is known about `{name}`"));
    // `std::collections::HashMap` is near to `HashMpa`.
    let known = instead.iter().map(|path| match name.contains("::") {
        true => path.as_str(),
        false => path.rsplit("::").next().unwrap_or(path),
    });
    match nearest(name, known) {
        Some(near) => report.hint(format!("did you mean `{near}`?")),
        None => report.hint("`?Vec::push`, `?println!` and `?x` for a variable are looked up; for magics it is `%help`"),
    }
}
