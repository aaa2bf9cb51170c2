//! Cells from something that is not a terminal: a pipe, a file, a script that drives the session. Lines
//! are read until they make a cell; no prompt is written, nothing is edited or remembered.

use std::io::{self, BufRead, BufReader, Read};

use crate::cell::completeness::{Completeness, completeness, goes_on};

/// Lines of a script. What comes next is looked at without waiting for it: who drives a session may wait for
/// the answer to a cell before the next is written.
pub struct Lines<R> {
    input: BufReader<R>,
    /// Whether a read would not wait.
    ready: fn() -> bool,
}

impl<R: Read> Lines<R> {
    pub fn new(input: R, ready: fn() -> bool) -> Self {
        Self {
            input: BufReader::new(input),
            ready,
        }
    }

    /// The next cell, or `None` at the end. A last cell that is not complete is given as it is, so that its
    /// error is shown; bytes that are not UTF-8 become U+FFFD, so that they are an error of that cell alone.
    ///
    /// # Errors
    /// When the input cannot be read.
    pub fn read_cell(&mut self) -> io::Result<Option<String>> {
        let mut cell = String::new();
        let mut line = Vec::new();
        loop {
            line.clear();
            if self.input.read_until(b'\n', &mut line)? == 0 {
                return Ok((!cell.is_empty()).then(|| finished(cell)));
            }
            let text = String::from_utf8_lossy(&line);
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let text = text.strip_suffix('\r').unwrap_or(text);
            cell.push_str(text);
            if cell.trim().is_empty() {
                cell.clear();
                continue;
            }
            if completeness(&cell) == Completeness::Complete && !self.continues(&cell)? {
                return Ok(Some(finished(cell)));
            }
            cell.push('\n');
        }
    }

    /// Whether the next lines can only go on with the cell, as far as they are there.
    fn continues(&mut self, cell: &str) -> io::Result<bool> {
        if self.input.buffer().is_empty() {
            if !(self.ready)() {
                return Ok(false);
            }
            self.input.fill_buf()?;
        }
        let there = String::from_utf8_lossy(self.input.buffer());
        let said = there.lines().find_map(|line| goes_on(cell, line));
        Ok(said.unwrap_or(false))
    }
}

/// The cell without the line breaks that ended it.
pub fn finished(mut cell: String) -> String {
    cell.truncate(cell.trim_end_matches(['\n', '\r']).len());
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(input: &[u8]) -> Vec<String> {
        let mut lines = Lines::new(input, || true);
        std::iter::from_fn(|| lines.read_cell().expect("memory can be read")).collect()
    }

    #[test]
    fn each_complete_line_is_a_cell() {
        assert_eq!(
            cells(b"1+1\n\n  \r\nlet x = 2;\r\nx"),
            ["1+1", "let x = 2;", "x"]
        );
    }

    #[test]
    fn an_unfinished_line_goes_on() {
        assert_eq!(
            cells(b"fn f() {\n    1\n}\nf()\n"),
            ["fn f() {\n    1\n}", "f()"]
        );
    }

    #[test]
    fn the_last_cell_is_given_even_unfinished() {
        assert_eq!(cells(b"f(\n1"), ["f(\n1"]);
        assert_eq!(cells(b""), Vec::<String>::new());
    }

    #[test]
    fn a_cell_magic_ends_at_an_empty_line() {
        assert_eq!(
            cells(b"%%px\nlet a = 1;\na\n\n2\n"),
            ["%%px\nlet a = 1;\na", "2"]
        );
    }

    #[test]
    fn bytes_that_are_not_text_spoil_one_cell_only() {
        assert_eq!(cells(b"\xff\xfe\n1\n"), ["\u{fffd}\u{fffd}", "1"]);
    }

    #[test]
    fn lines_as_rustfmt_breaks_them_are_one_cell() {
        let script = b"fn f<T>(x: T) -> T\nwhere\n    T: Copy,\n{\n    x\n}\nlet n = \"abc\"\n    // bytes\n    .len()\n    + 1;\nn\n-1\n";
        assert_eq!(
            cells(script),
            [
                "fn f<T>(x: T) -> T\nwhere\n    T: Copy,\n{\n    x\n}",
                "let n = \"abc\"\n    // bytes\n    .len()\n    + 1;",
                "n",
                "-1",
            ]
        );
    }

    #[test]
    fn two_empty_lines_end_what_is_incomplete() {
        assert_eq!(cells(b"f(\n\n\n1\nx++\n2\n"), ["f(", "1", "x++", "2"]);
    }

    #[test]
    fn what_is_not_there_yet_is_not_waited_for() {
        let mut lines = Lines::new(&b"1\n    .max(2)\n"[..], || false);
        lines.input = BufReader::with_capacity(2, &b"1\n    .max(2)\n"[..]);
        assert_eq!(lines.read_cell().ok().flatten().as_deref(), Some("1"));
    }
}
