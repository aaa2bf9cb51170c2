//! What evcxr says in its own words: of a variable that it cannot keep, and of whatever else went wrong.

use super::full_disk;
use crate::cell::let_of;
use crate::compiler::CompileError;
use crate::compiler::phrases::{IS_CLOSURE, NOT_PERSISTED, UNKNOWN_TYPE, UNTOLD};
use crate::compiler::toolchain::users_temp_dir;
use crate::ids::CellId;
use crate::outcome::{Cause, CodeCause, ErrorKind, Note, Report, Snippet, Unkept};
use crate::session::marks::marked;

/// What cargo says while it works.
const PROGRESS: [&str; 5] = [
    "Updating ",
    "Locking ",
    "Adding ",
    "Downloading ",
    "Downloaded ",
];

/// Whether types would be known if the standard library's sources were.
pub fn wants_sources(error: &CompileError) -> bool {
    matches!(error, CompileError::Trouble(message) if message.contains(UNKNOWN_TYPE))
}

/// What evcxr says of a variable that it cannot keep.
fn cannot_keep(message: &str, cell: CellId, source: &str) -> Option<Report> {
    let name = message.split('`').nth(1)?.to_owned();
    let all = [
        (IS_CLOSURE, Unkept::Closure),
        (NOT_PERSISTED, Unkept::Unnamed),
        (UNKNOWN_TYPE, Unkept::Unknown),
    ];
    let (_, why) = all.into_iter().find(|(says, _)| message.contains(says))?;
    let mark = marked(source, let_of(source, &name)?);
    let mut report = Report::new(ErrorKind::Compile, CodeCause::Unkept { name, why });
    report.snippet = Some(Snippet::of(cell, source, vec![mark]));
    let untold = message.find(UNTOLD).map(|at| &message[at..]);
    report.notes = untold.map(Note::from).into_iter().collect();
    Some(report)
}

pub fn trouble(message: &str, cell: CellId, source: &str) -> Report {
    let full = full_disk(message, &users_temp_dir(), false);
    if let Some(report) = full.or_else(|| cannot_keep(message, cell, source)) {
        return report;
    }
    let message = message.replace("evcxr", "regatta");
    let is_progress = |line: &&str| PROGRESS.iter().any(|word| line.starts_with(word));
    let mut lines = message
        .lines()
        .map(|line| line.trim().trim_start_matches("error: "))
        .filter(|line| !line.starts_with('{') && !line.starts_with("STDOUT:"))
        .filter(|line| !line.is_empty() && !is_progress(line));
    let first = lines.next().unwrap_or_default().to_owned();
    let cause = if message.contains(IS_CLOSURE) {
        CodeCause::IsClosure(first).into()
    } else if first.is_empty() {
        CodeCause::Unexplained.into()
    } else {
        Cause::Told(first)
    };
    let mut report = Report::new(ErrorKind::Compile, cause);
    report.notes = lines.take(20).map(Note::from).collect();
    report
}
