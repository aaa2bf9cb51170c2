//! `%table`: a list of structs, tuples or numbers as a table.

use clap::Args;

use super::{Call, Example, Magic, Takes};
use crate::outcome::{Event, Report, Rows, Sink};
use crate::render::debug::columns;
use crate::session::{Done, Session};

/// Rows that are shown of a long list.
const ROWS: usize = 20;

/// shows a list of structs, tuples or numbers as a table
#[derive(Args)]
#[command(
    after_help = "A column for each field, or for each place of a tuple; keys and values of a map. It reads the \
                  value's Debug text, so the type needs no more than #[derive(Debug)]."
)]
pub struct Table {
    /// the first N rows; 20 without it
    #[arg(short, value_name = "N")]
    n: Option<usize>,
}

impl Magic for Table {
    const NAME: &'static str = "table";
    const TAKES: Takes = Takes::Code;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%table [(\"one\", 1.0), (\"two\", 4.0)]",
        shows: "│ two │ 4.0 │",
    }];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
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
        let most = self.n.unwrap_or(ROWS).max(1);
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
