//! What is known of an engine on a node, for the hub's thread.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::outcome::DeathCause;

#[derive(Default)]
pub struct Seat {
    /// 0 before it has started.
    pid: AtomicU32,
    /// Resident memory in bytes; 0 when nobody knows.
    memory: AtomicU64,
    end: Mutex<Option<DeathCause>>,
}

impl Seat {
    fn end(&self) -> MutexGuard<'_, Option<DeathCause>> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn started(&self, pid: u32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    pub fn pid(&self) -> u32 {
        self.pid.load(Ordering::Relaxed)
    }

    pub fn takes(&self, memory: u64) {
        self.memory.store(memory, Ordering::Relaxed);
    }

    pub fn memory(&self) -> Option<u64> {
        let memory = self.memory.load(Ordering::Relaxed);
        (memory > 0).then_some(memory)
    }

    /// What is told first counts.
    pub fn ended(&self, cause: DeathCause) {
        self.end().get_or_insert(cause);
    }

    pub fn cause(&self) -> Option<DeathCause> {
        self.end().clone()
    }
}
