//! Functions whose results are kept, as `%%memo` writes them out: each looks its encoded arguments up in a table of
//! its own, a static of the cell that defines it, which all artifacts of a process share.
//!
//! A thread that wants what another one computes waits for it, unless it computes something kept itself: so
//! nobody waits for one who waits.

use std::any::type_name;
use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasherDefault;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use postcard::ser_flavors::Size;
use serde::{Serialize, de::DeserializeOwned};

pub use crate::arguments::Arguments;
use crate::host::{Bytes, Flight, Lookups, MemoCall, MemoCounts, MemoMemory, append, host, now};
use crate::kept::{Held, Kept as Table};
use crate::key::Fold;
pub use crate::key::Key;
use crate::written::{read, written};

/// An argument that can be looked up.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be an argument of a function in `%%memo`: it is not `Serialize`",
    label = "is looked up by its encoded value"
)]
pub trait Argument: Serialize {}

impl<T: Serialize + ?Sized> Argument for T {}

/// A result that can be kept.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be kept by `%%memo`: it is not `Serialize + DeserializeOwned + Clone`",
    label = "is the result of a function in `%%memo`"
)]
pub trait Kept: Serialize + DeserializeOwned + Clone {}

impl<T: Serialize + DeserializeOwned + Clone> Kept for T {}

/// What `%%memo --ok` keeps of a result.
#[diagnostic::on_unimplemented(
    message = "`%%memo --ok` keeps the good results of functions that give a `Result` or an `Option`, not `{Self}`"
)]
pub trait Outcome {
    type Good: Kept;

    fn good(&self) -> Option<&Self::Good>;
    fn again(good: Self::Good) -> Self;
}

impl<T: Kept> Outcome for Option<T> {
    type Good = T;

    fn good(&self) -> Option<&T> {
        self.as_ref()
    }

    fn again(good: T) -> Self {
        Some(good)
    }
}

impl<T: Kept, E> Outcome for Result<T, E> {
    type Good = T;

    fn good(&self) -> Option<&T> {
        self.as_ref().ok()
    }

    fn again(good: T) -> Self {
        Ok(good)
    }
}

/// Bytes of encoded keys and results that one function keeps in memory; the least recently used go.
const MEMORY: usize = 64 << 20;
/// The same on disk, where nothing else is said.
pub const DISK: u64 = 1_000_000_000;

