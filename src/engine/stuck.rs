//! Calls of the store that a server does not answer: Ctrl-C ends them and leaves their engine. A thread that sleeps in such
//! a call is in a read that knows nothing of Ctrl-C, so a watcher sends it a signal, which ends the read.
//!
//! Whoever is answered soon is never seen: the watcher looks in now and then, and sleeps while nobody calls.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::store::Waiting;

/// How often the watcher looks. A call that it sees twice is stuck.
const LOOK: Duration = Duration::from_millis(30);

/// So many looks at nobody, and it sleeps.
const IDLE: u32 = 30;

/// Means nothing to anybody else, and is ignored where nothing is done about it.
const WAKES: libc::c_int = libc::SIGURG;

struct Calling {
    number: u64,
    thread: libc::pthread_t,
    seen: bool,
    /// It is stuck, and the session knows.
    waiting: Option<Waiting>,
}

#[derive(Default)]
struct Calls {
    all: Vec<Calling>,
    is_watched: bool,
}

static CALLS: Mutex<Calls> = Mutex::new(Calls {
    all: Vec::new(),
    is_watched: false,
});
static NUMBERS: AtomicU64 = AtomicU64::new(0);
static CALLED: Condvar = Condvar::new();

/// Whether there is a watcher.
static WATCHER: LazyLock<bool> = LazyLock::new(|| {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: all zeroes is an action without flags and with an empty mask; the handler does nothing, so it may come at
    // any time. Without SA_RESTART a read ends with it.
    let is_set = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        libc::sigaction(WAKES, &raw const action, std::ptr::null_mut()) == 0
    };
    let thread = std::thread::Builder::new().name("store calls".to_owned());
    is_set && thread.spawn(watch).is_ok()
});

fn calls() -> MutexGuard<'static, Calls> {
    CALLS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch() {
    let mut empty = 0;
    let mut calls = calls();
    loop {
        empty = if calls.all.is_empty() { empty + 1 } else { 0 };
        for call in &mut calls.all {
            match &call.waiting {
                None if call.seen => call.waiting = Some(Waiting::begin()),
                None => call.seen = true,
                Some(waiting) if waiting.is_to_end() => {
                    // SAFETY: a thread takes itself off the list before it ends, and the list is locked.
                    unsafe { libc::pthread_kill(call.thread, WAKES) };
                }
                Some(_) => {}
            }
        }
        calls.is_watched = empty < IDLE;
        calls = match calls.is_watched {
            true => {
                let looked = CALLED.wait_timeout_while(calls, LOOK, |_| true);
                looked.unwrap_or_else(PoisonError::into_inner).0
            }
            false => {
                let woken = CALLED.wait_while(calls, |calls| !calls.is_watched);
                empty = 0;
                woken.unwrap_or_else(PoisonError::into_inner)
            }
        };
    }
}

/// This thread's call, from now on until it is dropped.
pub struct Stuck(u64);

impl Stuck {
    pub fn begin() -> Self {
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        if *WATCHER {
            let mut calls = calls();
            calls.all.push(Calling {
                number,
                // SAFETY: it asks for nothing.
                thread: unsafe { libc::pthread_self() },
                seen: false,
                waiting: None,
            });
            if !calls.is_watched {
                calls.is_watched = true;
                CALLED.notify_one();
            }
        }
        Self(number)
    }

    /// Whether Ctrl-C was pressed since the call got stuck.
    pub fn is_to_end(&self) -> bool {
        let calls = calls();
        let own = calls.all.iter().find(|call| call.number == self.0);
        own.is_some_and(|call| call.waiting.as_ref().is_some_and(Waiting::is_to_end))
    }
}

impl Drop for Stuck {
    fn drop(&mut self) {
        calls().all.retain(|call| call.number != self.0);
    }
}
