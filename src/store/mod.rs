//! The store: named values that engines, the session and child scripts share, and with which they wait for each other.
//!
//! What is asked of it and what it answers are the cell crate's `Call` and `Reply`, whoever keeps the values; [`Store`]
//! is whoever makes a call. The session's own store is [`state`], which is pure, behind [`Server`], one thread with a
//! socket.

mod client;
mod frame;
mod glob;
pub mod redis;
mod server;
mod state;
pub mod text;

pub use client::{Store, connect};
pub use server::Server;
