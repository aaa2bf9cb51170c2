//! The session's store: its own, or the one that a session above it has named in its environment.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use regatta_cell::store::call::{ADDRESS, Call, Reply, Trouble};

use super::Session;
use super::interrupt::Interrupt;
use crate::outcome::Notice;
use crate::store::redis::private::Private;
use crate::store::redis::{About, Address, REDIS_URL, Redis, is_url, shown, unanswered};
use crate::store::{Server, Store, connect};

/// Where the values are.
#[derive(Default)]
pub(super) struct Shared {
    /// The session's own one, unless it takes part in another's.
    pub own: Option<Server>,
    pub client: Option<Box<dyn Store>>,
    /// A Redis server that runs for this session.
    pub private: Option<Private>,
    /// The address that the environment has named, where the store is that.
    pub given: Option<String>,
    /// What is to be said of it before the first cell.
    pub told: Option<Notice>,
}

impl Shared {
    /// Takes part in the store that the environment names, if somebody serves it, or begins an own one.
    pub fn start() -> std::io::Result<Self> {
        let mut told = None;
        if let Ok(named) = std::env::var(ADDRESS)
            && !named.is_empty()
        {
            match taken_part(&named) {
                Ok(shared) => return Ok(shared),
                Err(why) => told = Some(Notice::StoreNotUsed { why }),
            }
        }
        Ok(Self {
            own: Some(Server::start()?),
            told,
            ..Self::default()
        })
    }

    /// That of the session's own.
    pub fn address(&self) -> Option<&str> {
        self.own.as_ref().map(Server::address)
    }
}

/// The store that the environment names, or why it is none.
fn taken_part(named: &str) -> Result<Shared, String> {
    if is_url(named) {
        let address = Address::parse(named, None).map_err(|error| error.to_string())?;
        let redis = Redis::at(address.clone());
        let about = redis.about().map_err(|trouble| unreached(&trouble))?;
        if let Some((why, hint)) = about.unfit() {
            return Err(format!("{address} is {about}, {why}; {hint}"));
        }
        redis.follow_ages();
        return Ok(Shared {
            client: Some(Box::new(redis)),
            given: Some(address.url().to_owned()),
            told: evicts(&address.to_string(), &about),
            ..Shared::default()
        });
    }
    let mut client = connect(named).map_err(|trouble| unreached(&trouble))?;
    let key = String::new();
    match client.call(&Call::Len { key }, &|| false) {
        Reply::Failed(trouble @ (Trouble::Unavailable { .. } | Trouble::Lost { .. })) => {
            Err(unreached(&trouble))
        }
        _ => Ok(Shared {
            client: Some(client),
            given: Some(named.to_owned()),
            ..Shared::default()
        }),
    }
}

/// What is wrong, without what calls would do.
pub(super) fn unreached(trouble: &Trouble) -> String {
    match trouble {
        Trouble::Unavailable { address, why } => {
            let (why, _) = why.split_once("; nothing was changed").unwrap_or((why, ""));
            format!("the store at {address} cannot be reached: {why}")
        }
        other => other.to_string(),
    }
}

/// What is to be known of a server that may forget what it keeps.
pub(super) fn evicts(address: &str, about: &About) -> Option<Notice> {
    let policy = about.evicts.clone()?;
    let address = address.to_owned();
    Some(Notice::StoreEvicts { address, policy })
}

impl Session {
    /// Tells engines and commands where the store is.
    pub(super) fn name_store(&mut self) {
        let Some(address) = self.shared.address().or(self.shared.given.as_deref()) else {
            return;
        };
        let address = address.to_owned();
        let url = is_url(&address).then(|| address.clone());
        // What clients of Redis find is the store's server, or what has nothing to do with the store.
        let is_stores = std::env::var(REDIS_URL)
            .is_ok_and(|url| std::env::var(ADDRESS).is_ok_and(|named| named == url));
        let mut named = vec![(ADDRESS, Some(address))];
        if url.is_some() || is_stores {
            named.push((REDIS_URL, url));
        }
        for (name, value) in named {
            self.surroundings.set(name, value.as_deref());
            self.crew.hub().set_environment(name, value.as_deref());
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
