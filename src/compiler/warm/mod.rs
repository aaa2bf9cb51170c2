//! Compilers that have outlived their sessions, and wait for the next one that could have started them: of the
//! same user, program, toolchain and environment.
//!
//! They are found in a folder of this user's alone, the shelf. A compiler has a record there, under its key and
//! process id, and a socket beside it while it waits. While it serves a session it does not listen.

mod key;
mod record;
mod shelf;
mod take;

use std::time::Duration;

pub use key::{Key, OF_CHILDREN};
pub use record::{Record, Use};
pub use shelf::Shelf;
pub use take::{Taken, end, take};

use super::message::ToCompiler;

/// How long a compiler waits for a session.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// The same in seconds, for tests.
const PATIENCE_VARIABLE: &str = "REGATTA_WARM_SECONDS";

/// How many compilers of one key wait, and how many of this user's in all.
pub const SAME: usize = 2;
pub const ALL: usize = 4;

/// How long a compiler waits for a session.
pub fn patience() -> Duration {
    let seconds = std::env::var(PATIENCE_VARIABLE).ok();
    let seconds = seconds.and_then(|seconds| seconds.parse().ok());
    seconds.map_or(PATIENCE, Duration::from_secs)
}

/// What became of the compilers that were told to end.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// Process ids of those that have ended.
    pub ended: Vec<i32>,
    /// Of those that serve a session.
    pub in_use: Vec<i32>,
    /// Of those that have not ended in time.
    pub left: Vec<i32>,
}

/// Ends this user's compilers that wait.
///
/// # Errors
/// There is no folder to look for them.
pub fn stop() -> std::io::Result<Stopped> {
    let shelf = Shelf::find()?;
    let mut stopped = Stopped::default();
    for record in shelf.records() {
        if matches!(record.usage, Use::Session) {
            stopped.in_use.push(record.pid);
        } else if end(&shelf, &record) {
            stopped.ended.push(record.pid);
        } else {
            stopped.left.push(record.pid);
        }
    }
    Ok(stopped)
}

/// All compilers of this user's that may outlive their sessions.
///
/// # Errors
/// There is no folder to look for them.
pub fn status() -> std::io::Result<Vec<Record>> {
    Ok(Shelf::find()?.records())
}
