//! Cells from something that is not a terminal: a pipe, a file, a script that drives the session. Lines
//! are read until they make a cell; no prompt is written, nothing is edited or remembered.

use std::io::{self, BufRead};

use crate::cell::completeness::{Completeness, completeness};

/// The next cell, or `None` at the end. A last cell that is not complete is given as it is, so that its
/// error is shown; bytes that are not UTF-8 become U+FFFD, so that they are an error of that cell alone.
///
/// # Errors
/// When the input cannot be read.
pub fn read_cell(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut cell = String::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
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
        if completeness(&cell) == Completeness::Complete {
            return Ok(Some(finished(cell)));
        }
        cell.push('\n');
    }
}

/// The cell without the line breaks that ended it.
#[must_use]
pub fn finished(mut cell: String) -> String {
    cell.truncate(cell.trim_end_matches(['\n', '\r']).len());
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(mut input: &[u8]) -> Vec<String> {
        std::iter::from_fn(|| read_cell(&mut input).expect("memory can be read")).collect()
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
}
