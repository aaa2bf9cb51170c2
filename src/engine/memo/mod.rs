//! Functions whose results are kept in this process and on disk: what is counted of them and told to the session, and
//! what the C table does for them.

pub mod disk;
mod explain;
mod flight;
mod shelf;
mod traces;
mod writer;

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use regatta_cell::host::{Bytes, Flight, MemoCall, MemoCounts, MemoFound, MemoMemory, Write, now};
use xxhash_rust::xxh3::xxh3_128;

use super::context::{Context, context};
use super::host::text;
use super::{link, notes};
use crate::ids::{PoolName, Rank};
use crate::outcome::Maker;
use crate::wire::{FromEngine, MemoTold, Payload, WireError};
use disk::{Disk, Found, Key, Put};
use shelf::Shelf;
use traces::Origin;

/// The functions that this process has called.
#[derive(Default)]
pub struct Memos {
    functions: Mutex<Vec<&'static Function>>,
    shelf: Shelf,
    /// Who this engine is, and when its session began.
    maker: OnceLock<(Maker, u64)>,
}

/// Nanoseconds: a result that took as long is on disk before the call returns.
const WORTH: u64 = 200_000;

/// One of them.
#[repr(C)]
struct Function {
    /// First: the cell crate knows the function by them.
    counts: MemoCounts,
    name: String,
    meaning: [u8; 16],
    /// What that is made of, as JSON.
    made_of: String,
    limit: u64,
    ttl: u64,
    /// As it was told.
    told: Mutex<Told>,
}

