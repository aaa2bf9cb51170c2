//! Maps and thread pools, as cells call them.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::atomic::Ordering;

use regatta_cell::host::{
    Bytes, ChunkEnd, End, MapCall, MapEnd, PoolKind, Progress, RunOnThread, Step, ThreadsCall,
    Write,
};

use super::told::text;
use super::{LOCAL, WORKER, cell, keep_first_items, set_seed, take_panic};
use crate::engine::caller::{self, Begun};
use crate::engine::{link, threads};
use crate::ids::{JobId, Rank};
use crate::wire::{FromEngine, Payload, PoolSpec};

thread_local! {
    /// Why the last call failed or was refused.
    static FAILURE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The pool of this name, or the one in use.
fn pool_named(name: &str) -> Option<PoolSpec> {
    let cell = cell();
    if name.is_empty() {
        return cell.pools.first().cloned();
    }
    cell.pools.iter().find(|pool| pool.name.0 == name).cloned()
}

pub(super) extern "C" fn pool_kind(name: Bytes) -> PoolKind {
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

pub(super) extern "C" fn failure(to: *mut c_void, write: Write) {
    FAILURE.with_borrow(|why| write(to, Bytes::of(why.as_bytes())));
}

pub(super) extern "C" fn map_begin(call: *const MapCall) -> *mut c_void {
    if !LOCAL.load(Ordering::Relaxed) {
        refuse(
            "a map inside the function of a map or inside %px is not possible: an engine cannot command the others",
        );
        return std::ptr::null_mut();
    }
    // SAFETY: the cell crate passes a live `MapCall`.
    match caller::begin(unsafe { &*call }) {
        Ok(begun) => Box::into_raw(Box::new(begun)).cast(),
        Err(why) => {
            refuse(why);
            std::ptr::null_mut()
        }
    }
}

pub(super) extern "C" fn map_step(map: *mut c_void, wait: i64) -> Step {
    // SAFETY: as in `begun`; the cell crate steps it from one thread at a time.
    unsafe { begun(map).step(wait) }
}

/// The map of a call.
///
/// # Safety
/// `map_begin` made it, and it has not ended, nor does it while this is used.
unsafe fn begun<'a>(map: *mut c_void) -> &'a Begun {
    // SAFETY: promised by the caller.
    unsafe { &*map.cast::<Begun>() }
}

pub(super) extern "C" fn map_cancel(map: *mut c_void) {
    // SAFETY: the cell crate ends a map only when it calls nothing else for it.
    unsafe { begun(map) }.outside.cancel();
}

pub(super) extern "C" fn map_progress(map: *mut c_void) -> Progress {
    // SAFETY: as in `map_cancel`.
    unsafe { begun(map) }.outside.progress()
}

pub(super) extern "C" fn map_failure(map: *mut c_void, to: *mut c_void, write: Write) {
    // SAFETY: as in `map_cancel`.
    let why = unsafe { begun(map) }.outside.failure();
    write(to, Bytes::of(why.as_bytes()));
}

pub(super) extern "C" fn map_end(map: *mut c_void) {
    // SAFETY: `map_begin` made it, and the cell crate ends it once, when it calls nothing else for it.
    unsafe { Box::from_raw(map.cast::<Begun>()) }.end();
}

pub(super) extern "C" fn job_dropped(job: u32) {
    if job > 0 {
        // A session that is gone will end this process.
        let _ = link::send(&FromEngine::JobDropped { job: JobId(job) }, &Payload::None);
    }
}

pub(super) extern "C" fn map_threads(call: *const ThreadsCall) -> MapEnd {
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
    let options = match caller::options(call.options) {
        Ok(options) => options,
        Err(why) => return refuse(why),
    };
    if options.timeout.is_some() {
        return refuse(
            "a thread cannot be stopped, so items on a thread pool have no timeout: use a process pool",
        );
    }
    set_seed(options.seed);
    let name = options.pool.clone().unwrap_or_default();
    let plan_only = options.plan_only;
    let shows_results = caller::shows_results(&options);
    let (schedule, chunk) = (options.schedule, options.chunk);
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
        let done = pool.map(call, schedule, chunk)?;
        let FromEngine::ThreadsDone { rows, error, .. } = &done else {
            return Ok(());
        };
        let why = error.as_ref().map(|panic| panic.message.clone());
        let shown = rows.iter().filter(|_| shows_results);
        keep_first_items(shown.map(|row| row.first_items.clone()).collect());
        link::send(&done, &Payload::None).map_err(|error| error.to_string())?;
        why.map_or(Ok(()), Err)
    })
}

pub(super) extern "C" fn broadcast(ctx: *mut c_void, pool: Bytes, run: RunOnThread) -> MapEnd {
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

pub(super) extern "C" fn first_items(rank: u32, to: *mut u64, max: u64) -> u64 {
    let cell = cell();
    let Some(items) = cell.first_items.get(rank as usize) else {
        return u64::MAX;
    };
    let count = items.len().min(usize::try_from(max).unwrap_or(usize::MAX));
    // SAFETY: the cell crate passes room for `max` numbers.
    unsafe { std::ptr::copy_nonoverlapping(items.as_ptr(), to, count) };
    count as u64
}

pub(super) extern "C" fn note_results(rank: u32, texts: Bytes) {
    let texts = text(texts);
    let texts = texts
        .split('\u{1f}')
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
        .collect();
    let rank = Rank(rank);
    let _ = link::send(&FromEngine::FirstResults { rank, texts }, &Payload::None);
}

pub(super) extern "C" fn note_items(first: u64, texts: Bytes) {
    let texts = text(texts);
    let mut parts = texts.split('\u{1f}').map(str::to_owned);
    let mut texts = Vec::new();
    while let (Some(input), Some(result)) = (parts.next(), parts.next()) {
        texts.push((input, result));
    }
    let _ = link::send(&FromEngine::ItemTexts { first, texts }, &Payload::None);
}
