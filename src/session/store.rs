//! The session's store: its own, or the one that a session above it has named in its environment.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use regatta_cell::store::call::{ADDRESS, Call, Reply, Trouble};

use super::Session;
use super::interrupt::Interrupt;
use crate::store::redis::private::Private;
use crate::store::redis::{shown, unanswered};
use crate::store::{Server, Store, connect};

/// Where the values are.
#[derive(Default)]
pub(super) struct Shared {
    /// The session's own one, unless it takes part in another's.
    pub own: Option<Server>,
    pub client: Option<Box<dyn Store>>,
    /// A Redis server that runs for this session.
    pub private: Option<Private>,
}

impl Shared {
    /// Takes part in the store that the environment names, if somebody serves it, or begins an own one.
    pub fn start() -> std::io::Result<Self> {
        if let Ok(address) = std::env::var(ADDRESS)
            && let Ok(mut client) = connect(&address)
        {
            let key = String::new();
            let reply = client.call(&Call::Len { key }, &|| false);
            if !matches!(reply, Reply::Failed(Trouble::Unavailable { .. })) {
                let client = Some(client);
                return Ok(Self {
                    client,
                    ..Self::default()
                });
            }
        }
        let own = Some(Server::start()?);
        Ok(Self {
            own,
            ..Self::default()
        })
    }

    /// By which engines and children find it; `None`: by what the environment says already.
    pub fn address(&self) -> Option<&str> {
        self.own.as_ref().map(Server::address)
    }
}

impl Session {
    /// Tells engines and commands where the store is.
    pub(super) fn name_store(&mut self) {
        if let Some(address) = self.shared.address().map(str::to_owned) {
            self.surroundings.set(ADDRESS, Some(&address));
            self.crew.hub().set_environment(ADDRESS, Some(&address));
        }
    }

    /// Makes a call of the store for the prompt; a wait ends with Ctrl-C, and so does a call that a server does not answer.
    pub fn store(&mut self, call: &Call) -> Reply {
        let Some(address) = self.environment_variable(ADDRESS) else {
            return Reply::Failed(Trouble::NoStore);
        };
        let client = self
            .shared
            .client
            .take()
            .map_or_else(|| connect(&address), Ok);
        let mut client = match client {
            Ok(client) => client,
            Err(trouble) => return Reply::Failed(trouble),
        };
        let interrupt = self.crew.interrupt();
        let stops = {
            let interrupt = interrupt.clone();
            move || interrupt.is_pressed()
        };
        let asked = call.clone();
        let made = unless_interrupted(interrupt, move || {
            let reply = client.call(&asked, &stops);
            (client, reply)
        });
        let reply = match made {
            Some((client, reply)) => {
                self.shared.client = Some(client);
                reply
            }
            None => Reply::Failed(unanswered(shown(&address), call)),
        };
        if matches!(reply, Reply::Interrupted | Reply::Failed(_)) {
            let _ = interrupt.take();
        }
        reply
    }
}

/// Does what may take long on a thread; `None` when it has not ended soon after Ctrl-C. The thread is left to its end then.
pub(super) fn unless_interrupted<T: Send + 'static>(
    interrupt: &Interrupt,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (give, given) = channel();
    let thread = std::thread::Builder::new().name("store call".to_owned());
    thread.spawn(move || give.send(work())).ok()?;
    let mut pressed: Option<Instant> = None;
    loop {
        match given.recv_timeout(LOOK) {
            Ok(done) => return Some(done),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
        if interrupt.is_pressed() && pressed.get_or_insert_with(Instant::now).elapsed() > GRACE {
            return None;
        }
    }
}

/// How often a call looks whether Ctrl-C was pressed.
const LOOK: Duration = Duration::from_millis(50);

/// So long a call has after Ctrl-C to end by itself.
const GRACE: Duration = Duration::from_millis(300);
