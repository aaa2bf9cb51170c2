//! `%who` and `%whos`: the variables, with their types and where they live.

use clap::Command;

use super::{Call, Example, Magic};
use crate::outcome::{Event, Field, Sink, Table};
use crate::session::{Failed, Session};

pub struct Who;
pub struct Whos;

impl Magic for Who {
    fn command(&self) -> Command {
        Command::new("who").about("names the session's variables")
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "let answer = 42;\n%who",
            shows: "answer",
        }]
    }

    fn run(&self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Result<(), Failed> {
        let mut names: Vec<String> = session.whereabouts().into_iter().map(|row| row.0).collect();
        names.sort();
        names.dedup();
        let text = if names.is_empty() {
            "no variables".to_owned()
        } else {
            names.join("  ")
        };
        sink.send(Event::Text(text));
        Ok(())
    }
}

impl Magic for Whos {
    fn command(&self) -> Command {
        Command::new("whos").about("lists the variables with type and whereabouts")
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "let answer = 42;\n%whos",
            shows: "i32",
        }]
    }

    fn run(&self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Result<(), Failed> {
        let rows = session
            .whereabouts()
            .into_iter()
            .map(|(name, kind, place)| {
                vec![Field::Text(name), Field::Text(kind), Field::Text(place)]
            })
            .collect::<Vec<_>>();
        if rows.is_empty() {
            sink.send(Event::Text("no variables".to_owned()));
        } else {
            let columns = vec!["variable", "type", "where"];
            sink.send(Event::Table(Table {
                title: None,
                columns,
                rows,
            }));
        }
        Ok(())
    }
}
