//! The C table that cells call, and what one cell or chunk keeps while it runs.

mod maps;
mod told;

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use regatta_cell::host::{Bytes, Host, Write};

use super::outgoing::Outgoing;
use super::shared::{View, word};
use super::{link, monotonic, outs, threads};
use crate::ids::{EngineId, Rank};
use crate::wire::{Facts, FromEngine, PanicInfo, PoolSpec, status};
use maps::{
    broadcast, failure, first_items, job_dropped, map_begin, map_cancel, map_end, map_failure,
    map_progress, map_step, note_items, note_results, pool_kind, threads_begin,
};
pub use told::text;
use told::{panicked, place, show, take_panic_text, tell, timing};

static ID: AtomicU32 = AtomicU32::new(0);
static RANK: AtomicU32 = AtomicU32::new(0);
static SIZE: AtomicU32 = AtomicU32::new(1);
static LOCAL: AtomicBool = AtomicBool::new(false);
static CELL: Mutex<CellState> = Mutex::new(CellState::new());
/// The seed of the job under way, and how often a generator was asked for without one.
static SEED: Mutex<Option<u64>> = Mutex::new(None);
static UNSEEDED: AtomicU64 = AtomicU64::new(0);

/// What lives as long as one cell.
struct CellState {
    /// The one in use comes first.
    pools: Vec<PoolSpec>,
    threads: Vec<(PoolSpec, threads::Pool)>,
    first_items: Vec<Vec<u64>>,
    /// What the session has given to it.
    data: Vec<View>,
    facts: Facts,
}

impl CellState {
    const fn new() -> Self {
        Self {
            pools: Vec::new(),
            threads: Vec::new(),
            first_items: Vec::new(),
            data: Vec::new(),
            facts: Facts::new(),
        }
    }
}

/// A thread of a thread pool.
#[derive(Clone, Copy)]
struct Worker {
    rank: u32,
    size: u32,
    /// Of the map that it works on.
    seed: Option<u64>,
}

thread_local! {
    /// Whether this thread runs user code whose panics the session reports.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// The first panic since it was last taken: a later one tends to be its consequence.
    static PANIC: RefCell<Option<PanicInfo>> = const { RefCell::new(None) };
    /// What this thread of a thread pool is, while it works.
    static WORKER: Cell<Option<Worker>> = const { Cell::new(None) };
    /// The index of the item that this worker of a thread pool works on.
    static ITEM: Cell<Option<u64>> = const { Cell::new(None) };
    /// When items began and how long they took.
    static ITEMS: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
}

fn cell() -> MutexGuard<'static, CellState> {
    CELL.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn welcome(id: EngineId, rank: Rank, size: u32, local: bool) {
    ID.store(id.0, Ordering::Relaxed);
    RANK.store(rank.0, Ordering::Relaxed);
    SIZE.store(size, Ordering::Relaxed);
    LOCAL.store(local, Ordering::Relaxed);
}

pub fn resized(size: u32) {
    SIZE.store(size, Ordering::Relaxed);
}

pub fn cell_starts(pools: Vec<PoolSpec>) {
    {
        let mut cell = cell();
        let data = std::mem::take(&mut cell.data);
        *cell = CellState::new();
        cell.pools = pools;
        cell.data = data;
    }
    set_seed(None);
    take_panic();
    WATCHED.set(true);
}

pub fn chunk_starts(seed: Option<u64>) {
    set_seed(seed);
    take_panic();
    WATCHED.set(true);
}

pub fn set_seed(seed: Option<u64>) {
    *SEED.lock().unwrap_or_else(PoisonError::into_inner) = seed;
}

/// A value for the next cell.
pub fn add_data(view: View) {
    cell().data.push(view);
}

pub fn keep_first_items(items: Vec<Vec<u64>>) {
    cell().first_items = items;
}

/// Times of items since the last call.
pub fn take_items() -> Vec<(u64, u64)> {
    ITEMS.take()
}

pub fn chunk_ends() {
    WATCHED.set(false);
}

/// Drops the cell's threads and data: an idle engine has one thread.
pub fn cell_ends() {
    WATCHED.set(false);
    let mut cell = cell();
    let dropped = (
        std::mem::take(&mut cell.threads),
        std::mem::take(&mut cell.data),
    );
    drop(cell);
    drop(dropped);
}

/// What the cell's generated code has told.
pub fn take_facts() -> Facts {
    std::mem::take(&mut cell().facts)
}

