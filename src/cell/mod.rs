//! Text to segments: which parts of a cell are Rust, which are magic calls, which are shell commands; and
//! the questions about Rust text that its tokens and its syntax tree answer. Pure functions over text: this room
//! must never touch an engine, a file or the terminal, and never know which magics there are.

mod aligned;
mod binding;
mod call;
mod called;
mod captures;
pub mod completeness;
mod depth;
mod edits;
mod foreign;
pub mod gnu;
mod habits;
mod impls;
pub mod items;
mod kind;
mod lifted;
pub mod line;
mod made;
mod memoised;
pub mod options;
mod outs;
mod over;
mod parameters;
mod question;
pub mod ranges;
mod scan;
mod statement;
mod supply;
pub mod syntax;
mod tail;
pub mod targets;
#[cfg(test)]
mod tests;
mod token;
mod uses;
pub mod words;

pub use aligned::aligned;
pub use called::{Called, called};
pub use captures::{bound, captured, closure};
pub use completeness::{Completeness, completeness};
pub use depth::{DEEPEST, nests_too_deeply};
pub use edits::Edits;
pub use foreign::{Foreign, foreign};
pub use habits::shell_habit;
pub use impls::{Associated, Impl, implementation};
pub use items::{ItemKind, ItemText, defines_items, is_const_fn, split_items};
pub use kind::Kind;
pub use lifted::lifted;
pub use made::made_items;
pub use memoised::{Keeping, functions_elsewhere, memoised};
pub use options::{OptionError, ValueCount, goes_on, options_behind, split_options};
pub use outs::{Mention, Shown, mentions, replaced, shown};
pub use over::{over, position, with};
pub use parameters::{Inputs, Parameters, arguments_of, closure_parameters, inputs};
pub use question::{asks_behind, question};
pub use ranges::{CellRange, cell_ranges};
pub use supply::{boxed_closure, call_of_main, with_pointers, with_semicolon};
pub use syntax::{bound_at_top, lacks_a_pattern, let_of};
pub use tail::tail;
pub use targets::{TargetError, Targets};
pub use uses::imported;
pub use words::{
    KEYWORDS, calls_macro, format_fields, identifiers, is_variable_name, normalised, place_of,
    root_of_path,
};

/// One input, taken apart in the order in which it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Empty for a cell of nothing but blanks and comments.
    pub segments: Vec<Segment>,
    /// What looks like `!command` but is read as Rust, because there is no such command: `!ok`.
    pub negations: Vec<String>,
}

/// A run of lines of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The line of the cell on which it begins, from 1.
    pub line: usize,
    pub kind: SegmentKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentKind {
    /// Rust code as it was written, from the start of a line, so that columns are those of the cell.
    Rust(String),
    Magic(MagicCall),
    Shell(ShellCall),
}

/// `!command`, or `let lines = !command`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShellCall {
    /// What follows the `!`, with the backslashes that continue it over lines.
    pub command: String,
    /// The `let` that takes the lines of its output.
    pub bind: Option<Binding>,
}

/// What only a session knows of the words behind a `!`, which begins a shell command or negates in Rust.
pub trait Known {
    fn is_variable(&self, name: &str) -> bool;
    /// Whether the shell would run something of this name.
    fn is_command(&self, word: &str) -> bool;
}

/// A magic as it was written; whether there is one of that name is for others to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MagicCall {
    /// Without the percent signs: `px`.
    pub name: String,
    /// All that follows the name, trimmed. Spans lines where brackets, strings or comments do.
    pub args: String,
    /// The lines below a `%%name` line.
    pub body: Option<String>,
    /// The `let` that takes the magic's value.
    pub bind: Option<Binding>,
    /// Written with two percent signs.
    pub cell_form: bool,
    /// Line and column of the first character of `args`, both from 1, the column in characters.
    pub args_at: (usize, usize),
    /// The line of the cell on which `body` begins, from 1; 0 where there is no body.
    pub body_line: usize,
}

/// `let mut f: Vec<u64> = ` in front of a magic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// `f` or `mut f`.
    pub pattern: String,
    /// `f`, as it is written in code (`r#type` keeps its `r#`).
    pub name: String,
    pub ty: Option<String>,
}

impl Binding {
    /// `let mut f: Vec<u64> = `
    pub fn opening(&self) -> String {
        match &self.ty {
            Some(ty) => format!("let {}: {ty} = ", self.pattern),
            None => format!("let {} = ", self.pattern),
        }
    }
}

/// A cell that can't be taken apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct CellError {
    /// One line, no full stop.
    pub what: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Takes a cell apart. Without knowing more, `!ok` is a command and `let a = !b` is Rust.
///
/// # Errors
/// Where a magic or a shell command can only be meant but isn't written as one. Rust that isn't Rust is
/// no error here: the compiler tells it better.
pub fn parse(text: &str, known: Option<&dyn Known>) -> Result<Cell, CellError> {
    match scan::scan(text, known) {
        Ok(scan) => Ok(Cell {
            segments: scan.segments,
            negations: scan.negations,
        }),
        Err(scan::Stop::Unclosed(error) | scan::Stop::Wrong(error)) => Err(error),
    }
}