impl Function {
    fn key(&self, arguments: &[u8]) -> Key {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&self.meaning);
        key[16..].copy_from_slice(&xxh3_128(arguments).to_le_bytes());
        key
    }

    /// Until when a result is good that was made then, in milliseconds since 1970; `None`: for ever.
    fn good_until(&self, made: u64) -> Option<u64> {
        (self.ttl > 0).then(|| made.saturating_add(self.ttl))
    }

    fn is_good(&self, made: u64) -> bool {
        self.good_until(made).is_none_or(|until| now() < until)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Told {
    hits: u64,
    disk_hits: u64,
    misses: u64,
    saved: u64,
    entries: u64,
    bytes: u64,
}

impl Told {
    fn of(counts: &MemoCounts) -> Self {
        Self {
            hits: counts.hits.load(Relaxed),
            disk_hits: counts.disk_hits.load(Relaxed),
            misses: counts.misses.load(Relaxed),
            saved: counts.saved.load(Relaxed),
            entries: counts.entries.load(Relaxed),
            bytes: counts.bytes.load(Relaxed),
        }
    }
}

impl Memos {
    /// Results are made by this engine of this session from now on.
    pub fn made_by(&self, pool: Option<PoolName>, rank: Rank, session: u64) {
        let maker = pool.map_or(Maker::Local, |pool| Maker::Engine {
            pool: pool.0,
            rank: rank.0,
        });
        let _ = self.maker.set((maker, session));
    }

    /// The pool that this engine is of; `None` for the local one.
    pub fn pool(&self) -> Option<String> {
        match self.maker.get() {
            Some((Maker::Engine { pool, .. }, _)) => Some(pool.clone()),
            _ => None,
        }
    }

    fn maker(&self) -> (Maker, u64) {
        let (maker, session) = self.maker.get().cloned().unwrap_or_default();
        let thread = notes::worker().map(|worker| Maker::Thread(worker.rank));
        (thread.unwrap_or(maker), session)
    }

    fn functions(&self) -> MutexGuard<'_, Vec<&'static Function>> {
        self.functions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, function: Function) -> &'static MemoCounts {
        // A table stays as long as the code that it is a static of: to the end of the process.
        let function: &'static Function = Box::leak(Box::new(function));
        self.functions().push(function);
        &function.counts
    }

    /// Drops the results of functions of these names, or all; on disk too, if it is this engine's to do.
    pub fn clear(&self, names: Option<&[String]>, on_disk: bool) {
        for one in self.functions().iter() {
            if names.is_none_or(|names| names.contains(&one.name)) {
                one.counts.cleared.fetch_add(1, Relaxed);
                // Its own code drops them when it is next called.
                one.counts.entries.store(0, Relaxed);
                one.counts.bytes.store(0, Relaxed);
            }
        }
        // Else they would come back.
        self.shelf.flush();
        if on_disk {
            self.shelf.with(|disk| disk.clear(names));
        }
    }

    /// Queues what has changed since it was last told, for the session.
    pub fn tell(&self, context: &Context) -> Result<(), WireError> {
        for trouble in self.shelf.take_troubles() {
            let message = FromEngine::MemoTrouble { trouble };
            context.link.queue(&message, &Payload::None)?;
        }
        let functions = self.changes();
        if functions.is_empty() {
            return Ok(());
        }
        self.shelf.flush();
        self.shelf.seal();
        context
            .link
            .queue(&FromEngine::Memo { functions }, &Payload::None)?;
        Ok(())
    }

    /// Says what is on disk.
    pub fn tell_shelf(&self, context: &Context) -> Result<(), WireError> {
        self.tell(context)?;
        let shares = self.shelf.with(Disk::shares).unwrap_or_default();
        let message = FromEngine::MemoShelf { shares };
        context.link.send(&message, &Payload::None)
    }

    /// By name; several functions may have had it.
    fn changes(&self) -> Vec<MemoTold> {
        let functions = self.functions();
        if functions
            .iter()
            .all(|one| *one.told() == Told::of(&one.counts))
        {
            return Vec::new();
        }
        let mut found: BTreeMap<String, MemoTold> = BTreeMap::new();
        for one in functions.iter() {
            let now = Told::of(&one.counts);
            let before = std::mem::replace(&mut *one.told(), now);
            let told = found.entry(one.name.clone()).or_default();
            told.name.clone_from(&one.name);
            told.hits += now.hits - before.hits;
            told.disk_hits += now.disk_hits - before.disk_hits;
            told.misses += now.misses - before.misses;
            told.saved = told
                .saved
                .saturating_add(now.saved.wrapping_sub(before.saved));
            told.entries += now.entries;
            told.bytes += now.bytes;
        }
        found.into_values().collect()
    }

    fn find(&self, function: &Function, arguments: &[u8], flight: Flight) -> (Option<Found>, bool) {
        let key = function.key(arguments);
        let look = || {
            let found = self.shelf.with(|disk| disk.get(&key)).flatten();
            found.filter(|found| function.is_good(found.made))
        };
        if let Some(found) = look() {
            return (Some(found), false);
        }
        if flight == Flight::None || !self.shelf.take(&key, flight == Flight::Waits) {
            return (None, false);
        }
        // Whoever had it may have computed it.
        (look(), true)
    }
}

fn function_of(counts: *const MemoCounts) -> &'static Function {
    // SAFETY: the numbers that the cell crate has are the first field of a leaked function.
    unsafe { &*counts.cast() }
}

pub extern "C" fn open(call: *const MemoCall) -> *const MemoCounts {
    // SAFETY: the cell crate passes a live call.
    let call = unsafe { &*call };
    let (name, kind) = (text(call.name), text(call.kind));
    let meaning = match call.meaning {
        [0, 0] if kind.is_empty() => None,
        [0, 0] => Some(xxh3_128(format!("{name}\0{kind}").as_bytes()).to_le_bytes()),
        [upper, lower] => Some((u128::from(upper) << 64 | u128::from(lower)).to_le_bytes()),
    };
    let counts = MemoCounts::default();
    counts
        .on_disk
        .store(meaning.is_some() && call.limit > 0, Relaxed);
    context().memos.open(Function {
        counts,
        name,
        meaning: meaning.unwrap_or_default(),
        made_of: text(call.made_of),
        limit: call.limit,
        ttl: call.ttl,
        told: Mutex::default(),
    })
}

