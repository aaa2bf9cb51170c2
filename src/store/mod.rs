//! The store: named values that engines, the session and child scripts share, and with which they wait for each other.
//!
//! What is asked of it and what it answers are the cell crate's `Call` and `Reply`, whoever keeps the values; [`Store`]
//! is whoever makes a call. The session's own store is [`state`], which is pure, behind [`Server`], one thread with a
//! socket.

mod awake;
mod client;
mod frame;
mod glob;
pub mod place;
pub mod redis;
mod server;
mod state;
#[cfg(test)]
mod tests;
pub mod text;

use regatta_cell::store::call::{Call, Reply, Trouble};

pub use client::{Store, connect};
pub use server::Server;

/// What no store can do, whoever keeps the values.
fn senseless(call: &Call) -> Option<Reply> {
    let why = match call {
        Call::Acquire { limit: 0, .. } => "a semaphore has at least one permit",
        Call::Barrier { size: 0, .. } => "a barrier is for at least one caller",
        _ => return None,
    };
    let why = why.to_owned();
    Some(Reply::Failed(Trouble::Refused { why }))
}