thread_local! {
    /// Kept results that this thread is computing.
    static COMPUTING: Cell<u32> = const { Cell::new(0) };
    /// What the next calls do.
    static ASKED: Cell<Asked> = const { Cell::new(Asked::Kept) };
    /// What came of this thread's calls.
    static LOOKUPS: Cell<Lookups> = const { Cell::new(Lookups { hits: 0, misses: 0 }) };
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Kept,
    /// They compute anew.
    Anew,
    /// The one of the function of this name, or of any, tells why its result is kept or not, and does not run.
    Why(Option<&'static str>),
}

/// What came of this thread's calls of kept functions, since it began. Of calls inside a computation nothing is counted.
pub(crate) fn lookups() -> Lookups {
    LOOKUPS.get()
}

#[inline]
fn count(hits: u64, misses: u64) {
    LOOKUPS.with(|all| {
        let mut lookups = all.get();
        lookups += Lookups { hits, misses };
        all.set(lookups);
    });
}

/// Computes anew what functions in `f` have kept, and keeps that; what these functions call themselves is
/// looked up.
pub fn fresh<R>(f: impl FnOnce() -> R) -> R {
    let _before = Before(ASKED.replace(Asked::Anew));
    f()
}

/// Tells the session why the result of a call is kept or not, without running it; `name` is its function's. A call that
/// keeps no results runs.
pub fn explain<R>(name: Option<&'static str>, call: impl FnOnce() -> R) {
    let before = Before(ASKED.replace(Asked::Why(name)));
    let ended = catch_unwind(AssertUnwindSafe(call));
    drop(before);
    if let Err(payload) = ended
        && !payload.is::<Explained>()
    {
        resume_unwind(payload);
    }
}

/// With which a call ends that was explained.
struct Explained;

/// Puts the flag back, also when the function panics.
struct Before(Asked);

impl Drop for Before {
    fn drop(&mut self) {
        ASKED.set(self.0);
    }
}

/// Looks `key` up among the results that are kept under `name`, or computes and keeps one. What it means is for the
/// caller to say: another computation needs another name. A result of another type is another one.
///
/// # Panics
/// When `key` cannot be encoded, and as `compute` does; then nothing is kept.
pub fn cached<K: Argument + ?Sized, V: Serialize + DeserializeOwned>(
    name: &str,
    key: &K,
    compute: impl FnOnce() -> V,
) -> V {
    let memo = named(name, type_name::<V>());
    let arguments = |text: Arguments| text.and(key);
    let key = Key::new().and(key);
    let found = memo.find(&key);
    let place = match found {
        Ok(kept) => match read(&kept) {
            Some(value) => return value,
            // Of a type that had this name.
            None => match memo.find_unless(true, &key) {
                Ok(_) => return compute(),
                Err(place) => place,
            },
        },
        Err(place) => place,
    };
    let place = place.called(arguments);
    let value = compute();
    if let Some(bytes) = written(&value) {
        place.keep(bytes);
    }
    value
}

/// The table of this name for results of a type; as bytes, since the type may be redefined.
fn named(name: &str, kind: &'static str) -> &'static Memo<Vec<u8>> {
    type Named = HashMap<(Box<str>, &'static str), &'static Memo<Vec<u8>>>;
    static NAMED: LazyLock<Mutex<Named>> = LazyLock::new(Mutex::default);
    let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
    named.entry((name.into(), kind)).or_insert_with(|| {
        let about = About {
            name: String::from(name).leak(),
            kind,
            limit: DISK,
            ..About::NOBODY
        };
        Box::leak(Box::new(Memo {
            about,
            ..Memo::new()
        }))
    })
}

/// What is told of a function to the host.
#[derive(Clone, Copy)]
struct About {
    /// Empty: the host hears nothing of it.
    name: &'static str,
    kind: &'static str,
    meaning: [u64; 2],
    /// What that is made of.
    made_of: &'static str,
    limit: u64,
    ttl: u64,
}

impl About {
    const NOBODY: Self = Self {
        name: "",
        kind: "",
        meaning: [0; 2],
        made_of: "",
        limit: 0,
        ttl: 0,
    };

    fn counts(&self) -> Option<&'static MemoCounts> {
        if self.name.is_empty() {
            return None;
        }
        let call = MemoCall {
            name: Bytes::of(self.name.as_bytes()),
            kind: Bytes::of(self.kind.as_bytes()),
            meaning: self.meaning,
            made_of: Bytes::of(self.made_of.as_bytes()),
            limit: self.limit,
            ttl: self.ttl,
        };
        // SAFETY: the host's numbers live as long as the process.
        unsafe { (host().memo_open)(&raw const call).as_ref() }
    }
}

struct State<V> {
    kept: Table<Held<V>>,
    computing: HashSet<Box<[u8]>, BuildHasherDefault<Fold>>,
    /// `None` inside: it goes by no name.
    counts: Option<Option<&'static MemoCounts>>,
    /// How often all results were dropped.
    cleared: u64,
}

impl<V> State<V> {
    /// Adds to the numbers of this function, which only who holds its lock changes.
    fn count(&self, add: impl FnOnce(&MemoCounts)) {
        if let Some(Some(counts)) = self.counts {
            add(counts);
            counts.entries.store(self.kept.len() as u64, Relaxed);
            counts.bytes.store(self.kept.bytes() as u64, Relaxed);
        }
    }
}

/// The kept results of one function.
pub struct Memo<V> {
    about: About,
    state: Mutex<State<V>>,
    /// Something was computed.
    computed: Condvar,
    limit: usize,
}

impl<V> Memo<V> {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "statics are made of it")]
    pub const fn new() -> Self {
        Self {
            about: About::NOBODY,
            state: Mutex::new(State {
                kept: Table::new(),
                computing: HashSet::with_hasher(BuildHasherDefault::new()),
                counts: None,
                cleared: 0,
            }),
            computed: Condvar::new(),
            limit: MEMORY,
        }
    }

    /// The same of the function of this name. Its results take up to `limit` bytes on disk (0: none are kept there),
    /// and are good for `ttl` milliseconds (0: for ever).
    #[must_use]
    pub const fn of(mut self, name: &'static str, limit: u64, ttl: u64) -> Self {
        self.about.name = name;
        self.about.limit = limit;
        self.about.ttl = ttl;
        self
    }

    /// The same with what the function means; results are kept on disk by it. `made_of` says what that is made of.
    #[must_use]
    pub const fn meaning(mut self, upper: u64, lower: u64, made_of: &'static str) -> Self {
        self.about.meaning = [upper, lower];
        self.about.made_of = made_of;
        self
    }

    #[inline]
    fn state(&self) -> MutexGuard<'_, State<V>> {
        // A result's own `clone` may panic while it is held, which leaves the table as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kept result, or the place of one that is to be computed.
    ///
    /// # Errors
    /// The place: whoever gets it computes.
    #[inline]
    pub fn find(&self, key: &Key) -> Result<V, Place<'_, V>>
    where
        V: Kept,
    {
        match ASKED.get() {
            Asked::Kept => self.find_unless(false, key),
            Asked::Anew => self.find_unless(true, key),
            Asked::Why(name) if name.is_none_or(|name| name == self.about.name) => {
                Err(self.why(key))
            }
            Asked::Why(_) => self.find_unless(false, key),
        }
    }

    /// The place of a result that is not computed: what is known of it is told once it is known how the arguments read.
    #[cold]
    fn why(&self, key: &Key) -> Place<'_, V> {
        let bytes = key.bytes();
        let mut state = self.state();
        let counts = *state.counts.get_or_insert_with(|| self.about.counts());
        let mut memory = MemoMemory::default();
        if counts.is_none_or(|counts| counts.cleared.load(Relaxed) == state.cleared) {
            memory.dropped = state.kept.went(bytes);
            let entry = state.kept.peek(bytes);
            memory.is_there = entry.is_some();
            (memory.made, memory.took) = entry.map_or((0, 0), |entry| (entry.made, entry.took));
            memory.others = state.kept.len() as u64 - u64::from(memory.is_there);
        }
        COMPUTING.set(COMPUTING.get() + 1);
        Place {
            memo: self,
            key: bytes.into(),
            disk: counts,
            owner: false,
            locked: false,
            why: Some(Box::new(memory)),
            arguments: Arguments::new(),
            asked: ASKED.replace(Asked::Kept),
            since: Instant::now(),
        }
    }

    /// The same, or the place in any case when it is to be computed anew.
    fn find_unless(&self, anew: bool, key: &Key) -> Result<V, Place<'_, V>>
    where
        V: Kept,
    {
        let bytes = key.bytes();
        // Dropped behind the lock: a value's `drop` may be anything.
        let _gone;
        let mut old = Vec::new();
        let mut state = self.state();
        let counts = *state.counts.get_or_insert_with(|| self.about.counts());
        if let Some(counts) = counts {
            let cleared = counts.cleared.load(Relaxed);
            if cleared != state.cleared {
                state.cleared = cleared;
                _gone = std::mem::replace(&mut state.kept, Table::new());
            }
        }
        loop {
            if !anew && let Some(entry) = state.kept.get(bytes) {
                if self.about.ttl == 0 || now() < entry.made.saturating_add(self.about.ttl) {
                    let (value, took) = (entry.value.hold(), entry.took);
                    if let Some(counts) = counts {
                        add(&counts.hits, 1);
                        add(&counts.saved, took);
                    }
                    if COMPUTING.get() == 0 {
                        count(1, 0);
                    }
                    drop(state);
                    return Ok(value.give());
                }
                old.extend(state.kept.remove(bytes));
            }
            if COMPUTING.get() > 0 || !state.computing.contains(bytes) {
                break;
            }
            state = self
                .computed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let owner = state.computing.insert(bytes.into());
        drop(state);
        let flight = match (owner, COMPUTING.get()) {
            (false, _) => Flight::None,
            (true, 0) => Flight::Waits,
            (true, _) => Flight::Leads,
        };
        let is_counted = COMPUTING.replace(COMPUTING.get() + 1) == 0;
        let mut place = Place {
            memo: self,
            key: bytes.into(),
            disk: counts.filter(|counts| counts.on_disk.load(Relaxed)),
            owner,
            locked: false,
            why: None,
            arguments: Arguments::new(),
            asked: ASKED.replace(Asked::Kept),
            since: Instant::now(),
        };
        if !anew && let Some(value) = place.on_disk(flight) {
            count(is_counted.into(), 0);
            return Ok(value);
        }
        count(0, is_counted.into());
        self.state().count(|counts| add(&counts.misses, 1));
        Err(place)
    }

    fn keep(
        &self,
        key: Box<[u8]>,
        (value, size): (V, usize),
        (took, made): (u64, u64),
        counted: impl FnOnce(&MemoCounts),
    ) where
        V: Kept,
    {
        let mut state = self.state();
        let gone = state
            .kept
            .insert(key, (Held::of(value), size), (took, made), self.limit);
        state.count(counted);
        drop(state);
        drop(gone);
    }
}

