//! Why a map has no results, and what of it cannot travel.

use crate::cell::{captured, position};
use crate::outcome::{
    Cause, CodeCause, ErrorKind, Label, MapCause, Mark, Note, Origin, Report, Stuck,
};
use crate::pool::{MapFailure, MapFault, QueueFault};
use crate::session::history::History;
use crate::session::{Failed, MapRequest};

/// A map without its results.
pub fn map_failure(failure: &MapFailure, history: &History) -> Report {
    let item = failure.item.unwrap_or_default();
    let why = || failure.to_string();
    let (cause, panic) = match failure.what.clone() {
        MapFault::Panicked(panic) => {
            let message = panic.message.clone();
            (MapCause::Panicked { item, message }, Some(panic))
        }
        MapFault::Crashed(last) => (MapCause::Crashed { item, last }, None),
        MapFault::Lost(last) => (MapCause::Lost { item, last }, None),
        MapFault::TimedOut => (MapCause::TimedOut { item }, None),
        MapFault::NoEngineLeft => (MapCause::NoEngineLeft, None),
        MapFault::Interrupted { done, total } => (MapCause::Interrupted { done, total }, None),
        MapFault::InputsPanicked(panic) => {
            let message = panic.message.clone();
            (MapCause::InputsPanicked { message }, Some(panic))
        }
        MapFault::Queue(QueueFault::NoRoom { folder, left }) => {
            let temporary = folder.starts_with(std::env::temp_dir());
            let cause = MapCause::NoRoom {
                folder,
                left,
                temporary,
            };
            (cause, None)
        }
        MapFault::PlanOnly
        | MapFault::Refused(_)
        | MapFault::Undecodable(_)
        | MapFault::Inputs(_)
        | MapFault::Queue(_) => (MapCause::Failed { why: why() }, None),
    };
    let kind = match cause {
        MapCause::Interrupted { .. } => ErrorKind::Interrupted,
        _ => ErrorKind::Map,
    };
    let mut report = Report::new(kind, cause);
    if let Some(panic) = panic {
        report = history.placed(report, &panic);
    }
    let died = failure.died.iter().cloned();
    report.notes.extend(died.map(Note::EngineDied));
    if let Some(rank) = failure.rank {
        report.origin = Origin::Engine(rank);
    }
    report
}

pub fn nothing_to_reduce() -> Report {
    Report::usage(MapCause::NothingToReduce)
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
    let Some(refused) = failed.0.iter().find(|report| of_inputs(report)) else {
        return;
    };
    let names = captured(&request.inputs, variables);
    let mut report = Report::new(refused.kind, MapCause::Borrows(names));
    report.snippet = refused.snippet.clone();
    if let Some(snippet) = &mut report.snippet {
        snippet.marks = vec![Mark {
            label: Label::Borrowed,
            ..Mark::primary(from, to)
        }];
    }
    failed.0 = vec![report];
}

/// Of a closure's arguments rustc refuses the tuple around them: inputs that are no tuples.
pub fn no_tuples(failed: &mut Failed, arguments: usize) {
    for report in &mut failed.0 {
        let code = report.code.as_deref();
        let around = matches!(report.cause, Cause::Code(CodeCause::Around(_)));
        if code == Some("E0631") || (code == Some("E0308") && around) {
            report.code = None;
            report.cause = MapCause::NoTuples { arguments }.into();
            report.notes.clear();
            report.hint = None;
        }
    }
}

/// The type that a report says cannot travel, of a captured variable or a sent value.
pub fn stuck_type(report: &Report) -> Option<&str> {
    match &report.cause {
        Cause::Map(MapCause::Stuck { kind, .. }) => Some(kind),
        _ => None,
    }
}

/// When something cannot travel, the rest of the errors says so again of every use: says what `of` finds it to be.
pub fn only_stuck(failed: &mut Failed, of: impl Fn(&str) -> Stuck) {
    if !failed.0.iter().any(|report| stuck_type(report).is_some()) {
        return;
    }
    failed.0.retain_mut(|report| {
        let Some(kind) = stuck_type(report).map(str::to_owned) else {
            return false;
        };
        let of = of(&kind);
        if matches!(of, Stuck::Captured(_)) {
            report.notes.clear();
        }
        report.cause = MapCause::Stuck { kind, of }.into();
        report.snippet = None;
        true
    });
}
