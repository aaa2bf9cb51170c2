//! The C table that cells call, and what one cell or chunk keeps while it runs.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use regatta_cell::host::{
    Bytes, ChunkEnd, End, Fact, Host, MapCall, MapEnd, PoolKind, Progress, RunOnThread, Step,
    ThreadsCall, Write,
};

use super::caller::{self, Caller};
use super::outgoing::Outgoing;
use super::shared::{View, word};
use super::{link, monotonic, outs, places, threads};
use crate::ids::{EngineId, JobId, Rank};
use crate::wire::places::Place;
use crate::wire::{Facts, FromEngine, PanicInfo, Payload, PoolSpec, status};

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

thread_local! {
    /// Whether this thread runs user code whose panics the session reports.
    static WATCHED: Cell<bool> = const { Cell::new(false) };
    /// The first panic since it was last taken: a later one tends to be its consequence.
    static PANIC: RefCell<Option<PanicInfo>> = const { RefCell::new(None) };
    static FAILURE: RefCell<String> = const { RefCell::new(String::new()) };
    /// Rank and size inside a thread pool.
    static WORKER: Cell<Option<(u32, u32)>> = const { Cell::new(None) };
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
pub fn as_worker<R>(rank: u32, size: u32, work: impl FnOnce() -> R) -> R {
    WORKER.set(Some((rank, size)));
    WATCHED.set(true);
    let result = work();
    WATCHED.set(false);
    WORKER.set(None);
    result
}

/// The table, found by cells under this name.
#[unsafe(no_mangle)]
pub extern "C" fn regatta_host_v5() -> *const Host {
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
        map_step,
        map_cancel,
        map_progress,
        map_failure,
        map_end,
        job_dropped,
        variables,
        map_threads,
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
        .map_or_else(|| RANK.load(Ordering::Relaxed), |(rank, _)| rank)
}

extern "C" fn size() -> u32 {
    WORKER
        .get()
        .map_or_else(|| SIZE.load(Ordering::Relaxed), |(_, size)| size)
}

extern "C" fn id() -> u32 {
    ID.load(Ordering::Relaxed)
}

extern "C" fn seed() -> u64 {
    let item = ITEM
        .get()
        .or_else(|| word(status::ITEM).load(Ordering::Relaxed).checked_sub(1));
    let seed = *SEED.lock().unwrap_or_else(PoisonError::into_inner);
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

extern "C" fn take_panic_text(to: *mut c_void, write: Write) {
    let panic = take_panic().unwrap_or_else(|| PanicInfo::plain("it panicked"));
    let place = panic
        .place
        .map_or_else(String::new, |place| place.to_string());
    let text = format!("{}\u{1f}{place}", panic.message);
    write(to, Bytes::of(text.as_bytes()));
}

extern "C" fn place(file: Bytes, line: u32, to: *mut c_void, write: Write) {
    if let Some(place) = place_of(file, line) {
        write(to, Bytes::of(place.to_string().as_bytes()));
    }
}

fn place_of(file: Bytes, line: u32) -> Option<Place> {
    // SAFETY: it lives as long as the call, as every argument does.
    let file = std::str::from_utf8(unsafe { file.as_slice() }).ok()?;
    places::place(file, line)
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

/// A copy of bytes that the cell lends.
pub fn text(bytes: Bytes) -> String {
    // SAFETY: the cell crate lends `Bytes` of a live slice for the time of the call.
    String::from_utf8_lossy(unsafe { bytes.as_slice() }).into_owned()
}

extern "C" fn show(mime: Bytes, value: Bytes, type_name: Bytes) {
    let rank = WORKER.get().map(|(rank, _)| Rank(rank));
    let message = FromEngine::Shown {
        rank,
        mime: text(mime),
        type_name: text(type_name),
    };
    // SAFETY: as in `text`.
    let text = unsafe { value.as_slice() }.to_vec();
    if let Ok(payload) = Payload::of(text) {
        // A session that is gone will end this process; there is nobody to tell.
        let _ = link::send(&message, &payload);
    }
}

extern "C" fn tell(fact: Fact, what: Bytes) {
    let what = text(what);
    let facts = &mut cell().facts;
    match fact {
        Fact::Panicked => facts.panicked = true,
        Fact::Errored => facts.errored = true,
        Fact::ChangedType => facts.changed.push(what),
        Fact::PanickedAtEnd => facts.panicked_at_end = true,
        Fact::Variables => {
            let names = what.split('\u{1f}').filter(|name| !name.is_empty());
            facts.variables = names.map(str::to_owned).collect();
        }
    }
}

extern "C" fn panicked(message: Bytes, file: Bytes, line: u32, column: u32) -> bool {
    if !WATCHED.get() {
        return false;
    }
    let panic = PanicInfo {
        message: text(message),
        file: text(file),
        line,
        column,
        place: place_of(file, line),
    };
    // This one ends the process, so what led to it would be lost.
    let fatal =
        panic.message.contains("cannot unwind") || panic.message.contains("in a destructor");
    PANIC.with_borrow_mut(|first| {
        if fatal {
            if let Some(first) = first {
                // The process ends with it, and nobody is left to hear of a failure to write.
                let _ = writeln!(std::io::stderr(), "panicked: {}", first.message);
            }
            return false;
        }
        first.get_or_insert(panic);
        true
    })
}

/// The pool of this name, or the one in use.
fn pool_named(name: &str) -> Option<PoolSpec> {
    let cell = cell();
    if name.is_empty() {
        return cell.pools.first().cloned();
    }
    cell.pools.iter().find(|pool| pool.name.0 == name).cloned()
}

extern "C" fn pool_kind(name: Bytes) -> PoolKind {
    if WORKER.get().is_some() {
        return PoolKind::Threads;
    }
    if !LOCAL.load(Ordering::Relaxed) {
        // Refused in `map_begin`, with the reason.
        return PoolKind::Processes;
    }
    match pool_named(&text(name)) {
        None => PoolKind::None,
        Some(PoolSpec { threads: true, .. }) => PoolKind::Threads,
        Some(_) => PoolKind::Processes,
    }
}

fn fail(why: impl Into<String>) -> MapEnd {
    FAILURE.set(why.into());
    MapEnd::Failed
}

fn refuse(why: impl Into<String>) -> MapEnd {
    FAILURE.set(why.into());
    MapEnd::Refused
}

extern "C" fn failure(to: *mut c_void, write: Write) {
    FAILURE.with_borrow(|why| write(to, Bytes::of(why.as_bytes())));
}

extern "C" fn map_begin(call: *const MapCall) -> *mut c_void {
    if !LOCAL.load(Ordering::Relaxed) {
        refuse(
            "a map inside the function of a map or inside %px is not possible: an engine cannot command the others",
        );
        return std::ptr::null_mut();
    }
    // SAFETY: the cell crate passes a live `MapCall`.
    match caller::begin(unsafe { &*call }) {
        Ok(caller) => Box::into_raw(caller).cast(),
        Err(why) => {
            refuse(why);
            std::ptr::null_mut()
        }
    }
}

extern "C" fn map_step(map: *mut c_void, wait: i64) -> Step {
    // SAFETY: `map_begin` made it, and the cell crate steps it from one thread at a time.
    unsafe { &mut *map.cast::<Caller>() }.step(wait)
}

extern "C" fn map_cancel(map: *mut c_void) {
    // SAFETY: `map_begin` made it; `cancel` locks what it shares with `step`.
    unsafe { &*map.cast::<Caller>() }.cancel();
}

extern "C" fn map_progress(map: *mut c_void) -> Progress {
    // SAFETY: as in `map_cancel`.
    unsafe { &*map.cast::<Caller>() }.progress()
}

extern "C" fn map_failure(map: *mut c_void, to: *mut c_void, write: Write) {
    // SAFETY: as in `map_cancel`.
    let why = unsafe { &*map.cast::<Caller>() }.failure();
    write(to, Bytes::of(why.as_bytes()));
}

extern "C" fn map_end(map: *mut c_void) {
    // SAFETY: `map_begin` made it, and the cell crate ends it once.
    unsafe { Box::from_raw(map.cast::<Caller>()) }.end();
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

extern "C" fn job_dropped(job: u32) {
    if job > 0 {
        // A session that is gone will end this process.
        let _ = link::send(&FromEngine::JobDropped { job: JobId(job) }, &Payload::None);
    }
}

extern "C" fn map_threads(call: *const ThreadsCall) -> MapEnd {
    // SAFETY: the cell crate passes a live `ThreadsCall`.
    let call = unsafe { &*call };
    if WORKER.get().is_some() {
        // Nested: this worker does it alone. Another round over the same threads could wait for itself.
        let end: ChunkEnd = (call.run)(call.ctx, 0, call.items);
        return match end.how {
            End::Finished => MapEnd::Finished,
            _ => refuse(take_panic().map_or_else(String::new, |panic| panic.message)),
        };
    }
    let options = caller::wish(&call.wish);
    if options.timeout.is_some() {
        return refuse(
            "a thread cannot be stopped, so items on a thread pool have no timeout: use a process pool",
        );
    }
    set_seed(options.seed);
    let name = options.pool.clone().unwrap_or_default();
    let plan_only = options.plan_only;
    let mut begin = Some(FromEngine::ThreadsBegin {
        options: Box::new(options),
        input_type: text(call.input_type),
        output_type: text(call.output_type),
        items: call.items,
    });
    with_threads(&name, |pool| {
        if let Some(begin) = begin.take() {
            link::send(&begin, &Payload::None).map_err(|error| error.to_string())?;
        }
        if plan_only {
            return Ok(());
        }
        let done = pool.map(call)?;
        let FromEngine::ThreadsDone { rows, error, .. } = &done else {
            return Ok(());
        };
        let why = error.as_ref().map(|panic| panic.message.clone());
        let first = rows.iter().map(|row| row.first_items.clone()).collect();
        keep_first_items(first);
        link::send(&done, &Payload::None).map_err(|error| error.to_string())?;
        why.map_or(Ok(()), Err)
    })
}

extern "C" fn broadcast(ctx: *mut c_void, pool: Bytes, run: RunOnThread) -> MapEnd {
    if WORKER.get().is_some() {
        return refuse("%px inside a thread pool is not possible");
    }
    with_threads(&text(pool), |pool| {
        link::send(&pool.broadcast(ctx, run)?, &Payload::None).map_err(|error| error.to_string())
    })
}

/// A thread pool of the cell's, built now if this cell has not needed it before.
fn with_threads(name: &str, work: impl FnOnce(&threads::Pool) -> Result<(), String>) -> MapEnd {
    let pool = match pool_named(name) {
        Some(spec) if spec.threads => {
            let mut cell = cell();
            let built = cell.threads.iter().find(|(other, _)| *other == spec);
            match built {
                Some((_, pool)) => Ok(pool.clone()),
                None => threads::Pool::new(spec.size)
                    .inspect(|pool| cell.threads.push((spec, pool.clone()))),
            }
        }
        _ => Err("the pool in use is not a thread pool".to_owned()),
    };
    match pool.and_then(|pool| work(&pool)) {
        Ok(()) => MapEnd::Finished,
        Err(why) => fail(why),
    }
}

extern "C" fn first_items(rank: u32, to: *mut u64, max: u64) -> u64 {
    let cell = cell();
    let Some(items) = cell.first_items.get(rank as usize) else {
        return u64::MAX;
    };
    let count = items.len().min(usize::try_from(max).unwrap_or(usize::MAX));
    // SAFETY: the cell crate passes room for `max` numbers.
    unsafe { std::ptr::copy_nonoverlapping(items.as_ptr(), to, count) };
    count as u64
}

extern "C" fn note_results(rank: u32, texts: Bytes) {
    let texts = text(texts);
    let texts = texts
        .split('\u{1f}')
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect();
    let rank = Rank(rank);
    let _ = link::send(&FromEngine::FirstResults { rank, texts }, &Payload::None);
}

extern "C" fn note_items(first: u64, texts: Bytes) {
    let texts = text(texts);
    let mut parts = texts.split('\u{1f}').map(str::to_owned);
    let mut texts = Vec::new();
    while let (Some(input), Some(result)) = (parts.next(), parts.next()) {
        texts.push((input, result));
    }
    let _ = link::send(&FromEngine::ItemTexts { first, texts }, &Payload::None);
}

extern "C" fn timing(per_loop: *const f64, runs: u64, loops: u64) {
    // SAFETY: the cell crate passes a live slice of `runs` numbers.
    let per_loop = unsafe { std::slice::from_raw_parts(per_loop, runs as usize) };
    let per_loop = per_loop.iter().map(|seconds| seconds.to_bits()).collect();
    let _ = link::send(&FromEngine::Timing { per_loop, loops }, &Payload::None);
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
