//! Where in the user's cells the lines of an artifact's source come from, and panics with their places.

use std::collections::HashMap;

use super::{Code, Session};
use crate::cell::{ItemKind, aligned, defines_items};
use crate::compiler::Artifact;
use crate::outcome::{ErrorKind, Mark, Origin, Report, Snippet};
use crate::wire::PanicInfo;
use crate::wire::places::{self, Place, SOURCE};

impl Session {
    /// Leaves the places of an artifact's lines beside it, before engines run it as `code` of the acting cell.
    pub(super) fn leave_places(&self, artifact: &Artifact, code: &Code) {
        let places = self.places(&artifact.source, code);
        let file = places::file_of(&artifact.so);
        let new = file.with_extension("places-new");
        // Whoever reads it meanwhile reads the old one. Without it, panics are told without their places.
        let _ = std::fs::write(&new, places::written(places.into_iter()))
            .and_then(|()| std::fs::rename(&new, &file));
    }

    /// The user's lines in a generated source, which has the session's definitions as they were written and the
    /// code's statements inside of the entry function.
    fn places(&self, source: &str, code: &Code) -> Vec<(usize, Place)> {
        let homes: HashMap<&str, Place> = self.workshop.definitions.homes().collect();
        let mut found = Vec::new();
        for item in defines_items(source) {
            let text = item.text.trim();
            if let Some(home) = homes.get(text) {
                // Whatever cell a function is called in, it stands in the one that defined it.
                let lines = text.lines().count();
                found.extend((0..lines).map(|at| {
                    let line = home.line + u32::try_from(at).unwrap_or(u32::MAX);
                    let cell = home.cell;
                    (item.line + at, Place { cell, line })
                }));
            } else if item.kind == ItemKind::Fn && is_entry(item.name.as_deref()) {
                let own = aligned(&item.text, &code.text).into_iter().enumerate();
                found.extend(own.filter_map(|(at, line)| {
                    let line = u32::try_from(code.in_cell(line?)?).ok()?;
                    let cell = self.cell();
                    Some((item.line + at, Place { cell, line }))
                }));
            }
        }
        found
    }

    /// A panic with the user's own line.
    pub(super) fn panic_report(&self, panic: &PanicInfo, origin: Origin) -> Report {
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
    pub(super) fn placed(&self, mut report: Report, panic: &PanicInfo) -> Report {
        report.snippet = panic.place.and_then(|place| self.snippet(place));
        if report.snippet.is_none()
            && let Some(place) = panic_place(panic)
        {
            report.notes.push(format!("at {place}"));
        }
        report
    }

    /// A line of the history, marked.
    fn snippet(&self, place: Place) -> Option<Snippet> {
        let line = place.line as usize;
        let above = line.checked_sub(1)?;
        // The cells of the startup notebook share their number, not their lines.
        let (record, text) = self
            .history
            .records
            .iter()
            .rev()
            .filter(|record| record.cell == place.cell)
            .filter_map(|record| Some((record, record.code.lines().nth(above)?)))
            .find(|(_, text)| !text.trim().is_empty())?;
        let start = text.chars().take_while(|c| c.is_whitespace()).count() + 1;
        let mark = Mark {
            start: (line, start),
            end: (line, text.trim_end().chars().count() + 1),
            label: String::new(),
            primary: true,
        };
        Some(Snippet {
            source: record.code.clone(),
            name: record.cell.name(),
            marks: vec![mark],
        })
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

fn is_entry(name: Option<&str>) -> bool {
    name.is_some_and(|name| name.starts_with("run_user_code_"))
}
