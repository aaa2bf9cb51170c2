//! From typed failures to reports: what happened, where, what to do now. The one place for these words.

use std::collections::BTreeMap;

use super::full_disk::full_disk;
use super::history::History;
use super::marks::{end, found, last_line, mark, word};
use super::{Code, Failed, Record};
use crate::cell::{DEEPEST, bound, captured, closure, identifiers, position, shell_habit};
use crate::compiler::toolchain::users_temp_dir;
use crate::compiler::{CompileError, Diagnostic, Extract};
use crate::ids::CellId;
use crate::outcome::{ErrorKind, Mark, Origin, Report, Snippet};
use crate::pool::{MapFailure, MapFault};

/// What the cell crate's compile-time check says of a function that captures.
const CAPTURES: &str = "captures variables (or is a function pointer)";

/// What evcxr says when no type can be inferred for a variable.
const UNKNOWN_TYPE: &str = "automatically determine type";

/// Notes about rustc's own affairs.
const NOISE: [&str; 4] = [
    "on by default",
    "the full name for the type has been written to",
    "consider using `--verbose`",
    "changes to Rust's type-inference algorithm",
];

pub const TRAVEL_HINT: &str = "add #[derive(Serialize, Deserialize)] to the type (serde is there), or map on a thread pool, where nothing is encoded: `%pool start threads`";

