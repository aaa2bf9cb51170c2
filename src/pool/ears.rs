//! How the hub's thread hears of engines that have no connection of its own: other threads of this process speak for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::sys::eventfd::EventFd;

use crate::ids::EngineId;

/// Engines of which there is something to hear. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ears {
    ready: Arc<Mutex<Vec<EngineId>>>,
    /// What ends the hub's wait.
    wake: Arc<EventFd>,
}

impl Ears {
    pub fn new(wake: Arc<EventFd>) -> Self {
        Self {
            ready: Arc::default(),
            wake,
        }
    }

    fn ready(&self) -> MutexGuard<'_, Vec<EngineId>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The hub looks at this engine in its next round.
    pub fn ring(&self, engine: EngineId) {
        let mut ready = self.ready();
        ready.push(engine);
        if ready.len() == 1 {
            // It fails when it has been written 2^64 times.
            let _ = self.wake.write(1);
        }
    }

    /// Those of which something has come since this was last asked.
    pub fn heard(&self) -> Vec<EngineId> {
        std::mem::take(&mut *self.ready())
    }
}
