//! `%run`: the cells of a notebook, or a Rust file as one cell.

use clap::{Arg, Command};

use super::{Call, Example, Magic, evaluate};
use crate::notebook::Notebook;
use crate::outcome::{Report, Sink};
use crate::session::{Failed, Session};

pub struct Run;

impl Magic for Run {
    fn command(&self) -> Command {
        Command::new("run")
            .about("runs a notebook (.md), or a Rust file as one cell")
            .arg(Arg::new("file").required(true).help("the file"))
    }

    fn examples(&self) -> &'static [Example] {
        &[]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let file = call.text_of("file").unwrap_or_default();
        let text = std::fs::read_to_string(file).map_err(|error| {
            Report::usage(format!("cannot read {file}: {error}"))
                .hint("the path is relative to the folder in which regatta was started")
        })?;
        let cells: Vec<String> = if std::path::Path::new(file)
            .extension()
            .is_some_and(|end| end == "md")
        {
            Notebook::parse(&text)
                .cells()
                .iter()
                .map(|cell| cell.code.clone())
                .collect()
        } else {
            vec![text]
        };
        for cell in cells {
            if !evaluate(session, &cell, sink) {
                return Err(Failed::default());
            }
        }
        Ok(())
    }
}
