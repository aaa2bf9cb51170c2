//! The history: cells as they were typed, in memory for the arrow keys and in a file for tomorrow.
//!
//! Trouble with the file never ends a session: the caller is told once, and the history goes on in memory.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustyline::Result;
use rustyline::history::{History, SearchDirection, SearchResult};

use crate::repl::continuation;
pub use crate::repl::history_file::default_path;
use crate::repl::history_file::{append, prepare, read_tail};

/// Cells kept in memory.
const MOST: usize = 10_000;

/// Cells of this and earlier sessions, oldest first.
pub struct CellHistory {
    cells: Vec<String>,
    file: Option<PathBuf>,
    /// Width of the continuation margin with which cells are handed to the editor.
    margin: Arc<AtomicUsize>,
}

impl CellHistory {
    /// A history with what the file holds. The second value says why the file cannot be used, if so.
    pub fn open(path: Option<PathBuf>, margin: Arc<AtomicUsize>) -> (Self, Option<String>) {
        let mut history = Self {
            cells: Vec::new(),
            file: None,
            margin,
        };
        let Some(path) = path else {
            return (history, None);
        };
        match prepare(&path).and_then(|()| read_tail(&path)) {
            Ok(cells) => {
                for cell in cells {
                    history.keep(cell);
                }
                history.file = Some(path);
                (history, None)
            }
            Err(error) => {
                let warning = format!("history is not kept: {}: {error}", path.display());
                (history, Some(warning))
            }
        }
    }

    /// Adds a cell and appends it to the file at once. An error means that the file was not written; it
    /// is not tried again.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(&mut self, cell: &str) -> io::Result<()> {
        if !self.keep(cell.to_owned()) {
            return Ok(());
        }
        let Some(path) = &self.file else {
            return Ok(());
        };
        let written = append(path, cell);
        if written.is_err() {
            self.file = None;
        }
        written
    }

    /// Adds a cell unless it is blank or repeats the last one.
    fn keep(&mut self, cell: String) -> bool {
        if cell.trim().is_empty() || self.cells.last() == Some(&cell) {
            return false;
        }
        self.cells.push(cell);
        // Half of the surplus at once, so that a full history does not move at every cell.
        if self.cells.len() > MOST + MOST / 10 {
            self.cells.drain(..self.cells.len() - MOST);
        }
        true
    }

    /// The cell at `idx` as the editor shows it; `pos` is a place in the cell, in bytes.
    fn shown(&self, idx: usize, pos: usize) -> Option<SearchResult<'_>> {
        let cell = self.cells.get(idx)?;
        let width = self.margin.load(Ordering::Relaxed);
        let entry = continuation::pad(cell, width);
        let before = cell.get(..pos).unwrap_or(cell);
        let pos = continuation::pad(before, width).len();
        Some(SearchResult { entry, idx, pos })
    }

    /// The nearest cell from `start` on for which `test` gives a place.
    fn nearest(
        &self,
        term: &str,
        start: usize,
        dir: SearchDirection,
        test: impl Fn(&str, &str) -> Option<usize>,
    ) -> Option<SearchResult<'_>> {
        let term = continuation::strip(term);
        if term.is_empty() || start >= self.cells.len() {
            return None;
        }
        let hit = |idx: usize| Some((idx, test(&self.cells[idx], &term)?));
        let (idx, pos) = match dir {
            SearchDirection::Reverse => (0..=start).rev().find_map(hit),
            SearchDirection::Forward => (start..self.cells.len()).find_map(hit),
        }?;
        self.shown(idx, pos)
    }
}

impl History for CellHistory {
    fn get(&self, index: usize, _: SearchDirection) -> Result<Option<SearchResult<'_>>> {
        Ok(self.shown(index, 0))
    }

    fn add(&mut self, line: &str) -> Result<bool> {
        Ok(self.keep(continuation::strip(line).into_owned()))
    }

    fn add_owned(&mut self, line: String) -> Result<bool> {
        self.add(&line)
    }

    fn len(&self) -> usize {
        self.cells.len()
    }

    fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    fn set_max_len(&mut self, len: usize) -> Result<()> {
        self.cells.drain(..self.cells.len().saturating_sub(len));
        Ok(())
    }

    /// Repeated cells are never kept.
    fn ignore_dups(&mut self, _: bool) -> Result<()> {
        Ok(())
    }

    /// Cells that begin with a space are always kept.
    fn ignore_space(&mut self, _: bool) {}

    /// The same as appending: the file may hold other sessions' cells.
    fn save(&mut self, path: &Path) -> Result<()> {
        History::append(self, path)
    }

    fn append(&mut self, path: &Path) -> Result<()> {
        prepare(path)?;
        self.cells.iter().try_for_each(|cell| append(path, cell))?;
        Ok(())
    }

    fn load(&mut self, path: &Path) -> Result<()> {
        for cell in read_tail(path)? {
            self.keep(cell);
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<()> {
        self.cells.clear();
        Ok(())
    }

    fn search(
        &self,
        term: &str,
        start: usize,
        dir: SearchDirection,
    ) -> Result<Option<SearchResult<'_>>> {
        Ok(self.nearest(term, start, dir, |cell, term| cell.find(term)))
    }

    fn starts_with(
        &self,
        term: &str,
        start: usize,
        dir: SearchDirection,
    ) -> Result<Option<SearchResult<'_>>> {
        let test = |cell: &str, term: &str| cell.starts_with(term).then_some(term.len());
        Ok(self.nearest(term, start, dir, test))
    }
}

