//! Cells' calls of the store: a connection to it for every thread that calls, kept as long as the process, because what
//! it holds is held by its connection.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use regatta_cell::host::{Bytes, Write};
use regatta_cell::store::call::{ADDRESS, Call, Kind, Reply, Trouble, Who};

use super::context::context;
use super::stuck::Stuck;
use super::{commands, notes};
use crate::store::redis::is_url;
use crate::store::{Store, connect};
use crate::wire::status;

/// Counts the changes of the address.
static ADDRESSES: AtomicU64 = AtomicU64::new(0);

/// A connection, and where it leads.
struct Open {
    address: Arc<str>,
    /// Not the session's own store, which always answers.
    is_server: bool,
    store: Box<dyn Store>,
}

/// Connections whose threads are over, or call elsewhere by now: what is held through them stays held.
static SPARE: Mutex<Vec<Open>> = Mutex::new(Vec::new());

/// Where that is what cells hold and listen to: it stays there when the session goes to another store.
static PLACES: Mutex<Places> = Mutex::new(Places {
    holds: BTreeMap::new(),
    subscriptions: BTreeMap::new(),
    count: 0,
});

struct Places {
    holds: BTreeMap<(Kind, String, u64), Arc<str>>,
    /// By the number that the cell knows, with the one that the store knows: two stores may give the same.
    subscriptions: BTreeMap<u64, (Arc<str>, u64)>,
    count: u64,
}

fn places() -> MutexGuard<'static, Places> {
    PLACES.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Places {
    /// Where a call has to go that is about something which is there; it is changed to what is known there.
    fn of(&mut self, call: &mut Call) -> Result<Option<Arc<str>>, Trouble> {
        match call {
            Call::Renew {
                kind, name, fence, ..
            } => Ok(self.holds.get(&(*kind, name.clone(), *fence)).cloned()),
            Call::Release { kind, name, fence } => {
                Ok(self.holds.remove(&(*kind, name.clone(), *fence)))
            }
            Call::Next { subscription, .. } | Call::Unsubscribe { subscription } => {
                let found = self.subscriptions.get(subscription).cloned();
                let (address, number) = found.ok_or(Trouble::NoSubscription)?;
                *subscription = number;
                Ok(Some(address))
            }
            _ => Ok(None),
        }
    }

    /// Remembers where what a call has given is.
    fn note(&mut self, call: &Call, reply: &mut Reply, address: &Arc<str>) {
        match (call, reply) {
            (Call::Acquire { kind, name, .. }, Reply::Granted { fence }) => {
                let held = (*kind, name.clone(), *fence);
                self.holds.insert(held, address.clone());
            }
            (Call::Subscribe { .. }, Reply::Subscribed { subscription }) => {
                self.count += 1;
                let there = (address.clone(), *subscription);
                self.subscriptions.insert(self.count, there);
                *subscription = self.count;
            }
            (Call::Unsubscribe { subscription }, _) => {
                let gone = (address.clone(), *subscription);
                self.subscriptions.retain(|_, there| *there != gone);
            }
            _ => {}
        }
    }
}

struct Connection {
    /// With the number of the address.
    open: Option<(u64, Open)>,
    reply: Vec<u8>,
}

impl Connection {
    const NONE: Self = Self {
        open: None,
        reply: Vec::new(),
    };

