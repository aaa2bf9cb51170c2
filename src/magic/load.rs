//! `%load`: code to the next prompts, to look at and to change before it runs.

use clap::{Arg, ArgAction, Command};

use super::cells::{is_range, named, of_file};
use super::{Call, Example, Magic};
use crate::outcome::Sink;
use crate::session::{Failed, Session};

pub struct Load;

impl Magic for Load {
    fn command(&self) -> Command {
        Command::new("load")
            .about("puts a file, or earlier cells, into the next prompts")
            .arg(
                Arg::new("file")
                    .value_name("FILE OR CELLS")
                    .required(true)
                    .action(ArgAction::Append)
                    .help("a file, or cells: `3`, `2-5`, `~1/`"),
            )
            .after_help("Several cells take a prompt each; Ctrl-C leaves out the rest. Without a terminal the code is shown.")
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "let three = 3;\n%load 1-",
            shows: "",
        }]
    }

    fn run(&self, call: &Call<'_>, session: &mut Session, _: &mut dyn Sink) -> Result<(), Failed> {
        let words = call.all_of("file");
        session.next_inputs = codes(session, &words)?.into();
        Ok(())
    }
}

/// The code of a file, or of cells, cell by cell.
pub fn codes(session: &Session, words: &[&str]) -> Result<Vec<String>, Failed> {
    let codes: Vec<String> = match words {
        [file] if !is_range(file) => of_file(file)?,
        _ => {
            let cells = named(session, words)?.into_iter();
            cells.map(|(_, record)| record.code).collect()
        }
    };
    let codes = codes.iter().map(|code| code.trim_end().to_owned());
    Ok(codes.collect())
}
