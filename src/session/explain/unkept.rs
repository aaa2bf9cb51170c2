//! What evcxr says in its own words: of a variable that it cannot keep, and of whatever else went wrong.

use crate::cell::{let_of, position};
use crate::compiler::CompileError;
use crate::compiler::toolchain::users_temp_dir;
use crate::ids::CellId;
use crate::outcome::{Cause, ErrorKind, Mark, Report, Snippet};
use crate::session::full_disk::full_disk;

/// What evcxr says when no type can be inferred for a variable.
const UNKNOWN_TYPE: &str = "automatically determine type";

/// What it says of a variable whose value is a closure.
const IS_CLOSURE: &str = "is a closure";

/// Whether types would be known if the standard library's sources were.
pub fn wants_sources(error: &CompileError) -> bool {
    matches!(error, CompileError::Trouble(message) if message.contains(UNKNOWN_TYPE))
}

/// What evcxr says of a variable that it cannot keep.
fn cannot_keep(message: &str, cell: CellId, source: &str) -> Option<Report> {
    let name = message.split('`').nth(1)?;
    let (what, hint) = if message.contains(IS_CLOSURE) {
        (
            format!("the variable `{name}` is a closure, whose type cannot be written down"),
            format!(
                "box it, `let {name}: Box<dyn Fn(i32) -> i32> = Box::new(…)`, make it a `fn`, or use it within one block `{{ … }}`"
            ),
        )
    } else if message.contains("cannot be persisted") {
        (
            format!("the variable `{name}` has a type that cannot be written down"),
            format!(
                "box it, `let {name}: Box<dyn Trait> = Box::new(…)`, or use it within one block `{{ … }}`"
            ),
        )
    } else if message.contains(UNKNOWN_TYPE) {
        (
            format!("the type of the variable `{name}` cannot be told"),
            format!("write it: `let {name}: Type = …`"),
        )
    } else {
        return None;
    };
    let mut report = Report::new(ErrorKind::Compile, what).hint(hint);
    let place = let_of(source, name)?;
    let start = position(&source[..place.start], (1, 1));
    let mark = Mark {
        start,
        end: position(&source[place], start),
        label: String::new(),
        primary: true,
    };
    let name = cell.name();
    report.snippet = Some(Snippet {
        source: source.to_owned(),
        name,
        marks: vec![mark],
    });
    Some(report)
}

pub fn trouble(message: &str, cell: CellId, source: &str) -> Report {
    if let Some(report) = full_disk(message, &users_temp_dir(), false) {
        return report;
    }
    if let Some(report) = cannot_keep(message, cell, source) {
        return report;
    }
    let message = message.replace("evcxr", "regatta");
    let progress = [
        "Updating ",
        "Locking ",
        "Adding ",
        "Downloading ",
        "Downloaded ",
    ];
    let mut lines = message
        .lines()
        .map(|line| line.trim().trim_start_matches("error: "))
        .filter(|line| !line.starts_with('{') && !line.starts_with("STDOUT:"))
        .filter(|line| !line.is_empty() && !progress.iter().any(|word| line.starts_with(word)));
    let mut report = Report::new(
        ErrorKind::Compile,
        lines.next().unwrap_or("it does not compile"),
    );
    report.notes = lines.take(20).map(str::to_owned).collect();
    if message.contains(IS_CLOSURE) {
        report.cause = Cause::IsClosure;
    }
    report
}