#[inline]
fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Relaxed).wrapping_add(more), Relaxed);
}

/// The place of a result that this thread computes. Dropped without one (a panic), somebody else takes over.
pub struct Place<'a, V> {
    memo: &'a Memo<V>,
    key: Box<[u8]>,
    /// Others wait for this thread.
    owner: bool,
    /// Another process may wait for this one.
    locked: bool,
    disk: Option<&'static MemoCounts>,
    /// It is to be explained, and this is in memory.
    why: Option<Box<MemoMemory>>,
    /// How they read.
    arguments: Arguments,
    asked: Asked,
    since: Instant,
}

impl<V> Place<'_, V> {
    /// Notes how the arguments read, where that is kept too.
    #[must_use]
    pub fn called(mut self, arguments: impl FnOnce(Arguments) -> Arguments) -> Self {
        if self.disk.is_some() {
            self.arguments = arguments(Arguments::new());
            if let Some(memory) = self.why.take() {
                self.explained(*memory);
            }
            self.since = Instant::now();
        }
        self
    }

    /// Ends the call with what is known of its result.
    #[cold]
    fn explained(self, memory: MemoMemory) -> ! {
        if let Some(counts) = self.disk {
            let arguments = Bytes::of(self.arguments.text().as_bytes());
            (host().memo_explain)(counts, Bytes::of(&self.key), arguments, memory);
        }
        drop(self);
        // No panic: nobody is told of it.
        resume_unwind(Box::new(Explained));
    }

    pub fn keep(mut self, value: V) -> V
    where
        V: Kept,
    {
        self.keep_this(&value);
        value
    }

    /// Keeps what is good of a result.
    pub fn keep_good<R: Outcome<Good = V>>(mut self, result: R) -> R
    where
        V: Kept,
    {
        if let Some(good) = result.good() {
            self.keep_this(good);
        }
        result
    }

    fn keep_this(&mut self, value: &V)
    where
        V: Kept,
    {
        let took = u64::try_from(self.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // A clone may panic, and the key is needed after that.
        let copy = value.clone();
        let size = match self.disk {
            Some(counts) => written(value).map(|bytes| {
                let (key, value) = (Bytes::of(&self.key), Bytes::of(&bytes));
                let arguments = Bytes::of(self.arguments.text().as_bytes());
                let within = COMPUTING.get() > 1;
                (host().memo_keep)(counts, key, arguments, value, took, within);
                bytes.len()
            }),
            None => postcard::serialize_with_flavor(value, Size::default()).ok(),
        };
        let made = if self.memo.about.ttl == 0 { 0 } else { now() };
        let key = self.key.clone();
        let entry = (copy, size.unwrap_or(0));
        self.memo.keep(key, entry, (took, made), |_| ());
    }

    /// The result that is on disk, or comes there while this thread waits.
    fn on_disk(&mut self, flight: Flight) -> Option<V>
    where
        V: Kept,
    {
        let counts = self.disk?;
        let mut bytes = Vec::<u8>::new();
        let to = (&raw mut bytes).cast();
        let found = (host().memo_find)(counts, Bytes::of(&self.key), flight, to, append);
        self.locked = found.locked;
        if !found.is_there {
            self.since = Instant::now();
            return None;
        }
        // Of a type that had this name, perhaps.
        let value: V = read(&bytes)?;
        let entry = (value.clone(), bytes.len());
        let times = (found.took, found.made);
        self.memo.keep(self.key.clone(), entry, times, |counts| {
            add(&counts.disk_hits, 1);
            add(&counts.saved, found.took);
        });
        Some(value)
    }
}