pub extern "C" fn find(
    of: *const MemoCounts,
    key: Bytes,
    flight: Flight,
    to: *mut c_void,
    write: Write,
) -> MemoFound {
    // SAFETY: the cell crate lends them for the time of the call.
    let arguments = unsafe { key.as_slice() };
    let (found, locked) = context().memos.find(function_of(of), arguments, flight);
    let mut answer = MemoFound {
        locked,
        ..MemoFound::default()
    };
    if let Some(found) = found {
        write(to, Bytes::of(&found.value));
        answer.is_there = true;
        (answer.made, answer.took) = (found.made, found.took);
    }
    answer
}

pub extern "C" fn keep(
    of: *const MemoCounts,
    key: Bytes,
    arguments: Bytes,
    value: Bytes,
    took: u64,
    within: bool,
) {
    let function = function_of(of);
    // SAFETY: as above.
    let (bytes, value) = unsafe { (key.as_slice(), value.as_slice()) };
    let (key, value, made) = (function.key(bytes), value.to_vec(), now());
    let found = Found { value, made, took };
    let memos = &context().memos;
    let (by, session) = memos.maker();
    let arguments = text(arguments);
    let origin = Origin {
        session,
        by,
        arguments,
    };
    memos.shelf.keep(Put {
        key,
        found,
        name: &function.name,
        made_of: &function.made_of,
        // Without it, the result is there all the same.
        origin: postcard::to_stdvec(&origin).unwrap_or_default(),
        limit: function.limit,
        // What took as long outlives the process that made it, whenever that dies.
        soon: within || took < WORTH,
    });
}

pub extern "C" fn leave(of: *const MemoCounts, key: Bytes) {
    // SAFETY: as above.
    let arguments = unsafe { key.as_slice() };
    context().memos.shelf.leave(&function_of(of).key(arguments));
}

pub extern "C" fn explain(of: *const MemoCounts, key: Bytes, arguments: Bytes, memory: MemoMemory) {
    let function = function_of(of);
    // SAFETY: as above.
    let key = function.key(unsafe { key.as_slice() });
    let explained = context()
        .memos
        .explain(function, &key, text(arguments), &memory);
    // A session that is gone needs none.
    let payload = postcard::to_stdvec(&explained).ok().map(Payload::of);
    if let Some(Ok(payload)) = payload {
        let _ = link::send(&FromEngine::Data, &payload);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function() -> Function {
        Function {
            counts: MemoCounts::default(),
            name: "f".to_owned(),
            meaning: [0; 16],
            made_of: String::new(),
            limit: 0,
            ttl: 0,
            told: Mutex::default(),
        }
    }

    #[test]
    fn a_result_is_good_for_its_time() {
        let good = |ttl, made| Function { ttl, ..function() }.is_good(made);
        assert!(good(0, 0) && good(60_000, now()) && !good(1, now() - 10));
        assert!(good(u64::MAX, now()), "longer than there are numbers for");
    }

    #[test]
    fn what_has_changed_is_told_once_and_by_name() {
        let memos = Memos::default();
        let (old, new) = (memos.open(function()), memos.open(function()));
        assert!(memos.changes().is_empty());
        for (counts, hits) in [(old, 2), (new, 1)] {
            counts.hits.store(hits, Relaxed);
            counts.entries.store(5, Relaxed);
        }
        let told = memos.changes();
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].hits, told[0].entries), (3, 10));
        assert!(memos.changes().is_empty());
        new.hits.store(2, Relaxed);
        assert_eq!(memos.changes()[0].hits, 1);

        memos.clear(Some(&["g".to_owned()]), false);
        assert_eq!(new.cleared.load(Relaxed), 0);
        memos.clear(Some(&["f".to_owned()]), false);
        assert_eq!(new.cleared.load(Relaxed), 1);
        assert_eq!(memos.changes()[0].entries, 0);
    }
}