/// The rest of the last cell that begins with what is typed; nothing while the cursor is within it.
pub fn suggestion(history: &dyn History, before: usize, line: &str, pos: usize) -> Option<String> {
    let typed = continuation::strip(line);
    if typed.trim().is_empty() || pos < line.len() {
        return None;
    }
    let found = history
        .starts_with(&typed, before, SearchDirection::Reverse)
        .ok()??;
    let cell: Cow<'_, str> = continuation::strip(&found.entry);
    cell.get(typed.len()..)
        .filter(|rest| !rest.is_empty())
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn open(path: &Path, width: usize) -> (CellHistory, Option<String>) {
        CellHistory::open(Some(path.to_owned()), Arc::new(AtomicUsize::new(width)))
    }

    #[test]
    fn cells_come_back_whole_in_the_next_session() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("regatta").join("history.txt");
        let cells = ["fn f() {\n    '\\n'\n}", "λ \\", "1"];
        let (mut first, warning) = open(&path, 0);
        assert_eq!(warning, None);
        for cell in cells {
            first.record(cell).expect("a writable file");
        }
        assert_eq!(open(&path, 0).0.cells, cells);
        let mode = |path: &Path| {
            fs::metadata(path)
                .expect("it is there")
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a parent")), 0o700);
    }

    #[test]
    fn sessions_at_the_same_time_keep_each_others_cells() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("history.txt");
        let (mut one, mut two) = (open(&path, 0).0, open(&path, 0).0);
        for (history, cell) in [(&mut one, "a"), (&mut two, "b")] {
            history.record(cell).expect("a writable file");
        }
        one.record("c").expect("a writable file");
        assert_eq!(open(&path, 0).0.cells, ["a", "b", "c"]);
    }

    #[test]
    fn a_file_that_cannot_be_used_is_a_warning() {
        let dir = tempfile::tempdir().expect("a directory");
        let (mut history, warning) = open(dir.path(), 0);
        assert!(warning.is_some_and(|text| text.starts_with("history is not kept")));
        history.record("1").expect("memory only");
        assert_eq!(history.len(), 1);
    }

    #[test]
    fn bytes_that_are_not_text_do_not_hide_the_rest() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("history.txt");
        fs::write(&path, b"#V2\nold\n\xff\xfe\nnew\n").expect("a writable file");
        let (history, warning) = open(&path, 0);
        assert_eq!(warning, None);
        assert_eq!(history.cells, ["old", "\u{fffd}\u{fffd}", "new"]);
    }

    #[test]
    fn recalled_cells_carry_the_margin_and_are_found_without_it() {
        let (mut history, _) = CellHistory::open(None, Arc::new(AtomicUsize::new(8)));
        history.record("f(\nab)").expect("memory only");
        history.record("2").expect("memory only");
        let found = history
            .search("ab", 1, SearchDirection::Reverse)
            .expect("memory")
            .expect("it is there");
        assert_eq!(found.entry, continuation::pad("f(\nab)", 8));
        assert!(found.entry[found.pos..].starts_with("ab"));
        let line = continuation::pad("f(\na", 8).into_owned();
        assert_eq!(
            suggestion(&history, 1, &line, line.len()),
            Some("b)".to_owned())
        );
        assert_eq!(suggestion(&history, 1, &line, 1), None);
    }

    #[test]
    fn a_cell_said_twice_is_kept_once() {
        let (mut history, _) = CellHistory::open(None, Arc::default());
        for cell in ["1", "1", " ", "2", "1"] {
            history.record(cell).expect("memory only");
        }
        assert_eq!(history.cells, ["1", "2", "1"]);
    }
}
