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

/// A random generator for the item of a map that is being worked on: with `--seed N` it depends on `N` and
/// the item's index alone, not on who runs it when.
#[must_use]
pub fn rng() -> fastrand::Rng {
    fastrand::Rng::with_seed((host().seed)())
}
