//! What an engine has while it lives: its connection, who it is, the cell under way, the values that it keeps.
//! The loop hands it on; the functions of the C table, which have no room for it among their arguments, find the
//! process's own one by [`context`].

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::connections::Connections;
use super::link::Link;
use super::memo::Memos;
use super::outs::Kept;
use super::shared::{Status, View};
use super::threads;
use crate::ids::{EngineId, JobId, Rank};
use crate::wire::{Facts, PoolSpec, monotonic, status};

/// The process's own, once `main` has a connection: before that no cell can be there to ask for it.
static CONTEXT: OnceLock<Context> = OnceLock::new();

/// What the functions of the C table work on.
///
/// # Panics
/// Outside an engine, where nobody calls them.
pub fn context() -> &'static Context {
    CONTEXT.get().expect("cells run in an engine")
}

pub struct Context {
    pub link: Link,
    pub connections: Connections,
    pub status: Status,
    pub outs: Mutex<Kept>,
    pub memos: Memos,
    id: AtomicU32,
    rank: AtomicU32,
    size: AtomicU32,
    local: AtomicBool,
    cell: Mutex<CellState>,
    /// The job whose shell command is under way here; 0: none.
    commands_of: AtomicU32,
    /// The seed of the job under way, and how often a generator was asked for without one.
    seed: Mutex<Option<u64>>,
    unseeded: AtomicU64,
    /// Null, or the store of this engine's variables.
    variables: AtomicPtr<c_void>,
    /// Somebody has asked for it.
    asked: AtomicBool,
}

/// What lives as long as one cell.
#[derive(Default)]
pub struct CellState {
    /// The one in use comes first.
    pub pools: Vec<PoolSpec>,
    pub threads: Vec<(PoolSpec, threads::ThreadPool)>,
    pub first_items: Vec<Vec<u64>>,
    /// What the session has given to it.
    pub data: Vec<View>,
    pub facts: Facts,
}

impl Context {
    pub fn new(link: Link) -> Self {
        Self {
            link,
            connections: Connections::default(),
            status: Status::default(),
            outs: Mutex::default(),
            memos: Memos::default(),
            id: AtomicU32::new(0),
            rank: AtomicU32::new(0),
            size: AtomicU32::new(1),
            local: AtomicBool::new(false),
            cell: Mutex::default(),
            commands_of: AtomicU32::new(0),
            seed: Mutex::new(None),
            unseeded: AtomicU64::new(0),
            variables: AtomicPtr::default(),
            asked: AtomicBool::new(false),
        }
    }

    /// Makes it the one that [`context`] gives.
    pub fn install(self) -> &'static Self {
        CONTEXT.get_or_init(|| self)
    }

    pub fn welcome(&self, id: EngineId, rank: Rank, size: u32, local: bool) {
        self.id.store(id.0, Ordering::Relaxed);
        self.rank.store(rank.0, Ordering::Relaxed);
        self.local.store(local, Ordering::Relaxed);
        self.resized(size);
    }

    pub fn resized(&self, size: u32) {
        self.size.store(size, Ordering::Relaxed);
    }

    pub fn renumbered(&self, rank: Rank, size: u32) {
        self.rank.store(rank.0, Ordering::Relaxed);
        self.resized(size);
    }

    pub fn id(&self) -> u32 {
        self.id.load(Ordering::Relaxed)
    }

    pub fn rank(&self) -> u32 {
        self.rank.load(Ordering::Relaxed)
    }

    pub fn size(&self) -> u32 {
        self.size.load(Ordering::Relaxed)
    }

    /// Whether it is the one in which plain cells run.
    pub fn is_local(&self) -> bool {
        self.local.load(Ordering::Relaxed)
    }

    pub fn cell(&self) -> MutexGuard<'_, CellState> {
        self.cell.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The data that have come are for this cell.
    pub fn cell_starts(&self, pools: Vec<PoolSpec>) {
        let mut cell = self.cell();
        let data = std::mem::take(&mut cell.data);
        *cell = CellState {
            pools,
            data,
            ..CellState::default()
        };
        drop(cell);
        self.set_seed(None);
    }

    /// Drops the cell's threads and data: an idle engine has one thread.
    pub fn cell_ends(&self) {
        let mut cell = self.cell();
        let dropped = (
            std::mem::take(&mut cell.threads),
            std::mem::take(&mut cell.data),
        );
        drop(cell);
        drop(dropped);
    }

    /// The name of the cell's thread pool, the last that was begun; empty without any.
    pub fn threads_in_use(&self) -> String {
        let cell = self.cell();
        let last = cell.threads.last();
        last.map_or_else(String::new, |(pool, _)| pool.name.0.clone())
    }

    /// What the cell's generated code has told.
    pub fn take_facts(&self) -> Facts {
        std::mem::take(&mut self.cell().facts)
    }

    /// The chunks that begin are shell commands of this job.
    pub fn runs_commands_of(&self, job: Option<JobId>) {
        self.commands_of
            .store(job.map_or(0, |job| job.0), Ordering::Relaxed);
    }

    /// The command under way takes its time: what waits behind it goes elsewhere, and what came of those before it is
    /// told.
    pub fn command_holds_up(&self) {
        let job = self.commands_of.load(Ordering::Relaxed);
        if job != 0 {
            // A hub that is gone shows when reading.
            let _ = self.link.give_back(JobId(job));
        }
    }

    /// What generators of random numbers depend on from now on.
    pub fn set_seed(&self, seed: Option<u64>) {
        *self.seed.lock().unwrap_or_else(PoisonError::into_inner) = seed;
    }

    pub fn seed(&self) -> Option<u64> {
        *self.seed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for the random generator of an item, or of a cell; another one each time without a seed.
    pub fn random(&self, seed: Option<u64>, item: Option<u64>) -> u64 {
        let item = item.or_else(|| {
            let item = self.status.word(status::ITEM).load(Ordering::Relaxed);
            item.checked_sub(1)
        });
        match (seed, item) {
            (Some(seed), Some(item)) => mixed(seed ^ mixed(item)),
            (Some(seed), None) => mixed(seed),
            (None, _) => {
                let count = self.unseeded.fetch_add(1, Ordering::Relaxed);
                mixed(monotonic() ^ mixed(u64::from(std::process::id()) ^ mixed(count)))
            }
        }
    }

    /// After each cell.
    pub fn keep_variables(&self, store: *mut c_void) {
        self.variables.store(store, Ordering::Release);
    }

    pub fn variables(&self) -> *mut c_void {
        self.variables.load(Ordering::Acquire)
    }

    /// The same for a cell or a map; that it was asked for is noted.
    pub fn lend_variables(&self) -> *mut c_void {
        self.asked.store(true, Ordering::Relaxed);
        self.variables()
    }

    /// Whether they were lent since this was last called.
    pub fn variables_asked(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
    }
}

/// SplitMix64's finalizer: neighbouring numbers become unlike ones.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
