//! `%edit`: code in the user's editor; what it leaves runs as a cell.

use clap::{Args, ValueHint};

use super::cells::{is_range, path, read};
use super::{Call, Example, Magic, evaluate, load};
use crate::outcome::{ErrorKind, Event, Report, Sink};
use crate::session::{Done, Failed, Session};

/// opens $EDITOR on a file or on cells, and runs what it leaves
#[derive(Args)]
#[command(after_help = "The editor is $VISUAL, $EDITOR or vi.")]
pub struct Edit {
    /// runs nothing
    #[arg(short = 'x')]
    no_run: bool,
    /// a file, or cells: `3`, `2-5`, `~1/`; an empty cell without it
    #[arg(value_name = "FILE OR CELLS", value_hint = ValueHint::FilePath)]
    what: Vec<String>,
}

impl Magic for Edit {
    const NAME: &'static str = "edit";
    const EXAMPLES: &'static [Example] = &[];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let system = |error: std::io::Error| {
            Report::new(
                ErrorKind::System,
                format!("there is no file to edit: {error}"),
            )
        };
        let folder = session.temporary_folder().map_err(system)?;
        let file = match &self.what[..] {
            [file] if !is_range(file) => path(file),
            words => {
                let code = if words.is_empty() {
                    String::new()
                } else {
                    load::codes(session, words)?.join("\n\n") + "\n"
                };
                let file = folder.path().join("cell.rs");
                std::fs::write(&file, code).map_err(system)?;
                file
            }
        };
        session.edit(&file, sink)?;
        if self.no_run {
            return Ok(());
        }
        let code = read(&file.display().to_string())?;
        if code.trim().is_empty() {
            sink.send(Event::Text("nothing to run".to_owned()));
            return Ok(());
        }
        if evaluate(session, code.trim_end(), sink) {
            Ok(())
        } else {
            Err(Failed::default())
        }
    }
}
