//! Locks, semaphores and barriers.

use std::fmt::Write as _;
use std::io::Write as _;

use super::call::{Call, Kind, Reply, Trouble, Who, missing};
use super::wait::Wait;
use super::{call, count_of, is, refused};

/// Something held: released when it is dropped, also by a panic, and when the process that holds it ends, however that
/// is. It may be given to another thread. One that was not held any more when it is dropped says so among what the cell
/// prints as errors.
#[derive(Debug)]
#[must_use = "it is released at once when nobody keeps it"]
pub struct Held {
    kind: Kind,
    name: String,
    fence: u64,
    lease: Option<u64>,
}

impl Held {
    /// Its fencing number: larger than that of any holder before, in an earlier session too. What is written to elsewhere under the lock can refuse
    /// a smaller number than the last that it has seen.
    #[must_use]
    pub fn fence(&self) -> u64 {
        self.fence
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Begins its lease anew; whether it was still held. One without a lease is just asked about.
    ///
    /// # Panics
    /// When the store is out of reach.
    #[track_caller]
    pub fn renew(&self) -> bool {
        is(call(&Call::Renew {
            kind: self.kind,
            name: self.name.clone(),
            fence: self.fence,
            lease: self.lease,
        }))
    }

    /// Releases it; whether it was held until now.
    ///
    /// # Panics
    /// When the store is out of reach.
    #[track_caller]
    pub fn release(self) -> bool {
        let released = self.let_go();
        std::mem::forget(self);
        is(released)
    }

    fn let_go(&self) -> Reply {
        call(&Call::Release {
            kind: self.kind,
            name: self.name.clone(),
            fence: self.fence,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A store that is out of reach takes it back by itself.
        if self.let_go() == Reply::Is(false) {
            let why = match self.lease {
                Some(_) => "its lease was over",
                None => "the store had not heard of its holder in time",
            };
            let _ = writeln!(
                std::io::stderr(),
                "{} `{}` was no longer held when it was released: {why}, and others may have been inside",
                self.kind.name(),
                self.name
            );
        }
    }
}

/// Takes the lock of this name, and waits for it so long. It is held until the guard is dropped or its process is gone:
/// nothing else ends it, however long that takes.
///
/// # Panics
/// When it is not free in time: the message names the holder. When Ctrl-C ends the wait.
#[track_caller]
pub fn lock(name: &str, timeout: impl Into<Wait>) -> Held {
    held(Kind::Lock, name, 1, None, timeout.into())
}

/// The same with a lease: when it is over, the lock is free for others, unless [`Held::renew`] was called before. It ends
/// what hangs; whoever works under it is to check its [`Held::fence`].
///
/// # Panics
/// As [`lock`].
#[track_caller]
pub fn lock_for(name: &str, lease: impl Into<Wait>, timeout: impl Into<Wait>) -> Held {
    let lease = lease.into().milliseconds();
    held(Kind::Lock, name, 1, lease, timeout.into())
}

/// The lock, if it is free.
///
/// # Panics
/// When the store is out of reach.
#[track_caller]
pub fn try_lock(name: &str) -> Option<Held> {
    match acquire(Kind::Lock, name, 1, None, 0.into()) {
        Ok(held) => Some(held),
        Err(Reply::Held { .. }) => None,
        Err(other) => refused(other, ""),
    }
}

/// Takes one of so many permits of the semaphore of this name, and waits for it so long. All who use it say the same
/// number.
///
/// # Panics
/// When none is free in time, or others say another number. When Ctrl-C ends the wait.
#[track_caller]
pub fn semaphore(name: &str, permits: u32, timeout: impl Into<Wait>) -> Held {
    held(Kind::Semaphore, name, permits, None, timeout.into())
}

fn acquire(
    kind: Kind,
    name: &str,
    limit: u32,
    lease: Option<u64>,
    timeout: Wait,
) -> Result<Held, Reply> {
    let asked = Call::Acquire {
        kind,
        name: name.to_owned(),
        limit,
        lease,
        wait: timeout.milliseconds(),
        who: Who::default(),
    };
    match call(&asked) {
        Reply::Granted { fence } => Ok(Held {
            kind,
            name: name.to_owned(),
            fence,
            lease,
        }),
        other => Err(other),
    }
}

#[track_caller]
fn held(kind: Kind, name: &str, limit: u32, lease: Option<u64>, timeout: Wait) -> Held {
    let reply = match acquire(kind, name, limit, lease, timeout) {
        Ok(held) => return held,
        Err(reply) => reply,
    };
    let what = kind.name();
    match reply {
        Reply::Held { by } => panic!(
            "{what} `{name}` was not free within {timeout}: held by {}",
            texts(&by)
        ),
        other => refused(other, &format!("it waited for {what} `{name}`")),
    }
}

/// `rank 0 of p0, rank 1 of p0`.
fn texts(of: &[Who]) -> String {
    let mut text = String::new();
    for who in of {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{comma}{who}");
    }
    text
}

/// Waits until so many are at the barrier of this name, and gives which one this was, from 0. Then it is as it was, for
/// the next time.
///
/// # Panics
/// When they are not there in time: the message says who is and who is missing. The others wait on.
#[track_caller]
pub fn barrier(name: &str, size: u32, timeout: impl Into<Wait>) -> usize {
    let timeout = timeout.into();
    let reply = call(&Call::Barrier {
        name: name.to_owned(),
        size,
        wait: timeout.milliseconds(),
        who: Who::default(),
    });
    match reply {
        Reply::Missing { size, here } => panic!(
            "barrier `{name}` was not reached within {timeout}: {}",
            missing(size, &here)
        ),
        Reply::Interrupted => refused(reply, &format!("it waited at barrier `{name}`")),
        Reply::Failed(Trouble::OtherSize { .. }) => refused(reply, ""),
        other => count_of(other),
    }
}
