//! `%%writefile`: its body into a file.

use clap::{Args, ValueHint};

use super::cells::{path, write};
use super::{Call, Example, Magic};
use crate::outcome::{Event, Report, Sink};
use crate::session::{Done, Session};

/// writes the lines below into a file
#[derive(Args)]
#[command(override_usage = "%%writefile [-a] FILE")]
pub struct Writefile {
    /// behind what is in it
    #[arg(short)]
    append: bool,
    /// the file
    #[arg(value_hint = ValueHint::FilePath)]
    file: String,
}

impl Magic for Writefile {
    const NAME: &'static str = "writefile";
    const HAS_CELL_FORM: bool = true;
    const EXAMPLES: &'static [Example] = &[Example {
        input: "%%writefile /tmp/regatta-example.txt\none\ntwo",
        shows: "regatta-example.txt",
    }];

    fn run(self, call: &Call<'_>, _: &mut Session, sink: &mut dyn Sink) -> Done {
        let file = self.file.as_str();
        let Some(body) = call.body else {
            return Err(Report::usage("%writefile needs lines below it")
                .hint("write `%%writefile FILE`, and the text from the next line on")
                .into());
        };
        let said = match (self.append, path(file).exists()) {
            (true, true) => "appended to",
            (false, true) => "replaced",
            (_, false) => "wrote",
        };
        // Files end with a newline; one at the end of the cell is not typed twice.
        let text = format!("{}\n", body.strip_suffix('\n').unwrap_or(body));
        write(file, &text, self.append)?;
        sink.send(Event::Text(format!("{said} {file}")));
        Ok(())
    }
}
