//! `%history`: the cells of this session and of earlier ones.

use clap::Args;

use super::cells::{Past, matches, named};
use super::{Call, Example, Magic};
use crate::ids::CellId;
use crate::outcome::{Event, Sink};
use crate::session::{Done, Session};

/// shows the cells of this session, and of earlier ones
#[derive(Args)]
pub struct History {
    /// only the last N
    #[arg(short, value_name = "N")]
    n: Option<usize>,
    /// those of all sessions that contain it; `*` and `?` as in a shell
    #[arg(short, value_name = "PATTERN")]
    grep: Option<String>,
    /// each text once, where it was entered last
    #[arg(short)]
    unique: bool,
    /// `3`, `2-5`, `4-`; of the session before `~1/`, `~1/2-5`
    cells: Vec<String>,
}

impl Magic for History {
    const NAME: &'static str = "history";
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%history -n 3",
            shows: "%history",
        },
        Example {
            input: "let found = 1;\n%history -u -g answer*42",
            shows: "let answer = 42;",
        },
    ];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let own = session.history().iter().map(|record| (0, record.clone()));
        let own = own.filter(|(_, record)| record.cell != CellId::STARTUP);
        let mut cells: Vec<Past> = match (&self.cells[..], &self.grep) {
            ([], None) => own.collect(),
            ([], Some(_)) => {
                let earlier = (1..).zip(session.earlier_sessions());
                let earlier: Vec<(u32, Vec<_>)> = earlier.collect();
                let earlier = earlier.into_iter().rev();
                // The one that asks contains what it asks for.
                let own = own.filter(|(_, record)| record.cell != session.cell());
                let cells = earlier
                    .flat_map(|(back, cells)| cells.into_iter().map(move |cell| (back, cell)));
                cells.chain(own).collect()
            }
            (words, _) => named(session, words)?,
        };
        if let Some(pattern) = self.grep {
            cells.retain(|(_, record)| matches(&pattern, &record.code));
        }
        if self.unique {
            let mut seen = std::collections::HashSet::new();
            cells.reverse();
            cells.retain(|(_, record)| seen.insert(record.code.trim().to_owned()));
            cells.reverse();
        }
        let last = self.n.unwrap_or(cells.len());
        let shown = cells[cells.len().saturating_sub(last)..].iter().map(line);
        let text: Vec<String> = shown.collect();
        let text = if text.is_empty() {
            "no such cells".to_owned()
        } else {
            text.join("\n")
        };
        sink.send(Event::Text(text));
        Ok(())
    }
}

fn line((back, record): &Past) -> String {
    let number = match back {
        0 => format!("{:>3}: ", record.cell),
        back => format!("~{back}/{}: ", record.cell),
    };
    let indent = " ".repeat(number.len());
    number + &record.code.trim_end().replace('\n', &format!("\n{indent}"))
}
