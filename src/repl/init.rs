//! The user's startup notebook: `init.md` in the config folder. Its cells define things: they have no numbers,
//! are not remembered, and what they show of themselves is left out.

use std::io::ErrorKind;
use std::path::PathBuf;

use crate::magic::evaluate;
use crate::notebook::Notebook;
use crate::outcome::{About, Event, Notice, Report, Sink};
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
                let left = cells.len() - number;
                let line = cell.line;
                let failed = Notice::StartupFailed { line, left };
                sink.send(Event::Notice(About::default(), failed));
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

/// Passes on what is worth reading.
struct Quiet<'a> {
    onward: &'a mut dyn Sink,
}

impl Sink for Quiet<'_> {
    fn send(&mut self, event: Event) {
        let wanted = match &event {
            Event::Error(_)
            | Event::Output { .. }
            | Event::Notice(..)
            | Event::Engines(..)
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
