//! Panics with their places in the user's cells.

use std::ops::Range;

use super::Session;
use super::history::History;
use crate::cell::position;
use crate::outcome::{ErrorKind, Mark, Note, Origin, Report, Snippet};
use crate::wire::PanicInfo;
use crate::wire::places::{Place, SOURCE};

impl History {
    /// A panic with the user's own line.
    pub fn panic_report(&self, panic: &PanicInfo, origin: Origin) -> Report {
        let message = if panic.message.is_empty() {
            "no message"
        } else {
            &panic.message
        };
        let mut report = Report::new(ErrorKind::Panic, format!("panicked: {message}"));
        report.origin = origin;
        self.placed(report, panic)
    }

    /// A report with the place of the panic that it is about.
    pub fn placed(&self, mut report: Report, panic: &PanicInfo) -> Report {
        report.snippet = panic.place.and_then(|place| self.snippet(place));
        if report.snippet.is_none()
            && let Some(place) = panic_place(panic)
        {
            report.notes.push(Note::At(place));
        }
        report
    }

    /// A line of the history, marked.
    fn snippet(&self, place: Place) -> Option<Snippet> {
        let line = place.line as usize;
        let above = line.checked_sub(1)?;
        // The cells of the startup notebook share their number, not their lines.
        let (record, text) = self
            .records
            .iter()
            .rev()
            .filter(|record| record.cell == place.cell)
            .filter_map(|record| Some((record, record.code.lines().nth(above)?)))
            .find(|(_, text)| !text.trim().is_empty())?;
        let start = text.chars().take_while(|c| c.is_whitespace()).count() + 1;
        let end = text.trim_end().chars().count() + 1;
        let mark = Mark::primary((line, start), (line, end));
        Some(Snippet::of(record.cell, &record.code, vec![mark]))
    }
}

impl Session {
    /// A part of a magic's body, which begins at a line of the cell that runs, marked.
    pub fn marked(&self, body: &str, line: usize, part: Range<usize>) -> Option<Snippet> {
        let record = self.history.record()?;
        let start = position(body.get(..part.start)?, (line, 1));
        let end = position(body.get(part)?, start);
        let mark = Mark::primary(start, end);
        Some(Snippet::of(record.cell, &record.code, vec![mark]))
    }
}

/// `In [3]:2`, for tables and notes; of other crates' code the file.
pub(super) fn panic_place(panic: &PanicInfo) -> Option<String> {
    match panic.place {
        Some(place) => Some(place.to_string()),
        None if panic.file.is_empty() || panic.file == SOURCE => None,
        None => Some(format!("{}:{}", panic.file, panic.line)),
    }
}
