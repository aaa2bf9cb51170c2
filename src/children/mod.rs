//! Children: programs of any language that the session starts beside itself and keeps track of. The supervisor is a
//! thread of the session's: it reads what they print, notes their ends, starts them again, and ends them.
//!
//! What is to be done when ([`machine`]), what becomes of what they print ([`log`]) and which processes are theirs
//! ([`census`]) is decided without touching any of them. They end with the session, however that ends: the engines' guard
//! knows them by a variable of their environment.

mod census;
mod flow;
mod launch;
mod log;
mod machine;
mod named;
mod one;
mod serve;
mod supervisor;
mod tail;

pub use launch::{NotStarted, Program};
pub use log::whole_characters;
pub use machine::Restart;
pub use named::is_name;
pub use supervisor::{Child, Lines, Refused, Request, Status, Supervisor, Taken};
pub use tail::Tail;

/// What tells a child which of how many it is, and its name.
pub const RANK: &str = "REGATTA_RANK";
pub const SIZE: &str = "REGATTA_SIZE";
pub const NAME: &str = "REGATTA_NAME";

/// Where it finds the command `regatta`, which need not be on its path.
pub const COMMAND: &str = "REGATTA";
