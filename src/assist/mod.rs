//! What helps while a cell is typed: what can stand at the cursor, what each piece of the text is. Plain data
//! for the prompt and for any other front end; it shows nothing, runs nothing, and waits no longer than it is
//! told to.

mod code;
mod complete;
mod names;
mod place;
pub mod syntax;

#[cfg(test)]
pub use complete::Kind;
pub use complete::{Candidate, complete};
pub use place::is_file_place;
