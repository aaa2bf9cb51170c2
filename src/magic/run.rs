//! `%run`: the cells of a notebook, or a Rust file as one cell, with its `main`.

use clap::{Arg, Command};

use super::cells::{is_notebook, of_file, run_all};
use super::{Call, Example, Magic};
use crate::cell::call_of_main;
use crate::outcome::Sink;
use crate::session::{Failed, Session};

pub struct Run;

impl Magic for Run {
    fn command(&self) -> Command {
        Command::new("run")
            .about("runs a notebook (.md), or a Rust file as one cell and its `main`")
            .arg(Arg::new("file").required(true).help("the file"))
            .after_help("Lines `// %%` divide a Rust file into several cells, as `%save` does.")
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
        let file = call.text_of("file").unwrap_or_default();
        let mut cells = of_file(file)?;
        if let [code] = &mut cells[..]
            && !is_notebook(file)
            && let Some(main) = call_of_main(code)
        {
            code.push_str(&main);
        }
        run_all(cells, session, sink)
    }
}
