//! The line editor and the read–evaluate–render loop. What is typed becomes the text of a cell here;
//! this room never parses magics, compiles or runs anything itself.

pub mod continuation;
pub mod editor;
mod helper;
pub mod highlight;
pub mod history;
mod history_file;
mod init;
mod keys;
mod list;
mod plain;
mod session_loop;

pub use init::Startup;
pub use session_loop::{TERMINATED, run};
