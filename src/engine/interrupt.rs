//! Ctrl-C while a cell waits in a call of the host's: the call ends, and the engine lives on. Elsewhere the signal ends the
//! process, as a cell that computes can't be stopped otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// How often the signal came while somebody waited.
static PRESSED: AtomicU64 = AtomicU64::new(0);

/// How many wait, and what the signal did before.
static WAITING: Mutex<(usize, Option<SigAction>)> = Mutex::new((0, None));

extern "C" fn pressed(_: i32) {
    PRESSED.fetch_add(1, Ordering::Relaxed);
}

/// As long as it lives, the signal is noted and does nothing else.
pub struct Watch {
    since: u64,
}

impl Watch {
    pub fn begin() -> Self {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.0 == 0 {
            let noted = SigAction::new(
                SigHandler::Handler(pressed),
                SaFlags::empty(),
                SigSet::empty(),
            );
            // SAFETY: the handler does nothing but add to an atomic number.
            waiting.1 = unsafe { sigaction(Signal::SIGINT, &noted) }.ok();
        }
        waiting.0 += 1;
        Self {
            since: PRESSED.load(Ordering::Relaxed),
        }
    }

    pub fn is_pressed(&self) -> bool {
        PRESSED.load(Ordering::Relaxed) != self.since
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0 -= 1;
        if waiting.0 == 0
            && let Some(before) = waiting.1.take()
        {
            // SAFETY: it is what was there before.
            let _ = unsafe { sigaction(Signal::SIGINT, &before) };
        }
    }
}
