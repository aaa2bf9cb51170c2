//! `%rerun`: earlier cells once more.

use clap::{Arg, ArgAction, Command, value_parser};

use super::cells::{matches, named, run_all};
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{Failed, Session};

pub struct Rerun;

impl Magic for Rerun {
    fn command(&self) -> Command {
        Command::new("rerun")
            .about("runs earlier cells once more")
            .arg(
                Arg::new("n")
                    .short('l')
                    .value_name("N")
                    .value_parser(value_parser!(usize))
                    .conflicts_with("cells")
                    .help("the last N"),
            )
            .arg(
                Arg::new("grep")
                    .short('g')
                    .value_name("PATTERN")
                    .conflicts_with_all(["cells", "n"])
                    .help("the last that contains it; `*` and `?` as in a shell"),
            )
            .arg(
                Arg::new("cells")
                    .value_name("CELLS")
                    .action(ArgAction::Append)
                    .help("`3`, `2-5`, `~1/`; the last one without it"),
            )
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
        let words = call.all_of("cells");
        let mut cells = named(session, &words)?;
        if let Some(pattern) = call.text_of("grep") {
            let is_wanted = |code: &str| matches(pattern, code) && !code.starts_with("%rerun");
            let last = cells
                .into_iter()
                .rfind(|(_, record)| is_wanted(&record.code));
            let none = || Report::usage(format!("no cell contains `{pattern}`"));
            cells = vec![last.ok_or_else(none)?];
        } else if words.is_empty() {
            let last = call.number_of::<usize>("n").unwrap_or(1);
            cells.drain(..cells.len().saturating_sub(last));
        }
        run_all(
            cells.into_iter().map(|(_, record)| record.code),
            session,
            sink,
        )
    }
}
