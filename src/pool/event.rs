//! What the hub tells the session.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::task::Wake;
use std::time::Duration;

use crate::ids::{EngineId, PoolName, Rank};
use crate::outcome::{
    About, DeathCause, Deaths, JobEnd, JobView, MapPlan, MapReport, StartFault, Stream, Value,
};
use crate::wire::world::CommTold;
use crate::wire::{
    Channel, ItemFault, MemoShare, MemoTold, MemoTrouble, PanicInfo, Payload, RunEnd,
};

/// What happens, and to which cell and job it belongs.
#[derive(Debug)]
pub struct Happening {
    pub about: About,
    pub event: PoolEvent,
}

/// What happens to engines.
#[derive(Debug)]
pub enum PoolEvent {
    /// The engine has answered for the first time.
    Up {
        engine: EngineId,
    },
    /// It could not be started.
    NotStarted {
        engine: EngineId,
        why: StartFault,
    },
    Output {
        engine: EngineId,
        stream: Stream,
        bytes: Printed,
    },
    /// `rank`: of a thread in a thread pool, `in_map`: while it works on a map.
    Shown {
        engine: EngineId,
        rank: Option<Rank>,
        in_map: bool,
        value: Value,
    },
    RunDone {
        engine: EngineId,
        busy: Duration,
        end: RunEnd,
    },
    Died {
        engine: EngineId,
        cause: DeathCause,
        /// Another process has started in its place.
        replaced: bool,
    },
    /// The engine is at an item whose map's caller is gone: it ends it soon, or another process takes its place.
    Unwanted {
        engine: EngineId,
    },
    /// It has ended it.
    Free {
        engine: EngineId,
    },
    /// A map called from code found them dead: other processes have started in their place.
    Revived {
        dead: Vec<(EngineId, DeathCause)>,
    },
    /// The engine keeps the value of its cell, and has dropped others for it.
    Kept {
        engine: EngineId,
        number: u64,
        type_name: String,
        bytes: u64,
        dropped: Vec<u64>,
    },
    /// A value for the session to hand on.
    Data {
        engine: EngineId,
        value: Payload,
    },
    MapPlanned(MapPlan),
    /// The map that a cell waits for, some ten times a second once it takes longer.
    Live(JobView),
    /// All results are with the caller. A map called from code has no `shown` table.
    MapDone {
        report: MapReport,
        shown: bool,
    },
    MapFailed(MapFailure),
    /// A map in the background is over.
    JobOver(JobEnd),
    /// `Debug` texts of inputs and results, after `MapDone`.
    ItemTexts {
        first: u64,
        texts: Vec<(String, String)>,
    },
    /// `Debug` texts of an engine's first results, after `MapDone`.
    FirstResults {
        rank: Rank,
        texts: Vec<String>,
    },
    /// A `%px` on a thread pool: per thread the time and how it ended.
    Broadcast {
        threads: Vec<(Duration, Option<PanicInfo>)>,
    },
    Timing {
        per_loop: Vec<f64>,
        loops: u64,
    },
    /// Nothing of the hub's: what the session waits for may be there.
    Woken,
    /// What functions whose results are kept have done in an engine since this was last told.
    Memo {
        engine: EngineId,
        functions: Vec<MemoTold>,
    },
    /// What functions have on disk.
    MemoShelf(Vec<MemoShare>),
    /// The engine could not go to this folder.
    NoFolder {
        engine: EngineId,
        path: PathBuf,
        stays: PathBuf,
    },
    /// Something is wrong with the results on disk.
    MemoTrouble(MemoTrouble),
    /// Code asks something of the session's children.
    Children(Asked),
    /// What a rank tells of its messages.
    Comm {
        engine: EngineId,
        rank: Rank,
        told: CommTold,
    },
}

/// A connection on which something is asked.
pub struct Asked(pub Channel);

impl std::fmt::Debug for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Asked")
    }
}

/// Ends a wait for events, from any thread.
pub(super) struct Bell {
    events: Sender<Happening>,
    /// It was rung, and nobody has heard it yet.
    rung: AtomicBool,
}

impl Bell {
    pub(super) fn new(events: Sender<Happening>) -> Self {
        Self {
            events,
            rung: AtomicBool::new(false),
        }
    }

