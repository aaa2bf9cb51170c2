//! The only serde types of the protocol.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use regatta_cell::host::{Lookups, UNDECODABLE};
use regatta_cell::options::MapOptions;
use serde::{Deserialize, Serialize};

use super::places::{Place, Places};
use super::world::CommTold;
use crate::ids::{ArtifactId, EngineId, JobId, PoolName, Rank};

/// From the session to an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToEngine {
    /// The first frame: who the engine is. Payload: its status page, see [`status`].
    Welcome {
        id: EngineId,
        rank: Rank,
        size: u32,
        /// `None`: the local engine.
        pool: Option<PoolName>,
        /// When the session began, milliseconds since 1970.
        session: u64,
    },
    /// Run the entry function of an artifact.
    Run {
        artifact: ArtifactId,
        entry: String,
        /// What its maps may use; the pool in use comes first.
        pools: Vec<PoolSpec>,
        /// Of the artifact's lines.
        places: Places,
    },
    /// One more value that the next cell takes from the session. Payload: its bytes.
    Data,
    /// The answer to [`FromEngine::WantArtifact`]. Payload: the artifact's open file; none when there is no such file
    /// any more, and `why` says so.
    Artifact {
        artifact: ArtifactId,
        why: String,
    },
    /// A shared object that artifacts link to, and that this host need not have. Payload: its open file.
    Library,
    /// Captured variables, known by their content's hash. Payload: their bytes.
    Capture {
        hash: u128,
    },
    ForgetCapture {
        hash: u128,
    },
    /// What the chunks of a job run.
    Task {
        job: JobId,
        task: Task,
        /// Of the lines of the function's artifact.
        places: Places,
    },
    /// A chunk of a map. Payload: the encoded inputs.
    Chunk {
        job: JobId,
        span: Span,
    },
    /// No chunk of this job will come any more.
    JobOver {
        job: JobId,
    },
    /// The pool's size has changed.
    Resized {
        size: u32,
    },
    /// Others have left the pool: the engine's rank in it, and its size.
    Renumbered {
        rank: Rank,
        size: u32,
    },
    /// A variable of the environment has a new value, or none.
    Environment {
        name: String,
        value: Option<String>,
    },
    /// Drop the results that functions of these names, or all, have kept; the local engine on disk too.
    ClearMemo {
        functions: Option<Vec<String>>,
    },
    /// Say what is kept on disk.
    AskMemo,
    /// The working folder is another. `asked`: somebody has gone there, and is told when this host has no such folder.
    Folder {
        path: PathBuf,
        asked: bool,
    },
    /// The answer to [`FromEngine::WantWorld`]. Payload: the world's open file; none when there is none, and `why` says
    /// so.
    World {
        pool: Option<PoolName>,
        why: String,
    },
    /// Say what has come for this engine's ranks of the pool and has not been received, and drop it when `clear` is set.
    AskMessages {
        pool: Option<PoolName>,
        clear: bool,
    },
}

/// What the chunks of a job run, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    pub runs: Runs,
    pub options: MapOptions,
}

/// What is applied to the inputs of a chunk. Another kind of it is a variant here, and a file where engines run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Runs {
    Function(Function),
}

/// A function of an artifact, made from the captured variables whose content has this hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Function {
    pub address: FunctionAddress,
    pub captures: Option<u128>,
}

/// What a connection to the hub is for. Any engine may open one; the hub has a file for each service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Service {
    /// Maps, one after the other.
    Map,
    /// One call of the session's children.
    Children,
}

/// A chunk: which of its inputs to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub chunk: u32,
    /// The index of the payload's first input.
    pub first: u64,
    /// Inputs in the payload.
    pub count: u64,
    /// The ones to run, counted from `first`.
    pub from: u64,
    pub to: u64,
}

