//! The C table that cells call.

mod comm;
mod maps;
mod told;

use std::ffi::c_void;
use std::sync::MutexGuard;

use regatta_cell::host::{Bytes, Host, Write};

use super::context::{CellState, context};
use super::outgoing::Outgoing;
use super::{children, commands, laid, libraries, link, memo, monotonic, notes, outs, store};
use crate::wire::FromEngine;
pub use maps::pool_named;
use maps::{
    broadcast, failure, first_items, job_dropped, map_begin, map_cancel, map_end, map_failure,
    map_print, map_progress, map_step, note_items, note_results, pool_kind, threads_begin,
};
pub use told::text;
use told::{escaped, panicked, place, show, take_panic, tell, timing};

fn cell() -> MutexGuard<'static, CellState> {
    context().cell()
}

pub fn keep_first_items(items: Vec<Vec<u64>>) {
    cell().first_items = items;
}

/// The table, found by cells under this name.
#[unsafe(no_mangle)]
pub extern "C" fn regatta_host_v15() -> *const Host {
    static TABLE: Host = Host {
        rank,
        size,
        id,
        seed,
        set_seed: seed_given,
        show,
        tell,
        panicked,
        escaped,
        take_panic,
        place,
        pool_kind,
        map_begin,
        threads_begin,
        map_step,
        map_cancel,
        map_print,
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
        library_function: libraries::library_function,
        command: commands::command,
        command_over: commands::over,
        memo_open: memo::open,
        memo_find: memo::find,
        memo_keep: memo::keep,
        memo_leave: memo::leave,
        memo_explain: memo::explain,
        store: store::call,
        may_lay: laid::may_lay,
        lay_over: laid::lay_over,
        comm: comm::TABLE,
        children: children::call,
    };
    &raw const TABLE
}

pub extern "C" fn rank() -> u32 {
    notes::worker().map_or_else(|| context().rank(), |worker| worker.rank)
}

extern "C" fn size() -> u32 {
    notes::worker().map_or_else(|| context().size(), |worker| worker.size)
}

extern "C" fn id() -> u32 {
    context().id()
}

extern "C" fn seed() -> u64 {
    let context = context();
    let seed = match notes::worker() {
        Some(worker) => worker.seed,
        None => context.seed(),
    };
    context.random(seed, notes::item())
}

extern "C" fn seed_given(given: bool, seed: u64) {
    context().set_seed(given.then_some(seed));
}

extern "C" fn item_begins(item: u64) {
    notes::begin_item(item);
}

extern "C" fn item_ran(began: u64, took: u64) {
    let began = if began == 0 {
        monotonic().saturating_sub(took)
    } else {
        began
    };
    notes::note_item(began, took);
}

extern "C" fn variables() -> *mut c_void {
    context().lend_variables()
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
