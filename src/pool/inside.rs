//! The dispatch of a map on a thread pool: its threads take the inputs themselves, each as soon as it is free, so
//! there is nothing to decide, only to be told.

use std::time::Duration;

use regatta_cell::options::Schedule as Kind;

use super::dispatch::{Decision, Dispatch, Elsewhere, Seat};
use super::ledger::Ledger;

#[derive(Debug)]
pub struct Inside {
    kind: Kind,
    /// Items per chunk, when that is fixed.
    fixed: Option<u64>,
}

impl Inside {
    pub fn new(kind: Kind, fixed: Option<u64>) -> Self {
        Self { kind, fixed }
    }
}

impl Dispatch for Inside {
    fn planned_chunks(&self, ledger: &Ledger) -> Option<u64> {
        let (total, threads) = (ledger.total()?, ledger.workers() as u64);
        match (self.kind, self.fixed) {
            (_, Some(fixed)) => Some(total.div_ceil(fixed)),
            (Kind::Static, None) => Some(total.min(threads)),
            // They take an eighth of their share of what is left: one by one when that is below one.
            _ => (total < 16 * threads).then_some(total),
        }
    }

    fn eager(&mut self, _: u32) {}

    fn pull_at_most(&mut self, _: u64) {}

    fn offered(&mut self, _: u64, _: &[Seat]) -> Option<usize> {
        None
    }

    fn ended(&mut self, _: u64, _: Duration) {}

    fn seconds(&self, _: u64) -> f64 {
        0.0
    }

    fn decide(&mut self, _: &mut Ledger, _: &mut [Seat], _: &Elsewhere) -> Vec<Decision> {
        Vec::new()
    }
}