/// The page of eight-byte numbers that an engine shares with the session.
pub mod status {
    /// Index of the input that is being worked on, plus one; 0 without one.
    pub const ITEM: usize = 0;
    /// Its job.
    pub const JOB: usize = 1;
    /// Written by the session: this job's chunks end after their current item.
    pub const STOP: usize = 2;
    /// Items begun since the engine started.
    pub const BEGUN: usize = 3;
    /// Threads that wait in a call that can be ended without the engine.
    pub const WAITS: usize = 4;
    /// Counted up by the session: the waits under way end.
    pub const END_WAITS: usize = 5;
    /// Where the last line that the command under way has printed stands: its length in bytes, and then the bytes. There
    /// are several places, for threads; each takes so many numbers.
    pub const SAID: usize = 64;
    pub const SAID_WORDS: usize = 32;
    pub const SAID_PLACES: usize = 14;
    /// Length of the page in bytes.
    pub const LENGTH: u64 = 4096;
}

/// A pool that a cell of the local engine may map over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    pub name: PoolName,
    pub size: u32,
    /// Threads of the local engine; processes otherwise.
    pub threads: bool,
    /// Its engines are on other hosts: an answer takes longer than anybody should stay awake for.
    pub far: bool,
}

/// A function in an artifact: its address less the artifact's load address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FunctionAddress {
    pub artifact: ArtifactId,
    pub offset: u64,
}

/// From an engine to the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromEngine {
    /// The answer to `Welcome`.
    Ready,
    /// It lacks an artifact that it is to run, and waits for it.
    WantArtifact { artifact: ArtifactId },
    /// A value to show. Payload: its text. `rank`: a thread of a thread pool, `map`: the one that it works on there.
    Shown {
        rank: Option<Rank>,
        map: Option<u64>,
        mime: String,
        type_name: String,
    },
    /// A value for the session to keep. Payload: its bytes.
    Data,
    /// Chunks that wait behind a shell command which takes its time, and are to run elsewhere.
    GivenBack { job: JobId, chunks: Vec<u32> },
    /// The engine keeps the value of the cell for later cells, and has dropped older ones for it; itself when
    /// it is too large.
    Kept {
        number: u64,
        type_name: String,
        bytes: u64,
        dropped: Vec<u64>,
    },
    /// The entry function returned. `busy`: nanoseconds inside it.
    RunDone { busy: u64, end: RunEnd },
    ChunkDone {
        job: JobId,
        chunk: u32,
        ended: ChunkEnded,
    },
    /// A connection of its own to a service of the hub. Payload: the connection.
    Connect { service: Service },
    /// No variable of user code has this job any more.
    JobDropped { job: JobId },
    /// A `%px` on a thread pool is over: how each thread ended, with its nanoseconds.
    BroadcastDone {
        threads: Vec<(u64, Option<PanicInfo>)>,
    },
    /// `Debug` texts of a rank's first results, for the map table.
    FirstResults { rank: Rank, texts: Vec<String> },
    /// `Debug` texts of inputs and results from an index on, for the table of items.
    ItemTexts {
        first: u64,
        texts: Vec<(String, String)>,
    },
    /// Seconds per loop of `%timeit`, as bits.
    Timing { per_loop: Vec<u64>, loops: u64 },
    /// What the functions whose results are kept have done, when that has changed.
    Memo { functions: Vec<MemoTold> },
    /// What functions have on disk, of all sessions.
    MemoShelf { shares: Vec<MemoShare> },
    /// It cannot go to this folder, and is where it was.
    NoFolder { path: PathBuf, stays: PathBuf },
    /// Results cannot be kept on disk, or those that were there are lost.
    MemoTrouble { trouble: MemoTrouble },
    /// It lacks the memory through which the ranks of its pool speak, and waits for it. `pool`: a thread pool of the local
    /// engine; `None`: the engine's own.
    WantWorld { pool: Option<PoolName> },
    /// What a rank tells of its messages; `pool` as above.
    Comm {
        pool: Option<PoolName>,
        rank: Rank,
        told: CommTold,
    },
}

/// What is wrong with the results on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemoTrouble {
    /// Their file was damaged, and is this one now.
    SetAside { file: String },
    /// Nothing is written to it; the system's words.
    Off { why: String },
}

