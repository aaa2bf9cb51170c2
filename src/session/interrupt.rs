//! Ctrl-C and the signals that end a session, as flags that the waiting loops look at.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::servers::is_ignored;

#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    pressed: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Interrupt {
    /// Catches this process's SIGINT, SIGTERM and SIGHUP; the last one stays ignored where it is, as by `nohup`.
    pub fn install() -> std::io::Result<Self> {
        let interrupt = Self::default();
        signal_hook::flag::register(SIGINT, interrupt.pressed.clone())?;
        signal_hook::flag::register(SIGTERM, interrupt.ended.clone())?;
        if !is_ignored(Signal::SIGHUP) {
            signal_hook::flag::register(SIGHUP, interrupt.ended.clone())?;
        }
        Ok(interrupt)
    }

    /// As Ctrl-C does.
    pub fn press(&self) {
        self.pressed.store(true, Ordering::Relaxed);
    }

    /// Whether Ctrl-C was pressed since this was last asked.
    pub fn take(&self) -> bool {
        self.pressed.swap(false, Ordering::Relaxed)
    }

    /// Whether Ctrl-C is waiting to be taken.
    pub fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed) || self.is_ended()
    }

    /// Whether the session was told to end.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub fn ended_flag(&self) -> Arc<AtomicBool> {
        self.ended.clone()
    }
}
