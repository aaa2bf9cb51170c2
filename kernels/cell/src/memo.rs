//! Functions whose results are kept, as `%%memo` writes them out: each looks its encoded arguments up in a table of
//! its own, a static of the cell that defines it, which all artifacts of a process share.
//!
//! A thread that wants what another one computes waits for it, unless it computes something kept itself: so
//! nobody waits for one who waits.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use postcard::ser_flavors::{Flavor, Size};
use serde::{Serialize, de::DeserializeOwned};

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

/// Bytes of encoded arguments that need no heap.
const SHORT: usize = 96;

/// Bytes of encoded keys and results that one function keeps; the least recently used go.
const LIMIT: usize = 64 << 20;
/// What an entry takes besides, about.
const OVERHEAD: usize = 96;

thread_local! {
    /// Kept results that this thread is computing.
    static COMPUTING: Cell<u32> = const { Cell::new(0) };
    /// The next calls compute anew.
    static FRESH: Cell<bool> = const { Cell::new(false) };
}

/// Computes anew what functions in `f` have kept, and keeps that; what these functions call themselves is
/// looked up.
pub fn fresh<R>(f: impl FnOnce() -> R) -> R {
    let _before = Before(FRESH.replace(true));
    f()
}

/// Puts the flag back, also when the function panics.
struct Before(bool);

impl Drop for Before {
    fn drop(&mut self) {
        FRESH.set(self.0);
    }
}

/// Encoded arguments.
pub struct Key {
    short: [u8; SHORT],
    len: usize,
    /// All of them, once they are longer.
    long: Vec<u8>,
}

impl Key {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "generated code begins one")]
    pub const fn new() -> Self {
        Self {
            short: [0; SHORT],
            len: 0,
            long: Vec::new(),
        }
    }

    /// Adds an argument.
    ///
    /// # Panics
    /// When its own `Serialize` fails.
    #[must_use]
    pub fn and<T: Argument + ?Sized>(mut self, argument: &T) -> Self {
        if let Err(why) = postcard::serialize_with_flavor(argument, Encoder(&mut self)) {
            panic!(
                "%%memo cannot encode an argument of type {}: {why}",
                std::any::type_name::<T>()
            );
        }
        self
    }

    fn bytes(&self) -> &[u8] {
        if self.long.is_empty() {
            &self.short[..self.len]
        } else {
            &self.long
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if self.long.is_empty() && end <= SHORT {
            self.short[self.len..end].copy_from_slice(bytes);
            self.len = end;
        } else {
            if self.long.is_empty() {
                self.long.extend_from_slice(&self.short[..self.len]);
            }
            self.long.extend_from_slice(bytes);
        }
    }
}

struct Encoder<'a>(&'a mut Key);

