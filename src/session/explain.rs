//! From typed failures to reports: what happened, where, what to do now. The one place for these words.

mod captures;
mod maps;
mod refused;
mod unkept;

use std::collections::BTreeMap;

pub(super) use maps::{borrowing, borrows, map_failure, nothing_to_reduce, only_stuck, stuck_type};
pub(super) use refused::{Showing, unshown};
pub(super) use unkept::wants_sources;

use self::captures::{captures, capturing};
use self::refused::refused;
use self::unkept::trouble;
use super::full_disk::full_disk;
use super::marks::word;
use super::{Code, Failed, Record};
use crate::cell::{DEEPEST, shell_habit};
use crate::compiler::CompileError;
use crate::compiler::toolchain::users_temp_dir;
use crate::ids::CellId;
use crate::outcome::{Cause, DeathCause, ErrorKind, Report, Snippet};

/// Errors of the compiler's, with the user's own lines; `variables` are those that the cell was compiled with.
pub fn compile_error(
    error: CompileError,
    code: &Code,
    cell: CellId,
    source: &str,
    variables: &BTreeMap<String, String>,
) -> Failed {
    match error {
        CompileError::Refused(diagnostics) => {
            let mut reports: Vec<Report> = Vec::new();
            if let Some(captures) = diagnostics.iter().find(|one| captures(one)) {
                // What follows it are the generic function's own lines.
                let report = refused(captures.clone(), code, cell, source);
                return capturing(report, captures, cell, source, variables).into();
            }
            for diagnostic in diagnostics {
                let report = refused(diagnostic, code, cell, source);
                let same = |other: &Report| {
                    other.what == report.what
                        && (other.snippet == report.snippet || report.snippet.is_none())
                };
                // The suggestion to import a name comes beside the error itself, or in its place.
                let repeated = report.code.is_none()
                    && report.what.starts_with("cannot find `")
                    && !reports.is_empty();
                if !repeated && !reports.iter().any(same) {
                    reports.push(report);
                }
            }
            let travels =
                |report: &Report| matches!(report.cause, Cause::NotExchanged(_) | Cause::Stuck(_));
            if reports.iter().any(travels) {
                // That it cannot be shown either is for later.
                reports.retain(|report| !matches!(report.cause, Cause::NoDebug(_)));
            }
            if let (Some((command, hint)), Some(first)) = (shell_habit(source), reports.first_mut())
                && !variables.contains_key(command)
                && (first.cause == Cause::Syntax
                    || first.cause == Cause::NoValue(command.to_owned()))
            {
                first.hint = Some(hint);
                // The rest is about its arguments.
                reports.truncate(1);
            }
            Failed(reports)
        }
        CompileError::Trouble(message) => trouble(&message, cell, source).into(),
        CompileError::Interrupted => interrupted("compiling").into(),
        CompileError::Unavailable(why) => died(&why).into(),
    }
}

fn died(why: &str) -> Report {
    let what = format!("the compiler did not finish this cell: {why}");
    Report::new(ErrorKind::System, what)
        .hint("enter the cell again: another compiler is started; variables and definitions stay")
}

pub fn no_compiler(why: &str) -> Report {
    if let Some(report) = full_disk(why, &users_temp_dir(), true) {
        return report;
    }
    let mut lines = why.lines().filter(|line| !line.trim().is_empty());
    let mut report = Report::new(
        ErrorKind::System,
        format!(
            "the compiler did not start: {}",
            lines.next().unwrap_or("no reason given")
        ),
    );
    report.notes = lines.take(20).map(str::to_owned).collect();
    report.hint("`%quit`, mend it and start again; magics that need no compiler still work")
}

/// A `let` without a name.
pub fn no_pattern(record: Option<&Record>) -> Report {
    let mut report = Report::new(ErrorKind::Compile, "expected a name after `let`");
    if let Some(record) = record {
        let marks = word(&record.code, "let").into_iter().collect();
        let name = record.cell.name();
        report.snippet = Some(Snippet {
            source: record.code.clone(),
            name,
            marks,
        });
    }
    report.hint("`let name = value;`")
}

/// A closure that borrows a variable of an earlier cell: kept, it has to own it.
pub fn closure_borrows(mut failed: Failed, boxed: impl Fn() -> Option<String>) -> Failed {
    let outlives = |report: &&mut Report| report.code.as_deref() == Some("E0373");
    if let Some(report) = failed.0.iter_mut().find(outlives)
        && let Some(boxed) = boxed()
    {
        report.hint = Some(format!("what captures is kept boxed: `{boxed}`"));
    }
    failed
}

/// A variable that stands in text and has no `Display`.
pub fn not_displayed(failed: Failed, text: &str, fields: &[std::ops::Range<usize>]) -> Failed {
    let what = failed.0.into_iter().map(|report| report.what).next();
    let fields: Vec<&str> = fields.iter().map(|field| &text[field.clone()]).collect();
    let why = what.unwrap_or_default();
    let name = fields
        .first()
        .map_or("", |field| field.trim_matches(['{', '}']));
    Report::usage(format!(
        "{} cannot be written out: {why}",
        fields.join(", ")
    ))
    .hint(format!("`{{{name}:?}}` writes what has only `Debug`"))
    .into()
}

/// Code that would overflow the stack of any parser.
pub fn too_deep() -> Report {
    let what = format!("the cell nests more than {DEEPEST} levels deep");
    Report::usage(what)
        .hint("take it apart with `let`; long data stand better in an array or a file")
}

pub fn interrupted(what: &str) -> Report {
    Report::new(ErrorKind::Interrupted, format!("interrupted while {what}"))
}

/// The error itself has been printed by then.
pub fn errored() -> Report {
    Report::new(ErrorKind::Error, "a `?` ended the cell with this error")
}

pub fn lost(names: &[String]) -> Option<String> {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("lost: {}", quoted.join(", ")))
}

pub fn local_death(cause: &DeathCause, interrupted: bool, lost: &[&str]) -> Report {
    let mut report = if interrupted {
        Report::new(
            ErrorKind::Interrupted,
            "interrupted; the local engine was restarted",
        )
    } else {
        Report::new(
            ErrorKind::EngineDied,
            format!("the local engine died: {cause}"),
        )
    };
    let lost: Vec<String> = lost.iter().map(|name| (*name).to_owned()).collect();
    report
        .notes
        .push(self::lost(&lost).unwrap_or_else(|| "no variables were lost".to_owned()));
    report
        .notes
        .push("functions, types and crates are still there".to_owned());
    report
}
