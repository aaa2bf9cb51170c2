//! The user's startup notebook: `init.md` in the config folder. Its cells define things: they have no numbers,
//! are not remembered, and what they show of themselves is left out.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::magic::evaluate;
use crate::notebook::Notebook;
use crate::outcome::{Event, Report, Sink};
use crate::session::Session;

/// The notebook, read and not yet run.
pub struct Startup {
    notebook: Notebook,
}

impl Startup {
    /// The user's, if there is one.
    ///
    /// # Errors
    /// When there is one that cannot be read.
    pub fn find() -> Result<Option<Self>, Report> {
        let Some(path) = path() else {
            return Ok(None);
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Self::parse(&text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let what = format!("{} cannot be read: {error}", path.display());
                Err(Report::usage(what)
                    .hint("the session begins without it; `--no-init` never looks for it"))
            }
        }
    }

    fn parse(text: &str) -> Self {
        Self {
            notebook: Notebook::parse(text),
        }
    }

    /// Runs its cells, up to the first that fails; whether none did.
    pub fn run(&self, session: &mut Session, sink: &mut dyn Sink) -> bool {
        let cells = self.notebook.cells();
        let mut ok = true;
        session.set_starting_up(true);
        for (number, cell) in (1..).zip(cells) {
            // Places count the lines of the file.
            let code = "\n".repeat(cell.line - 1) + &cell.code;
            if !evaluate(session, &code, &mut Quiet { onward: sink }) {
                sink.send(Event::Notice(ended(cell.line, cells.len() - number)));
                ok = false;
            }
            if !ok || session.quitting || session.interrupt().is_ended() {
                break;
            }
        }
        session.set_starting_up(false);
        ok
    }
}

/// Where it is looked for.
fn path() -> Option<PathBuf> {
    Some(dirs::config_dir()?.join("regatta").join("init.md"))
}

/// `line` is where the cell that failed begins, `left` how many stand below it.
fn ended(line: usize, left: usize) -> String {
    let rest = match left {
        0 => String::new(),
        1 => "; the cell below it was not run".to_owned(),
        _ => format!("; the {left} cells below it were not run"),
    };
    format!("the cell at line {line} of init.md failed{rest}")
}

/// Passes on what is worth reading.
struct Quiet<'a> {
    onward: &'a mut dyn Sink,
}

impl Sink for Quiet<'_> {
    fn send(&mut self, event: Event) {
        let wanted = match &event {
            Event::Error(_)
            | Event::Output { .. }
            | Event::Notice(_)
            | Event::Engines(_)
            | Event::Progress(_) => true,
            Event::Px(report) => !report.is_ok(),
            // Results and what magics say of their success are not asked for.
            _ => false,
        };
        if wanted {
            self.onward.send(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ended;

    #[test]
    fn what_was_not_run_is_told() {
        for (left, told) in [
            (0, "the cell at line 7 of init.md failed"),
            (
                1,
                "the cell at line 7 of init.md failed; the cell below it was not run",
            ),
            (
                2,
                "the cell at line 7 of init.md failed; the 2 cells below it were not run",
            ),
        ] {
            assert_eq!(ended(7, left), told);
        }
    }
}
