//! The store on a Redis or Valkey server: values are plain JSON under plain keys, which every client reads and writes;
//! what has to happen at once is a command or a script of the server.
//!
//! What is not the user's stands under `regatta:`: locks, semaphores and barriers with those who hold or wait, and the
//! counters of fencing numbers. A lock is the one that redis-py makes as `Lock(r, "regatta:lock:NAME")`.
//!
//! A connection that breaks is replaced. A call that was not sent, or may be made twice (`set`, `get`, `keys`, `len`,
//! `expire`, waits, locks and barriers, which know their caller), is made again; any other ends with
//! [`Trouble::Lost`](regatta_cell::store::call::Trouble::Lost), because nobody knows whether it was done.

mod about;
mod address;
mod ages;
mod barrier;
mod channels;
mod holder;
mod holds;
mod line;
mod listing;
mod pop;
pub mod private;
mod scripts;
#[cfg(test)]
pub mod tests;
mod values;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use regatta_cell::store::call::{Call, Reply, Trouble};

pub use about::About;
pub use address::{Address, hide_passwords, shown, with_ca, without_password};
use ages::Ages;
use channels::Channels;
use holds::Holds;
use line::{Fault, Server};
use watch::Watches;

use super::Store;

/// The variable of the environment in which scripts find the server, as a URL that their clients take.
pub const REDIS_URL: &str = "REGATTA_REDIS_URL";

/// Before the names of what is not the user's.
const OURS: &str = "regatta:";

/// A server as one process uses it: one for all of its threads.
struct Shared {
    server: Server,
    watches: Watches,
    channels: Channels,
    holds: Holds,
    ages: Ages,
}

/// Servers in use, by their URL.
static SERVERS: LazyLock<Mutex<HashMap<String, Weak<Shared>>>> = LazyLock::new(Mutex::default);

/// The store on a server, for one thread.
pub struct Redis {
    shared: Arc<Shared>,
}

/// Whether this names a Redis server and not a session's own store.
pub fn is_url(address: &str) -> bool {
    address.contains("://") || address.starts_with("unix:")
}

impl Redis {
    /// Nothing is connected yet.
    pub fn at(address: Address) -> Self {
        let mut servers = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|_, shared| shared.strong_count() > 0);
        let kept = servers.get(address.url()).and_then(Weak::upgrade);
        let shared = kept.unwrap_or_else(|| {
            let url = address.url().to_owned();
            let shared = Arc::new(Shared {
                server: Server::new(address),
                watches: Watches::default(),
                channels: Channels::default(),
                holds: Holds::default(),
                ages: Ages::default(),
            });
            servers.insert(url, Arc::downgrade(&shared));
            shared
        });
        Self { shared }
    }

    /// From now on listings tell how old the keys are that are changed.
    pub fn follow_ages(&self) {
        ages::follow(&self.shared);
    }

    /// From what stands in the environment.
    pub fn at_url(url: &str) -> Result<Self, Trouble> {
        Address::parse(url, None)
            .map(Self::at)
            .map_err(|error| Trouble::Unavailable {
                address: shown(url),
                why: error.to_string(),
            })
    }
}

type Answer = Result<Reply, Fault>;

/// The longest text that a server takes, bytes: of a longer one it closes the connection.
const LARGEST: usize = 512 << 20;

fn too_large(call: &Call, limit: usize) -> Option<Reply> {
    let longest = match call {
        Call::Set { key, value, .. } => value.len().max(key.len()),
        Call::Push { key, values } => {
            let values = values.iter().map(String::len);
            values.max().unwrap_or(0).max(key.len())
        }
        Call::Swap { before, after, .. } => {
            let values = [before, after].map(|it| it.as_ref().map_or(0, String::len));
            // With a letter in front.
            values[0].max(values[1]) + 1
        }
        Call::Publish { message, .. } => message.len(),
        _ => 0,
    };
    let too_large = Trouble::TooLarge {
        bytes: longest as u64,
        limit: limit as u64,
    };
    (longest > limit).then_some(Reply::Failed(too_large))
}

impl Store for Redis {
    fn call(&mut self, call: &Call, stops: &dyn Fn() -> bool) -> Reply {
        if let Some(refused) = super::senseless(call).or_else(|| too_large(call, LARGEST)) {
            return refused;
        }
        match answer(&self.shared, call, stops) {
            Ok(reply) => reply,
            Err(Fault::Stopped) if call.may_wait() => Reply::Interrupted,
            Err(Fault::Stopped) => {
                Reply::Failed(unanswered(self.shared.server.address().to_string(), call))
            }
            Err(fault) => Reply::Failed(fault.trouble()),
        }
    }
}

/// It was given up, because the server did not answer.
pub fn unanswered(address: String, call: &Call) -> Trouble {
    let only_reads = matches!(
        call,
        Call::Get { .. } | Call::Len { .. } | Call::Keys { .. }
    );
    let done = match only_reads {
        true => "nothing was changed",
        false => "the call may have been done or not: look at the key before you call again",
    };
    Trouble::Unavailable {
        address,
        why: format!(
            "Ctrl-C ended the call before the server had answered; {done}. Calls go on once it answers; `%store use embedded` leaves it"
        ),
    }
}

fn answer(shared: &Arc<Shared>, call: &Call, stops: &dyn Fn() -> bool) -> Answer {
    let server = &shared.server;
    match call {
        Call::Set { key, value, expire } => values::set(server, key, value, *expire, stops),
        Call::Get { key } => values::get(server, key, stops),
        Call::Take { key } => values::take(server, key, stops),
        Call::Swap { key, before, after } => {
            values::swap(server, key, before.as_deref(), after.as_deref(), stops)
        }
        Call::Incr { key, by } => values::incr(server, key, *by, stops),
        Call::Push { key, values } => values::push(server, key, values, stops),
        Call::Pop { key, wait } => pop::pop(shared, key, *wait, stops),
        Call::Len { key } => values::len(server, key, stops),
        Call::Keys { pattern, details } => listing::keys(shared, pattern, *details, stops),
        Call::Delete { keys } => values::delete(server, keys, stops),
        Call::Expire { key, after } => values::expire(server, key, *after, stops),
        Call::Wait { key, unlike, wait } => {
            values::wait(shared, key, unlike.as_deref(), *wait, stops)
        }
        Call::Acquire {
            kind,
            name,
            limit,
            lease,
            wait,
            who,
        } => {
            let wanted = holds::Wanted {
                kind: *kind,
                name,
                limit: *limit,
                lease: *lease,
                who,
            };
            holds::acquire(shared, &wanted, *wait, stops)
        }
        Call::Release { kind, name, fence } => holds::release(shared, *kind, name, *fence, stops),
        Call::Renew {
            kind,
            name,
            fence,
            lease,
        } => holds::renew(shared, *kind, name, *fence, *lease, stops),
        Call::Barrier {
            name,
            size,
            wait,
            who,
        } => barrier::meet(shared, name, *size, *wait, who, stops),
        Call::Publish { channel, message } => channels::publish(server, channel, message, stops),
        Call::Subscribe { pattern } => channels::subscribe(shared, pattern, stops),
        Call::Next { subscription, wait } => channels::next(shared, *subscription, *wait, stops),
        Call::Unsubscribe { subscription } => {
            shared.channels.drop(*subscription);
            Ok(Reply::Done)
        }
    }
}
