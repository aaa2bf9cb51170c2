//! The history's file. It is only ever appended to, one escaped line per cell and one write per line, so
//! that sessions at the same time add to each other's history; nothing here rewrites or shortens it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes read from the end of the file at the start: some ten thousand cells.
const TAIL: u64 = 4 << 20;
/// rustyline's mark of a file in which line breaks are escaped; kept so that its tools read ours.
const HEADER: &str = "#V2";

/// `regatta/history.txt` in the user's data directory, if the user has one.
pub fn default_path() -> Option<PathBuf> {
    Some(dirs::data_dir()?.join("regatta").join("history.txt"))
}

/// Makes the directory (for the user alone) and the file, and thereby finds out whether both can be had.
pub(super) fn prepare(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent()
        && !parent.as_os_str().is_empty()
        && !parent.is_dir()
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)?;
    }
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.len() == 0 {
        file.write_all(format!("{HEADER}\n").as_bytes())?;
    }
    Ok(())
}

/// The cells at the end of the file. Bytes that are not text do not make the rest unreadable.
pub(super) fn read_tail(path: &Path) -> io::Result<Vec<String>> {
    let mut file = fs::File::open(path)?;
    let len = file.metadata()?.len();
    let from = len.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    // Reading began somewhere in a line, unless it began at the start.
    let lines = text.lines().skip(usize::from(from > 0));
    Ok(lines.filter(|line| *line != HEADER).map(unescape).collect())
}

/// Adds one cell to the file.
pub(super) fn append(path: &Path, cell: &str) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(format!("{}\n", escape(cell)).as_bytes())
}

fn escape(cell: &str) -> String {
    cell.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "")
}

fn unescape(line: &str) -> String {
    let mut cell = String::with_capacity(line.len());
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('n') => cell.push('\n'),
                Some(other) => cell.push(other),
                None => cell.push('\\'),
            },
            _ => cell.push(c),
        }
    }
    cell
}
