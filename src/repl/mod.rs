//! The line editor and the read–evaluate–render loop. What is typed becomes the text of a cell here;
//! this room never parses magics, compiles or runs anything itself.

mod assist;
pub mod complete;
pub mod continuation;
pub mod editor;
pub mod highlight;
pub mod history;
mod history_file;
mod keys;
mod place;
mod plain;
mod session_loop;
pub mod syntax;

pub use crate::vocabulary;
pub use session_loop::{TERMINATED, run};
