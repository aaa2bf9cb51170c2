//! `%save`: cells into a file, a notebook or Rust.

use clap::{Args, ValueHint};

use super::cells::{CELL, is_notebook, named, path, write};
use super::{Call, Example, Magic};
use crate::outcome::{Event, Report, Sink};
use crate::session::{Done, Session};

/// writes cells into a file: a notebook (.md) or Rust
#[derive(Args)]
pub struct Save {
    /// behind what is in it
    #[arg(short)]
    append: bool,
    /// in place of what is in it
    #[arg(short)]
    force: bool,
    /// the file
    #[arg(value_hint = ValueHint::FilePath)]
    file: String,
    /// `3`, `2-5`, `~1/`; all of this session without it
    cells: Vec<String>,
}

impl Magic for Save {
    const NAME: &'static str = "save";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "let kept = 1;\n%save -f /tmp/regatta-example.md 1",
        shows: "1 cell",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let file = self.file.as_str();
        let cells = named(session, &self.cells)?;
        if !self.append && !self.force && path(file).exists() {
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
        write(file, &text, self.append)?;
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
