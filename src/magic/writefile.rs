//! `%%writefile`: its body into a file.

use clap::{Arg, ArgAction, Command};

use super::cells::{path, write};
use super::{Call, Example, Magic};
use crate::outcome::{Event, Report, Sink};
use crate::session::{Failed, Session};

pub struct Writefile;

impl Magic for Writefile {
    fn command(&self) -> Command {
        Command::new("writefile")
            .about("writes the lines below into a file")
            .override_usage("%%writefile [-a] FILE")
            .arg(
                Arg::new("append")
                    .short('a')
                    .action(ArgAction::SetTrue)
                    .help("behind what is in it"),
            )
            .arg(Arg::new("file").required(true).help("the file"))
    }

    fn has_cell_form(&self) -> bool {
        true
    }

    fn examples(&self) -> &'static [Example] {
        &[Example {
            input: "%%writefile /tmp/regatta-example.txt\none\ntwo",
            shows: "regatta-example.txt",
        }]
    }

    fn run(&self, call: &Call<'_>, _: &mut Session, sink: &mut dyn Sink) -> Result<(), Failed> {
        let file = call.text_of("file").unwrap_or_default();
        let Some(body) = call.body else {
            return Err(Report::usage("%writefile needs lines below it")
                .hint("write `%%writefile FILE`, and the text from the next line on")
                .into());
        };
        let append = call.flag("append");
        let said = match (append, path(file).exists()) {
            (true, true) => "appended to",
            (false, true) => "replaced",
            (_, false) => "wrote",
        };
        // Files end with a newline; one at the end of the cell is not typed twice.
        let text = format!("{}\n", body.strip_suffix('\n').unwrap_or(body));
        write(file, &text, append)?;
        sink.send(Event::Text(format!("{said} {file}")));
        Ok(())
    }
}
