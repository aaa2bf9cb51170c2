//! `%edit`: code in the user's editor; what it leaves runs as a cell.

use clap::{Arg, ArgAction, Command};

use super::cells::{is_range, path, read};
use super::{Call, Example, Magic, evaluate, load};
use crate::outcome::{ErrorKind, Event, Report, Sink};
use crate::session::{Failed, Session};

pub struct Edit;

impl Magic for Edit {
    fn command(&self) -> Command {
        Command::new("edit")
            .about("opens $EDITOR on a file or on cells, and runs what it leaves")
            .arg(
                Arg::new("no-run")
                    .short('x')
                    .action(ArgAction::SetTrue)
                    .help("runs nothing"),
            )
            .arg(
                Arg::new("file")
                    .value_name("FILE OR CELLS")
                    .action(ArgAction::Append)
                    .help("a file, or cells: `3`, `2-5`, `~1/`; an empty cell without it"),
            )
            .after_help("The editor is $VISUAL, $EDITOR or vi.")
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
        let words = call.all_of("file");
        let system = |error: std::io::Error| {
            Report::new(
                ErrorKind::System,
                format!("there is no file to edit: {error}"),
            )
        };
        let folder = session.temporary_folder().map_err(system)?;
        let file = match &words[..] {
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
        session.edit(&file)?;
        if call.flag("no-run") {
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
