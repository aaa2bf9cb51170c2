//! Connections to the services of the hub, such as maps. Each is used by one of them at a time and kept for the next
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
pub struct Connections {
    idle: Mutex<Vec<Connection>>,
    counts: Mutex<Counts>,
    fewer: Condvar,
}

/// Connections that there are, and those of them that threads of their own follow.
#[derive(Default)]
struct Counts {
    all: u64,
    followed: u64,
}

impl Connections {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what waits for the next map to go along with it.
    pub fn flush(&self) {
        for connection in self.idle().iter() {
            connection.flush();
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

pub struct Connection {
    service: Service,
    /// For the thread that follows the map.
    pub reader: Channel,
    /// For that thread, and whoever cancels the map.
    pub writer: Arc<Mutex<Channel>>,
    /// Somebody follows it, whatever the cell does.
    followed: bool,
    /// Where it is counted, and kept.
    connections: &'static Connections,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.set_followed(false);
        self.connections.counts().all -= 1;
        self.connections.fewer.notify_all();
    }
}

impl Connection {
    /// One that no map uses, or a new one; when there are too many, the next that a job in the background leaves.
    pub fn take(service: Service, followed: bool) -> Result<Self, WireError> {
        let Context {
            link, connections, ..
        } = context();
        loop {
            let known = connections
                .idle()
                .pop_if(|connection| connection.service == service);
            if let Some(mut connection) = known {
                connection.set_followed(followed);
                return Ok(connection);
            }
            let mut counts = connections.counts();
            if counts.all < most() {
                counts.all += 1;
                break;
            }
            if counts.followed == 0 {
                let error = std::io::Error::from_raw_os_error(libc::EMFILE);
                return Err(WireError::Io(error));
            }
            let patience = std::time::Duration::from_millis(50);
            drop(connections.fewer.wait_timeout(counts, patience));
        }
        let mut connection =
            Self::new(service, link, connections).inspect_err(|_| connections.counts().all -= 1)?;
        connection.set_followed(followed);
        Ok(connection)
    }

    fn set_followed(&mut self, followed: bool) {
        let mut counts = self.connections.counts();
        match (self.followed, followed) {
            (false, true) => counts.followed += 1,
            (true, false) => counts.followed -= 1,
            _ => {}
        }
        self.followed = followed;
    }

    fn new(
        service: Service,
        link: &Link,
        connections: &'static Connections,
    ) -> Result<Self, WireError> {
        let (ours, theirs) = UnixStream::pair()?;
        link.send(
            &FromEngine::Connect { service },
            &Payload::file(theirs.into()),
        )?;
        let writer = Channel::new(ours);
        Ok(Self {
            service,
            reader: writer.twin(),
            writer: Arc::new(Mutex::new(writer)),
            followed: false,
            connections,
        })
    }

    /// For the next map; its last one was over for both sides.
    pub fn keep(mut self) {
        self.set_followed(false);
        let connections = self.connections;
        let mut idle = connections.idle();
        if idle.len() < KEPT {
            idle.push(self);
            connections.fewer.notify_all();
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
