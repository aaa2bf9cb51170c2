//! The protocol between the session and its engines: a versioned handshake, then frames. A frame is a small
//! serde header and a payload of plain bytes, or of a file, that is never looked into here.
//!
//! Knows nothing of pools, cells or the terminal.

mod channel;
mod frame;
pub mod join;
pub mod memory;
mod message;
pub mod places;
pub mod relayed;
pub mod world;

pub use channel::{Channel, DATA, INLINE, Payload, memory_file, read_whole};
pub use message::{
    AWAKE, CapturesInfo, ChunkEnded, EAGER, FIRST_ITEMS, Facts, FromCaller, FromEngine, Function,
    FunctionAddress, ItemFault, KEPT_BYTES, KEPT_VALUES, MapBegin, MemoShare, MemoTold,
    MemoTrouble, PROGRESS, PanicInfo, PoolSpec, RunEnd, Runs, Service, Span, TIMES, Task,
    ThreadChunk, ThreadTold, ThreadsOver, ThreadsTold, ToCaller, ToEngine, Workers, is_guard,
    status,
};

use std::os::unix::net::UnixStream;

/// What an engine says first, for ever in this form: eight bytes of name, then the protocol's version as a
/// little-endian `u32`.
pub const GREETING: [u8; 8] = *b"regatta\0";

/// Changes with every change of [`ToEngine`] or [`FromEngine`].
pub const VERSION: u32 = 30;

#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("the connection ended")]
    Closed,
    #[error("the connection ended within a frame")]
    Cut,
    #[error("a frame came without the file that it announces")]
    NoFile,
    #[error("not a regatta engine, or one of another version (it says {0}, this is {VERSION})")]
    Version(u32),
    #[error("a frame cannot be read: {0}")]
    Malformed(#[from] postcard::Error),
    #[error("a frame of {0} bytes is longer than allowed")]
    TooLong(u64),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The twelve bytes of the greeting.
pub fn greeting() -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&GREETING);
    bytes[8..].copy_from_slice(&VERSION.to_le_bytes());
    bytes
}

/// Checks the other side's greeting.
pub fn check_greeting(bytes: [u8; 12]) -> Result<(), WireError> {
    let version = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
    if bytes[..8] != GREETING || version != VERSION {
        return Err(WireError::Version(version));
    }
    Ok(())
}

/// Whether this user's process is at the other end.
pub fn is_this_users(socket: &UnixStream) -> bool {
    process_behind(socket).is_some()
}

/// The number of the process at the other end; `None` when it is not this user's.
pub fn process_behind(socket: &UnixStream) -> Option<u32> {
    let peer = rustix::net::sockopt::socket_peercred(socket).ok()?;
    let is_own = peer.uid == rustix::process::geteuid();
    is_own.then(|| peer.pid.as_raw_nonzero().get().unsigned_abs())
}

/// The wall clock: since 1970.
pub fn since_1970() -> std::time::Duration {
    std::time::SystemTime::now()
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
}

/// The machine's monotonic clock, nanoseconds: the same for all processes.
pub fn monotonic() -> u64 {
    nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).map_or(0, |time| {
        let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
        seconds * 1_000_000_000 + u64::try_from(time.tv_nsec()).unwrap_or_default()
    })
}
