//! The calling side of a map on processes: gives inputs, takes results. Only what encodes an input and what
//! decodes results depends on their types; the rest is compiled once, not with every cell.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;

use crate::catch::caught;
use crate::chunk::VALUE;
use crate::codec;
use crate::error::ItemError;
use crate::host::{
    Bytes, Captures, Describe, End, Fault, MapCall, Progress, Pulled, Step, Write, WriteOf, host,
    text_of,
};
use crate::inputs::{Inputs, Source};
use crate::options::MapOptions;

/// What comes back.
#[derive(Clone, Copy)]
pub(crate) enum Outcome<'a> {
    /// The encoded results of the inputs `first..first + count`, from the engine of this rank.
    Results {
        first: u64,
        count: u64,
        rank: u32,
        bytes: &'a [u8],
    },
    /// An item has no result.
    Failed(&'a ItemError),
}

/// Takes what comes back; false when it can't be decoded.
pub(crate) type OutcomeSink<'a> = Box<dyn FnMut(Outcome<'_>) -> bool + 'a>;

/// Hands over the bytes of captured variables.
pub(crate) type Feed<'a> = Box<dyn Fn(&mut dyn FnMut(u64, &[u8])) -> bool + 'a>;

/// Hands over captured variables, gives inputs and takes results on whichever thread steps the map.
pub(crate) type MovableFeed = Box<dyn Fn(&mut dyn FnMut(u64, &[u8])) -> bool + Send>;
pub(crate) type MovableSource = Box<dyn Source + Send>;
pub(crate) type MovableSink = Box<dyn FnMut(Outcome<'_>) -> bool + Send>;

/// A result of a map that collects errors.
pub(crate) fn tagged<O: DeserializeOwned>(
    item: u64,
    bytes: &mut &[u8],
) -> Option<Result<O, ItemError>> {
    let (tag, rest) = bytes.split_first()?;
    *bytes = rest;
    if *tag == VALUE {
        return codec::take(bytes, codec::form::<O>()).ok().map(Ok);
    }
    let why = codec::take(bytes, codec::Form::Serde).ok()?;
    Some(Err(panicked(item, why)))
}

/// The error of a panic as [`crate::host::take_panic`] gives it.
pub(crate) fn panicked(item: u64, (message, place): (String, String)) -> ItemError {
    ItemError::Panicked {
        item,
        message,
        place,
    }
}

/// A map as it is asked for: what feeds it, where its inputs come from, what takes its results.
pub(crate) struct PlanOf<F, S, T> {
    pub request: Request,
    pub feed: F,
    pub source: S,
    pub take: T,
}

pub(crate) type Plan<'a> = PlanOf<Feed<'a>, Box<dyn Source + 'a>, OutcomeSink<'a>>;
pub(crate) type MovablePlan = PlanOf<MovableFeed, MovableSource, MovableSink>;

/// What is asked for, whatever the inputs are.
pub(crate) struct Request {
    pub options: MapOptions,
    /// How many inputs there are; `u64::MAX` when the iterator does not say.
    pub items: u64,
    pub input_type: &'static str,
    pub output_type: &'static str,
    pub describe: Describe,
    /// Results are taken in the order of their inputs.
    pub ordered: bool,
}

/// A map under way: the host's own part, and what is still to be pulled and has come back. Whether it may move to
/// another thread follows from its parts.
pub(crate) struct ExchangeOf<F, S, T> {
    // Dropped first: it works on the other.
    hosted: Hosted,
    #[expect(dead_code, reason = "it is kept for the host")]
    callbacks: Lent<Callbacks<F, S, T>>,
}

pub(crate) type Exchange<'a> = ExchangeOf<Feed<'a>, Box<dyn Source + 'a>, OutcomeSink<'a>>;
pub(crate) type MovableExchange = ExchangeOf<MovableFeed, MovableSource, MovableSink>;

/// A value in a box of its own, which the host's calls work on: a `Box` that others may point into.
struct Lent<T>(*mut T);

// SAFETY: it owns its value as a `Box` does, and the host works on it from the thread that steps the map alone, which
// has what this stands in.
unsafe impl<T: Send> Send for Lent<T> {}

impl<T> Lent<T> {
    fn new(value: T) -> Self {
        Self(Box::into_raw(Box::new(value)))
    }
}

impl<T> Drop for Lent<T> {
    fn drop(&mut self) {
        // SAFETY: `new` made it, and the host has done with it.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

struct Callbacks<F, S, T> {
    feed: F,
    source: S,
    take: T,
    /// Where results are taken in the order of their inputs.
    order: Option<Order>,
    /// Errors may stand in the place of results.
    collects: bool,
}

/// Which results come next, and those that came before their turn: by the first index, how many, their bytes.
#[derive(Default)]
struct Order {
    next: u64,
    early: BTreeMap<u64, (u64, Vec<u8>)>,
}

/// The host's part of a map, for whoever does not step it: from any thread, also when the map is long gone.
#[derive(Clone)]
pub(crate) struct Handle(Arc<Mutex<Map>>);

/// Null when the map is gone.
struct Map(*mut c_void);

// SAFETY: what a handle asks of the host may be asked from any thread while the map is there, and a map is not
// ended while its handle is locked.
unsafe impl Send for Map {}

impl Handle {
    fn lock(&self) -> MutexGuard<'_, Map> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn cancel(&self) {
        let map = self.lock();
        if !map.0.is_null() {
            (host().map_cancel)(map.0);
        }
    }

    /// Prints before the map's table, in the order of these calls; nothing when the map is gone.
    pub fn print(&self, stdout: &[u8], stderr: &[u8]) {
        let map = self.lock();
        if !map.0.is_null() {
            (host().map_print)(map.0, Bytes::of(stdout), Bytes::of(stderr));
        }
    }

    /// Nothing when the map is gone.
    pub fn progress(&self) -> Option<Progress> {
        let map = self.lock();
        (!map.0.is_null()).then(|| (host().map_progress)(map.0))
    }

    pub fn failure(&self) -> String {
        let map = self.lock();
        if map.0.is_null() {
            return String::new();
        }
        text_of(|to, write| (host().map_failure)(map.0, to, write))
    }
}

impl Exchange<'_> {
    /// Begins a map; an error says why it was refused.
    pub fn begin(plan: Plan<'_>) -> Result<Exchange<'_>, String> {
        ExchangeOf::of(plan)
    }
}

impl MovableExchange {
    /// The same of parts that may move to another thread.
    pub fn begin_movable(plan: MovablePlan) -> Result<Self, String> {
        Self::of(plan)
    }
}

impl<F, S, T> ExchangeOf<F, S, T>
where
    F: Fn(&mut dyn FnMut(u64, &[u8])) -> bool,
    S: Source,
    T: FnMut(Outcome<'_>) -> bool,
{
    fn of(plan: PlanOf<F, S, T>) -> Result<Self, String> {
        let request = plan.request;
        let callbacks = Lent::new(Callbacks {
            feed: plan.feed,
            source: plan.source,
            take: plan.take,
            order: request.ordered.then(Order::default),
            collects: request.options.collect,
        });
        let captures = Captures {
            ctx: callbacks.0.cast_const().cast(),
            feed: feed::<F, S, T>,
        };
        let captures = match request.options.captures.is_empty() {
            true => std::ptr::null(),
            false => &raw const captures,
        };
        let options = request.options.to_bytes();
        let call = MapCall {
            options: Bytes::of(&options),
            input_type: Bytes::of(request.input_type.as_bytes()),
            output_type: Bytes::of(request.output_type.as_bytes()),
            items: request.items,
            describe: request.describe,
            captures,
            ctx: callbacks.0.cast(),
            pull: pull::<F, S, T>,
            put: put::<F, S, T>,
            failed: failed::<F, S, T>,
        };
        let hosted = Hosted::of((host().map_begin)(&raw const call))?;
        Ok(Self { hosted, callbacks })
    }
}

impl<F, S, T> ExchangeOf<F, S, T> {
    pub fn hosted(&mut self) -> &mut Hosted {
        &mut self.hosted
    }
}

/// The host's part of a map, for whoever steps it.
pub(crate) struct Hosted {
    map: *mut c_void,
    handle: Handle,
}

// SAFETY: the host may be asked to step a map, and to end it, from any thread, one at a time: both take the only
// `Hosted` there is of it.
unsafe impl Send for Hosted {}

impl Hosted {
    /// What the host gives for a map that begins; an error says why it was refused.
    pub fn of(map: *mut c_void) -> Result<Self, String> {
        if map.is_null() {
            return Err(text_of(|to, write| (host().failure)(to, write)));
        }
        let handle = Handle(Arc::new(Mutex::new(Map(map))));
        Ok(Self { map, handle })
    }

    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Goes on until something has happened, or for so many milliseconds; the host steps a map from one thread at
    /// a time.
    pub fn step(&mut self, wait: i64) -> Step {
        (host().map_step)(self.map, wait)
    }

    /// Follows the map to its end.
    pub fn run(&mut self) -> Step {
        loop {
            match self.step(-1) {
                Step::Going | Step::Waited => {}
                over => return over,
            }
        }
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        let mut map = self.handle.lock();
        (host().map_end)(map.0);
        map.0 = std::ptr::null_mut();
    }
}

/// A map that may move to another thread, and goes with whoever has it.
pub(crate) trait Movable: Send {
    fn hosted(&mut self) -> &mut Hosted;
}

impl<F: Send, S: Send, T: Send> Movable for ExchangeOf<F, S, T> {
    fn hosted(&mut self) -> &mut Hosted {
        &mut self.hosted
    }
}

impl<F, S, T: FnMut(Outcome<'_>) -> bool> Callbacks<F, S, T> {
    fn results(&mut self, first: u64, count: u64, rank: u32, bytes: &[u8]) -> bool {
        let mut outcome = |first, count, bytes: &[u8]| {
            (self.take)(Outcome::Results {
                first,
                count,
                rank,
                bytes,
            })
        };
        let Some(Order { next, early }) = &mut self.order else {
            return outcome(first, count, bytes);
        };
        if first > *next {
            early.insert(first, (count, bytes.to_vec()));
            return true;
        }
        *next += count;
        let mut taken = outcome(first, count, bytes);
        while let Some((count, bytes)) = early.remove(next) {
            let first = *next;
            *next += count;
            taken &= outcome(first, count, &bytes);
        }
        taken
    }
}

/// The callbacks that a call of the host's is for.
///
/// # Safety
/// `ctx` must be what [`ExchangeOf::of`] gave, for parts of these types, to a map that is still under way.
unsafe fn callbacks<'a, F, S, T>(ctx: *mut c_void) -> &'a mut Callbacks<F, S, T> {
    // SAFETY: promised by the caller; the host calls from the thread that steps the map alone.
    unsafe { &mut *ctx.cast::<Callbacks<F, S, T>>() }
}

extern "C" fn feed<F, S, T>(ctx: *const c_void, to: *mut c_void, write: WriteOf) -> bool
where
    F: Fn(&mut dyn FnMut(u64, &[u8])) -> bool,
{
    // SAFETY: the host hands back what it was given.
    let callbacks = unsafe { callbacks::<F, S, T>(ctx.cast_mut()) };
    let mut fed = false;
    let mut out = |variable, bytes: &[u8]| write(to, variable, Bytes::of(bytes));
    caught(&mut || fed = (callbacks.feed)(&mut out)) && fed
}

extern "C" fn pull<F, S: Source, T>(
    ctx: *mut c_void,
    max: u64,
    most: u64,
    to: *mut c_void,
    write: Write,
) -> Pulled {
    // SAFETY: as in `feed`.
    let callbacks = unsafe { callbacks::<F, S, T>(ctx) };
    let mut inputs = Inputs::new(max, most, callbacks.collects, to, write);
    if !caught(&mut || callbacks.source.pull(&mut inputs)) {
        inputs.fail(End::Panicked);
    }
    inputs.pulled()
}

extern "C" fn put<F, S, T>(
    ctx: *mut c_void,
    first: u64,
    count: u64,
    rank: u32,
    results: Bytes,
) -> bool
where
    T: FnMut(Outcome<'_>) -> bool,
{
    // SAFETY: as in `feed`; the host lends the bytes for this call.
    let (callbacks, bytes) = unsafe { (callbacks::<F, S, T>(ctx), results.as_slice()) };
    let mut taken = false;
    caught(&mut || taken = callbacks.results(first, count, rank, bytes)) && taken
}

extern "C" fn failed<F, S, T>(ctx: *mut c_void, item: u64, fault: Fault, why: Bytes)
where
    T: FnMut(Outcome<'_>) -> bool,
{
    // SAFETY: as in `put`.
    let (callbacks, why) = unsafe { (callbacks::<F, S, T>(ctx), why.as_slice()) };
    let cause = String::from_utf8_lossy(why).into_owned();
    let error = match fault {
        Fault::Crashed => ItemError::Crashed { item, cause },
        Fault::Lost => ItemError::Lost { item, cause },
        Fault::TimedOut => ItemError::TimedOut { item },
        Fault::Cancelled => ItemError::Cancelled { item },
    };
    // A result whose `drop` panics must not unwind into the host.
    caught(&mut || {
        (callbacks.take)(Outcome::Failed(&error));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a type may move to another thread is part of what it promises: rustc finds two answers where it may,
    /// and does not compile the call.
    trait StaysOnItsThread<Ambiguous> {
        fn stays() {}
    }

    impl<T: ?Sized> StaysOnItsThread<()> for T {}
    impl<T: ?Sized + Send> StaysOnItsThread<u8> for T {}

    fn moves<T: Send>() {}

    #[test]
    fn a_map_moves_to_another_thread_when_its_parts_do() {
        moves::<MovableExchange>();
        <Exchange<'static> as StaysOnItsThread<_>>::stays();
        type Part = std::rc::Rc<u8>;
        <ExchangeOf<Part, MovableSource, MovableSink> as StaysOnItsThread<_>>::stays();
        <ExchangeOf<MovableFeed, Part, MovableSink> as StaysOnItsThread<_>>::stays();
        <ExchangeOf<MovableFeed, MovableSource, Part> as StaysOnItsThread<_>>::stays();
    }
}
