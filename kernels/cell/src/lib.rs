//! What user code in a regatta cell links to: [`engine`] tells where a cell runs, [`mod@pool`] runs closures on
//! other engines.
//!
//! All cells of an engine share one copy of this crate, which keeps no state of its own: each service is a
//! call through the table of C functions in [`host`], which the engine process provides. Only C types cross
//! that border, and nothing unwinds across it.
//!
//! It is compiled by users, in every session: keep it small.

mod arguments;
mod arriving;
pub mod c;
mod captures;
mod catch;
pub mod checks;
pub mod children;
mod chunk;
mod codec;
pub mod comm;
pub mod engine;
pub mod entry;
mod error;
mod exchange;
pub mod host;
mod inputs;
mod job;
mod kept;
mod key;
pub mod magic;
pub mod memo;
pub mod options;
pub mod out;
mod piped;
pub mod pool;
mod processes;
mod remote;
mod resident;
pub mod shell;
#[cfg(feature = "sources")]
pub mod sources;
pub mod store;
mod threads;
pub mod timing;
mod together;
mod typed;
pub mod value;
pub mod variables;
mod waiting;
mod with;
mod written;

pub use pool::pool;

/// What every cell has in scope without asking.
pub mod prelude {
    pub use crate::pool::{ItemError, Job};
    pub use crate::shell::ShellResult;
    pub use crate::value::CellValue;
    pub use crate::{children, comm, engine, memo, pool, shell, store};
    pub use serde::{Deserialize, Serialize};
}
