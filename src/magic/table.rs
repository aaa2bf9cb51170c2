//! `%table`: a list of structs, tuples or numbers as a table.

use clap::{Arg, Command, value_parser};

use super::{Call, Example, Magic, Takes};
use crate::outcome::{Event, Report, Rows, Sink};
use crate::render::debug::columns;
use crate::session::{Failed, Session};

/// Rows that are shown of a long list.
const ROWS: usize = 20;

pub struct Table;

impl Magic for Table {
    fn command(&self) -> Command {
        Command::new("table")
            .about("shows a list of structs, tuples or numbers as a table")
            .arg(
                Arg::new("n")
                    .short('n')
                    .value_name("N")
                    .value_parser(value_parser!(usize))
                    .help("the first N rows; 20 without it"),
            )
            .after_help(
                "A column for each field, or for each place of a tuple; keys and values of a map. It reads the \
                 value's Debug text, so the type needs no more than #[derive(Debug)].",
            )
    }

    fn takes(&self) -> Takes {
        Takes::Code
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%table [(\"one\", 1.0), (\"two\", 4.0)]",
            shows: "│ two │ 4.0 │",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let expression = call.text.trim_end().trim_end_matches(';');
        let value = session.whole_value(expression, call.at, sink)?;
        let Some(mut all) = columns(value.text()) else {
            let what = format!("{} is no list that a table could show", value.type_name);
            return Err(Report::usage(what)
                .hint("%table takes a Vec, an array, a set or a map; `%show` shows any value")
                .into());
        };
        if all.rows.is_empty() {
            sink.send(Event::Text("the list is empty".to_owned()));
            return Ok(());
        }
        let most = call.number_of::<usize>("n").unwrap_or(ROWS).max(1);
        let cut = all.rows.len().saturating_sub(most) as u64;
        all.rows.truncate(most);
        sink.send(Event::Rows(Rows {
            heads: all.heads,
            rows: all.rows,
            left_out: cut + all.hidden.unwrap_or(0),
        }));
        Ok(())
    }
}
