//! `%doc`, also written `?name` and `name?`: what something is, from its documentation.

use clap::{Arg, ArgAction, Command};

use super::{Call, Example, Magic, Takes, suggest::nearest};
use crate::compiler::analysis::{Found, Question};
use crate::outcome::{Docs, Event, Report, Sink};
use crate::session::{Failed, Session};

pub struct Doc;

impl Magic for Doc {
    fn command(&self) -> Command {
        let flag = |name: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue);
        Command::new("doc")
            .about("tells what a name is: signature, type, documentation; also `?name` and `name?`")
            .arg(
                flag("source")
                    .short('s')
                    .help("with its source; also `??name`"),
            )
            .arg(flag("all").short('a').help("all of it, however long"))
    }

    fn takes(&self) -> Takes {
        Takes::Code
    }

    fn examples(&self) -> &'static [Example] {
        &[
            Example {
                input: "%doc Vec::push",
                shows: "pub fn push(&mut self, value: T)",
            },
            Example {
                input: "?HashMap",
                shows: "use std::collections::HashMap;",
            },
        ]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let name = call.text.trim().to_owned();
        let question = Question {
            name: name.clone(),
            source: call.flag("source"),
        };
        match session.docs(question, sink)? {
            Found::Docs(docs) => {
                let whole = call.flag("all");
                sink.send(Event::Docs(Docs {
                    name,
                    whole,
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
