//! From typed failures to their causes, as data: what happened, where, what more is known of it. The renderer makes
//! words of them; here are none.

mod captures;
mod maps;
mod refused;
mod trouble;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

pub(super) use maps::{borrowing, borrows, map_failure, no_tuples, nothing_to_reduce, only_stuck};
pub(super) use refused::unshown;
pub(super) use trouble::wants_sources;

use self::captures::{captures, capturing};
use self::refused::refused;
use self::trouble::trouble;
use super::marks::word;
use super::{Code, Failed, Record};
use crate::cell::{DEEPEST, identifiers, shell_habit};
use crate::compiler::toolchain::users_temp_dir;
use crate::compiler::{CompileError, Diagnostic, is_full, phrases};
use crate::ids::CellId;
use crate::outcome::{
    Cause, CodeCause, DeathCause, Doing, ErrorKind, Help, MapCause, Missing, Note, Report,
    SessionCause, Snippet,
};

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
            if let Some(captures) = diagnostics.iter().find(|one| captures(one)) {
                // What follows it are the generic function's own lines.
                return capturing(captures, cell, source, variables).into();
            }
            all_refused(diagnostics, code, cell, source, variables)
        }
        CompileError::Trouble(message) => trouble(&message, cell, source).into(),
        CompileError::Interrupted => interrupted(Doing::Compiling).into(),
        CompileError::Unavailable(why) => {
            Report::new(ErrorKind::System, SessionCause::CompilerDied { why }).into()
        }
    }
}

/// Each error of rustc's once, and of those that follow from others none.
fn all_refused(
    diagnostics: Vec<Diagnostic>,
    code: &Code,
    cell: CellId,
    source: &str,
    variables: &BTreeMap<String, String>,
) -> Failed {
    let mut reports: Vec<Report> = Vec::new();
    for diagnostic in diagnostics {
        // The suggestion to import a name comes beside the error itself, or in its place.
        let repeated = diagnostic.code.is_none()
            && diagnostic.message.starts_with(phrases::NO_IMPORT)
            && !reports.is_empty();
        let report = refused(diagnostic, code, cell, source);
        let same = |other: &Report| {
            other.cause == report.cause
                && (other.snippet == report.snippet || report.snippet.is_none())
        };
        if !repeated && !reports.iter().any(same) {
            reports.push(report);
        }
    }
    let travels = |report: &Report| {
        let Cause::Map(cause) = &report.cause else {
            return false;
        };
        matches!(
            cause,
            MapCause::NotExchanged { .. } | MapCause::Stuck { .. }
        )
    };
    if reports.iter().any(travels) {
        // That it cannot be shown either is for later.
        reports.retain(|report| no_debug(report).is_none());
    }
    only_not_for_threads(&mut reports, source, variables);
    if let (Some((command, hint)), Some(first)) = (shell_habit(source), reports.first_mut())
        && !variables.contains_key(command)
        && (matches!(first.cause, Cause::Code(CodeCause::Syntax(_)))
            || no_value(first) == Some(command))
    {
        first.hint = Some(hint.into());
        // The rest is about its arguments.
        reports.truncate(1);
    }
    Failed(reports)
}

/// Of a type that is not for threads, the first error says all; names the variables that are of it.
fn only_not_for_threads(reports: &mut Vec<Report>, source: &str, types: &BTreeMap<String, String>) {
    let first = reports
        .iter_mut()
        .find_map(|report| match &mut report.cause {
            Cause::Code(CodeCause::NotForThreads {
                kind, variables, ..
            }) => Some((kind, variables)),
            _ => None,
        });
    let Some((of, variables)) = first else {
        return;
    };
    let used = identifiers(source);
    let names = types.iter().filter(|(name, whole)| {
        used.contains(*name) && super::types::shorten(whole).contains(of.as_str())
    });
    variables.extend(names.map(|(name, _)| name.clone()));
    let (of, mut told) = (of.clone(), false);
    reports.retain(|report| match &report.cause {
        Cause::Code(CodeCause::NotForThreads { kind, .. }) => {
            *kind != of || !std::mem::replace(&mut told, true)
        }
        Cause::Map(MapCause::NotExchanged { kind, .. }) => *kind != of,
        _ => true,
    });
}

/// The name of which a report says that it is not found.
pub fn not_found(report: &Report) -> Option<&str> {
    match &report.cause {
        Cause::Code(CodeCause::NotFound { name, .. }) => Some(name),
        _ => None,
    }
}

