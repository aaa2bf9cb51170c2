//! What rustc refuses, in the user's terms and with his own lines.

use regatta_cell::checks;

use super::captures::{CAPTURES_HINT, CAPTURES_WHY, captures};
use crate::cell::{Kind, root_of_path};
use crate::compiler::{CELL_END, Diagnostic, Extract, HOLDS_REFERENCE, NO_DEBUG};
use crate::ids::CellId;
use crate::outcome::{Cause, ErrorKind, Mark, Report, Snippet};
use crate::session::Code;
use crate::session::marks::{end, found, last_line, mark, word};

/// Notes about rustc's own affairs.
const NOISE: [&str; 5] = [
    "on by default",
    "implied by `#[",
    "the full name for the type has been written to",
    "consider using `--verbose`",
    "changes to Rust's type-inference algorithm",
];

pub const SERDE_HINT: &str =
    "its type needs `#[derive(Serialize, Deserialize)]`, and so do all its fields";

const TRAVEL_HINT: &str = "add #[derive(Serialize, Deserialize)] to the type (serde is there), or map on a thread pool, where nothing is encoded: `%pool start threads`";

pub fn refused(diagnostic: Diagnostic, code: &Code, cell: CellId, source: &str) -> Report {
    let mut marks: Vec<Mark> = diagnostic
        .places
        .iter()
        .filter_map(|place| mark(place, code))
        .collect();
    let cause = cause(&diagnostic, code);
    let mut report = Report::new(ErrorKind::Compile, diagnostic.message);
    if marks.is_empty() {
        let extracts = diagnostic.extracts.iter();
        marks = extracts
            .filter_map(|extract| found(extract, code))
            .collect();
    }
    let primary = diagnostic.extracts.iter().find(|extract| extract.primary);
    if marks.is_empty()
        && cause == Cause::Syntax
        && primary.is_some_and(Extract::is_generated)
        && let Some((expected, _)) = report.what.split_once(", found ")
    {
        // What follows the user's code is no business of his.
        report.what = format!("{expected}, found {CELL_END}");
        marks = end(code).into_iter().collect();
    }
    let stands = marks.iter().find(|mark| mark.primary);
    if let Some(expected) = report
        .what
        .strip_suffix(CELL_END)
        .and_then(|what| what.strip_suffix(", found "))
        && let (Some(stands), Some(end)) = (stands, end(code))
        && stands.start.0 < end.start.0
    {
        // Of a statement without its end, above others.
        report.what = expected.to_owned();
    }
    report.code = diagnostic.code;
    report.notes = diagnostic.notes;
    report
        .notes
        .retain(|note| !NOISE.iter().any(|words| note.contains(words)));
    let carried = [checks::TRAVELS, checks::EXCHANGED].map(|name| format!("to implement `{name}`"));
    report
        .notes
        .retain(|note| !carried.iter().any(|end| note.ends_with(end)));
    report.hint = diagnostic.help;
    if let Some(hint) = &report.hint {
        // The help is said once, below.
        marks.retain(|mark| mark.primary || !mark.label.contains(hint.as_str()));
    }
    report.cause = cause;
    if report.cause == Cause::Other && !marks.iter().any(|mark| mark.primary) {
        report.cause = Cause::Around;
    }
    if report.cause == Cause::Captures {
        "the function of a map on a process pool captures variables".clone_into(&mut report.what);
        report.code = None;
        report.notes = vec![CAPTURES_WHY.to_owned()];
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
    if report.what.ends_with(HOLDS_REFERENCE) {
        report.hint = Some(
            "keep what it refers to and borrow again, clone it, or use it within one block `{ … }`"
                .to_owned(),
        );
        report.notes.clear();
    }
    if let Cause::Stuck(kind) = &report.cause {
        report.what = checks::NOT_TRAVELLING.replace("{Self}", kind);
        report.code = None;
        report.hint = Some(SERDE_HINT.to_owned());
        marks = last_line(source, code).into_iter().collect();
    }
    if let Cause::NotExchanged(kind) = &report.cause {
        report.what = checks::NOT_EXCHANGED.replace("{Self}", kind);
        report.code = None;
        report.notes.clear();
        report.hint = Some(exchangeable(kind));
    }
    if let Cause::NoDebug(kind) = report.cause.clone() {
        unshown(&mut report, &kind, Showing::Value);
        report.notes.clear();
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

/// What is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// The cell's value.
    Value,
    /// The results of a map.
    Results,
}

/// Says of a value or of results that this type of theirs has no `Debug`.
pub fn unshown(report: &mut Report, kind: &str, what: Showing) {
    let (whole, instead) = match what {
        Showing::Value => ("the value", "end the cell with `;`"),
        Showing::Results => ("the results", "bind the results: `let r = %map …`"),
    };
    let closure = kind.starts_with("{closure@");
    report.what = match (what, closure) {
        (Showing::Value, true) => "the value cannot be shown: it is a closure".to_owned(),
        (Showing::Results, true) => "the results cannot be shown: they are closures".to_owned(),
        (_, false) => format!("{whole} cannot be shown: `{kind}` has no `Debug`"),
    };
    report.hint = Some(if let Some(name) = own_type(kind) {
        format!("add #[derive(Debug)] to `{name}`, or {instead}")
    } else if closure || kind.starts_with("fn(") {
        "call it, or name it: `let f = …;`".to_owned()
    } else if kind.starts_with("impl Future") {
        "`.await` waits for its value".to_owned()
    } else {
        format!("show a part of it that has `Debug`, or {instead}")
    });
}

/// What rustc's error is about.
fn cause(diagnostic: &Diagnostic, code: &Code) -> Cause {
    let told = diagnostic.message.as_str();
    let of = |message| checks::type_in(told, message).map(str::to_owned);
    if captures(diagnostic) {
        Cause::Captures
    } else if let Some(kind) = of(checks::NOT_TRAVELLING) {
        Cause::Stuck(kind)
    } else if let Some(kind) = of(checks::NOT_EXCHANGED) {
        Cause::NotExchanged(kind)
    } else if let Some(kind) = without_serde(told)
        && let Some(wanted) = wanted(diagnostic)
    {
        wanted(kind.to_owned())
    } else if told.starts_with(NOT_GENERAL) && calls_a_map(diagnostic, code) {
        Cause::NotExchanged("&str".to_owned())
    } else if let Some(kind) = told.strip_suffix(NO_DEBUG) {
        Cause::NoDebug(kind.trim_matches('`').to_owned())
    } else if diagnostic.code.is_none() && told.starts_with("expected ") {
        Cause::Syntax
    } else if let Some(name) = told.strip_prefix("cannot find value `") {
        Cause::NoValue(name.split('`').next().unwrap_or_default().to_owned())
    } else {
        Cause::Other
    }
}

/// The type that serde cannot carry: a part of the one of which the cell crate wants it.
fn without_serde(told: &str) -> Option<&str> {
    let traits = [
        "Serialize`",
        "Serialize` ",
        "Deserialize<",
        "DeserializeOwned`",
    ];
    if !traits.iter().any(|name| told.contains(name)) {
        return None;
    }
    // "the trait `T` is not implemented for `K`", "the trait bound `K: T` is not satisfied"
    match told.split_once(" is not implemented for `") {
        Some((_, kind)) => kind.split('`').next(),
        None => told.split('`').nth(1)?.split(": ").next(),
    }
}

/// For what the cell crate wants it.
fn wanted(diagnostic: &Diagnostic) -> Option<fn(String) -> Cause> {
    diagnostic
        .wanted
        .iter()
        .find_map(|name| match name.as_str() {
            checks::TRAVELS => Some(Cause::Stuck as fn(String) -> Cause),
            checks::EXCHANGED => Some(Cause::NotExchanged as fn(String) -> Cause),
            _ => None,
        })
}

/// Of a reference that would have to outlive what it was decoded from, rustc only says where.
const NOT_GENERAL: &str = "implementation of `Deserialize` is not general enough";

/// Whether a call of the cell crate's is what rustc marks.
fn calls_a_map(diagnostic: &Diagnostic, code: &Code) -> bool {
    let mut marked = diagnostic.places.iter().filter(|place| place.primary);
    marked.any(|place| {
        let begins = code.text.lines().nth(place.start.0.saturating_sub(1));
        let begins = begins.and_then(|line| {
            line.char_indices()
                .nth(place.start.1.checked_sub(1)?)
                .map(|(at, _)| &line[at..])
        });
        begins
            .and_then(root_of_path)
            .is_some_and(|root| root == "pool" || root == "regatta_cell")
    })
}

/// What to send instead of a value of this type.
fn exchangeable(kind: &str) -> String {
    let standard = |kind: &str| {
        [
            "Rc<", "Arc<", "Box<", "Cell<", "RefCell<", "Mutex<", "*", "fn(",
        ]
        .iter()
        .any(|start| kind.starts_with(start))
    };
    if kind == "!" {
        "the function never returns a value: write its result type, `|x| -> u64 { … }`".to_owned()
    } else if kind.starts_with('&') {
        "send values, not references: `.iter().cloned()` on the inputs, `String` instead of `&str` (`.map(String::from)`), or map on a thread pool: `%pool start threads`".to_owned()
    } else if standard(kind) {
        "send plain data instead, or map on a thread pool, where nothing is encoded: `%pool start threads`".to_owned()
    } else {
        TRAVEL_HINT.to_owned()
    }
}

/// The name of a type that can be one of the session's: a plain one, of its own or of a generic.
fn own_type(kind: &str) -> Option<String> {
    match Kind::of(kind) {
        Kind::Named { name, .. } if name.starts_with(char::is_uppercase) => {
            kind.starts_with(&name).then_some(name)
        }
        _ => None,
    }
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
