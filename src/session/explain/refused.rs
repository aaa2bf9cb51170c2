//! What rustc refuses, and where in the user's own lines.

use regatta_cell::checks;

use crate::cell::{Kind, root_of_path};
use crate::compiler::phrases::{
    CARGO_ADD, CELL_END, EXPECTED, FOUND, FUTURE, HOLDS_REFERENCE, NO_CRATE, NO_DEBUG,
    NO_TRAIT_FOR, NO_VALUE, NOISE, NOT_FOUND, NOT_GENERAL, NOT_SENT, NOT_SHARED, SERDE, SHARED,
    TO_IMPLEMENT,
};
use crate::compiler::{Diagnostic, Extract};
use crate::ids::CellId;
use crate::outcome::{
    Cause, CodeCause, ErrorKind, Help, Label, MapCause, Mark, Missing, NotExchanged, NotForThreads,
    Note, Report, Showing, Snippet, Stuck, Unshown,
};
use crate::session::Code;
use crate::session::marks::{end, found, last_line, mark, word};

pub fn refused(diagnostic: Diagnostic, code: &Code, cell: CellId, source: &str) -> Report {
    let mut cause = cause(&diagnostic, code);
    let mut marks = marks(&diagnostic, code);
    match &mut cause {
        Cause::Code(CodeCause::Syntax(told)) => at_the_end(told, &mut marks, &diagnostic, code),
        Cause::Told(told) if !marks.iter().any(|mark| mark.primary) => {
            cause = CodeCause::Around(std::mem::take(told)).into();
        }
        _ => {}
    }
    let primary = diagnostic.extracts.iter().find(|extract| extract.primary);
    let earlier = primary.and_then(Extract::user_line).map(str::to_owned);
    let mut report = Report::new(ErrorKind::Compile, cause);
    report.code = diagnostic.code;
    report.notes = notes(diagnostic.notes);
    if let Some(help) = &diagnostic.help {
        // The help is said once, below.
        let says = |label: &Label| matches!(label, Label::Told(told) if told.contains(help));
        marks.retain(|mark| mark.primary || !says(&mark.label));
    }
    report.hint = diagnostic.help.map(Help::Told);
    in_other_words(&mut report, &mut marks, code, source);
    if let Some(name) = wanted_crate(&report) {
        report.hint = Some(Help::AddCrate(name));
    }
    if !marks.is_empty() {
        report.snippet = Some(Snippet::of(cell, source, marks));
    } else if let Some(line) = earlier {
        report.notes.insert(0, Note::EarlierCell(line));
    }
    report
}

/// The places that rustc marks, or those of the lines that it shows.
fn marks(diagnostic: &Diagnostic, code: &Code) -> Vec<Mark> {
    let places = diagnostic.places.iter();
    let marks: Vec<Mark> = places.filter_map(|place| mark(place, code)).collect();
    if !marks.is_empty() {
        return marks;
    }
    let extracts = diagnostic.extracts.iter();
    extracts
        .filter_map(|extract| found(extract, code))
        .collect()
}

/// What rustc's parser says where the cell or a statement ends; what follows the user's code is no business of his.
fn at_the_end(told: &mut String, marks: &mut Vec<Mark>, diagnostic: &Diagnostic, code: &Code) {
    let mut primary = diagnostic.extracts.iter().filter(|extract| extract.primary);
    if marks.is_empty()
        && primary.next().is_some_and(Extract::is_generated)
        && let Some((expected, _)) = told.split_once(FOUND)
    {
        *told = format!("{expected}{FOUND}{CELL_END}");
        marks.extend(end(code));
    }
    let stands = marks.iter().find(|mark| mark.primary);
    let expected = told.strip_suffix(CELL_END);
    if let Some(expected) = expected.and_then(|what| what.strip_suffix(FOUND))
        && let (Some(stands), Some(end)) = (stands, end(code))
        && stands.start.0 < end.start.0
    {
        // Of a statement without its end, above others.
        *told = expected.to_owned();
    }
}

/// Without those about rustc's own affairs.
fn notes(mut notes: Vec<String>) -> Vec<Note> {
    let carried =
        [checks::TRAVELS, checks::EXCHANGED].map(|name| format!("{TO_IMPLEMENT}`{name}`"));
    notes.retain(|note| {
        !NOISE.iter().any(|words| note.contains(words))
            && !carried.iter().any(|end| note.ends_with(end))
    });
    notes.into_iter().map(Note::Told).collect()
}

/// Where this program knows better what is to be done: leaves out what rustc says of it, and where.
fn in_other_words(report: &mut Report, marks: &mut Vec<Mark>, code: &Code, source: &str) {
    let last = || last_line(source, code).into_iter().collect();
    match &report.cause {
        Cause::Map(MapCause::Stuck { .. }) => {
            report.code = None;
            report.hint = None;
            *marks = last();
        }
        Cause::Map(_) => {
            report.code = None;
            report.hint = None;
            report.notes.clear();
        }
        Cause::Code(CodeCause::NoDebug { .. }) => {
            report.hint = None;
            report.notes.clear();
            *marks = last();
        }
        Cause::Code(CodeCause::Shared(_)) => {
            report.hint = None;
            report.notes.clear();
        }
        Cause::Code(CodeCause::NotForThreads { .. }) => {
            report.hint = None;
            report.notes.clear();
            // rustc names the closure by a place in the generated source.
            marks.retain(|mark| mark.primary);
            marks
                .iter_mut()
                .for_each(|mark| mark.label = Label::default());
        }
        Cause::Told(told) | Cause::Code(CodeCause::Around(told))
            if told.ends_with(HOLDS_REFERENCE) =>
        {
            report.hint = Some(Help::KeepOwner);
            report.notes.clear();
        }
        Cause::Code(CodeCause::NotFound { name, .. }) => {
            if marks.is_empty() {
                marks.extend(word(source, name));
            }
            let typed = source.trim().trim_end_matches(';').trim_end_matches("()");
            if let Some(meant) = meant(name).filter(|_| typed == name) {
                report.hint = Some(meant);
            }
        }
        _ => {}
    }
}

