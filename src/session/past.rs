//! Cells of earlier sessions, for `%history ~1/`. Kept in a file of the user's, by sessions at a terminal;
//! trouble with it is no trouble of the session's.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::history::History;
use super::{Record, Session};
use crate::cell::CellRange;
use crate::ids::CellId;

/// Bytes at the end of the file that are looked at.
const TAIL: u64 = 8 << 20;

/// When a session began, in milliseconds, and its process.
type SessionKey = (u64, u32);

/// The file, and this session in it.
#[derive(Debug)]
pub(super) struct Past {
    path: PathBuf,
    key: SessionKey,
}

impl Past {
    /// One line per cell: `BEGAN PROCESS CELL CODE`.
    fn record(&self, record: &Record) -> std::io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|file| file.len() > 2 * TAIL) {
            fs::rename(&self.path, self.path.with_extension("old"))?;
        }
        let (began, process) = self.key;
        let line = format!("{began} {process} {} {:?}\n", record.cell, record.code);
        let mut options = OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        file.write_all(line.as_bytes())
    }

    /// The sessions that began before this one, the newest first.
    fn sessions(&self) -> Vec<Vec<Record>> {
        let mut sessions: BTreeMap<SessionKey, Vec<Record>> = BTreeMap::new();
        for (key, record) in self.text().lines().filter_map(read) {
            sessions.entry(key).or_default().push(record);
        }
        let before = sessions.into_iter().filter(|(key, _)| *key < self.key);
        before.rev().map(|(_, cells)| cells).collect()
    }

    fn text(&self) -> String {
        let mut bytes = Vec::new();
        let read = fs::File::open(&self.path).and_then(|mut file| {
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
            file.take(TAIL).read_to_end(&mut bytes)
        });
        // Without the file there is no past.
        read.map_or_else(
            |_| String::new(),
            |_| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }
}

fn read(line: &str) -> Option<(SessionKey, Record)> {
    let mut words = line.splitn(4, ' ');
    let mut number = || words.next()?.parse::<u64>().ok();
    let key = (number()?, u32::try_from(number()?).ok()?);
    let cell = CellId(u32::try_from(number()?).ok()?);
    // A string as JSON and Rust both write it, but for Rust's `\u{…}`.
    let code = unescaped(words.next()?.strip_prefix('"')?.strip_suffix('"')?)?;
    Some((key, Record { cell, code }))
}

fn unescaped(text: &str) -> Option<String> {
    let mut code = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            code.push(letter);
            continue;
        }
        code.push(match letters.next()? {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '0' => '\0',
            'u' => {
                let digits: String = letters.by_ref().skip(1).take_while(|c| *c != '}').collect();
                char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
            }
            other => other,
        });
    }
    Some(code)
}

impl Session {
    /// Keeps the cells to come for later sessions, in the user's data folder.
    pub fn remember(&mut self) {
        let began = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.history.past = dirs::data_dir().map(|folder| Past {
            path: folder.join("regatta").join("sessions.txt"),
            key: (
                u64::try_from(began.as_millis()).unwrap_or_default(),
                std::process::id(),
            ),
        });
    }

    /// The cells of a range before the one under way, with how many sessions back they are.
    pub fn cells(&self, ranges: &[CellRange]) -> Vec<(u32, Record)> {
        let earlier = if ranges.iter().any(|range| range.back > 0) {
            self.earlier_sessions()
        } else {
            Vec::new()
        };
        let mut found = Vec::new();
        for range in ranges {
            let session = match range.back.checked_sub(1) {
                None => &self.history.records[..self.history.records.len().saturating_sub(1)],
                Some(back) => earlier.get(back as usize).map_or(&[][..], Vec::as_slice),
            };
            let wanted = |record: &&Record| {
                record.cell.0 >= range.first && range.last.is_none_or(|last| record.cell.0 <= last)
            };
            found.extend(
                session
                    .iter()
                    .filter(wanted)
                    .map(|record| (range.back, record.clone())),
            );
        }
        found
    }

    /// The cells of earlier sessions, the newest session first.
    pub fn earlier_sessions(&self) -> Vec<Vec<Record>> {
        self.history
            .past
            .as_ref()
            .map(Past::sessions)
            .unwrap_or_default()
    }
}

impl History {
    /// Keeps a cell for later sessions.
    pub(super) fn keep(&mut self, record: &Record) {
        let past = self.past.as_ref();
        if past.is_some_and(|past| past.record(record).is_err()) {
            self.past = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_by_later_sessions_only() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sessions.txt");
        let session = |began, process| Past {
            path: path.clone(),
            key: (began, process),
        };
        let codes = ["let a = \"é\\n\";\n\ta", "%px \u{7f}'\"{}\"'", "x\0\r\n"];
        for (past, codes) in [(session(1, 7), &codes[..2]), (session(2, 7), &codes[2..])] {
            for (cell, code) in (1..).zip(codes) {
                let code = (*code).to_owned();
                past.record(&Record {
                    cell: CellId(cell),
                    code,
                })
                .expect("a file");
            }
        }
        let read = |past: Past| {
            let sessions = past.sessions().into_iter();
            let codes = |cells: Vec<Record>| cells.into_iter().map(|record| record.code).collect();
            sessions.map(codes).collect::<Vec<Vec<String>>>()
        };
        assert_eq!(read(session(3, 1)), [vec![codes[2]], codes[..2].to_vec()]);
        assert_eq!(read(session(2, 7)), [codes[..2].to_vec()]);
        assert!(read(session(1, 1)).is_empty());
    }
}