    fn put_away(&mut self) {
        if let Some((_, open)) = self.open.take() {
            spare(open);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.put_away();
    }
}

fn spare(open: Open) {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    spare.push(open);
}

thread_local! {
    static CONNECTION: RefCell<Connection> = const { RefCell::new(Connection::NONE) };
}

/// The environment has changed.
pub fn environment_changed(name: &str) {
    if name == ADDRESS {
        ADDRESSES.fetch_add(1, Ordering::Relaxed);
    }
}

/// For the C table.
pub extern "C" fn call(call: Bytes, to: *mut c_void, write: Write) {
    // SAFETY: the cell lends the bytes for this call.
    let bytes = unsafe { call.as_slice() };
    let mut asked = postcard::from_bytes::<Call>(bytes);
    // A thread that ends has nothing left to call with; then a connection is made for this call alone.
    let mut own = Connection::NONE;
    let mut answered = |connection: &mut Connection| {
        let reply = match &mut asked {
            Ok(call) => connection.call(call),
            Err(error) => Reply::Failed(Trouble::Refused {
                why: error.to_string(),
            }),
        };
        connection.reply.clear();
        let mut bytes = std::mem::take(&mut connection.reply);
        if postcard::to_io(&reply, &mut bytes).is_ok() {
            write(to, Bytes::of(&bytes));
        }
        bytes.shrink_to(64 * 1024);
        connection.reply = bytes;
    };
    let done = CONNECTION.try_with(|kept| answered(&mut kept.borrow_mut()));
    if done.is_err() {
        answered(&mut own);
    }
}

impl Connection {
    fn call(&mut self, call: &mut Call) -> Reply {
        let place = match places().of(call) {
            Ok(place) => place,
            Err(trouble) => return Reply::Failed(trouble),
        };
        if let Call::Acquire { who, .. } | Call::Barrier { who, .. } = call {
            *who = this();
        }
        let is_here = |place: &Arc<str>| {
            let here = self.open.as_ref().map(|(_, open)| &open.address);
            here == Some(place)
        };
        if let Some(place) = place.filter(|place| !is_here(place)) {
            let mut open = match opened(place) {
                Ok(open) => open,
                Err(trouble) => return Reply::Failed(trouble),
            };
            let reply = open.call(call);
            spare(open);
            return reply;
        }
        match self.here() {
            Ok(open) => open.call(call),
            Err(trouble) => Reply::Failed(trouble),
        }
    }

    /// Where the session's store is now.
    fn here(&mut self) -> Result<&mut Open, Trouble> {
        let number = ADDRESSES.load(Ordering::Relaxed);
        if self.open.as_ref().is_none_or(|(of, _)| *of != number) {
            let name = std::env::var(ADDRESS).map_err(|_| Trouble::NoStore)?;
            if self
                .open
                .as_ref()
                .is_none_or(|(_, open)| *open.address != *name)
            {
                self.put_away();
            }
            let open = match self.open.take() {
                Some((_, open)) => open,
                None => opened(name.into())?,
            };
            self.open = Some((number, open));
        }
        match &mut self.open {
            Some((_, open)) => Ok(open),
            None => Err(Trouble::NoStore),
        }
    }
}

impl Open {
    fn call(&mut self, call: &Call) -> Reply {
        let mut reply = if call.may_wait() {
            // Here Ctrl-C can end a cell and leave its engine.
            let waiting = Waiting::begin();
            let _stuck = self.is_server.then(Stuck::begin);
            let stops = || waiting.is_to_end() || commands::is_stopped();
            self.store.call(call, &stops)
        } else {
            let stuck = self.is_server.then(Stuck::begin);
            let stops = || stuck.as_ref().is_some_and(Stuck::is_to_end);
            self.store.call(call, &stops)
        };
        let notes = matches!(
            call,
            Call::Acquire { .. } | Call::Subscribe { .. } | Call::Unsubscribe { .. }
        );
        if notes {
            places().note(call, &mut reply, &self.address);
        }
        reply
    }
}

/// A thread that waits, which the session knows by the page that it shares with the engine.
pub struct Waiting {
    ends: u64,
}

impl Waiting {
    pub fn begin() -> Self {
        let word = |index| context().status.word(index);
        let ends = word(status::END_WAITS).load(Ordering::Relaxed);
        word(status::WAITS).fetch_add(1, Ordering::Relaxed);
        Self { ends }
    }

    pub fn is_to_end(&self) -> bool {
        context()
            .status
            .word(status::END_WAITS)
            .load(Ordering::Relaxed)
            != self.ends
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let waits = context().status.word(status::WAITS);
        waits.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One that is left over, or a new one.
fn opened(address: Arc<str>) -> Result<Open, Trouble> {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = spare.iter().position(|open| open.address == address) {
        return Ok(spare.swap_remove(at));
    }
    drop(spare);
    let store = connect(&address)?;
    Ok(Open {
        is_server: is_url(&address),
        address,
        store,
    })
}

/// Who calls.
fn this() -> Who {
    let context = context();
    let (rank, size) = match notes::worker() {
        Some(worker) => (Some(worker.rank), Some(worker.size)),
        None if context.is_local() => (None, None),
        None => (Some(context.rank()), Some(context.size())),
    };
    let group = match notes::worker() {
        Some(_) => context.threads_in_use(),
        None if context.is_local() => "the session".to_owned(),
        None => context.memos.pool().unwrap_or_default(),
    };
    Who {
        group,
        rank,
        size,
        pid: std::process::id(),
    }
}
