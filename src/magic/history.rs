//! `%history`: the cells of this session.

use clap::{Arg, Command, value_parser};

use super::{Call, Example, Magic};
use crate::outcome::{Event, Sink};
use crate::session::{Failed, Session};

pub struct History;

impl Magic for History {
    fn command(&self) -> Command {
        Command::new("history")
            .about("shows the cells of this session")
            .arg(
                Arg::new("n")
                    .short('n')
                    .value_name("N")
                    .value_parser(value_parser!(usize))
                    .help("only the last N"),
            )
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%history -n 3",
            shows: "%history",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let all = session.history();
        let last = call
            .matches
            .get_one::<usize>("n")
            .copied()
            .unwrap_or(all.len());
        let text: Vec<String> = all[all.len().saturating_sub(last)..]
            .iter()
            .map(|record| {
                let number = format!("{:>3}: ", record.cell);
                let indent = " ".repeat(number.len());
                number + &record.code.trim_end().replace('\n', &format!("\n{indent}"))
            })
            .collect();
        sink.send(Event::Text(text.join("\n")));
        Ok(())
    }
}
