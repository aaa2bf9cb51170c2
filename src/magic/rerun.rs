//! `%rerun`: earlier cells once more.

use clap::Args;

use super::cells::{matches, named, run_all};
use super::{Call, Example, Magic};
use crate::outcome::{Report, Sink};
use crate::session::{Done, Session};

/// runs earlier cells once more
#[derive(Args)]
pub struct Rerun {
    /// the last N
    #[arg(short = 'l', value_name = "N", conflicts_with = "cells")]
    n: Option<usize>,
    /// the last that contains it; `*` and `?` as in a shell
    #[arg(short, value_name = "PATTERN", conflicts_with_all = ["cells", "n"])]
    grep: Option<String>,
    /// `3`, `2-5`, `~1/`; the last one without it
    cells: Vec<String>,
}

impl Magic for Rerun {
    const NAME: &'static str = "rerun";
    const EXAMPLES: &'static [Example] = &[];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let mut cells = named(session, &self.cells)?;
        if let Some(pattern) = self.grep {
            let is_wanted = |code: &str| matches(&pattern, code) && !code.starts_with("%rerun");
            let last = cells
                .into_iter()
                .rfind(|(_, record)| is_wanted(&record.code));
            let none = || Report::usage(format!("no cell contains `{pattern}`"));
            cells = vec![last.ok_or_else(none)?];
        } else if self.cells.is_empty() {
            let last = self.n.unwrap_or(1);
            cells.drain(..cells.len().saturating_sub(last));
        }
        run_all(
            cells.into_iter().map(|(_, record)| record.code),
            session,
            sink,
        )
    }
}
