//! The session's store: named values that every cell on every pool and every child script sees, and with which they
//! wait for each other.

pub mod call;