/// That this type, of what is to be shown or a part of it, has no `Debug`.
pub fn unshown(kind: &str, shown: Showing) -> CodeCause {
    let is = if let Some(name) = own_type(kind) {
        Unshown::Named(name)
    } else if kind.starts_with("{closure@") {
        Unshown::Closure
    } else if kind.starts_with("fn(") {
        Unshown::Function
    } else if kind.starts_with(FUTURE) {
        Unshown::Future
    } else {
        Unshown::Other
    };
    let kind = kind.to_owned();
    CodeCause::NoDebug { kind, shown, is }
}

/// What rustc's error is about.
fn cause(diagnostic: &Diagnostic, code: &Code) -> Cause {
    let told = diagnostic.message.as_str();
    let of = |message| checks::type_in(told, message);
    if let Some(kind) = of(checks::NOT_TRAVELLING) {
        stuck(kind)
    } else if let Some(kind) = of(checks::NOT_EXCHANGED) {
        not_exchanged(kind)
    } else if let Some(kind) = without_serde(told)
        && let Some(wanted) = wanted(diagnostic)
    {
        wanted(kind)
    } else if told.starts_with(NOT_GENERAL) && calls_a_map(diagnostic, code) {
        not_exchanged("&str")
    } else if let Some(kind) = told.strip_suffix(NO_DEBUG) {
        unshown(kind.trim_matches('`'), Showing::Value).into()
    } else if diagnostic.code.is_none() && told.starts_with(EXPECTED) {
        CodeCause::Syntax(told.to_owned()).into()
    } else if told.starts_with(NOT_FOUND) {
        let what = match told {
            value if value.starts_with(NO_VALUE) => Missing::Value,
            linked if linked.starts_with(NO_CRATE) => Missing::Crate,
            _ => Missing::Other,
        };
        let (name, told) = (told.split('`').nth(1).unwrap_or_default(), told.to_owned());
        let name = name.to_owned();
        CodeCause::NotFound { name, what, told }.into()
    } else if let Some(kind) = told.strip_suffix(NOT_SHARED) {
        not_for_threads(kind, false)
    } else if let Some(kind) = told.strip_suffix(NOT_SENT) {
        not_for_threads(kind, true)
    } else if told.contains(SHARED) {
        CodeCause::Shared(told.to_owned()).into()
    } else {
        told.into()
    }
}

fn not_for_threads(kind: &str, sent: bool) -> Cause {
    let kind = kind.trim_matches('`').to_owned();
    let cells = ["Cell<", "RefCell<", "OnceCell<", "UnsafeCell<"];
    let is = if kind.starts_with("Rc<") {
        NotForThreads::Rc
    } else if cells.iter().any(|start| kind.starts_with(start)) {
        NotForThreads::Cell
    } else {
        NotForThreads::Other
    };
    CodeCause::NotForThreads {
        kind,
        sent,
        variables: Vec::new(),
        is,
    }
    .into()
}

fn stuck(kind: &str) -> Cause {
    let (kind, of) = (kind.to_owned(), Stuck::Value);
    MapCause::Stuck { kind, of }.into()
}

fn not_exchanged(kind: &str) -> Cause {
    let standard = [
        "Rc<", "Arc<", "Box<", "Cell<", "RefCell<", "Mutex<", "*", "fn(",
    ];
    let is = if kind == "!" {
        NotExchanged::Never
    } else if kind.starts_with('&') {
        NotExchanged::Reference
    } else if standard.iter().any(|start| kind.starts_with(start)) {
        NotExchanged::Standard
    } else {
        NotExchanged::Other
    };
    let kind = kind.to_owned();
    MapCause::NotExchanged { kind, is }.into()
}

/// The type that serde cannot carry: a part of the one of which the cell crate wants it.
fn without_serde(told: &str) -> Option<&str> {
    if !SERDE.iter().any(|name| told.contains(name)) {
        return None;
    }
    // "the trait `T` is not implemented for `K`", "the trait bound `K: T` is not satisfied"
    match told.split_once(NO_TRAIT_FOR) {
        Some((_, kind)) => kind.split('`').next(),
        None => told.split('`').nth(1)?.split(": ").next(),
    }
}

/// For what the cell crate wants it.
fn wanted(diagnostic: &Diagnostic) -> Option<fn(&str) -> Cause> {
    diagnostic
        .wanted
        .iter()
        .find_map(|name| match name.as_str() {
            checks::TRAVELS => Some(stuck as fn(&str) -> Cause),
            checks::EXCHANGED => Some(not_exchanged as fn(&str) -> Cause),
            _ => None,
        })
}

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
fn wanted_crate(report: &Report) -> Option<String> {
    let name = match (&report.hint, &report.cause) {
        (Some(Help::Told(told)), _) => told.split_once(CARGO_ADD)?.1.split('`').next()?,
        // Of macros and attributes rustc gives no advice.
        (None, Cause::Code(CodeCause::NotFound { name, what, .. })) => {
            Some(name).filter(|_| *what == Missing::Crate)?
        }
        _ => return None,
    };
    Some(name.to_owned())
}

/// What newcomers type at the prompt, and what does it here.
fn meant(name: &str) -> Option<Help> {
    match name {
        "exit" | "quit" | "q" => Some(Help::Quit),
        "help" => Some(Help::ListMagics),
        "who" | "whos" | "vars" => Some(Help::ListVariables),
        _ => None,
    }
}
