//! Where this code runs.

use crate::host::host;

/// This engine's number in its pool, from 0. In the local engine outside a thread pool: 0.
#[must_use]
pub fn rank() -> u32 {
    (host().rank)()
}

/// How many engines this engine's pool has. In the local engine outside a thread pool: 1.
#[must_use]
pub fn size() -> u32 {
    (host().size)()
}

/// The engine's number in the session, never given out twice. The local engine is 0, and so are the threads
/// of its pools.
#[must_use]
pub fn id() -> u32 {
    (host().id)()
}
