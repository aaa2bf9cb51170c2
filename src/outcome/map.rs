//! What is told of maps and jobs: plan, live view, report, timeline, comparison.

use std::time::Duration;

pub use regatta_cell::host::Lookups;
pub use regatta_cell::options::Schedule;

use super::{Deaths, PoolKind};
use crate::ids::{JobId, PoolName, Rank};

/// A session variable that travels with the function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaptureSize {
    pub name: String,
    /// Its Rust type, paths shortened.
    pub type_name: String,
    /// Encoded size in bytes.
    pub bytes: u64,
}

#[derive(Clone, Debug)]
pub struct MapPlan {
    /// The function as the user wrote it: `fib`, `|x| x * 2`.
    pub function: String,
    pub input_type: String,
    pub output_type: String,
    /// `None` when the iterator doesn't say.
    pub items: Option<u64>,
    /// `None` when chunk sizes adapt while the map runs.
    pub chunks: Option<u64>,
    pub schedule: Schedule,
    pub captures: Vec<CaptureSize>,
    /// Every engine has them from a map before.
    pub captures_there: bool,
    pub pool: PoolName,
    pub kind: PoolKind,
    pub engines: u32,
}

#[derive(Clone, Debug)]
pub struct MapReport {
    pub job: JobId,
    pub pool: PoolName,
    pub engines: Vec<MapRow>,
    /// From the first chunk sent until the last result was back.
    pub wall: Duration,
    /// Sum of the time in user code over all engines: what one engine alone would have needed.
    pub serial: Duration,
    /// Items that have a result or an error.
    pub done: u64,
    /// Of them, errors, of a map that collects them.
    pub failed: u64,
    /// Engines that died meanwhile and how; others took their place.
    pub died: Vec<Deaths>,
    /// Where the time went.
    pub spent: Spent,
    /// With `--items`: one row per item, in input order.
    pub items: Vec<ItemRow>,
}

#[derive(Clone, Debug)]
pub struct MapRow {
    pub rank: Rank,
    pub items: u64,
    pub chunks: u64,
    /// Time spent inside user code, summed over chunks.
    pub busy: Duration,
    /// What its items found of functions whose results are kept.
    pub lookups: Lookups,
    /// `Debug` texts of the engine's first results, in input order; empty when the type has no `Debug`.
    pub results: Vec<String>,
}

/// Where the time of a map went, summed over chunks; encode and decode are the caller's, send and queue lie
/// between the caller and the function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    pub encode: Duration,
    pub send: Duration,
    pub queue: Duration,
    pub run: Duration,
    pub decode: Duration,
}

/// A row of `--items`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemRow {
    pub index: u64,
    /// `Debug` texts; empty when the type has none.
    pub input: String,
    pub result: String,
    pub rank: Rank,
    /// From the sending of its chunk until the function began.
    pub queued: Duration,
    pub busy: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Its engines have other jobs to do first.
    Waiting,
    Running,
    /// No new items begin. So long until engines that are still busy are killed; `None`: those under way are
    /// waited for.
    Stopping {
        left: Option<Duration>,
    },
    Done,
    Failed,
    Cancelled,
}

impl JobState {
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running | Self::Stopping { .. })
    }
}

/// A job under way, as the live table shows it.
#[derive(Clone, Debug)]
pub struct JobView {
    pub job: JobId,
    /// The function as the user wrote it.
    pub what: String,
    pub pool: PoolName,
    pub state: JobState,
    pub done: u64,
    pub total: Option<u64>,
    pub elapsed: Duration,
    /// By rank.
    pub engines: Vec<EngineView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineActivity {
    Idle,
    Busy,
    /// Died and starts again.
    Starting,
    Dead,
}

#[derive(Clone, Debug)]
pub struct EngineView {
    pub rank: Rank,
    pub activity: EngineActivity,
    /// The index of the input it works on.
    pub item: Option<u64>,
    /// Items done.
    pub done: u64,
    /// Resident memory in bytes.
    pub memory: Option<u64>,
    /// The shell command that it runs.
    pub command: String,
    /// The last line it, or its command, printed.
    pub last_line: String,
}

/// Which engine worked on what when: for `%timeline`.
#[derive(Clone, Debug)]
pub struct Timeline {
    pub job: JobId,
    pub what: String,
    pub pool: PoolName,
    pub engines: u32,
    pub wall: Duration,
    pub chunks: Vec<ChunkSpan>,
    /// More chunks ran than are told here.
    pub cut: bool,
}

/// One chunk on one engine; times since the start of the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkSpan {
    pub rank: Rank,
    /// The index of its first input.
    pub first: u64,
    pub items: u64,
    pub sent: Duration,
    /// In user code.
    pub began: Duration,
    pub ended: Duration,
    /// It ended with an error, or its engine died.
    pub failed: bool,
}

/// `%compare`: the same map on several pools.
#[derive(Clone, Debug)]
pub struct Compare {
    pub function: String,
    pub rows: Vec<CompareRow>,
}

#[derive(Clone, Debug)]
pub struct CompareRow {
    /// `serial`, or a pool's name.
    pub pool: String,
    /// `None`: in the local engine, one after the other.
    pub kind: Option<PoolKind>,
    pub engines: u32,
    pub items: u64,
    pub wall: Duration,
    pub spent: Spent,
    /// Whether its results are the first row's.
    pub same: bool,
}
