//! `%run`: the cells of a notebook, or a Rust file as one cell, with its `main`.

use clap::{Args, ValueHint};

use super::cells::{is_notebook, of_file, run_all};
use super::{Call, Example, Magic};
use crate::cell::call_of_main;
use crate::outcome::Sink;
use crate::session::{Done, Session};

/// runs a notebook (.md), or a Rust file as one cell and its `main`
#[derive(Args)]
#[command(after_help = "Lines `// %%` divide a Rust file into several cells, as `%save` does.")]
pub struct Run {
    /// the file
    #[arg(value_hint = ValueHint::FilePath)]
    file: String,
}

impl Magic for Run {
    const NAME: &'static str = "run";
    const EXAMPLES: &'static [Example] = &[];

    fn run(self, _: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let mut cells = of_file(&self.file)?;
        if let [code] = &mut cells[..]
            && !is_notebook(&self.file)
            && let Some(main) = call_of_main(code)
        {
            code.push_str(&main);
        }
        run_all(cells, session, sink)
    }
}
