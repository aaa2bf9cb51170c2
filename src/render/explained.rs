//! The words of errors: what happened, further facts, what to do now.

mod code;
mod map;
mod pool;
mod session;

use std::fmt;

use super::engines::{lost_words, numbers};
use crate::outcome::{Cause, Gone, Help, Label, Note, Report};

/// What happened, one line, no full stop.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(told) => f.write_str(told),
            Self::Code(cause) => f.write_str(&code::what(cause)),
            Self::Map(cause) => f.write_str(&map::what(cause)),
            Self::Pool(cause) => f.write_str(&pool::what(cause)),
            Self::Session(cause) => f.write_str(&session::what(cause)),
        }
    }
}

/// Further facts, one line each.
pub(crate) fn notes(report: &Report) -> Vec<String> {
    let of_cause = match &report.cause {
        Cause::Map(cause) => map::notes(cause),
        Cause::Session(cause) => session::notes(cause),
        Cause::Told(_) | Cause::Code(_) | Cause::Pool(_) => Vec::new(),
    };
    let notes = report.notes.iter().map(note);
    notes.chain(of_cause).collect()
}

fn note(note: &Note) -> String {
    match note {
        Note::Told(told) => told.clone(),
        Note::Lost(names) => lost_words(names),
        Note::EarlierCell(line) => format!("in code of an earlier cell: `{line}`"),
        Note::EngineDied(deaths) => format!("engine {} died: {deaths}", deaths.rank),
        Note::At(place) => format!("at {place}"),
        Note::Gone { name, cell, why } => {
            let cell = cell.name();
            match why {
                Gone::Moved => format!("`{name}` was moved in {cell}"),
                Gone::Redefined => format!("`{name}` was lost in {cell}: its type was redefined"),
                Gone::Panicked => {
                    format!("`{name}` was lost in {cell}, which did not come to its end")
                }
                Gone::Died => format!("`{name}` was lost in {cell}: the local engine died"),
            }
        }
        Note::There { name, pool, ranks } => {
            let (engines, have) = match ranks.len() {
                1 => ("engine", "has"),
                _ => ("engines", "have"),
            };
            let ranks = numbers(ranks.iter());
            format!("{engines} {ranks} of {pool} {have} a variable `{name}`")
        }
    }
}

/// What to do now.
pub(crate) fn hint(report: &Report) -> Option<String> {
    match (&report.hint, &report.cause) {
        (Some(hint), _) => Some(hint.to_string()),
        (None, Cause::Told(_)) => None,
        (None, Cause::Code(cause)) => code::hint(cause),
        (None, Cause::Map(cause)) => map::hint(cause),
        (None, Cause::Pool(cause)) => pool::hint(cause),
        (None, Cause::Session(cause)) => session::hint(cause).map(str::to_owned),
    }
}

impl fmt::Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Told(told) => f.write_str(told),
            Self::KeepOwner => f.write_str(
                "keep what it refers to and borrow again, clone it, or use it within one block `{ … }`",
            ),
            Self::AddCrate(name) => write!(
                f,
                "if the crate `{name}` is meant: `%dep {name} = \"*\"` adds it"
            ),
            Self::Boxed(code) => write!(f, "what captures is kept boxed: `{code}`"),
            Self::MakeAnew { name, moved: true } => write!(
                f,
                "there `&{name}` or `{name}.clone()` keeps it; make it anew here"
            ),
            Self::MakeAnew { .. } => {
                f.write_str("make it anew; `%rerun N` runs the cell that made it")
            }
            Self::UseThere { name } => write!(
                f,
                "`%px` and `%map` use it there; `%pull {name}` takes it here, from each engine"
            ),
            Self::Quit => f.write_str("`%quit` or Ctrl-D leaves"),
            Self::ListMagics => f.write_str("`%help` lists the magics"),
            Self::ListVariables => f.write_str("`%whos` lists the variables"),
        }
    }
}

/// What stands below a marked place.
pub(crate) fn label(label: &Label) -> &str {
    match label {
        Label::Told(told) => told,
        Label::RunsInThreads => "runs in other threads",
        Label::RunsInProcesses => "runs in other processes",
        Label::Borrowed => "borrowed",
    }
}
