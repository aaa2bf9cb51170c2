//! The C table that cells call, and what one cell or chunk keeps while it runs.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

use regatta_cell::host::{
    Bytes, ChunkEnd, End, Host, MapCall, MapEnd, PoolKind, RunOnThread, ThreadsCall, Trampoline,
    Write, append,
};

use super::{link, loader, threads};
use crate::ids::{EngineId, Rank};
use crate::wire::{ChunkEnded, FromEngine, FunctionAddress, PanicInfo, PoolSpec, ToEngine};

static ID: AtomicU32 = AtomicU32::new(0);
static RANK: AtomicU32 = AtomicU32::new(0);
static SIZE: AtomicU32 = AtomicU32::new(1);
static LOCAL: AtomicBool = AtomicBool::new(false);
static CELL: Mutex<CellState> = Mutex::new(CellState::new());

/// What lives as long as one cell.
struct CellState {
    pool: Option<PoolSpec>,
    threads: Option<threads::Pool>,
    first_items: Vec<Vec<u64>>,
}

impl CellState {
    const fn new() -> Self {
        Self {
            pool: None,
            threads: None,
            first_items: Vec::new(),
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
    /// Whether this is the thread that runs cells.
    static MAIN: Cell<bool> = const { Cell::new(false) };
}

pub fn welcome(id: EngineId, rank: Rank, size: u32, local: bool) {
    ID.store(id.0, Ordering::Relaxed);
    RANK.store(rank.0, Ordering::Relaxed);
    SIZE.store(size, Ordering::Relaxed);
    LOCAL.store(local, Ordering::Relaxed);
    MAIN.set(true);
}

pub fn resized(size: u32) {
    SIZE.store(size, Ordering::Relaxed);
}

pub fn cell_starts(pool: Option<PoolSpec>) {
    let mut cell = CELL.lock().unwrap_or_else(PoisonError::into_inner);
    *cell = CellState::new();
    cell.pool = pool;
    drop(cell);
    take_panic();
    WATCHED.set(true);
}

pub fn chunk_starts() {
    take_panic();
    WATCHED.set(true);
}

/// Drops the cell's threads: an idle engine has one.
pub fn cell_ends() {
    WATCHED.set(false);
    let threads = CELL
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .threads
        .take();
    drop(threads);
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

pub fn run_chunk(trampoline: Trampoline, count: u64, inputs: &[u8]) -> (ChunkEnded, Vec<u8>) {
    let mut results = Vec::<u8>::new();
    let end = trampoline(Bytes::of(inputs), count, (&raw mut results).cast(), append);
    let error = match end.how {
        End::Finished => None,
        End::Panicked => Some(take_panic().unwrap_or_else(|| plain("it panicked"))),
        End::NotEncodable => Some(plain(
            "serde could not carry the input or the result between the processes",
        )),
    };
    (
        ChunkEnded {
            done: end.done,
            busy: end.busy,
            error,
        },
        results,
    )
}

fn plain(message: &str) -> PanicInfo {
    PanicInfo {
        message: message.to_owned(),
        file: String::new(),
        line: 0,
        column: 0,
    }
}

/// The table, found by cells under this name.
#[unsafe(no_mangle)]
pub extern "C" fn regatta_host_v1() -> *const Host {
    static TABLE: Host = Host {
        rank,
        size,
        id,
        show,
        panicked,
        pool_kind,
        map,
        map_threads,
        broadcast,
        failure,
        first_items,
        note_results,
        timing,
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

/// A copy of bytes that the cell lends.
fn text(bytes: Bytes) -> String {
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
    // A session that is gone will end this process; there is nobody to tell.
    let _ = link::send(&message, unsafe { value.as_slice() });
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

extern "C" fn pool_kind() -> PoolKind {
    if WORKER.get().is_some() {
        return PoolKind::Threads;
    }
    if !LOCAL.load(Ordering::Relaxed) {
        // Refused in `map`, with the reason.
        return PoolKind::Processes;
    }
    match CELL.lock().unwrap_or_else(PoisonError::into_inner).pool {
        None => PoolKind::None,
        Some(PoolSpec::Threads { .. }) => PoolKind::Threads,
        Some(PoolSpec::Processes { .. }) => PoolKind::Processes,
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

extern "C" fn map(call: *const MapCall) -> MapEnd {
    // SAFETY: the cell crate passes a live `MapCall`.
    let call = unsafe { &*call };
    if !LOCAL.load(Ordering::Relaxed) {
        return refuse(
            "a map inside the function of a map or inside %px is not possible: an engine cannot command the others",
        );
    }
    if WORKER.get().is_some() || !MAIN.get() {
        return refuse(
            "a map on a process pool starts from the cell itself, not from another thread",
        );
    }
    let Some((base, so)) = loader::address_of(call.trampoline as *const c_void) else {
        return refuse("the function is in no artifact");
    };
    let address = FunctionAddress {
        so,
        offset: (call.trampoline as usize - base) as u64,
    };
    let begin = FromEngine::MapBegin {
        function: text(call.function),
        input_type: text(call.input_type),
        output_type: text(call.output_type),
        items: (call.items != u64::MAX).then_some(call.items),
        address,
    };
    if let Err(error) = link::send(&begin, &[]) {
        return refuse(error.to_string());
    }
    match serve_map(call) {
        Ok(end) => end,
        Err(error) => fail(error.to_string()),
    }
}

/// Gives the session inputs and takes results until the map is over.
fn serve_map(call: &MapCall) -> Result<MapEnd, crate::wire::WireError> {
    loop {
        let (message, payload) = link::receive()?;
        match message {
            ToEngine::Pull { max } => {
                let mut inputs = Vec::<u8>::new();
                let pulled = (call.pull)(call.ctx, max, (&raw mut inputs).cast(), append);
                let error = match pulled.how {
                    End::Finished => None,
                    End::Panicked => Some(format!(
                        "the inputs panicked: {}",
                        take_panic().map_or_else(String::new, |panic| panic.message)
                    )),
                    End::NotEncodable => Some("serde could not encode an input".to_owned()),
                };
                let answer = FromEngine::Inputs {
                    count: pulled.count,
                    exhausted: pulled.exhausted,
                    error,
                };
                link::send(&answer, &inputs)?;
            }
            ToEngine::Results { first, count } => {
                let decoded = (call.put)(call.ctx, first, count, Bytes::of(&payload));
                if !decoded {
                    link::send(&FromEngine::Undecodable, &[])?;
                }
            }
            ToEngine::MapOver { error, first_items } => {
                CELL.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .first_items = first_items;
                return Ok(error.map_or(MapEnd::Finished, fail));
            }
            // Nothing else is sent to an engine that runs a cell.
            _ => {}
        }
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
    let mut begin = Some(FromEngine::ThreadsBegin {
        function: text(call.function),
        input_type: text(call.input_type),
        output_type: text(call.output_type),
        items: call.items,
    });
    with_threads(|pool| {
        if let Some(begin) = begin.take() {
            link::send(&begin, &[]).map_err(|error| error.to_string())?;
        }
        let done = pool.map(call)?;
        let FromEngine::ThreadsDone { rows, error, .. } = &done else {
            return Ok(());
        };
        let why = error.as_ref().map(|panic| panic.message.clone());
        let first = rows.iter().map(|row| row.first_items.clone()).collect();
        CELL.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .first_items = first;
        link::send(&done, &[]).map_err(|error| error.to_string())?;
        why.map_or(Ok(()), Err)
    })
}

extern "C" fn broadcast(ctx: *mut c_void, run: RunOnThread) -> MapEnd {
    if WORKER.get().is_some() {
        return refuse("%px inside a thread pool is not possible");
    }
    with_threads(|pool| {
        link::send(&pool.broadcast(ctx, run)?, &[]).map_err(|error| error.to_string())
    })
}

/// The cell's thread pool, built now if this cell has not needed it before.
fn with_threads(work: impl FnOnce(&threads::Pool) -> Result<(), String>) -> MapEnd {
    let pool = {
        let mut cell = CELL.lock().unwrap_or_else(PoisonError::into_inner);
        match (cell.threads.clone(), &cell.pool) {
            (Some(pool), _) => Ok(pool),
            (None, Some(PoolSpec::Threads { size, .. })) => {
                threads::Pool::new(*size).inspect(|pool| cell.threads = Some(pool.clone()))
            }
            (None, _) => Err("the pool in use is not a thread pool".to_owned()),
        }
    };
    match pool.and_then(|pool| work(&pool)) {
        Ok(()) => MapEnd::Finished,
        Err(why) => fail(why),
    }
}

extern "C" fn first_items(rank: u32, to: *mut u64, max: u64) -> u64 {
    let cell = CELL.lock().unwrap_or_else(PoisonError::into_inner);
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
    let _ = link::send(
        &FromEngine::FirstResults {
            rank: Rank(rank),
            texts,
        },
        &[],
    );
}

extern "C" fn timing(per_loop: *const f64, runs: u64, loops: u64) {
    // SAFETY: the cell crate passes a live slice of `runs` numbers.
    let per_loop = unsafe { std::slice::from_raw_parts(per_loop, runs as usize) };
    let per_loop = per_loop.iter().map(|seconds| seconds.to_bits()).collect();
    let _ = link::send(&FromEngine::Timing { per_loop, loops }, &[]);
}