/// What the functions of one name whose results are kept have done in an engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoTold {
    pub name: String,
    /// Calls since this was last told that found their result in memory.
    pub hits: u64,
    /// Calls that found it on disk.
    pub disk_hits: u64,
    /// Calls that computed.
    pub misses: u64,
    /// Nanoseconds that computing took for what was found.
    pub saved: u64,
    /// Results that are in memory now, and the bytes that they take there.
    pub entries: u64,
    pub bytes: u64,
}

/// What the functions of a name have on disk, whichever they meant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoShare {
    pub name: String,
    pub entries: u64,
    pub bytes: u64,
}

/// How many values of cells an engine keeps for `_` and `Out[n]`, and how many bytes they may take together.
pub const KEPT_VALUES: usize = 32;
pub const KEPT_BYTES: u64 = 256 << 20;

/// Whether a value of this type holds a lock or a permit of the store until it is dropped. It is not kept: what nobody
/// has a name for would be held for the session's life.
pub fn is_guard(type_name: &str) -> bool {
    type_name.contains("regatta_cell::store::held::Held")
}

/// Chunks of inputs that go along before anybody has asked for them.
pub const EAGER: u32 = 2;

/// So long after a map's begin both sides wait for each other without falling asleep: to be woken takes longer
/// than a short map. Not when its engines are far: whoever carries what they say needs the cores.
pub const AWAKE: Duration = Duration::from_micros(150);

/// How often a running map tells how far it is.
pub const PROGRESS: Duration = Duration::from_millis(100);

/// How many of an engine's first items the map table looks at.
pub const FIRST_ITEMS: usize = 8;

/// Chunks, and items, of one map whose times are told and kept.
pub const TIMES: usize = 50_000;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapBegin {
    pub options: MapOptions,
    pub input_type: String,
    pub output_type: String,
    pub items: Option<u64>,
    pub workers: Workers,
}

/// Who runs the items of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Workers {
    /// Engines of a pool, and what they run.
    Engines {
        function: FunctionAddress,
        captures: Option<CapturesInfo>,
    },
    /// Threads of the caller's process: they take the inputs themselves, and the caller tells what came of them.
    Threads {
        pool: PoolName,
        size: u32,
        /// The caller's number of the map: a connection may carry word of an earlier one.
        map: u64,
        /// When it began, on the machine's monotonic clock; nanoseconds.
        began: u64,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CapturesInfo {
    pub hash: u128,
    /// Encoded bytes of each.
    pub sizes: Vec<u64>,
}

/// From the session to the caller of a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToCaller {
    /// It is under way.
    Job { job: JobId },
    /// Send the captured variables: the session does not have them yet.
    WantCaptures,
    /// Encode up to `chunks` chunks of up to `items` inputs.
    Pull { items: u64, chunks: u32 },
    /// Payload: the results of the inputs `first..first + count`.
    Results { first: u64, count: u64, rank: Rank },
    /// An item without a result, of a map that collects errors.
    Failed { item: u64, fault: ItemFault },
    /// The map is over. `first_items`: per rank, the indices of its first results.
    Over {
        error: Option<String>,
        cancelled: bool,
        wall: u64,
        serial: u64,
        first_items: Vec<Vec<u64>>,
    },
    /// The threads of this map are to end after the items that they are at.
    Stop { map: u64 },
}

/// Why an item has no result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ItemFault {
    Crashed(String),
    /// Its engines ended before they came to it.
    Lost(String),
    TimedOut,
    Cancelled,
}

#[cfg(test)]
impl ChunkEnded {
    /// Of so many items, none of which failed.
    pub fn well(done: u64) -> Self {
        Self {
            done,
            failed: 0,
            busy: 1,
            lookups: Default::default(),
            began: 1,
            error: None,
            stopped: false,
            items: Vec::new(),
        }
    }
}

