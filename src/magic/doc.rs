//! `%doc`, also written `?name` and `name?`: what something is, from its documentation.

use clap::Args;

use super::{Call, Example, Magic, Takes};
use crate::compiler::analysis::{Found, Question};
use crate::outcome::{Docs, Event, Report, Sink};
use crate::session::{Done, Session};
use crate::vocabulary::nearest;

/// tells what a name is: signature, type, documentation; also `?name` and `name?`
#[derive(Args)]
pub struct Doc {
    /// with its source; also `??name`
    #[arg(short, long)]
    source: bool,
    /// all of it, however long
    #[arg(short, long)]
    all: bool,
}

impl Magic for Doc {
    const NAME: &'static str = "doc";
    const TAKES: Takes = Takes::Code;
    const EXAMPLES: &'static [Example] = &[
        Example {
            input: "%doc Vec::push",
            shows: "pub fn push(&mut self, value: T)",
        },
        Example {
            input: "?HashMap",
            shows: "use std::collections::HashMap;",
        },
    ];

    fn run(self, call: &Call<'_>, session: &mut Session, sink: &mut dyn Sink) -> Done {
        let name = call.text.trim().to_owned();
        let question = Question {
            name: name.clone(),
            source: self.source,
        };
        match session.docs(question, sink)? {
            Found::Docs(docs) => {
                sink.send(Event::Docs(Docs {
                    name,
                    whole: self.all,
                    ..*docs
                }));
                Ok(())
            }
            Found::Nothing { instead } => Err(unknown(&name, &instead).into()),
        }
    }
}

fn unknown(name: &str, instead: &[String]) -> Report {
    let report = Report::usage(format!("nothing is known about `{name}`"));
    // `std::collections::HashMap` is near to `HashMpa`.
    let known = instead.iter().map(|path| match name.contains("::") {
        true => path.as_str(),
        false => path.rsplit("::").next().unwrap_or(path),
    });
    if let Some(ours) = of_mpi(name) {
        return report.hint(format!("did you mean `comm::{ours}`?"));
    }
    match nearest(name, known) {
        Some(near) => report.hint(format!("did you mean `{near}`?")),
        None => report.hint("`?Vec::push`, `?println!` and `?x` for a variable are looked up; for magics it is `%help`"),
    }
}

/// What MPI's calls are here, by their names in C and in mpi4py: `comm::Bcast`, `MPI_Allreduce`.
fn of_mpi(name: &str) -> Option<&'static str> {
    const NAMES: [(&str, &str); 19] = [
        ("bcast", "broadcast"),
        ("allreduce", "all_reduce"),
        ("allgather", "all_gather"),
        ("alltoall", "all_to_all"),
        ("reducescatter", "reduce_scatter"),
        ("waitall", "wait_all"),
        ("waitany", "wait_any"),
        ("waitsome", "wait_some"),
        ("testall", "test_all"),
        ("testany", "test_any"),
        ("testsome", "test_some"),
        ("getrank", "rank"),
        ("commrank", "rank"),
        ("getsize", "size"),
        ("commsize", "size"),
        ("commsplit", "split"),
        ("bsend", "send"),
        ("rsend", "send"),
        ("sendrecvreplace", "sendrecv_replace"),
    ];
    // Those that differ in capitals alone.
    const SAME: [&str; 19] = [
        "ssend",
        "send",
        "recv",
        "isend",
        "irecv",
        "sendrecv",
        "probe",
        "iprobe",
        "mprobe",
        "barrier",
        "gather",
        "scatter",
        "reduce",
        "scan",
        "exscan",
        "split",
        "rank",
        "size",
        "broadcast",
    ];
    let name = name.split('(').next().unwrap_or_default();
    let bare = name
        .strip_prefix("comm::")
        .or_else(|| name.strip_prefix("MPI_"))?;
    let bare = bare
        .trim_start_matches("MPI_")
        .to_lowercase()
        .replace('_', "");
    let other = NAMES.iter().find(|(theirs, _)| *theirs == bare);
    let same = || SAME.into_iter().find(|same| *same == bare);
    other.map(|(_, ours)| *ours).or_else(same)
}

#[cfg(test)]
mod tests {
    use super::of_mpi;

    #[test]
    fn names_of_mpi_lead_to_ours() {
        for (name, ours) in [
            ("comm::bcast", Some("broadcast")),
            ("comm::Allreduce", Some("all_reduce")),
            ("MPI_Alltoall", Some("all_to_all")),
            ("comm::Send", Some("send")),
            ("MPI_Comm_rank", Some("rank")),
            ("comm::nonsense", None),
            ("bcast", None),
        ] {
            assert_eq!(of_mpi(name), ours, "{name}");
        }
    }
}