pub const CAPTURES_HINT: &str = "share a value by `pool::map_with(&value, inputs, |value, x| …)`, or write `%map`, which takes variables along; on a thread pool functions borrow: `%pool start threads`";

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
            if let Some(captures) = diagnostics.iter().find(|d| d.message.contains(CAPTURES)) {
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
                |report: &Report| report.what.ends_with(" cannot travel between processes");
            if reports.iter().any(travels) {
                // That it cannot be shown either is for later.
                reports.retain(|report| !report.what.starts_with("the value cannot be shown"));
            }
            if let (Some((command, hint)), Some(first)) = (shell_habit(source), reports.first_mut())
                && !variables.contains_key(command)
                && (first.what.starts_with("expected ")
                    || first
                        .what
                        .starts_with(&format!("cannot find value `{command}`")))
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

/// Whether types would be known if the standard library's sources were.
pub fn wants_sources(error: &CompileError) -> bool {
    matches!(error, CompileError::Trouble(message) if message.contains(UNKNOWN_TYPE))
}

/// Names what the closure of a map captures, and marks the closure in the cell.
fn capturing(
    mut report: Report,
    diagnostic: &Diagnostic,
    cell: CellId,
    source: &str,
    variables: &BTreeMap<String, String>,
) -> Report {
    let mut names: Vec<String> = bound(source);
    names.extend(variables.keys().cloned());
    let mut used: Vec<String> = Vec::new();
    for function in &diagnostic.closures {
        let function = closure(function);
        let new = captured(function, &names).into_iter().filter(|name| {
            // What is only called is a function more often than a variable.
            variables.contains_key(name)
                || !function.contains(&format!("{name}("))
                || source.contains(&format!("let {name}"))
        });
        used.extend(new.filter(|name| !used.contains(name)).collect::<Vec<_>>());
        match source.find(function) {
            Some(at) if report.snippet.is_none() => {
                let start = position(&source[..at], (1, 1));
                let mark = Mark {
                    start,
                    end: position(function, start),
                    label: "runs in other processes".to_owned(),
                    primary: true,
                };
                report.snippet = Some(Snippet {
                    source: source.to_owned(),
                    name: cell.name(),
                    marks: vec![mark],
                });
            }
            Some(_) => {}
            None => {
                let line = function.lines().next().unwrap_or_default();
                let note = format!("in code of an earlier cell: `{line}`");
                report.notes.insert(0, note);
            }
        }
    }
    let named: Vec<String> = used
        .iter()
        .map(|name| match variables.get(name) {
            Some(kind) => format!("`{name}`: {}", super::types::shorten(kind)),
            None => format!("`{name}`"),
        })
        .collect();
    if !named.is_empty() {
        report.what = format!("the function captures {}", named.join(", "));
    } else if diagnostic.closures.is_empty() {
        report.what.push_str(", or is a function pointer");
    }
    report
}

fn refused(diagnostic: Diagnostic, code: &Code, cell: CellId, source: &str) -> Report {
    let mut marks: Vec<Mark> = diagnostic
        .places
        .iter()
        .filter_map(|place| mark(place, code))
        .collect();
    let mut report = Report::new(ErrorKind::Compile, diagnostic.message);
    if marks.is_empty() {
        let extracts = diagnostic.extracts.iter();
        marks = extracts
            .filter_map(|extract| found(extract, code))
            .collect();
    }
    let primary = diagnostic.extracts.iter().find(|extract| extract.primary);
    if marks.is_empty()
        && report.what.starts_with("expected ")
        && primary.is_some_and(Extract::is_generated)
        && let Some((expected, _)) = report.what.split_once(", found ")
    {
        // What follows the user's code is no business of his.
        report.what = format!("{expected}, found the end of the cell");
        marks = end(code).into_iter().collect();
    }
    let stands = marks.iter().find(|mark| mark.primary);
    if let Some((expected, _)) = report.what.split_once(", found the end of the cell")
        && let (Some(stands), Some(end)) = (stands, end(code))
        && stands.start.0 < end.start.0
    {
        // Of a statement without its end, above others.
        report.what = expected.to_owned();
    }
    report.code = diagnostic.code;
    report.notes = diagnostic.notes;
    let ours = ["on_processes", "on_threads", "show_value"];
    let ours = ours.iter().chain(&NOISE);
    report
        .notes
        .retain(|note| !ours.clone().any(|name| note.contains(name)));
    report.hint = diagnostic.help;
    if let Some(hint) = &report.hint {
        // The help is said once, below.
        marks.retain(|mark| mark.primary || !mark.label.contains(hint.as_str()));
    }
    if report.what.contains(CAPTURES) || report.notes.iter().any(|note| note.contains(CAPTURES)) {
        "the function of a map on a process pool captures variables".clone_into(&mut report.what);
        report.code = None;
        report.notes = vec!["it runs in another process, where these variables are not".to_owned()];
        report.snippet = word(source, "map").map(|mark| Snippet {
            source: source.to_owned(),
            name: cell.name(),
            marks: vec![mark],
        });
        return report.hint(CAPTURES_HINT);
    }
    if report.what.contains("captured variable in a `Fn` closure") {
        report.what = report.what.replace(
            "captured variable in a `Fn` closure",
            "a variable that all threads share",
        );
        report.hint =
            Some("use an atomic or a Mutex, or return a value from each thread".to_owned());
        report.notes.clear();
    }
    if report.what.contains("holds a reference") {
        report.hint = Some(
            "keep what it refers to and borrow again, clone it, or use it within one block `{ … }`"
                .to_owned(),
        );
        report.notes.clear();
    }
    if let Some(kind) = cannot_travel(&report, code).map(str::to_owned) {
        report.what = format!("`{kind}` cannot travel between processes");
        report.code = None;
        report.notes.clear();
        let standard = |kind: &str| {
            [
                "Rc<", "Arc<", "Box<", "Cell<", "RefCell<", "Mutex<", "*", "fn(",
            ]
            .iter()
            .any(|start| kind.starts_with(start))
        };
        report.hint = Some(if kind == "!" {
            "the function never returns a value: write its result type, `|x| -> u64 { … }`"
                .to_owned()
        } else if kind.starts_with('&') {
            "send values, not references: `.iter().cloned()` on the inputs, `String` instead of `&str` (`.map(String::from)`), or map on a thread pool: `%pool start threads`".to_owned()
        } else if standard(&kind) {
            "send plain data instead, or map on a thread pool, where nothing is encoded: `%pool start threads`".to_owned()
        } else {
            TRAVEL_HINT.to_owned()
        });
    }
    if let Some(kind) = report.what.strip_suffix("` doesn't implement `Debug`") {
        let kind = kind.trim_start_matches('`').to_owned();
        report.what = format!("the value cannot be shown: `{kind}` has no `Debug`");
        report.notes.clear();
        if kind.starts_with("{closure@") {
            "the value cannot be shown: it is a closure".clone_into(&mut report.what);
        }
        report.hint = Some(if is_own_type(&kind) {
            format!("add #[derive(Debug)] to `{kind}`, or end the cell with `;`")
        } else if kind.starts_with("{closure@") || kind.starts_with("fn(") {
            "call it, or name it: `let f = …;`".to_owned()
        } else if kind.starts_with("impl Future") {
            "`.await` waits for its value".to_owned()
        } else {
            "show a part of it that has `Debug`, or end the cell with `;`".to_owned()
        });
        marks = last_line(source, code).into_iter().collect();
    }
    if report.what.starts_with("cannot find") {
        let name = report.what.split('`').nth(1).unwrap_or_default().to_owned();
        if marks.is_empty() {
            marks = word(source, &name).into_iter().collect();
        }
        let typed = source.trim().trim_end_matches(';').trim_end_matches("()");
        if let Some(meant) = meant(&name).filter(|_| typed == name) {
            report.hint = Some(meant.to_owned());
        }
    }
    let unlinked = || {
        report
            .what
            .strip_prefix("cannot find module or crate `")?
            .split('`')
            .next()
    };
    let wanted = match report.hint.as_deref() {
        Some(hint) => wanted_crate(hint),
        // Of macros and attributes rustc gives no advice.
        None => unlinked(),
    };
    if let Some(name) = wanted {
        report.hint = Some(format!(
            "if the crate `{name}` is meant: `%dep {name} = \"*\"` adds it"
        ));
    }
    if !marks.is_empty() {
        report.snippet = Some(Snippet {
            source: source.to_owned(),
            name: cell.name(),
            marks,
        });
    } else if let Some(line) = primary.and_then(Extract::user_line) {
        report
            .notes
            .insert(0, format!("in code of an earlier cell: `{line}`"));
    }
    report
}

/// Whether a type can be one of the session's: it has a plain name, of its own or of a generic.
fn is_own_type(kind: &str) -> bool {
    let name = kind.split('<').next().unwrap_or_default();
    let mut chars = name.chars();
    chars.next().is_some_and(char::is_uppercase) && chars.all(|c| c.is_alphanumeric() || c == '_')
}

/// The crate that rustc would add to a manifest: "use `cargo add NAME` to add it to your `Cargo.toml`".
fn wanted_crate(hint: &str) -> Option<&str> {
    hint.split_once("`cargo add ")?.1.split('`').next()
}

/// What newcomers type at the prompt, and what does it here.
fn meant(name: &str) -> Option<&'static str> {
    match name {
        "exit" | "quit" | "q" => Some("`%quit` or Ctrl-D leaves"),
        "help" => Some("`%help` lists the magics"),
        "who" | "whos" | "vars" => Some("`%whos` lists the variables"),
        _ => None,
    }
}

