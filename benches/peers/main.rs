//! `cargo bench --bench peers`: installs the peers, measures regatta against them, and prints one table of
//! ratios; `cargo bench --bench peers -- px cells` runs some of the measures alone. It reaches regatta only
//! through its command line and never through the library. A peer that cannot be installed or a measure that
//! fails ends it with a message and exit status 1.

mod alone;
mod c;
mod children;
mod cluster;
mod compiling;
mod data;
mod driver;
mod efficiency;
mod figures;
mod first;
mod gate;
mod hosts;
mod install;
mod items;
mod memo;
mod messages;
mod nats;
mod outside;
mod pools;
mod repls;
mod roundtrip;
mod session;
mod shell;
mod store;
mod table;

use std::io::{self, Write};
use std::process::ExitCode;

use figures::Row;
use outside::{Failure, Outcome, Programs};

/// Gives its lines of the table and a note that says what was measured.
type Measure = fn(&Programs) -> Outcome<(Vec<Row>, String)>;

fn main() -> ExitCode {
    let done = alone::part().unwrap_or_else(|| {
        let report = bench()?;
        io::stdout()
            .write_all(report.as_bytes())
            .map_err(|error| Failure(error.to_string()))
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress(&format!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn bench() -> Outcome<String> {
    let measures: [(&str, Measure); 27] = [
        ("map", pools::map),
        ("start", pools::start),
        ("first", first::first),
        ("cells", repls::warm_cells),
        ("px", pools::px),
        ("trip", roundtrip::trip),
        ("tiny", items::tiny),
        ("million", items::million),
        ("scatter", data::scatter),
        ("capture", data::capture),
        ("threads", efficiency::threads),
        ("balance", efficiency::balance),
        ("compile", compiling::compile),
        ("calls", c::calls),
        ("c", c::cell),
        ("memo", memo::hits),
        ("shell", shell::commands),
        ("pipe", shell::pipe),
        ("messages", messages::messages),
        ("mpi", messages::on_mpi),
        ("store", store::incr),
        ("children", children::fifty),
        ("nodes", cluster::items_and_trips),
        ("nodes-fib", cluster::fib),
        ("nodes-px", cluster::px),
        ("nodes-data", cluster::capture),
        ("nodes-start", cluster::start),
    ];
    // Cargo adds `--bench`.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|name| !measures.iter().any(|(known, _)| known == name))
    {
        let known = measures.map(|(name, _)| name).join(", ");
        return Err(Failure(format!("no measure {unknown}; there are {known}")));
    }
    let programs = install::peers()?;
    let versions = install::versions(&programs)?;
    let (mut rows, mut notes) = (Vec::new(), vec![versions]);
    for (name, measure) in measures {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            let (lines, note) = measure(&programs)?;
            rows.extend(lines);
            notes.push(note);
        }
    }
    Ok(table::render(&rows, &notes))
}

/// Says what happens now, beside the table's stream.
fn progress(what: &str) {
    // Whoever closed the error stream doesn't want to know.
    let _ = writeln!(io::stderr(), "{what}");
}
