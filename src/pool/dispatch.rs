//! Who gets which chunk, and how large the next one is: what every way to decide it is given and what it may
//! say. Pure: state in, decisions out; no clock, no socket, no payload.

use std::fmt;
use std::time::Duration;

use super::ledger::Ledger;

/// Work of others that is shorter counts as none: it is over before an engine that is free could be asked.
pub const SHORT: f64 = 0.002;

/// A way to give inputs to engines.
pub trait Dispatch: fmt::Debug + Send {
    /// How many chunks there will be, when that is fixed before the start.
    fn planned_chunks(&self, ledger: &Ledger) -> Option<u64>;

    /// So many chunks come before they were asked for.
    fn eager(&mut self, chunks: u32);

    /// Larger chunks would be sent in parts.
    fn pull_at_most(&mut self, items: u64);

    /// A chunk has come that was asked for, perhaps an empty one; the worker that it is for, where it must be
    /// one.
    fn offered(&mut self, items: u64, seats: &[Seat]) -> Option<usize>;

    /// A worker has done so many items in this time.
    fn ended(&mut self, items: u64, busy: Duration);

    /// How long items take, seconds; infinite while nothing is known.
    fn seconds(&self, items: u64) -> f64;

    /// What to do now, beside what others have the workers do; what is sent is the ledger's to note.
    fn decide(
        &mut self,
        ledger: &mut Ledger,
        seats: &mut [Seat],
        elsewhere: &Elsewhere,
    ) -> Vec<Decision>;
}

/// What the owner of the map is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Ask the map's caller for `chunks` chunks of up to `items` further inputs.
    Pull { items: u64, chunks: u32 },
    /// Send a piece to the worker with this index.
    Send { piece: u32, worker: usize },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Alive,
    /// Dead, and another process is on its way.
    Starting,
    Dead,
}

/// A worker as far as it matters for what it is given.
#[derive(Clone, Copy, Debug)]
pub struct Seat {
    pub health: Health,
    /// Items that it may still be sent.
    pub left: u64,
    /// It has given back what waited behind the item that it is at.
    pub held_up: bool,
}

/// What other jobs, and cells, have the workers do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Elsewhere {
    /// Per worker, seconds of their work that is there; infinite when that is not known. Empty: none.
    pub ahead: Vec<f64>,
    /// Another job waits for one of these workers.
    pub wanted: bool,
    /// Another job's turn comes first.
    pub waits: bool,
}

impl Elsewhere {
    /// Whether work that is sent now would begin at once, or nearly so.
    pub fn leaves(&self, worker: usize) -> bool {
        let ahead = self.ahead(worker);
        ahead == 0.0 || ahead <= SHORT && !self.waits
    }

    pub fn ahead(&self, worker: usize) -> f64 {
        self.ahead.get(worker).copied().unwrap_or_default()
    }
}
