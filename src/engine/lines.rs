//! Lines to the services of the hub, such as maps. Each is used by one of them at a time and kept for the next
//! one: making one costs more than a short map.

use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::wire::{Channel, FromEngine, Payload, Service, WireError};

use super::context::{Context, context};
use super::link::Link;

/// Connections kept while no map needs them.
const KEPT: usize = 4;

/// Open files that are left to everything else, here and in the session.
const SPARE: u64 = 40;

#[derive(Default)]
pub struct Lines {
    idle: Mutex<Vec<Line>>,
    counts: Mutex<Counts>,
    fewer: Condvar,
}

/// Connections that there are, and those of them that threads of their own follow.
#[derive(Default)]
struct Counts {
    all: u64,
    followed: u64,
}

impl Lines {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Line>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what waits for the next map to go along with it.
    pub fn flush(&self) {
        for line in self.idle().iter() {
            line.flush();
        }
    }
}

/// How many connections this process and the session can have. Each is an open file in both.
fn most() -> u64 {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: it only writes to `limit`.
    let known = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } == 0;
    let files = if known { limit.rlim_cur } else { 1024 };
    (files.saturating_sub(SPARE) / 2).max(4)
}

pub struct Line {
    service: Service,
    /// For the thread that follows the map.
    pub reader: Channel,
    /// For that thread, and whoever cancels the map.
    pub writer: Arc<Mutex<Channel>>,
    /// Somebody follows it, whatever the cell does.
    followed: bool,
    /// Where it is counted, and kept.
    lines: &'static Lines,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.set_followed(false);
        self.lines.counts().all -= 1;
        self.lines.fewer.notify_all();
    }
}

impl Line {
    /// One that no map uses, or a new one; when there are too many, the next that a job in the background leaves.
    pub fn take(service: Service, followed: bool) -> Result<Self, WireError> {
        let Context { link, lines, .. } = context();
        loop {
            let known = lines.idle().pop_if(|line| line.service == service);
            if let Some(mut line) = known {
                line.set_followed(followed);
                return Ok(line);
            }
            let mut counts = lines.counts();
            if counts.all < most() {
                counts.all += 1;
                break;
            }
            if counts.followed == 0 {
                let error = std::io::Error::from_raw_os_error(libc::EMFILE);
                return Err(WireError::Io(error));
            }
            let patience = std::time::Duration::from_millis(50);
            drop(lines.fewer.wait_timeout(counts, patience));
        }
        let mut line = Self::new(service, link, lines).inspect_err(|_| lines.counts().all -= 1)?;
        line.set_followed(followed);
        Ok(line)
    }

    fn set_followed(&mut self, followed: bool) {
        let mut counts = self.lines.counts();
        match (self.followed, followed) {
            (false, true) => counts.followed += 1,
            (true, false) => counts.followed -= 1,
            _ => {}
        }
        self.followed = followed;
    }

    fn new(service: Service, link: &Link, lines: &'static Lines) -> Result<Self, WireError> {
        let (ours, theirs) = UnixStream::pair()?;
        link.send(&FromEngine::Line { service }, &Payload::file(theirs.into()))?;
        let writer = Channel::new(ours);
        Ok(Self {
            service,
            reader: writer.twin(),
            writer: Arc::new(Mutex::new(writer)),
            followed: false,
            lines,
        })
    }

    /// For the next map; its last one was over for both sides.
    pub fn keep(mut self) {
        self.set_followed(false);
        let lines = self.lines;
        let mut idle = lines.idle();
        if idle.len() < KEPT {
            idle.push(self);
            lines.fewer.notify_all();
            return;
        }
        drop(idle);
        self.flush();
    }

    fn flush(&self) {
        // A session that is gone will end this process.
        let _ = self.writer().flush();
    }

    pub fn writer(&self) -> MutexGuard<'_, Channel> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