impl Flavor for Encoder<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(&[byte]);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.push(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// A multiplying hash of eight bytes at a time: a table's own, of keys that nobody else chooses.
#[derive(Default)]
pub struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let wide = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
        self.0 = (wide as u64) ^ (wide >> 64) as u64;
    }

    fn write_usize(&mut self, length: usize) {
        self.write_u64(length as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Table<T> = HashMap<Box<[u8]>, T, BuildHasherDefault<Fold>>;

struct Entry<V> {
    value: V,
    /// When it was last looked up, counted in look-ups.
    used: u64,
    bytes: usize,
}

struct State<V> {
    kept: Table<Entry<V>>,
    computing: HashSet<Box<[u8]>, BuildHasherDefault<Fold>>,
    clock: u64,
    bytes: usize,
}

/// The kept results of one function.
pub struct Memo<V> {
    state: Mutex<State<V>>,
    /// Something was computed.
    computed: Condvar,
    limit: usize,
}

impl<V: Kept> Memo<V> {
    #[must_use]
    #[expect(clippy::new_without_default, reason = "statics are made of it")]
    pub const fn new() -> Self {
        Self::within(LIMIT)
    }

    const fn within(limit: usize) -> Self {
        Self {
            state: Mutex::new(State {
                kept: HashMap::with_hasher(BuildHasherDefault::new()),
                computing: HashSet::with_hasher(BuildHasherDefault::new()),
                clock: 0,
                bytes: 0,
            }),
            computed: Condvar::new(),
            limit,
        }
    }

    fn state(&self) -> MutexGuard<'_, State<V>> {
        // A result's own `clone` may panic while it is held, which leaves the table as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The kept result, or the place of one that is to be computed.
    ///
    /// # Errors
    /// The place: whoever gets it computes.
    pub fn find(&self, key: &Key) -> Result<V, Place<'_, V>> {
        let bytes = key.bytes();
        let fresh = FRESH.get();
        let mut state = self.state();
        loop {
            if !fresh {
                state.clock += 1;
                let now = state.clock;
                if let Some(entry) = state.kept.get_mut(bytes) {
                    entry.used = now;
                    return Ok(entry.value.clone());
                }
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
        COMPUTING.set(COMPUTING.get() + 1);
        FRESH.set(false);
        Err(Place {
            memo: self,
            key: bytes.into(),
            owner,
            fresh,
        })
    }

    fn keep(&self, key: Box<[u8]>, value: V) {
        let size = postcard::serialize_with_flavor(&value, Size::default()).unwrap_or(0);
        let bytes = key.len() + size + OVERHEAD;
        // What goes is dropped behind the lock: a value's `drop` may be anything.
        let mut gone = Vec::new();
        let mut state = self.state();
        state.clock += 1;
        let used = state.clock;
        let entry = Entry { value, used, bytes };
        state.bytes += bytes;
        gone.extend(state.kept.insert(key, entry));
        state.bytes -= gone.iter().map(|old| old.bytes).sum::<usize>();
        if state.bytes > self.limit {
            // Some more than needed, so that not every call looks for the oldest.
            let mut ages: Vec<(u64, usize)> = state
                .kept
                .values()
                .map(|entry| (entry.used, entry.bytes))
                .collect();
            ages.sort_unstable();
            let (mut left, mut last) = (state.bytes, 0);
            for (used, bytes) in ages {
                if left <= self.limit / 8 * 7 {
                    break;
                }
                left -= bytes;
                last = used;
            }
            let old = state.kept.extract_if(|_, entry| entry.used <= last);
            gone.extend(old.map(|(_, entry)| entry));
            state.bytes = left;
        }
        drop(state);
    }
}

/// The place of a result that this thread computes. Dropped without one (a panic), somebody else takes over.
pub struct Place<'a, V: Kept> {
    memo: &'a Memo<V>,
    key: Box<[u8]>,
    /// Others wait for this thread.
    owner: bool,
    fresh: bool,
}

impl<V: Kept> Place<'_, V> {
    pub fn keep(mut self, value: V) -> V {
        self.keep_this(&value);
        value
    }

    /// Keeps what is good of a result.
    pub fn keep_good<R: Outcome<Good = V>>(mut self, result: R) -> R {
        if let Some(good) = result.good() {
            self.keep_this(good);
        }
        result
    }

    fn keep_this(&mut self, value: &V) {
        // A clone may panic, and the key is needed after that.
        let value = value.clone();
        self.memo.keep(self.key.clone(), value);
    }
}

impl<V: Kept> Drop for Place<'_, V> {
    fn drop(&mut self) {
        COMPUTING.set(COMPUTING.get() - 1);
        FRESH.set(self.fresh);
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

    fn call<V: Kept>(memo: &Memo<V>, n: u64, compute: impl FnOnce() -> V) -> V {
        match memo.find(&Key::new().and(&n)) {
            Ok(kept) => kept,
            Err(place) => {
                let value = compute();
                place.keep(value)
            }
        }
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
    fn the_least_recently_used_go_and_memory_is_bounded() {
        let memo = Memo::within(100 * (OVERHEAD + 2));
        for n in 0..100_u64 {
            call(&memo, n, || 1_u8);
            call(&memo, 0, || unreachable!("just used"));
        }
        for n in 100..120 {
            call(&memo, n, || 1_u8);
        }
        assert!(has(&memo, 0) && has(&memo, 119) && !has(&memo, 1));
        let state = memo.state();
        assert!(state.bytes <= 100 * (OVERHEAD + 2) && state.kept.len() > 80);
        let counted: usize = state.kept.values().map(|entry| entry.bytes).sum();
        assert_eq!(counted, state.bytes);
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
