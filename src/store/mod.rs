//! The store: named values that engines, the session and child scripts share, and with which they wait for each other.
//!
//! What is asked of it and what it answers are the cell crate's `Call` and `Reply`, whoever keeps the values; [`Store`]
//! is whoever makes a call.

mod client;
mod frame;
pub mod redis;

pub use client::{Store, connect};