/// From the caller of a map to the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromCaller {
    /// A map begins. Its first inputs may follow at once: [`EAGER`] chunks of a dynamic schedule.
    Begin(Box<MapBegin>),
    /// Payload: their bytes.
    Captures,
    /// A chunk. Payload: the encoded inputs. `encode`: nanoseconds. `error`: the iterator's panic, or without a
    /// place why it could not be encoded.
    Inputs {
        count: u64,
        exhausted: bool,
        error: Option<Box<PanicInfo>>,
        encode: u64,
    },
    /// Results could not be decoded, so the map cannot end well; the panic of the user's code over it.
    Undecodable {
        panic: Option<Box<PanicInfo>>,
    },
    /// How far the threads of a map are, some ten times a second, and at its end.
    Threads(Box<ThreadsTold>),
    Cancel,
    /// What the caller prints in the map's time: before its table. Payload: what goes to standard output, the first
    /// `out` bytes, and what then goes to standard error.
    Printed {
        out: u64,
    },
    /// The answer to `Over`: nanoseconds of decoding. The next map may begin on this connection.
    Closed {
        decode: u64,
    },
}

/// How an entry function ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEnd {
    Returned {
        /// The first panic of its thread, also one that user code caught.
        panic: Option<PanicInfo>,
        facts: Facts,
    },
    /// The artifact could not be loaded.
    NotLoaded { why: String },
}

/// What an artifact's generated code told of its run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The user's code panicked midway: its new variables were not stored.
    pub panicked: bool,
    /// A `?` returned early.
    pub errored: bool,
    /// It panicked because a reduction had nothing to reduce.
    pub nothing_to_reduce: bool,
    /// The drop of a value panicked after all was stored.
    pub panicked_at_end: bool,
    /// Variables whose types were redefined; the cell has not run.
    pub changed: Vec<String>,
    /// The variables that the engine has now.
    pub variables: Vec<String>,
}

impl Facts {
    /// Whether the cell came to its end, or to a `return`.
    pub fn ran_through(&self) -> bool {
        !(self.panicked || self.errored || self.panicked_at_end) && self.changed.is_empty()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PanicInfo {
    pub message: String,
    pub file: String,
    pub line: u32,
    pub column: u32,
    /// Where that is in the user's cells.
    pub place: Option<Place>,
}

impl PanicInfo {
    /// ` at In [3]:2`, or nothing when that is not in the user's cells.
    pub fn at(&self) -> String {
        self.place
            .map_or_else(String::new, |place| format!(" at {place}"))
    }

    /// What is told of a result that could not be decoded for it; serde's own refusals have no place.
    pub fn undecodable(&self) -> String {
        match self.file.is_empty() {
            true => format!("a result is lost: {}", self.message),
            false => format!("{UNDECODABLE}: {}{}", self.message, self.at()),
        }
    }

    /// One without a place.
    pub fn plain(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkEnded {
    /// Items from the span's `from` on whose results are in the payload.
    pub done: u64,
    /// Of them, items that are errors.
    pub failed: u64,
    /// Nanoseconds inside the user's function.
    pub busy: u64,
    pub lookups: Lookups,
    /// When that began, on the machine's monotonic clock; nanoseconds.
    pub began: u64,
    /// Why it ended before its last item.
    pub error: Option<Box<PanicInfo>>,
    /// It was told to stop.
    pub stopped: bool,
    /// Per item when it began and how long it took, nanoseconds; empty unless wanted.
    pub items: Vec<(u64, u64)>,
}

/// What the threads of a map have done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadsTold {
    /// By rank; counts are since the beginning.
    pub threads: Vec<ThreadTold>,
    /// Chunks that have ended since this was last told; not all of very many.
    pub chunks: Vec<ThreadChunk>,
    /// There is nothing more to tell. The next map may begin on this connection.
    pub over: Option<ThreadsOver>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadTold {
    /// Inputs that it has done since this was last told, neighbours as one; also of a chunk that it is still at.
    pub done: Vec<Range<u64>>,
    pub chunks: u64,
    /// Of the items, errors.
    pub failed: u64,
    /// Nanoseconds inside the user's function.
    pub busy: u64,
    pub lookups: Lookups,
    /// The item that it is at.
    pub at: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadChunk {
    pub rank: Rank,
    /// The index of its first input.
    pub first: u64,
    pub ended: ChunkEnded,
}

/// How a map on threads has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadsOver {
    /// Nanoseconds.
    pub wall: u64,
    /// There was nothing more to claim.
    pub exhausted: bool,
    /// The item that failed, and how.
    pub error: Option<(u64, PanicInfo)>,
}
