//! Errors as data: what happened, where, what to do now. The renderer makes words of them.

use super::{Cause, Help, Label, Note, Origin};
use crate::ids::CellId;

/// What kind of failure an error report tells of; the `kind` of JSON's error event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The cell doesn't parse as a cell: a magic's name, option or target.
    Usage,
    Compile,
    Panic,
    /// A `?` at top level.
    Error,
    EngineDied,
    Interrupted,
    /// The map has items without a result.
    Map,
    /// The session's own trouble: disk full, no compiler, …
    System,
}

/// An error: what happened, where, what to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub kind: ErrorKind,
    pub cause: Cause,
    /// rustc's code, `E0308`.
    pub code: Option<String>,
    pub origin: Origin,
    pub snippet: Option<Snippet>,
    pub notes: Vec<Note>,
    pub hint: Option<Help>,
}

impl std::error::Error for Report {}

impl Report {
    pub fn new(kind: ErrorKind, cause: impl Into<Cause>) -> Self {
        Self {
            kind,
            cause: cause.into(),
            code: None,
            origin: Origin::Local,
            snippet: None,
            notes: Vec::new(),
            hint: None,
        }
    }

    /// What the user wrote cannot be done so.
    pub fn usage(cause: impl Into<Cause>) -> Self {
        Self::new(ErrorKind::Usage, cause)
    }

    pub fn hint(mut self, hint: impl Into<Help>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn note(mut self, note: impl Into<Note>) -> Self {
        self.notes.push(note.into());
        self
    }
}

/// Lines of the user's own code with places marked in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snippet {
    /// The whole cell.
    pub source: String,
    /// What the cell is called in the margin: `In [3]`.
    pub name: String,
    pub marks: Vec<Mark>,
}

impl Snippet {
    pub fn of(cell: CellId, source: &str, marks: Vec<Mark>) -> Self {
        Self {
            source: source.to_owned(),
            name: cell.name(),
            marks,
        }
    }
}

/// A marked place. Lines and columns count from 1, columns in characters; the end column is exclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    pub start: (usize, usize),
    pub end: (usize, usize),
    pub label: Label,
    pub primary: bool,
}

impl Mark {
    /// One without a label.
    pub fn primary(start: (usize, usize), end: (usize, usize)) -> Self {
        Self {
            start,
            end,
            label: Label::default(),
            primary: true,
        }
    }
}
