//! Why a map has no results, and what of it cannot travel.

use crate::cell::{captured, position};
use crate::outcome::{Cause, ErrorKind, Mark, Origin, Report};
use crate::pool::{MapFailure, MapFault};
use crate::session::history::History;
use crate::session::{Failed, MapRequest};

/// A map without its results.
pub fn map_failure(failure: &MapFailure, history: &History) -> Report {
    let item = failure
        .item
        .map_or_else(String::new, |item| format!("item {item}"));
    let mut report = match &failure.what {
        MapFault::Panicked(panic) => {
            let report = Report::new(
                ErrorKind::Map,
                format!("{item} panicked: {}", panic.message),
            );
            history
                .placed(report, panic)
                .hint("the map stops at its first failure; the other engines are free again")
        }
        MapFault::Crashed(cause) => Report::new(
            ErrorKind::Map,
            format!("{item} ended three engines; the last one: {cause}"),
        )
        .hint("try that input in a plain cell; `--on-error collect` keeps the other results"),
        MapFault::Lost(cause) => Report::new(
            ErrorKind::Map,
            format!("ten engines ended before they came to {item}; the last one: {cause}"),
        )
        .hint(
            "what the function captures, or an earlier input, may end them: try it in a plain cell",
        ),
        MapFault::TimedOut => Report::new(
            ErrorKind::Map,
            format!("{item} took longer than `--timeout` allows; its engine was replaced"),
        )
        .hint("`--on-error collect` keeps the other results"),
        MapFault::NoEngineLeft => Report::new(
            ErrorKind::Map,
            "no engine of the pool is left to run the map",
        )
        .hint("the next %px or map starts them again"),
        MapFault::Interrupted { done, total } => {
            let total = total.map_or_else(String::new, |total| format!(" of {total}"));
            let done = format!("{done}{total} items were done");
            Report::new(
                ErrorKind::Interrupted,
                format!("the map was interrupted; {done}"),
            )
            .hint("`--on-error collect` keeps what is done, and so does a job: `%map -a`")
        }
        MapFault::PlanOnly => Report::new(ErrorKind::Map, "only the plan was wanted"),
        MapFault::InputsPanicked(panic) => {
            let what = format!("the inputs panicked: {}", panic.message);
            let report = Report::new(ErrorKind::Map, what);
            history.placed(report, panic)
        }
        MapFault::Refused(_) | MapFault::Undecodable(_) | MapFault::Inputs(_) => {
            Report::new(ErrorKind::Map, format!("the map failed: {failure}"))
        }
    };
    for deaths in &failure.died {
        let rank = deaths.rank;
        report.notes.push(format!("engine {rank} died: {deaths}"));
    }
    if let Some(rank) = failure.rank {
        report.origin = Origin::Engine(rank);
    }
    report
}
pub fn nothing_to_reduce() -> Report {
    Report::usage("%reduce needs at least one input")
        .hint("put a neutral value in front: `std::iter::once(…).chain(inputs)`, or `pool::reduce`, whose result is an Option")
}

/// Errors of the borrow checker: what a job in the background is given does not live long enough.
const BORROWED: [&str; 5] = ["E0505", "E0506", "E0521", "E0597", "E0716"];

/// Whether rustc's borrow checker says so.
pub fn borrows(report: &Report) -> bool {
    report
        .code
        .as_deref()
        .is_some_and(|code| BORROWED.contains(&code))
}

/// Says of a job whose inputs borrow from variables what it needs; a job goes on when its cell is over.
pub fn borrowing(failed: &mut Failed, request: &MapRequest, variables: &[String]) {
    let from = request.inputs_at;
    let to = position(&request.inputs, from);
    let of_inputs = |report: &Report| {
        let marks = report.snippet.iter().flat_map(|snippet| &snippet.marks);
        let mut primary = marks.filter(|mark| mark.primary);
        borrows(report) && primary.any(|mark| from <= mark.start && mark.start < to)
    };
    let Some(mut report) = failed.0.iter().find(|report| of_inputs(report)).cloned() else {
        return;
    };
    let names = captured(&request.inputs, variables);
    report.code = None;
    report.notes.clear();
    report.what = match names.as_slice() {
        [] => {
            "a job goes on after its cell, and its inputs borrow what ends with the cell".to_owned()
        }
        names => format!(
            "a job goes on after its cell, and its inputs borrow `{}`",
            names.join("`, `")
        ),
    };
    report.hint = Some(match names.as_slice() {
        [name] => format!(
            "`over {name}.clone()` gives the job inputs of its own, which a function of references takes as `|x| f(&x)`; without `-a` threads borrow"
        ),
        _ => "give the job inputs of its own, `.iter().cloned()`, which a function of references takes as `|x| f(&x)`; without `-a` threads borrow".to_owned(),
    });
    if let Some(snippet) = &mut report.snippet {
        snippet.marks = vec![Mark {
            start: from,
            end: to,
            label: "borrowed".to_owned(),
            primary: true,
        }];
    }
    failed.0 = vec![report];
}

/// The type that a report says cannot travel, of a captured variable or a sent value.
pub fn stuck_type(report: &Report) -> Option<&str> {
    match &report.cause {
        Cause::Stuck(kind) => Some(kind),
        _ => None,
    }
}

/// When something cannot travel, the rest of the errors says so again of every use.
pub fn only_stuck(failed: &mut Failed) {
    let stuck = |report: &Report| stuck_type(report).is_some();
    if failed.0.iter().any(stuck) {
        failed.0.retain(stuck);
    }
}
