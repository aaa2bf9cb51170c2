//! `cargo bench --bench peers`: installs the peers, measures regatta against them, and prints one table of
//! ratios; `cargo bench --bench peers -- px cells` runs some of the measures alone. It reaches regatta only
//! through its command line and never through the library. A peer that cannot be installed or a measure that
//! fails ends it with a message and exit status 1, after the table of what was measured before.

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
mod many;
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
    match alone::part().unwrap_or_else(bench) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            progress(&format!("error: {failure}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints the table; of what was measured before a measure that fails too.
fn bench() -> Outcome<()> {
    let measures: [(&str, Measure); 28] = [
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
        ("nodes-many", many::engines),
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
    let mut failed = Ok(());
    for (name, measure) in measures {
        if wanted.is_empty() || wanted.iter().any(|one| one == name) {
            match measure(&programs) {
                Ok((lines, note)) => {
                    rows.extend(lines);
                    notes.push(note);
                }
                Err(failure) => {
                    failed = Err(Failure(format!("{name}: {failure}")));
                    break;
                }
            }
        }
    }
    if !rows.is_empty() {
        let report = table::render(&rows, &notes);
        let printed = io::stdout().write_all(report.as_bytes());
        printed.map_err(|error| Failure(error.to_string()))?;
    }
    failed
}

/// Says what happens now, beside the table's stream.
fn progress(what: &str) {
    // Whoever closed the error stream doesn't want to know.
    let _ = writeln!(io::stderr(), "{what}");
}
