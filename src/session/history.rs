//! The cells that were entered, and which of them something is done for now.

use std::time::{Duration, Instant};

use super::past::Past;
use crate::ids::CellId;

/// A cell that was entered.
#[derive(Clone, Debug)]
pub struct Record {
    pub cell: CellId,
    pub code: String,
}

impl Default for Record {
    /// Before the first cell.
    fn default() -> Self {
        Self {
            cell: CellId(0),
            code: String::new(),
        }
    }
}

/// What the cell under way has needed so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct CellTiming {
    pub compile: Duration,
    pub run: Duration,
}

#[derive(Debug)]
pub struct History {
    pub(super) records: Vec<Record>,
    /// The earlier cell for which something is done now.
    pub(super) acting: Option<CellId>,
    begun: Instant,
    pub(super) past: Option<Past>,
    /// The cells under way are those of the startup notebook.
    pub(super) starting_up: bool,
}

impl Default for History {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            acting: None,
            begun: Instant::now(),
            past: None,
            starting_up: false,
        }
    }
}

impl History {
    /// The number of the cell under way, or of the last one.
    pub fn cell(&self) -> CellId {
        self.record().map_or(CellId(0), |record| record.cell)
    }

    /// The cell under way.
    pub fn record(&self) -> Option<&Record> {
        let acting = |record: &&Record| Some(record.cell) == self.acting;
        let found = self.acting.and_then(|_| self.records.iter().rfind(acting));
        found.or_else(|| self.records.last())
    }

    /// The number that the next cell gets.
    pub fn next_cell(&self) -> CellId {
        if self.starting_up {
            return CellId::STARTUP;
        }
        CellId(self.records.last().map_or(0, |record| record.cell.0) + 1)
    }

    /// A cell begins.
    pub fn begin(&mut self, code: &str) -> CellId {
        let cell = self.next_cell();
        let record = Record {
            cell,
            code: code.to_owned(),
        };
        if !self.starting_up {
            self.keep(&record);
        }
        self.records.push(record);
        self.begun = Instant::now();
        cell
    }

    /// Since the cell began.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }
}
