//! The file to which a child prints that lives on when the session ends: its last lines, and those that come.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::log::Cutter;
use crate::outcome::{ChildLine, Stream};

/// As much of a file is read at once, bytes.
const MOST: u64 = 1 << 20;

/// A file, as far as it has been read.
pub struct Tail {
    path: PathBuf,
    read: u64,
    /// The line that has not ended.
    open: Cutter,
}

fn line(text: String) -> ChildLine {
    let stream = Stream::Stdout;
    ChildLine { stream, text }
}

impl Tail {
    /// Gives the last lines behind the first `from` bytes, as far as the file's last [`MOST`] bytes have them.
    pub fn begin(path: &Path, from: u64, lines: usize) -> (Self, Vec<ChildLine>) {
        let mut tail = Self {
            path: path.to_owned(),
            read: 0,
            open: Cutter::default(),
        };
        let length = std::fs::metadata(path).map_or(0, |about| about.len());
        // It may have been emptied since.
        let from = if length < from { 0 } else { from };
        tail.read = length.saturating_sub(MOST).max(from);
        let is_cut = tail.read > from;
        let mut bytes = tail.bytes().unwrap_or_default();
        if is_cut {
            let first = bytes.iter().position(|byte| *byte == b'\n');
            bytes.drain(..first.map_or(0, |at| at + 1));
        }
        let mut all = tail.lines(&bytes);
        let from = all.len().saturating_sub(lines);
        (tail, all.split_off(from))
    }

    /// The lines that have ended since. A file that was emptied meanwhile, or is another one, is read from its beginning.
    pub fn more(&mut self) -> Vec<ChildLine> {
        // One that is gone has nothing, and may come back.
        let bytes = self.bytes().unwrap_or_default();
        self.lines(&bytes)
    }

    fn lines(&mut self, bytes: &[u8]) -> Vec<ChildLine> {
        let mut lines = Vec::new();
        self.open.push(bytes, &mut |text| lines.push(line(text)));
        lines
    }

    /// The line that has not ended.
    pub fn end(&mut self) -> Option<ChildLine> {
        self.open.finish().map(line)
    }

    fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        if file.metadata()?.len() < self.read {
            self.read = 0;
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        self.read += bytes.len() as u64;
        Ok(bytes)
    }
}

/// The same, and a line that has not ended.
pub fn last(path: &Path, from: u64, lines: usize) -> Vec<ChildLine> {
    let (mut tail, mut last) = Tail::begin(path, from, lines);
    last.extend(tail.end());
    last.drain(..last.len().saturating_sub(lines));
    last
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn texts(lines: Vec<ChildLine>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn lines_are_followed_as_they_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("on.log");
        let append = |text: &str| {
            let file = File::options().append(true).create(true).open(&path);
            file.unwrap().write_all(text.as_bytes()).unwrap();
        };
        append("one\ntwo\nthr");
        assert_eq!(texts(last(&path, 0, 2)), ["two", "thr"]);
        let (mut tail, begun) = Tail::begin(&path, 0, 1);
        assert_eq!(texts(begun), ["two"]);
        assert!(tail.more().is_empty());
        // What another one has printed before is not this one's.
        assert_eq!(texts(last(&path, 4, 9)), ["two", "thr"]);
        assert_eq!(texts(last(&path, 4000, 9)), ["one", "two", "thr"]);
        append("ee\nfour");
        assert_eq!(texts(tail.more()), ["three"]);
        assert_eq!(tail.end().unwrap().text, "four");
        // Emptied, as whoever has no room for it does.
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(texts(tail.more()), ["new"]);
        std::fs::remove_file(&path).unwrap();
        assert!(tail.more().is_empty() && last(&path, 0, 2).is_empty());
        append("again\n");
        tail.read = 0;
        assert_eq!(texts(tail.more()), ["again"]);
    }

    #[test]
    fn a_long_file_is_read_from_a_line_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("on.log");
        let text: String = (0..300_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&path, &text).unwrap();
        let all = texts(last(&path, 0, usize::MAX));
        assert!(all.len() > 50_000 && all.len() < 200_000);
        assert!(all.iter().all(|line| line.starts_with("line ")));
        assert_eq!(all[all.len() - 1], "line 299999");
    }
}