    /// What is there by now will be looked at.
    pub(super) fn heard(&self) {
        self.rung.store(false, Ordering::SeqCst);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            let (about, event) = (About::default(), PoolEvent::Woken);
            // A session that is gone waits for nothing.
            let _ = self.events.send(Happening { about, event });
        }
    }
}

/// Why a map ended without its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapFailure {
    pub rank: Option<Rank>,
    /// The index of the input whose item failed.
    pub item: Option<u64>,
    pub what: MapFault,
    /// Engines that died during the map, and how.
    pub died: Vec<Deaths>,
}

impl MapFailure {
    /// No item of it has run.
    pub fn of_whole(what: MapFault) -> Self {
        Self {
            rank: None,
            item: None,
            what,
            died: Vec::new(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapFault {
    Panicked(PanicInfo),
    /// The item ended three engines; how the last one ended.
    Crashed(DeathCause),
    /// Ten engines ended before they came to it; how the last one ended.
    Lost(DeathCause),
    TimedOut,
    NoEngineLeft,
    /// So many items were done, of so many.
    Interrupted {
        done: u64,
        total: Option<u64>,
    },
    /// Nothing was to run.
    PlanOnly,
    /// It cannot begin.
    Refused(MapRefusal),
    /// What a caller got cannot be decoded; the panic of the user's code over it.
    Undecodable(Option<PanicInfo>),
    /// The inputs themselves failed, or something could not be encoded: what serde says.
    Inputs(String),
    /// The iterator of the inputs did.
    InputsPanicked(PanicInfo),
    /// It cannot be queued.
    Queue(QueueFault),
}

/// Why an item has no result for good; how the last engine ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemEnd {
    TimedOut,
    Crashed(DeathCause),
    Lost(DeathCause),
}

impl ItemEnd {
    /// `begun`: otherwise the engines ended before they came to it. `late`: they were ended for taking too long.
    pub fn of(begun: bool, late: bool, cause: DeathCause) -> Self {
        match (late, begun) {
            (true, true) => Self::TimedOut,
            (false, true) => Self::Crashed(cause),
            (_, false) => Self::Lost(cause),
        }
    }
}

impl From<ItemEnd> for MapFault {
    fn from(end: ItemEnd) -> Self {
        match end {
            ItemEnd::TimedOut => Self::TimedOut,
            ItemEnd::Crashed(cause) => Self::Crashed(cause),
            ItemEnd::Lost(cause) => Self::Lost(cause),
        }
    }
}

impl From<ItemEnd> for ItemFault {
    fn from(end: ItemEnd) -> Self {
        match end {
            ItemEnd::TimedOut => Self::TimedOut,
            ItemEnd::Crashed(cause) => Self::Crashed(cause.to_string()),
            ItemEnd::Lost(cause) => Self::Lost(cause.to_string()),
        }
    }
}

/// Why a map cannot be queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueueFault {
    /// Its artifact cannot be read.
    NoArtifact(String),
    /// The server does not take it.
    Server(String),
    /// The server has lost so many chunks, and they cannot be queued again.
    Lost { chunks: usize },
    /// What stands in the place of this chunk's results cannot be read.
    NoResult { chunk: u32 },
    /// What nodes need cannot be read on the server.
    Unreadable(String),
    /// The disk with the server's folder is full: so many bytes are left.
    NoRoom { folder: PathBuf, left: u64 },
    /// It goes on without the session.
    Detached,
}

/// Why a map cannot begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapRefusal {
    /// No process pool, or none of this name.
    NoPool(Option<String>),
    NoRank {
        pool: PoolName,
        rank: u32,
        engines: usize,
    },
    /// A static schedule over inputs that do not say how many they are.
    NotCounted,
}

/// Printed bytes on their way to the renderer. Dropping them makes room for more: an engine that prints
/// without end is slowed down to the reader's speed.
#[derive(Debug)]
pub struct Printed {
    pub(super) bytes: Vec<u8>,
    /// Printed bytes that the session has not taken yet.
    pub(super) room: Arc<AtomicUsize>,
}

impl Printed {
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Printed {
    fn drop(&mut self) {
        self.room.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}
