//! Cells and files that magics name: ranges of the history, patterns, paths with `~`.

use std::path::PathBuf;

use super::evaluate;
use crate::cell::cell_ranges;
use crate::notebook::Notebook;
use crate::outcome::{Report, Sink};
use crate::session::{Done, Failed, Record, Session};

/// A cell, with how many sessions back it is.
pub type Past = (u32, Record);

/// The cells that words name; all of the session's own without any.
pub fn named(session: &Session, words: &[String]) -> Result<Vec<Past>, Report> {
    let words = match words {
        [] => vec!["1-"],
        words => words.iter().map(String::as_str).collect(),
    };
    let ranges = cell_ranges(words.iter().copied()).map_err(|error| {
        Report::usage(error.to_string())
            .hint("cells are named `3`, `2-5`, `4-`, of the session before `~1/` or `~1/2-5`")
    })?;
    let found = session.cells(&ranges);
    if !found.is_empty() {
        return Ok(found);
    }
    let back = ranges.iter().map(|range| range.back).max().unwrap_or(0);
    let earlier = match back {
        0 => back,
        _ => u32::try_from(session.earlier_sessions().len()).unwrap_or(u32::MAX),
    };
    Err(none(&words, back, earlier))
}

/// No cell has these names; of sessions before there are so many.
fn none(words: &[&str], back: u32, earlier: u32) -> Report {
    if back <= earlier {
        let what = format!("there is no cell {}", words.join(" "));
        return Report::usage(what)
            .hint("`%history` lists the cells, `%history ~1/` those of the session before");
    }
    let what = match earlier {
        0 => "no earlier session has left its cells".to_owned(),
        1 => "one earlier session has left its cells, which `~1/` means".to_owned(),
        many => format!("{many} earlier sessions have left their cells: `~1/` to `~{many}/`"),
    };
    Report::usage(what).hint("`%history` lists those of this session")
}

/// Whether a word can only be a range of cells.
pub fn is_range(word: &str) -> bool {
    cell_ranges([word]).is_ok() && !PathBuf::from(word).exists()
}

/// Whether a pattern with `*` and `?` is in a text.
pub fn matches(pattern: &str, text: &str) -> bool {
    let mut expression = String::from("(?s)");
    for letter in pattern.chars() {
        match letter {
            '*' => expression.push_str(".*"),
            '?' => expression.push('.'),
            _ => expression.push_str(&regex::escape(letter.encode_utf8(&mut [0; 4]))),
        }
    }
    regex::Regex::new(&expression).is_ok_and(|expression| expression.is_match(text))
}

/// A path as it was typed, `~/` for the home folder.
pub fn path(typed: &str) -> PathBuf {
    match (typed.strip_prefix("~/"), dirs::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(typed),
    }
}

pub fn read(typed: &str) -> Result<String, Report> {
    std::fs::read_to_string(path(typed)).map_err(|error| {
        Report::usage(format!("cannot read {typed}: {error}"))
            .hint("the path is relative to the working folder: `!pwd` shows it")
    })
}

pub fn write(typed: &str, text: &str, append: bool) -> Result<(), Report> {
    let mut options = std::fs::OpenOptions::new();
    options
        .create(true)
        .append(append)
        .write(true)
        .truncate(!append);
    let written = options
        .open(path(typed))
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|error| {
        Report::usage(format!("cannot write {typed}: {error}")).hint("is there such a folder?")
    })
}

/// The line in front of each cell in a Rust file, as editors know it from other languages.
pub const CELL: &str = "// %%";

/// The cells of a Rust file; the whole of one that knows no cells.
fn marked(text: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut last = 0;
    for line in text.split_inclusive('\n') {
        if line.trim_end() == CELL {
            cells.push(String::new());
            last += 1;
        } else {
            cells[last].push_str(line);
        }
    }
    if last > 0 {
        cells.retain(|cell| !cell.trim().is_empty());
    }
    cells
}

/// The cells of a file, of a notebook or a Rust file.
pub fn of_file(typed: &str) -> Result<Vec<String>, Report> {
    let text = read(typed)?;
    if !is_notebook(typed) {
        return Ok(marked(&text));
    }
    let notebook = Notebook::parse(&text);
    Ok(notebook
        .cells()
        .iter()
        .map(|cell| cell.code.clone())
        .collect())
}

pub fn is_notebook(typed: &str) -> bool {
    path(typed).extension().is_some_and(|end| end == "md")
}

/// Runs cells one after the other, up to the first that fails.
pub fn run_all(
    cells: impl IntoIterator<Item = String>,
    session: &mut Session,
    sink: &mut dyn Sink,
) -> Done {
    for cell in cells {
        if !evaluate(session, &cell, sink) {
            return Err(Failed::default());
        }
        if session.quitting {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{marked, matches, none};

    #[test]
    fn a_session_that_is_not_there_is_not_recommended() {
        let said = |words: &[&str], back, earlier| {
            let report = none(words, back, earlier);
            format!("{report:?}")
        };
        assert!(said(&["9"], 0, 0).contains("there is no cell 9"));
        let first = said(&["~1/"], 1, 0);
        assert!(first.contains("no earlier session") && !first.contains("%history ~1/"));
        assert!(said(&["~5/"], 5, 3).contains("`~1/` to `~3/`"));
    }

    #[test]
    fn a_rust_file_is_one_cell_unless_it_marks_them() {
        let whole = "fn main() {\n    // a comment\n}\n";
        assert_eq!(marked(whole), [whole]);
        assert_eq!(marked(""), [""]);
        let several = "// %%\nlet a = 1;\n// %%\n// %% a\na\n// %%\n\n";
        assert_eq!(marked(several), ["let a = 1;\n", "// %% a\na\n"]);
        assert_eq!(marked("use std::fs;\n// %%\n1"), ["use std::fs;\n", "1"]);
    }

    #[test]
    fn patterns_as_in_a_shell() {
        for (pattern, text, is) in [
            ("let", "let a = 1;", true),
            ("le?", "let a = 1;", true),
            ("let*1", "let a\n= 1;", true),
            ("a.b", "a+b", false),
            ("(", "f(1)", true),
            ("z", "let a = 1;", false),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern}");
        }
    }
}