/// The type of which a map on a process pool wants that serde can carry it.
fn cannot_travel<'a>(report: &'a Report, code: &Code) -> Option<&'a str> {
    let by_map = [
        "on_processes",
        "`regatta_cell::pool::map`",
        "`map`",
        "send_value",
    ];
    let calls = [
        "on_processes(",
        "pool::",
        "pool(",
        "magic::send(",
        "send_value(",
    ];
    let asked = calls.iter().any(|call| code.text.contains(call))
        || report
            .notes
            .iter()
            .any(|note| by_map.iter().any(|name| note.contains(name)));
    let serde = ["Serialize`", "Deserialize"];
    if !asked || !serde.iter().any(|name| report.what.contains(name)) {
        return None;
    }
    if report.what.contains("not general enough") {
        return Some("&str");
    }
    // "the trait `T` is not implemented for `K`", "the trait bound `K: T` is not satisfied"
    match report.what.split_once(" is not implemented for `") {
        Some((_, kind)) => kind.split('`').next(),
        None => report.what.split('`').nth(1)?.split(": ").next(),
    }
}

/// What evcxr says of a variable that it cannot keep.
fn cannot_keep(message: &str, cell: CellId, source: &str) -> Option<Report> {
    let name = message.split('`').nth(1)?;
    let (what, hint) = if message.contains("is a closure") {
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
    let (line, text) = source
        .lines()
        .enumerate()
        .find(|(_, line)| line.contains("let ") && identifiers(line).contains(name))?;
    let start = text
        .find(name)
        .map_or(1, |at| text[..at].chars().count() + 1);
    let mark = Mark {
        start: (line + 1, start),
        end: (line + 1, start + name.chars().count()),
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

fn trouble(message: &str, cell: CellId, source: &str) -> Report {
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
    report
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

/// A `return` at the top level ended the cell before what it bound was stored.
pub fn returned_early(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    format!(
        "the cell returned before its end, so what it bound is not kept: {}",
        quoted.join(", ")
    )
}

pub fn local_death(cause: &str, interrupted: bool, lost: &[&str]) -> Report {
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
        MapFault::Inputs(why) => Report::new(ErrorKind::Map, format!("the map failed: {why}")),
    };
    for (rank, cause) in &failure.died {
        report.notes.push(format!("engine {rank} died: {cause}"));
    }
    if let Some(rank) = failure.rank {
        report.origin = Origin::Engine(rank);
    }
    report
}
/// What the cell crate's trait for captured and moved values says of a type without it.
const STUCK: &str = " cannot travel to other processes";

/// The type that a report says cannot travel.
pub(super) fn stuck_type(report: &Report) -> Option<&str> {
    let stuck = report.what.strip_suffix(STUCK)?;
    Some(stuck.trim_matches('`'))
}

/// When something cannot travel, the rest of the errors says so again of every use.
pub(super) fn only_stuck(failed: &mut Failed) {
    let stuck = |report: &Report| stuck_type(report).is_some();
    if failed.0.iter().any(stuck) {
        failed.0.retain(stuck);
    }
}
