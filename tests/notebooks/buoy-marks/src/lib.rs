//! A crate for the notebook beside: its name has a hyphen, it has a feature and a state.

use std::sync::atomic::{AtomicU32, Ordering};

static LAID_OUT: AtomicU32 = AtomicU32::new(0);

/// Lays out some more buoys; gives how many there are now.
pub fn lay_out(count: u32) -> u32 {
    LAID_OUT.fetch_add(count, Ordering::SeqCst) + count
}

pub fn laid_out() -> u32 {
    LAID_OUT.load(Ordering::SeqCst)
}

#[cfg(feature = "lights")]
pub fn light() -> &'static str {
    "flashing green"
}
