//! `cargo bench --bench peers`: installs the peers, measures regatta against them, and prints one table of
//! ratios. It reaches regatta only through its command line and never through the library. A peer that
//! cannot be installed or a measure that fails ends it with a message and exit status 1.

mod figures;
mod install;
mod outside;
mod pools;
mod repls;
mod session;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use outside::{Failure, Outcome};

fn main() -> ExitCode {
    match bench().and_then(|report| {
        io::stdout()
            .write_all(report.as_bytes())
            .map_err(|error| Failure(error.to_string()))
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress(&format!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Outcome<String> {
    let programs = install::peers()?;
    let versions = install::versions(&programs)?;
    let measures = [
        pools::map,
        pools::start,
        repls::start,
        repls::warm_cells,
        pools::px,
    ];
    let (mut rows, mut notes) = (Vec::new(), vec![versions]);
    for measure in measures {
        let (lines, note) = measure(&programs)?;
        rows.extend(lines);
        notes.push(note);
    }
    Ok(table::render(&rows, &notes))
}

/// Says what happens now, beside the table's stream.
fn progress(what: &str) {
    // Whoever closed the error stream doesn't want to know.
    let _ = writeln!(io::stderr(), "{what}");
}