/// The name of which a report says that it is no value's.
pub fn no_value(report: &Report) -> Option<&str> {
    match &report.cause {
        Cause::Code(CodeCause::NotFound { name, what, .. }) => {
            (*what == Missing::Value).then_some(name)
        }
        _ => None,
    }
}

/// The type of which a report says that it has no `Debug`.
pub fn no_debug(report: &Report) -> Option<&str> {
    match &report.cause {
        Cause::Code(CodeCause::NoDebug { kind, .. }) => Some(kind),
        _ => None,
    }
}

/// Whether what was to be kept is a closure.
pub fn is_closure(report: &Report) -> bool {
    matches!(report.cause, Cause::Code(CodeCause::IsClosure(_)))
}

pub fn no_compiler(why: &str) -> Report {
    if let Some(report) = full_disk(why, &users_temp_dir(), true) {
        return report;
    }
    let lines = why.lines().filter(|line| !line.trim().is_empty());
    let mut lines = lines.map(str::to_owned);
    let why = lines.next();
    let mut report = Report::new(ErrorKind::System, SessionCause::NoCompiler { why });
    report.notes = lines.take(20).map(Note::Told).collect();
    report
}

/// That cells cannot be built for want of room, if that is what a tool's message says: once, in place of the tools'
/// own many lines.
pub fn full_disk(message: &str, folder: &Path, starting: bool) -> Option<Report> {
    let folder = folder.to_owned();
    let full = SessionCause::FullDisk { folder, starting };
    is_full(message).then(|| Report::new(ErrorKind::System, full))
}

/// A `let` without a name.
pub fn no_pattern(record: Option<&Record>) -> Report {
    let mut report = Report::new(ErrorKind::Compile, CodeCause::NoPattern);
    report.snippet = record.map(|record| {
        let marks = word(&record.code, "let").into_iter().collect();
        Snippet::of(record.cell, &record.code, marks)
    });
    report
}

/// A closure that borrows a variable of an earlier cell: kept, it has to own it.
pub fn closure_borrows(mut failed: Failed, boxed: impl Fn() -> Option<String>) -> Failed {
    let outlives = |report: &&mut Report| report.code.as_deref() == Some("E0373");
    if let Some(report) = failed.0.iter_mut().find(outlives)
        && let Some(boxed) = boxed()
    {
        report.hint = Some(Help::Boxed(boxed));
    }
    failed
}

/// A variable that stands in text and has no `Display`.
pub fn not_displayed(failed: &Failed, text: &str, fields: &[Range<usize>]) -> Failed {
    let fields = fields.iter().map(|field| text[field.clone()].to_owned());
    let fields = fields.collect();
    let told = failed.0.first().map(ToString::to_string);
    let told = told.unwrap_or_default();
    Report::usage(CodeCause::NotDisplayed { fields, told }).into()
}

/// Code that would overflow the stack of any parser.
pub fn too_deep() -> Report {
    Report::usage(CodeCause::TooDeep { most: DEEPEST })
}

pub fn interrupted(doing: Doing) -> Report {
    Report::new(ErrorKind::Interrupted, SessionCause::Interrupted(doing))
}

/// The error itself has been printed by then.
pub fn errored() -> Report {
    Report::new(ErrorKind::Error, SessionCause::Errored)
}

pub fn local_death(cause: DeathCause, interrupted: bool, lost: Vec<String>) -> Report {
    let kind = match interrupted {
        true => ErrorKind::Interrupted,
        false => ErrorKind::EngineDied,
    };
    let cause = SessionCause::LocalDied {
        cause,
        interrupted,
        lost,
    };
    Report::new(kind, cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_in_one_line() {
        let told = "Compilation failed\nrustc-LLVM ERROR: IO failure: No space left on device (os error 28)";
        let report = full_disk(told, Path::new("/tmp"), false).expect("a report");
        assert_eq!(
            report.to_string(),
            "there is no room to build cells in /tmp: the disk is full"
        );
        assert_eq!(report.kind, ErrorKind::System);
        assert!(report.notes.is_empty());
        assert!(full_disk("Disk quota exceeded", Path::new("/tmp"), true).is_some());
        assert!(full_disk("mismatched types", Path::new("/tmp"), true).is_none());
    }
}
