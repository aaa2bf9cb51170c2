//! Cells' calls of the store: a connection to it for every thread that calls, kept as long as the process, because what
//! it holds is held by its connection.

use std::cell::RefCell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use regatta_cell::host::{Bytes, Write};
use regatta_cell::store::call::{ADDRESS, Call, Reply, Trouble, Who};

use super::context::context;
use super::{commands, notes};
use crate::store::{Store, connect};
use crate::wire::status;

/// Counts the changes of the address.
static ADDRESSES: AtomicU64 = AtomicU64::new(0);

/// Connections whose threads are over, with the number of their address.
static SPARE: Mutex<Vec<(u64, Box<dyn Store>)>> = Mutex::new(Vec::new());

struct Connection {
    store: Option<(u64, Box<dyn Store>)>,
    reply: Vec<u8>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(store) = self.store.take() {
            SPARE
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(store);
        }
    }
}

thread_local! {
    static CONNECTION: RefCell<Connection> = const {
        RefCell::new(Connection { store: None, reply: Vec::new() })
    };
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
    let mut own = Connection {
        store: None,
        reply: Vec::new(),
    };
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
        let address = ADDRESSES.load(Ordering::Relaxed);
        if self.store.as_ref().is_none_or(|(of, _)| *of != address) {
            match opened(address) {
                Ok(store) => self.store = Some((address, store)),
                Err(trouble) => return Reply::Failed(trouble),
            }
        }
        let Some((_, store)) = &mut self.store else {
            return Reply::Failed(Trouble::NoStore);
        };
        if let Call::Acquire { who, .. } | Call::Barrier { who, .. } = call {
            *who = this();
        }
        if !call.may_wait() {
            return store.call(call, &|| false);
        }
        // Here Ctrl-C can end a cell and leave its engine.
        let waiting = Waiting::begin();
        store.call(call, &|| waiting.is_to_end() || commands::is_stopped())
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

fn opened(address: u64) -> Result<Box<dyn Store>, Trouble> {
    let mut spare = SPARE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = spare.iter().position(|(of, _)| *of == address) {
        return Ok(spare.swap_remove(at).1);
    }
    drop(spare);
    let name = std::env::var(ADDRESS).map_err(|_| Trouble::NoStore)?;
    connect(&name)
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
