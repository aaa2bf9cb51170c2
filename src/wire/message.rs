//! The only serde types of the protocol.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::ids::{EngineId, JobId, PoolName, Rank};

/// From the session to an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToEngine {
    /// The first frame: who the engine is.
    Welcome {
        id: EngineId,
        rank: Rank,
        size: u32,
        local: bool,
    },
    /// Run the entry function of an artifact.
    Run {
        so: PathBuf,
        entry: String,
        pool: Option<PoolSpec>,
    },
    /// A chunk of a map. Payload: the encoded inputs.
    Chunk {
        job: JobId,
        chunk: u32,
        count: u64,
        function: FunctionAddress,
    },
    /// To the local engine during a map of its own: encode up to `max` further inputs.
    Pull { max: u64 },
    /// To the local engine during a map: results of the inputs from `first` on. Payload: the results.
    Results { first: u64, count: u64 },
    /// To the local engine: the map is over. `first_items`: per rank, the indices of its first results.
    MapOver {
        error: Option<String>,
        first_items: Vec<Vec<u64>>,
    },
    /// The pool's size has changed.
    Resized { size: u32 },
}

/// The pool that a cell of the local engine maps over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PoolSpec {
    Threads { name: PoolName, size: u32 },
    Processes { name: PoolName, size: u32 },
}

/// A function in an artifact: its address less the artifact's load address.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FunctionAddress {
    pub so: PathBuf,
    pub offset: u64,
}

/// From an engine to the session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromEngine {
    /// The answer to `Welcome`.
    Ready,
    /// A value to show. Payload: its text. `rank`: a thread of a thread pool.
    Shown {
        rank: Option<Rank>,
        mime: String,
        type_name: String,
    },
    /// The entry function returned. `busy`: nanoseconds inside it.
    RunDone { busy: u64, end: RunEnd },
    ChunkDone {
        job: JobId,
        chunk: u32,
        ended: ChunkEnded,
    },
    /// The local engine asks for a map over the pool in use. An empty `function`: no table.
    MapBegin {
        function: String,
        input_type: String,
        output_type: String,
        items: Option<u64>,
        address: FunctionAddress,
    },
    /// The answer to `Pull`. Payload: the encoded inputs.
    Inputs {
        count: u64,
        exhausted: bool,
        error: Option<String>,
    },
    /// Results could not be decoded, so the map cannot end well.
    Undecodable,
    /// A map begins on a thread pool of the local engine.
    ThreadsBegin {
        function: String,
        input_type: String,
        output_type: String,
        items: u64,
    },
    /// Items done so far, a few times a second.
    ThreadsProgress { done: u64 },
    /// It is over.
    ThreadsDone {
        wall: u64,
        rows: Vec<ThreadRow>,
        error: Option<PanicInfo>,
        failed_item: Option<u64>,
    },
    /// A `%px` on a thread pool is over: how each thread ended, with its nanoseconds.
    BroadcastDone {
        threads: Vec<(u64, Option<PanicInfo>)>,
    },
    /// `Debug` texts of a rank's first results, for the map table.
    FirstResults { rank: Rank, texts: Vec<String> },
    /// Seconds per loop of `%timeit`, as bits.
    Timing { per_loop: Vec<u64>, loops: u64 },
}

/// How an entry function ended, as far as the engine can tell; what the generated code prints (a caught
/// panic, a `?`) stands in the captured output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEnd {
    Returned {
        panic: Option<PanicInfo>,
    },
    /// The artifact could not be loaded.
    NotLoaded {
        why: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PanicInfo {
    pub message: String,
    pub file: String,
    pub line: u32,
    pub column: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkEnded {
    /// Results in the payload.
    pub done: u64,
    /// Nanoseconds inside the user's function.
    pub busy: u64,
    /// Why it ended before its last item.
    pub error: Option<PanicInfo>,
}

/// What one thread did of a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadRow {
    pub items: u64,
    pub chunks: u64,
    pub busy: u64,
    pub first_items: Vec<u64>,
}