pub fn take_panic() -> Option<PanicInfo> {
    PANIC.take()
}

/// Runs `work` as a worker of a thread pool: its panics are noted, its rank is the thread's.
pub fn as_worker<R>(rank: u32, size: u32, seed: Option<u64>, work: impl FnOnce() -> R) -> R {
    WORKER.set(Some(Worker { rank, size, seed }));
    ITEM.set(None);
    WATCHED.set(true);
    let result = work();
    WATCHED.set(false);
    WORKER.set(None);
    result
}

/// The table, found by cells under this name.
#[unsafe(no_mangle)]
pub extern "C" fn regatta_host_v6() -> *const Host {
    static TABLE: Host = Host {
        rank,
        size,
        id,
        seed,
        set_seed: seed_given,
        show,
        tell,
        panicked,
        take_panic: take_panic_text,
        place,
        pool_kind,
        map_begin,
        threads_begin,
        map_step,
        map_cancel,
        map_progress,
        map_failure,
        map_end,
        job_dropped,
        variables,
        broadcast,
        failure,
        item_begins,
        item_ran,
        first_items,
        note_results,
        note_items,
        timing,
        send,
        received,
        receive,
        heap: outs::heap,
        keep: outs::keep,
        take_kept: outs::take_kept,
        drop_kept: outs::drop_kept,
    };
    &raw const TABLE
}

extern "C" fn rank() -> u32 {
    WORKER
        .get()
        .map_or_else(|| RANK.load(Ordering::Relaxed), |worker| worker.rank)
}

extern "C" fn size() -> u32 {
    WORKER
        .get()
        .map_or_else(|| SIZE.load(Ordering::Relaxed), |worker| worker.size)
}

extern "C" fn id() -> u32 {
    ID.load(Ordering::Relaxed)
}

extern "C" fn seed() -> u64 {
    let item = ITEM
        .get()
        .or_else(|| word(status::ITEM).load(Ordering::Relaxed).checked_sub(1));
    let seed = match WORKER.get() {
        Some(worker) => worker.seed,
        None => *SEED.lock().unwrap_or_else(PoisonError::into_inner),
    };
    match (seed, item) {
        (Some(seed), Some(item)) => mixed(seed ^ mixed(item)),
        (Some(seed), None) => mixed(seed),
        (None, _) => {
            let count = UNSEEDED.fetch_add(1, Ordering::Relaxed);
            mixed(monotonic() ^ mixed(u64::from(std::process::id()) ^ mixed(count)))
        }
    }
}

extern "C" fn seed_given(given: bool, seed: u64) {
    set_seed(given.then_some(seed));
}

/// SplitMix64's finalizer: neighbouring numbers become unlike ones.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

extern "C" fn item_begins(item: u64) {
    ITEM.set(Some(item));
}

extern "C" fn item_ran(began: u64, took: u64) {
    let began = if began == 0 {
        monotonic().saturating_sub(took)
    } else {
        began
    };
    ITEMS.with_borrow_mut(|items| items.push((began, took)));
}

/// The store of this engine's variables.
static VARIABLES: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
/// Somebody has asked for it.
static ASKED: AtomicBool = AtomicBool::new(false);

/// After each cell.
pub fn keep_variables(store: *mut c_void) {
    VARIABLES.store(store, Ordering::Release);
}

/// Whether the store was asked for since this was last called.
pub fn variables_asked() -> bool {
    ASKED.swap(false, Ordering::Relaxed)
}

extern "C" fn variables() -> *mut c_void {
    ASKED.store(true, Ordering::Relaxed);
    VARIABLES.load(Ordering::Acquire)
}

extern "C" fn send(ctx: *const c_void, feed: extern "C" fn(*const c_void, *mut c_void, Write)) {
    let mut out = Outgoing::default();
    let (to, write) = out.parts();
    feed(ctx, to, write);
    if let Ok(payload) = out.finish() {
        let _ = link::send(&FromEngine::Data, &payload);
    }
}

extern "C" fn received() -> u64 {
    cell().data.len() as u64
}

extern "C" fn receive(index: u64) -> Bytes {
    // The view stays where it is until the cell ends: its bytes are in a mapping or in a payload on the heap.
    let cell = cell();
    usize::try_from(index)
        .ok()
        .and_then(|index| cell.data.get(index))
        .map_or(Bytes::of(&[]), |view| Bytes::of(view.bytes()))
}