impl<V> Drop for Place<'_, V> {
    fn drop(&mut self) {
        COMPUTING.set(COMPUTING.get() - 1);
        ASKED.set(self.asked);
        if let Some(counts) = self.disk.filter(|_| self.locked) {
            (host().memo_leave)(counts, Bytes::of(&self.key));
        }
        if self.owner {
            self.memo.state().computing.remove(&self.key);
            self.memo.computed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::key::SHORT;

    fn call<V: Kept>(memo: &Memo<V>, n: u64, compute: impl FnOnce() -> V) -> V {
        match memo.find(&Key::new().and(&n)) {
            Ok(kept) => kept,
            Err(place) => {
                let value = compute();
                place.keep(value)
            }
        }
    }

    #[test]
    fn a_clone_may_call_what_it_is_a_result_of() {
        static MEMO: LazyLock<Memo<Calls>> = LazyLock::new(Memo::new);
        #[derive(Debug, PartialEq, Serialize, serde::Deserialize)]
        struct Calls(u64, String);
        impl Clone for Calls {
            fn clone(&self) -> Self {
                let next = (self.0 > 0).then(|| call(&MEMO, self.0 - 1, || unreachable!("kept")));
                Self(self.0, next.map_or_else(String::new, |one| one.1 + "x"))
            }
        }
        for n in 0..3 {
            call(&MEMO, n, || Calls(n, String::new()));
        }
        let kept = call(&MEMO, 2, || unreachable!("kept"));
        assert_eq!(kept, Calls(2, "xx".to_owned()));
    }

    fn has<V: Kept>(memo: &Memo<V>, n: u64) -> bool {
        memo.find(&Key::new().and(&n)).is_ok()
    }

    #[test]
    fn what_was_computed_is_not_computed_again() {
        let memo = Memo::new();
        assert_eq!(call(&memo, 3, || 9), 9);
        assert_eq!(call(&memo, 3, || unreachable!("kept")), 9);
        assert_eq!(call(&memo, 4, || 16), 16);
        assert_eq!(fresh(|| call(&memo, 3, || 10)), 10);
        assert_eq!(call(&memo, 3, || unreachable!("kept")), 10);
        // What one call wants anew is no wish of the next.
        let place = memo.find_unless(true, &Key::new().and(&3_u64));
        assert_eq!(place.err().map(|place| place.keep(11)), Some(11));
        assert_eq!(call(&memo, 3, || unreachable!("kept")), 11);
    }

    #[test]
    fn what_a_thread_calls_itself_is_counted_and_not_what_a_computation_calls() {
        let (memo, inner) = (Memo::new(), Memo::new());
        let before = lookups();
        let twice = |n| call(&memo, n, || call(&inner, n, || 2) + call(&inner, n, || 3));
        assert_eq!((twice(1), twice(1), twice(1), twice(2)), (4, 4, 4, 4));
        let _ = std::panic::catch_unwind(|| call(&memo, 9, || panic!("as wanted")));
        fresh(|| twice(2));
        call(&inner, 1, || unreachable!("kept"));
        let counted = lookups().since(before);
        assert_eq!((counted.hits, counted.misses), (3, 4));
    }

    #[test]
    fn long_and_short_arguments_are_told_apart() {
        let memo = Memo::new();
        let key = |text: &str, n: u8| Key::new().and(text).and(&n);
        let long = "x".repeat(SHORT - 2);
        for (at, (text, n)) in [("", 0), (&*long, 1), (&*long, 2), ("ab", 1), ("a", 1)]
            .iter()
            .enumerate()
        {
            let place = memo.find(&key(text, *n)).expect_err("new");
            place.keep(at);
        }
        assert_eq!(memo.find(&key(&long, 2)).ok(), Some(2));
        assert_eq!(memo.find(&key("a", 1)).ok(), Some(4));
    }

    #[test]
    fn threads_that_want_the_same_compute_it_once_and_take_over_from_a_panic() {
        let (memo, calls) = (Memo::new(), AtomicU32::new(0));
        let one = || {
            call(&memo, 1, || {
                let before = calls.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(20));
                assert!(before > 0, "the first one fails");
                7
            })
        };
        let ended = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(one)).collect();
            let ends = threads.into_iter().map(|thread| thread.join());
            ends.filter(Result::is_ok).count()
        });
        assert_eq!((ended, calls.load(Ordering::Relaxed)), (7, 2));
    }

    #[test]
    fn only_good_results_are_kept_when_that_is_asked() {
        let memo: Memo<u8> = Memo::new();
        let call = |n: u64, result: Result<u8, &'static str>| match memo.find(&Key::new().and(&n)) {
            Ok(kept) => Ok(kept),
            Err(place) => place.keep_good(result),
        };
        assert_eq!(call(1, Err("no")), Err("no"));
        assert_eq!(call(1, Ok(5)), Ok(5));
        assert_eq!(call(1, Err("not asked")), Ok(5));
    }

    #[test]
    fn threads_that_need_one_another_do_not_wait_for_ever() {
        let (one, two) = (Memo::new(), Memo::new());
        let start = std::sync::Barrier::new(2);
        let both = |first: &Memo<u64>, second: &Memo<u64>| {
            call(first, 1, || {
                start.wait();
                call(second, 1, || 2) + 1
            })
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                call(&one, 1, || {
                    start.wait();
                    call(&two, 1, || 2)
                })
            });
            scope.spawn(|| both(&two, &one));
        });
        assert!(has(&one, 1) && has(&two, 1));
    }
}
