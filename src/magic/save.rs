//! `%save`: cells into a file, a notebook or Rust.

use clap::{Arg, ArgAction, Command};

use super::cells::{CELL, is_notebook, named, path, write};
use super::{Call, Example, Magic};
use crate::outcome::{Event, Report, Sink};
use crate::session::{Failed, Session};

pub struct Save;

impl Magic for Save {
    fn command(&self) -> Command {
        Command::new("save")
            .about("writes cells into a file: a notebook (.md) or Rust")
            .arg(
                Arg::new("append")
                    .short('a')
                    .action(ArgAction::SetTrue)
                    .help("behind what is in it"),
            )
            .arg(
                Arg::new("force")
                    .short('f')
                    .action(ArgAction::SetTrue)
                    .help("in place of what is in it"),
            )
            .arg(Arg::new("file").required(true).help("the file"))
            .arg(
                Arg::new("cells")
                    .value_name("CELLS")
                    .action(ArgAction::Append)
                    .help("`3`, `2-5`, `~1/`; all of this session without it"),
            )
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "let kept = 1;\n%save -f /tmp/regatta-example.md 1",
            shows: "1 cell",
        }]
    }

    fn run(
        &self,
        call: &Call<'_>,
        session: &mut Session,
        sink: &mut dyn Sink,
    ) -> Result<(), Failed> {
        let file = call.text_of("file").unwrap_or_default();
        let cells = named(session, &call.all_of("cells"))?;
        let append = call.flag("append");
        if !append && !call.flag("force") && path(file).exists() {
            let hint = format!("`%save -f {file} …` replaces it, `%save -a {file} …` adds to it");
            return Err(Report::usage(format!("{file} is there already"))
                .hint(hint)
                .into());
        }
        let codes = cells.iter().map(|(_, record)| record.code.trim_end());
        let text: String = if is_notebook(file) {
            codes.map(fence).collect()
        } else {
            codes.map(|code| format!("{CELL}\n{code}\n")).collect()
        };
        write(file, &text, append)?;
        let count = match cells.len() {
            1 => "1 cell".to_owned(),
            count => format!("{count} cells"),
        };
        sink.send(Event::Text(format!("{count} written to {file}")));
        Ok(())
    }
}

/// A cell of a notebook; its fence is longer than any in it.
fn fence(code: &str) -> String {
    let longest = code.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}rust\n{code}\n{fence}\n\n")
}

#[cfg(test)]
mod tests {
    use super::fence;
    use crate::notebook::Notebook;

    #[test]
    fn a_saved_cell_is_read_again() {
        let codes = ["let a = 1;\n\na", "/// ```\n/// x\n/// ```\nfn f() {}"];
        let text: String = codes.iter().map(|code| fence(code)).collect();
        let notebook = Notebook::parse(&text);
        let read: Vec<&str> = notebook
            .cells()
            .iter()
            .map(|cell| cell.code.as_str())
            .collect();
        assert_eq!(read, codes);
    }
}
