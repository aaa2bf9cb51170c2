//! What the hub knows of an engine: what it is, what it was given, what it has; and its link.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::time::Duration;

use super::link::Link;
use super::{EngineState, EngineStatus, Launch, Work};
use crate::ids::{CellId, JobId};
use crate::outcome::Stream;

pub struct Engine {
    pub launch: Launch,
    pub link: Box<dyn Link>,
    pub state: EngineState,
    /// It has answered since its start.
    pub answered: bool,
    pub tasks: u64,
    pub busy: Duration,
    /// Captured variables that it has.
    pub captures: BTreeSet<u128>,
    /// Jobs that are over, which it has not been told.
    pub over: Vec<JobId>,
    /// Cells and chunks that it was sent and has not ended.
    given: u32,
    /// The last cell that it was given.
    cell: Option<CellId>,
    /// Items of maps that it may still be sent; `None`: any number.
    left: Option<u64>,
    /// Printed, read, and not passed on.
    printed: [Vec<u8>; 2],
}

impl Engine {
    /// One that was launched just now.
    pub fn new(launch: Launch, link: Box<dyn Link>) -> Self {
        Self {
            state: EngineState::Starting,
            answered: false,
            tasks: 0,
            busy: Duration::ZERO,
            captures: BTreeSet::new(),
            over: Vec::new(),
            given: 0,
            cell: None,
            left: launch.items.map(NonZeroU64::get),
            printed: Default::default(),
            launch,
            link,
        }
    }

    /// It was given a cell or a chunk.
    pub fn begins(&mut self, work: Work) {
        self.given += 1;
        if let Work::Cell(cell) = work {
            self.cell = Some(cell);
        }
        self.state = EngineState::Busy(work);
    }

    /// What it is at, or has been at.
    pub fn work(&self) -> Option<Work> {
        match self.state {
            EngineState::Busy(work) => Some(work),
            _ => self.cell.map(Work::Cell),
        }
    }

    /// It has ended one.
    pub fn ends(&mut self) {
        self.given = self.given.saturating_sub(1);
        if self.given == 0 {
            self.state = EngineState::Idle;
        }
    }

    /// It was given items of a map.
    pub fn takes(&mut self, items: u64) {
        self.left = self.left.map(|left| left.saturating_sub(items));
    }

    /// It has given back so many chunks, with so many items.
    pub fn gives_back(&mut self, chunks: usize, items: u64) {
        (0..chunks).for_each(|_| self.ends());
        self.left = self.left.map(|left| left + items);
    }

    /// Items of maps that it may still be given; `None`: any number.
    pub fn left(&self) -> Option<u64> {
        self.left
    }

    /// It has done all that it may.
    pub fn is_spent(&self) -> bool {
        self.left == Some(0) && self.given == 0 && self.is_alive()
    }

    /// Cells and chunks that it was sent and has not ended.
    pub fn given(&self) -> u32 {
        self.given
    }

    pub fn is_alive(&self) -> bool {
        !matches!(self.state, EngineState::Dead(_))
    }

    /// Reads what the user's code has printed by now, up to a bound.
    pub fn read_printed(&mut self, stream: Stream, at_most: usize) {
        let to = &mut self.printed[stream as usize];
        self.link.read_printed(stream, at_most, to);
    }

    /// What was read of what the user's code has printed.
    pub fn take_printed(&mut self, stream: Stream) -> Vec<u8> {
        std::mem::take(&mut self.printed[stream as usize])
    }

    pub fn status(&self) -> EngineStatus {
        EngineStatus {
            id: self.launch.id,
            pid: self.link.pid(),
            state: self.state.clone(),
            tasks: self.tasks,
            busy: self.busy,
            memory: self.memory(),
        }
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> Option<u64> {
        self.is_alive().then(|| self.link.memory()).flatten()
    }
}
