//! What each thread notes while it runs user code: a panic, the items, why the host has refused a call. All that is a
//! thread's own is here; what is the process's is the [`context`](super::context).

use std::cell::{Cell, RefCell};
use std::io::Write as _;

use crate::wire::PanicInfo;

struct Notes {
    /// Whether it runs user code whose panics the session reports.
    watched: Cell<bool>,
    /// The first panic since it was last taken: a later one tends to be its consequence.
    panic: RefCell<Option<PanicInfo>>,
    /// What it is in a thread pool, while it works.
    worker: Cell<Option<Worker>>,
    /// The index of the item that it works on there.
    item: Cell<Option<u64>>,
    /// When items began and how long they took.
    items: RefCell<Vec<(u64, u64)>>,
    /// Why the last call was refused.
    failure: RefCell<String>,
}

/// A thread of a thread pool.
#[derive(Clone, Copy)]
pub struct Worker {
    pub rank: u32,
    pub size: u32,
    /// Of the map that it works on.
    pub seed: Option<u64>,
}

thread_local! {
    static NOTES: Notes = const {
        Notes {
            watched: Cell::new(false),
            panic: RefCell::new(None),
            worker: Cell::new(None),
            item: Cell::new(None),
            items: RefCell::new(Vec::new()),
            failure: RefCell::new(String::new()),
        }
    };
}

/// From now on this thread's panics are the session's to tell.
pub fn watch() {
    take_panic();
    NOTES.with(|notes| notes.watched.set(true));
}

pub fn unwatch() {
    NOTES.with(|notes| notes.watched.set(false));
}

/// Not at the end of a thread, when its notes are gone: the destructors of user code run then too.
pub fn is_watched() -> bool {
    NOTES.try_with(|notes| notes.watched.get()).unwrap_or(false)
}

/// Notes a panic of a watched thread; false when the session will not hear of it. One that ends the process is
/// `fatal`.
pub fn note_panic(panic: PanicInfo, fatal: bool) -> bool {
    NOTES.with(|notes| {
        let mut first = notes.panic.borrow_mut();
        if !fatal {
            first.get_or_insert(panic);
        } else if let Some(first) = &*first {
            // What led to it would be lost, and nobody is left to hear of a failure to write.
            let _ = writeln!(std::io::stderr(), "panicked: {}", first.message);
        }
        !fatal
    })
}

pub fn take_panic() -> Option<PanicInfo> {
    NOTES.with(|notes| notes.panic.take())
}

/// Runs `work` as a worker of a thread pool: its panics are noted, its rank is the thread's.
pub fn as_worker<R>(worker: Worker, work: impl FnOnce() -> R) -> R {
    NOTES.with(|notes| {
        notes.worker.set(Some(worker));
        notes.item.set(None);
        notes.watched.set(true);
    });
    let result = work();
    NOTES.with(|notes| {
        notes.watched.set(false);
        notes.worker.set(None);
    });
    result
}

pub fn worker() -> Option<Worker> {
    NOTES.with(|notes| notes.worker.get())
}

pub fn begin_item(item: u64) {
    NOTES.with(|notes| notes.item.set(Some(item)));
}

pub fn item() -> Option<u64> {
    NOTES.with(|notes| notes.item.get())
}

pub fn note_item(began: u64, took: u64) {
    NOTES.with(|notes| notes.items.borrow_mut().push((began, took)));
}

/// Times of items since the last call.
pub fn take_items() -> Vec<(u64, u64)> {
    NOTES.with(|notes| notes.items.take())
}

pub fn refuse(why: impl Into<String>) {
    NOTES.with(|notes| notes.failure.replace(why.into()));
}

pub fn failure() -> String {
    NOTES.with(|notes| notes.failure.borrow().clone())
}
