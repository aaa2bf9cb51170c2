//! A map that a cell has begun, whatever it runs on: one thread follows it, others may look at it and cancel it.

use std::cell::UnsafeCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regatta_cell::host::{Progress, Step};

use crate::wire::{Channel, FromCaller, Payload, WireError};

/// A map that was begun. One thread follows it; others may look at it and cancel it meanwhile.
pub struct Begun {
    pub outside: Arc<Outside>,
    follower: UnsafeCell<Box<dyn Follower>>,
}

/// Whoever follows a map.
pub trait Follower {
    /// Waits for what happens next, so many milliseconds or for ever, and does it.
    fn step(&mut self, wait: i64) -> Step;

    /// It is not wanted any more.
    fn end(self: Box<Self>);
}

impl Begun {
    pub fn new(outside: Arc<Outside>, follower: Box<dyn Follower>) -> Self {
        let follower = UnsafeCell::new(follower);
        Self { outside, follower }
    }

    /// See [`Follower::step`].
    ///
    /// # Safety
    /// From one thread at a time.
    pub unsafe fn step(&self, wait: i64) -> Step {
        // SAFETY: nothing else refers to the follower, and this does so once at a time.
        unsafe { &mut *self.follower.get() }.step(wait)
    }

    pub fn end(self) {
        self.follower.into_inner().end();
    }
}

/// What of a map is for any thread.
pub struct Outside {
    /// `None`: nobody hears of the map.
    writer: Option<Arc<Mutex<Channel>>>,
    progress: Mutex<Progress>,
    failure: Mutex<String>,
}

impl Outside {
    pub fn new(writer: Option<Arc<Mutex<Channel>>>) -> Arc<Self> {
        Arc::new(Self {
            writer,
            progress: Mutex::default(),
            failure: Mutex::default(),
        })
    }

    pub fn send(&self, message: &FromCaller, payload: &Payload) -> Result<(), WireError> {
        let Some(writer) = &self.writer else {
            return Ok(());
        };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.queue(message, payload)?;
        Ok(writer.flush()?)
    }

    pub fn cancel(&self) {
        // A session that is gone will end this process.
        let _ = self.send(&FromCaller::Cancel, &Payload::None);
    }

    pub fn print(&self, stdout: &[u8], stderr: &[u8]) {
        let message = FromCaller::Printed {
            out: stdout.len() as u64,
        };
        if let Ok(payload) = Payload::of([stdout, stderr].concat()) {
            // As above.
            let _ = self.send(&message, &payload);
        }
    }

    pub fn progress(&self) -> Progress {
        *self.lock_progress()
    }

    pub fn lock_progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn failure(&self) -> String {
        self.lock_failure().clone()
    }

    pub fn lock_failure(&self) -> MutexGuard<'_, String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
