//! `%load`: code to the next prompts, to look at and to change before it runs.

use clap::{Args, ValueHint};

use super::cells::{is_range, named, of_file};
use super::{Call, Example, Magic};
use crate::outcome::Sink;
use crate::session::{Done, Failed, Session};

/// puts a file, or earlier cells, into the next prompts
#[derive(Args)]
#[command(
    after_help = "Several cells take a prompt each; Ctrl-C leaves out the rest. Without a terminal the code is shown."
)]
pub struct Load {
    /// a file, or cells: `3`, `2-5`, `~1/`
    #[arg(value_name = "FILE OR CELLS", required = true, value_hint = ValueHint::FilePath)]
    what: Vec<String>,
}

impl Magic for Load {
    const NAME: &'static str = "load";
    const EXAMPLES: &'static [Example] = &[Example {
        input: "let three = 3;\n%load 1-",
        shows: "",
    }];

    fn run(self, _: &Call<'_>, session: &mut Session, _: &mut dyn Sink) -> Done {
        session.next_inputs = codes(session, &self.what)?.into();
        Ok(())
    }
}

/// The code of a file, or of cells, cell by cell.
pub fn codes(session: &Session, words: &[String]) -> Result<Vec<String>, Failed> {
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
