//! What each thread notes while it runs user code: a panic, the items, why the host has refused a call. All that is a
//! thread's own is here; what is the process's is the [`context`](super::context).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::wire::PanicInfo;

struct Notes {
    /// Whether it runs user code whose panics the session reports.
    watched: Cell<bool>,
    /// The last panics since they were last taken. User code may have caught some of them itself.
    panics: RefCell<VecDeque<PanicInfo>>,
    /// What it is in a thread pool, while it works.
    worker: Cell<Option<Worker>>,
    /// Set when the map that it works on there is to end.
    stop: RefCell<Option<Arc<AtomicBool>>>,
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
    /// The map that it works on, and its seed.
    pub map: Option<u64>,
    pub seed: Option<u64>,
}

/// So many panics are kept in mind.
const MOST_PANICS: usize = 16;

thread_local! {
    static NOTES: Notes = const {
        Notes {
            watched: Cell::new(false),
            panics: RefCell::new(VecDeque::new()),
            worker: Cell::new(None),
            stop: RefCell::new(None),
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
        let mut panics = notes.panics.borrow_mut();
        if fatal {
            for panic in &*panics {
                // What led to it would be lost, and nobody is left to hear of a failure to write.
                let _ = writeln!(std::io::stderr(), "panicked: {}", panic.message);
            }
            return false;
        }
        if panics.len() == MOST_PANICS {
            panics.pop_front();
        }
        panics.push_back(panic);
        true
    })
}

/// Of the noted panics it is the one with this message that user code has not caught; of an empty one, the last.
pub fn note_escaped(message: &str) {
    NOTES.with(|notes| {
        let mut panics = notes.panics.borrow_mut();
        let is_it = |panic: &&PanicInfo| message.is_empty() || panic.message == message;
        let noted = panics.iter().rev().find(is_it).cloned();
        // Another thread's, carried on: of it no more is known.
        let escaped = noted.unwrap_or_else(|| PanicInfo::plain(message));
        panics.clear();
        panics.push_back(escaped);
    });
}

/// The one that has escaped, or else the last.
pub fn take_panic() -> Option<PanicInfo> {
    NOTES.with(|notes| notes.panics.take().pop_back())
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
        notes.stop.replace(None);
    });
    result
}

pub fn worker() -> Option<Worker> {
    NOTES.with(|notes| notes.worker.get())
}

/// The map that this thread works on ends early when this is set.
pub fn ends_with(stop: Arc<AtomicBool>) {
    NOTES.with(|notes| notes.stop.replace(Some(stop)));
}

/// Whether the map that this thread works on is to end; `None` when it works on none.
pub fn is_to_end() -> Option<bool> {
    NOTES.with(|notes| Some(notes.stop.borrow().as_ref()?.load(Ordering::Relaxed)))
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
