//! Rust code on its way to the compiler, with the places in the cell that its lines come from.

use std::ops::Range;

use crate::cell::{Keeping, position};
use crate::ids::{PoolName, Rank};
use crate::outcome::{ErrorKind, Event, KeepFault, Report, Sink};

/// Rust code with the places in the cell that its lines come from.
#[derive(Clone, Debug, Default)]
pub struct Code {
    pub text: String,
    pub pieces: Vec<Piece>,
    /// A map in it gives what is done when it is interrupted, and errors for the rest.
    pub collects: bool,
    /// The results of its functions that are kept.
    pub memo: Option<Keeping>,
    /// It is for these threads of a thread pool; the others do not take part in it.
    pub threads: Option<(PoolName, Vec<Rank>)>,
}

/// Lines of the code that stand in the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// First line in the code, from 1.
    pub line: usize,
    pub lines: usize,
    /// The line of the cell that it comes from.
    pub cell_line: usize,
    /// How many columns of the cell's first line stand before it.
    pub column: usize,
}

impl Code {
    /// Code that stands in the cell as it is, from `line` on.
    pub fn verbatim(text: &str, line: usize) -> Self {
        Self::default().user(text, (line, 1))
    }

    /// Adds generated text.
    pub fn generated(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Adds the user's text, on lines of its own; `at` is its line and column in the cell.
    pub fn user(mut self, text: &str, at: (usize, usize)) -> Self {
        // In front of the first line of Rust, evcxr takes `!ok` and `::f()` for commands of its own.
        let commands = |line: &str| line.trim_start().starts_with(['!', ':']);
        if self.text.is_empty() && text.lines().any(commands) {
            self.text.push_str("();");
        }
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.pieces.push(Piece {
            line: self.text.lines().count() + 1,
            lines: text.lines().count().max(1),
            cell_line: at.0,
            column: at.1.saturating_sub(1),
        });
        self.text.push_str(text);
        self.text.push('\n');
        self
    }

    /// Adds a part of the user's text in which other expressions stand for some; `at` is where all of the text
    /// begins. What is around them keeps its place.
    pub fn user_part(
        mut self,
        text: &str,
        part: Range<usize>,
        at: (usize, usize),
        instead: &[(Range<usize>, String)],
    ) -> Self {
        let mut copied = part.start;
        let inside = |range: &Range<usize>| part.start <= range.start && range.end <= part.end;
        for (range, other) in instead.iter().filter(|(range, _)| inside(range)) {
            if copied < range.start {
                self = self.user(&text[copied..range.start], position(&text[..copied], at));
            }
            self = self.user(other, position(&text[..range.start], at));
            copied = range.end;
        }
        if copied < part.end {
            self = self.user(&text[copied..part.end], position(&text[..copied], at));
        }
        self
    }
}

impl Code {
    /// The cell's line that a line of this code comes from.
    pub fn in_cell(&self, line: usize) -> Option<usize> {
        let has = |piece: &&Piece| (piece.line..piece.line + piece.lines).contains(&line);
        self.pieces
            .iter()
            .find(has)
            .map(|piece| piece.cell_line + line - piece.line)
    }
}

/// How a part of a cell ended, with what it made.
pub type Done<T = ()> = Result<T, Failed>;

/// A cell that did not end well; the reports say why.
#[derive(Debug, Default)]
pub struct Failed(pub Vec<Report>);

impl Failed {
    /// The user has stopped it.
    pub(in crate::session) fn is_interrupted(&self) -> bool {
        let mut kinds = self.0.iter().map(|report| report.kind);
        kinds.any(|kind| kind == ErrorKind::Interrupted)
    }

    /// Tells of it where something else goes on.
    pub fn tell(self, sink: &mut dyn Sink) {
        for report in self.0 {
            sink.send(Event::Error(report));
        }
    }
}

impl From<KeepFault> for Failed {
    fn from(fault: KeepFault) -> Self {
        Report::from(fault).into()
    }
}

impl From<Report> for Failed {
    fn from(report: Report) -> Self {
        Self(vec![report])
    }
}

#[cfg(test)]
mod tests {
    use super::Code;

    #[test]
    fn what_evcxr_would_take_for_a_command_is_not_its_first_line() {
        for (text, first) in [
            ("!ok", 2),
            ("::f()", 2),
            ("// no\n!ok", 2),
            ("f();\n!ok", 2),
            ("ok", 1),
        ] {
            let code = Code::verbatim(text, 5);
            assert_eq!(code.in_cell(first), Some(5), "{text}");
            let line = code.text.lines().nth(first - 1);
            assert_eq!(line, text.lines().next(), "{text}");
        }
    }

    #[test]
    fn what_stands_beside_a_replaced_expression_keeps_its_place() {
        let text = "f(1);\n_ + x";
        let code = Code::default().user_part(text, 0..text.len(), (3, 1), &[(6..7, "_12".into())]);
        assert_eq!(code.text, "f(1);\n\n_12\n + x\n");
        assert_eq!(code.in_cell(1), Some(3));
        assert_eq!(code.in_cell(3), Some(4));
        let last = code.pieces.last().map(|piece| (piece.line, piece.column));
        assert_eq!(last, Some((4, 1)));
        let part = Code::default().user_part(text, 6..11, (3, 1), &[]);
        assert_eq!((part.text.as_str(), part.in_cell(1)), ("_ + x\n", Some(4)));
    }
}
