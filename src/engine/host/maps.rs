//! Maps and thread pools, as cells call them.

use std::ffi::c_void;

use regatta_cell::host::{
    Bytes, MapCall, PoolKind, Progress, RunOnThread, Step, ThreadsCall, Write, unpacked,
};
use regatta_cell::options::{MapOptions, PROCESSES_CAN};

use super::cell;
use super::told::text;
use crate::engine::begun::Begun;
use crate::engine::caller;
use crate::engine::context::context;
use crate::engine::notes::{self, refuse};
use crate::engine::{link, threads};
use crate::ids::{JobId, PoolName, Rank};
use crate::wire::{FromEngine, Payload, PoolSpec};

/// The pool of this name, or the one in use.
pub fn pool_named(name: &str) -> Option<PoolSpec> {
    let cell = cell();
    if name.is_empty() {
        return cell.pools.first().cloned();
    }
    cell.pools.iter().find(|pool| pool.name.0 == name).cloned()
}

pub(super) extern "C" fn pool_kind(name: Bytes) -> PoolKind {
    if notes::worker().is_some() {
        return PoolKind::Threads;
    }
    if !context().is_local() {
        // Refused in `map_begin`, with the reason.
        return PoolKind::Processes;
    }
    match pool_named(&text(name)) {
        None => PoolKind::None,
        Some(PoolSpec { threads: true, .. }) => PoolKind::Threads,
        Some(_) => PoolKind::Processes,
    }
}

pub(super) extern "C" fn failure(to: *mut c_void, write: Write) {
    write(to, Bytes::of(notes::failure().as_bytes()));
}

pub(super) extern "C" fn map_begin(call: *const MapCall) -> *mut c_void {
    if !context().is_local() {
        refuse(
            "a map inside the function of a map or inside %px is not possible: an engine cannot command the others",
        );
        return std::ptr::null_mut();
    }
    // SAFETY: the cell crate passes a live `MapCall`.
    handed(caller::begin(unsafe { &*call }))
}

/// What the cell crate has of a map: null when it was refused.
fn handed(begun: Result<Begun, String>) -> *mut c_void {
    match begun {
        Ok(begun) => Box::into_raw(Box::new(begun)).cast(),
        Err(why) => {
            refuse(why);
            std::ptr::null_mut()
        }
    }
}

pub(super) extern "C" fn threads_begin(call: *const ThreadsCall) -> *mut c_void {
    // SAFETY: the cell crate passes a live `ThreadsCall`.
    let call = unsafe { &*call };
    handed(caller::options(call.options).and_then(|options| on_threads(call, options)))
}

fn on_threads(call: &ThreadsCall, options: MapOptions) -> Result<Begun, String> {
    if notes::worker().is_some() {
        return match options.background {
            true => {
                Err("a map inside the function of a map cannot go on in the background".to_owned())
            }
            false if call.items == u64::MAX => Err(
                "a map inside the function of a map gives its results all at once: `pool::map`"
                    .to_owned(),
            ),
            false => Ok(threads::alone(call)),
        };
    }
    if let Some(need) = options.needs_processes() {
        return Err(format!("{need}; {PROCESSES_CAN}"));
    }
    let name = options.pool.clone().unwrap_or_default();
    // A job goes on when the cell's threads end, and so may what is given one by one.
    let (name, pool) = match options.background || call.items == u64::MAX {
        true => {
            spec_of(&name).and_then(|spec| Ok((spec.name, threads::ThreadPool::new(spec.size)?)))?
        }
        false => threads_of(&name)?,
    };
    if let Some(rank) = options.ranks.iter().find(|rank| **rank >= pool.size()) {
        let size = pool.size();
        return Err(format!("{name} has no thread {rank}: it has {size}"));
    }
    threads::begin(call, options, name, pool)
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

pub(super) extern "C" fn map_print(map: *mut c_void, stdout: Bytes, stderr: Bytes) {
    // SAFETY: the cell crate lends the bytes for the call.
    let (stdout, stderr) = unsafe { (stdout.as_slice(), stderr.as_slice()) };
    // SAFETY: as in `map_cancel`.
    unsafe { begun(map) }.outside.print(stdout, stderr);
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

pub(super) extern "C" fn broadcast(ctx: *mut c_void, pool: Bytes, run: RunOnThread) -> bool {
    if notes::worker().is_some() {
        refuse("%px inside a thread pool is not possible");
        return false;
    }
    let ran = threads_of(&text(pool))
        .and_then(|(name, pool)| pool.broadcast(&name, ctx, run))
        .and_then(|done| link::send(&done, &Payload::None).map_err(|error| error.to_string()));
    ran.map_err(refuse).is_ok()
}

/// A thread pool of the cell's, built now if this cell has not needed it before.
fn threads_of(name: &str) -> Result<(PoolName, threads::ThreadPool), String> {
    let spec = spec_of(name)?;
    let mut cell = cell();
    let built = cell.threads.iter().find(|(other, _)| *other == spec);
    let pool = match built {
        Some((_, pool)) => pool.clone(),
        None => threads::ThreadPool::new(spec.size)
            .inspect(|pool| cell.threads.push((spec.clone(), pool.clone())))?,
    };
    Ok((spec.name, pool))
}

fn spec_of(name: &str) -> Result<PoolSpec, String> {
    pool_named(name)
        .filter(|spec| spec.threads)
        .ok_or_else(|| "the pool in use is not a thread pool".to_owned())
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
    // SAFETY: the cell crate lends the bytes for the call.
    let texts = unpacked(unsafe { texts.as_slice() });
    let rank = Rank(rank);
    let _ = link::send(&FromEngine::FirstResults { rank, texts }, &Payload::None);
}

pub(super) extern "C" fn note_items(first: u64, texts: Bytes) {
    // SAFETY: as above.
    let texts = unpacked(unsafe { texts.as_slice() });
    let _ = link::send(&FromEngine::ItemTexts { first, texts }, &Payload::None);
}
