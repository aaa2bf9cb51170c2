//! Connections to the session for maps. Each is used by one map at a time and kept for the next one: making
//! one costs more than a short map.

use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use crate::wire::{Channel, FromEngine, Payload, WireError};

use super::link;

/// Connections kept while no map needs them.
const KEPT: usize = 4;

static IDLE: Mutex<Vec<Line>> = Mutex::new(Vec::new());

pub struct Line {
    /// For the thread that follows the map.
    pub reader: Channel,
    /// For that thread, and whoever cancels the map.
    pub writer: Mutex<Channel>,
}

impl Line {
    /// One that no map uses, or a new one.
    pub fn take() -> Result<Self, WireError> {
        if let Some(line) = idle().pop() {
            return Ok(line);
        }
        let (ours, theirs) = UnixStream::pair()?;
        link::send(&FromEngine::Line, &Payload::file(theirs.into()))?;
        let writer = Channel::new(ours);
        Ok(Self {
            reader: writer.twin(),
            writer: Mutex::new(writer),
        })
    }

    /// For the next map; its last one was over for both sides.
    pub fn keep(self) {
        let mut idle = idle();
        if idle.len() < KEPT {
            idle.push(self);
            return;
        }
        drop(idle);
        self.flush();
    }

    fn flush(&self) {
        // A session that is gone will end this process.
        let _ = self.writer().flush();
    }

    pub fn writer(&self) -> std::sync::MutexGuard<'_, Channel> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends what waits for the next map to go along with it.
pub fn flush() {
    for line in idle().iter() {
        line.flush();
    }
}

fn idle() -> std::sync::MutexGuard<'static, Vec<Line>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}
