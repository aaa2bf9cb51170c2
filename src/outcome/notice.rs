//! What the user should know that is no error, as data: the renderer makes words of it.

use std::path::PathBuf;

use super::{PoolKind, Report, Unreceived};
use crate::ids::{JobId, Rank};

/// Something the user should know that is not an error. Names are those of variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Of a C compiler.
    Warning(Box<Report>),
    /// A line that begins with `!` and is no command.
    ReadAsRust {
        line: String,
    },
    /// A command whose lines are bound. `status`: `exit status: 1`.
    CommandFailed {
        status: String,
    },
    /// The type of a variable of the local engine was redefined.
    Redefined {
        name: String,
    },
    /// The same on engines of a pool.
    RedefinedOn {
        ranks: Vec<Rank>,
        names: Vec<String>,
    },
    /// Lost with what an engine ran.
    Lost {
        rank: Rank,
        names: Vec<String>,
    },
    /// A `return` at the top level ended the cell before what it bound was stored.
    ReturnedEarly {
        names: Vec<String>,
    },
    /// The cell's value held a lock or a permit of the store.
    Released,
    /// A map that Ctrl-C has ended and whose results are collected one by one.
    MapInterrupted,
    /// The name of `--out`, when not every thread or no engine process gave a value.
    NotBound {
        name: String,
        kind: PoolKind,
    },
    /// The name of `--out`, when some engines gave no value; `value_type` of one engine's.
    PartlyBound {
        name: String,
        value_type: String,
        missing: Vec<Rank>,
    },
    /// What `%result` gives of a job that was cancelled.
    PartOfJob {
        job: JobId,
        done: u64,
        total: Option<u64>,
    },
    /// The compiler's process has ended by itself; `how`: ` (killed by SIGKILL)` or nothing.
    CompilerDied {
        how: String,
    },
    /// A cluster that outlives this session, with so many jobs. `now`: since 1970.
    GoesOn {
        name: String,
        now: std::time::Duration,
        lease: std::time::Duration,
        jobs: usize,
        /// Of which so many inputs of so many are queued, and no more.
        parts: Vec<(JobId, u64, Option<u64>)>,
    },
    /// What cannot be told to the compiler that stands in for another.
    CompilerLacks {
        names: Vec<String>,
    },
    /// Numbers of engines, each of which is more than there are cores.
    SharedCores {
        engines: Vec<u32>,
        cores: u32,
    },
    /// The standard library's sources; `why` says what is to be done.
    NoSources {
        why: String,
    },
    /// The store that the environment names cannot be used, and the session has one of its own; `why` has no password.
    StoreNotUsed {
        why: String,
    },
    /// The server that keeps the store throws keys away when its memory is full.
    StoreEvicts {
        address: String,
        policy: String,
    },
    /// A job of commands goes on without the session, and without what the session does for these options.
    DetachedFrom {
        job: JobId,
        options: Vec<&'static str>,
    },
    /// The startup notebook: `line` is where the cell that failed begins, `left` how many stand below it.
    StartupFailed {
        line: usize,
        left: usize,
    },
    NoLineEditor {
        why: String,
    },
    /// The file of the lines that were typed; `why` says which and what happens now.
    HistoryFile {
        why: String,
    },
    /// This host, or this machine, has not the folder that engines were to go to; they are where they were.
    NoFolder {
        host: Option<String>,
        folder: PathBuf,
        stays: PathBuf,
    },
    /// The file of kept results was damaged; it lies there now.
    MemoSetAside {
        file: String,
    },
    /// Results are not kept on disk; `why` is what the system says.
    MemoOff {
        why: String,
    },
    /// Messages that no rank has received when the cell ended.
    Unreceived {
        messages: Vec<Unreceived>,
    },
    /// What a job in the background has to say while the prompt waits, as it stands.
    Said {
        text: String,
    },
}
