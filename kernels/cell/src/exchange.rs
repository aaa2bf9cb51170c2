//! The calling side of a map on processes: gives inputs, takes results.

use std::any::type_name;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Serialize, de::DeserializeOwned};

use crate::captures::{Captured, feed};
use crate::codec;
use crate::error::ItemError;
use crate::host::{
    Bytes, Captures, Describe, End, Fault, MapCall, Progress, Pulled, Step, Wish, Write, host,
    text_of,
};
use crate::remote::VALUE;

/// Takes what comes back.
pub(crate) trait Sink {
    /// The engine that the next results are from.
    fn from(&mut self, _rank: u32) {}

    /// The encoded results of the inputs `first..first + count`; false when they can't be decoded.
    fn results(&mut self, first: u64, count: u64, bytes: &[u8]) -> bool;

    /// An item has no result.
    fn failed(&mut self, _error: ItemError) {}
}

/// Results in input order: those without a gap before them, and the others by their first index.
pub(crate) struct Ordered<O> {
    pub results: Vec<O>,
    /// Few, so that a list will do; a tree of each type would be compiled with every cell.
    ahead: Vec<(u64, Vec<O>)>,
}

impl<O> Ordered<O> {
    pub fn new(items: u64) -> Self {
        let mut results = Vec::new();
        if items < ROOM {
            results.reserve_exact(items as usize);
        }
        Self {
            results,
            ahead: Vec::new(),
        }
    }
}

/// Results that room is made for before they come.
const ROOM: u64 = 1 << 24;

impl<O: DeserializeOwned> Sink for Ordered<O> {
    fn results(&mut self, first: u64, count: u64, mut bytes: &[u8]) -> bool {
        let Ok(count) = usize::try_from(count) else {
            return false;
        };
        if first > self.results.len() as u64 {
            let mut later = Vec::new();
            let taken = codec::take_many(count, &mut bytes, &mut later).is_ok();
            self.ahead.push((first, later));
            return taken;
        }
        if codec::take_many(count, &mut bytes, &mut self.results).is_err() {
            return false;
        }
        loop {
            let next = self.results.len() as u64;
            let Some(place) = self.ahead.iter().position(|(first, _)| *first == next) else {
                return true;
            };
            self.results.append(&mut self.ahead.swap_remove(place).1);
        }
    }
}

/// Room for the results of some inputs.
fn slots<O>(results: &mut Vec<Option<O>>, first: u64, count: u64) -> Option<&mut [Option<O>]> {
    let (first, count) = (usize::try_from(first).ok()?, usize::try_from(count).ok()?);
    if results.len() < first + count {
        results.resize_with(first + count, || None);
    }
    results.get_mut(first..first + count)
}

/// Results as they come, with the index of their input.
pub(crate) struct Arriving<O>(pub std::collections::VecDeque<(u64, O)>);

impl<O: DeserializeOwned> Sink for Arriving<O> {
    fn results(&mut self, first: u64, count: u64, mut bytes: &[u8]) -> bool {
        for item in first..first + count {
            let Ok(result) = codec::take(&mut bytes) else {
                return false;
            };
            self.0.push_back((item, result));
        }
        true
    }
}

/// Results and errors in input order.
pub(crate) struct Collected<O>(pub Vec<Option<Result<O, ItemError>>>);

impl<O: DeserializeOwned> Sink for Collected<O> {
    fn results(&mut self, first: u64, count: u64, mut bytes: &[u8]) -> bool {
        let Some(slots) = slots(&mut self.0, first, count) else {
            return false;
        };
        for (item, slot) in (first..).zip(slots) {
            let Some(result) = tagged(item, &mut bytes) else {
                return false;
            };
            *slot = Some(result);
        }
        true
    }

    fn failed(&mut self, error: ItemError) {
        if let Some([slot]) = slots(&mut self.0, error.item(), 1) {
            *slot = Some(Err(error));
        }
    }
}

/// A result of a map that collects errors.
pub(crate) fn tagged<O: DeserializeOwned>(
    item: u64,
    bytes: &mut &[u8],
) -> Option<Result<O, ItemError>> {
    let (tag, rest) = bytes.split_first()?;
    *bytes = rest;
    if *tag == VALUE {
        return codec::take(bytes).ok().map(Ok);
    }
    let why: String = codec::take(bytes).ok()?;
    Some(Err(panicked(item, &why)))
}

/// The error of a panic as [`crate::host::Host::take_panic`] tells it.
pub(crate) fn panicked(item: u64, why: &str) -> ItemError {
    let (message, line) = why.rsplit_once('\u{1f}').unwrap_or((why, ""));
    let place = line.parse().map_or_else(
        |_| String::new(),
        |line| text_of(|to, write| (host().place)(line, to, write)),
    );
    ItemError::Panicked {
        item,
        message: message.to_owned(),
        place,
    }
}

/// Partial results by their first index, each for so many inputs.
pub(crate) struct Partial<O>(pub BTreeMap<u64, O>);

impl<O: DeserializeOwned> Sink for Partial<O> {
    fn results(&mut self, first: u64, _: u64, mut bytes: &[u8]) -> bool {
        let Ok(result) = codec::take(&mut bytes) else {
            return false;
        };
        self.0.insert(first, result);
        true
    }
}

/// A map under way: what is still to be pulled, what has come back, and the host's own part.
pub(crate) struct Exchange<It, C, S> {
    state: Box<State<It, C, S>>,
    handle: Handle,
}

struct State<It, C, S> {
    inputs: It,
    captured: C,
    captures: Option<Captures>,
    sink: S,
}

/// The host's part of a map.
#[derive(Clone, Copy)]
pub(crate) struct Handle(*mut c_void);

// SAFETY: the host's functions for it lock what they share; `Job` never steps it from two threads.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    pub fn step(self, wait: i64) -> Step {
        (host().map_step)(self.0, wait)
    }

    pub fn cancel(self) {
        (host().map_cancel)(self.0);
    }

    pub fn progress(self) -> Progress {
        (host().map_progress)(self.0)
    }

    pub fn failure(self) -> String {
        text_of(|to, write| (host().map_failure)(self.0, to, write))
    }
}

/// The names of captured variables, `name\u{1f}type\u{1f}` of each.
pub(crate) type Names<'a> = &'a str;

impl<It: Iterator, C: Captured, S: Sink> Exchange<It, C, S>
where
    It::Item: Serialize,
{
    /// Begins a map; an error says why it was refused.
    pub fn begin<O>(
        wish: Wish,
        inputs: It,
        (captured, names): (C, Names<'_>),
        describe: Describe,
        sink: S,
    ) -> Result<Self, String> {
        let mut state = Box::new(State {
            inputs,
            captured,
            captures: None,
            sink,
        });
        if !names.is_empty() {
            let ctx: *const C = &raw const state.captured;
            state.captures = Some(Captures {
                names: Bytes::of(names.as_bytes()),
                ctx: ctx.cast(),
                feed: feed::<C>,
            });
        }
        let items = length(&state.inputs);
        let captures = match &state.captures {
            Some(captures) => captures,
            None => std::ptr::null(),
        };
        let call = MapCall {
            wish,
            input_type: Bytes::of(type_name::<It::Item>().as_bytes()),
            output_type: Bytes::of(type_name::<O>().as_bytes()),
            items,
            describe,
            captures,
            ctx: (&raw mut *state).cast(),
            pull: pull::<It, C, S>,
            put: put::<It, C, S>,
            failed: failed::<It, C, S>,
        };
        let handle = (host().map_begin)(&raw const call);
        if handle.is_null() {
            return Err(text_of(|to, write| (host().failure)(to, write)));
        }
        Ok(Self {
            state,
            handle: Handle(handle),
        })
    }

    pub fn handle(&self) -> Handle {
        self.handle
    }

    pub fn step(&mut self, wait: i64) -> Step {
        self.handle.step(wait)
    }

    pub fn sink(&mut self) -> &mut S {
        &mut self.state.sink
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

impl<It, C, S> Drop for Exchange<It, C, S> {
    fn drop(&mut self) {
        (host().map_end)(self.handle.0);
    }
}

// SAFETY: what the raw pointers in it lead to is its own box, which moves with it.
unsafe impl<It: Send, C: Send, S: Send> Send for Exchange<It, C, S> {}

/// How many inputs there are; `u64::MAX` when the iterator does not say.
pub(crate) fn length(inputs: &impl Iterator) -> u64 {
    match inputs.size_hint() {
        (low, Some(high)) if low == high => low as u64,
        _ => u64::MAX,
    }
}

extern "C" fn pull<It: Iterator, C, S>(
    ctx: *mut c_void,
    max: u64,
    most: u64,
    to: *mut c_void,
    write: Write,
) -> Pulled
where
    It::Item: Serialize,
{
    // SAFETY: `ctx` is the state of the exchange whose step waits for this call.
    let inputs = unsafe { &mut (*ctx.cast::<State<It, C, S>>()).inputs };
    let form = codec::form::<It::Item>();
    let mut bytes = Vec::new();
    let mut pulled = Pulled {
        count: 0,
        exhausted: false,
        how: End::Finished,
    };
    let mut written = 0;
    let pulling = catch_unwind(AssertUnwindSafe(|| {
        while pulled.count < max && written + (bytes.len() as u64) < most {
            let Some(input) = inputs.next() else {
                pulled.exhausted = true;
                break;
            };
            if codec::append(&input, form, &mut bytes).is_err() {
                pulled.how = End::NotEncodable;
                break;
            }
            pulled.count += 1;
            if bytes.len() > PART {
                write(to, Bytes::of(&bytes));
                written += bytes.len() as u64;
                bytes.clear();
            }
        }
        pulled.exhausted |= inputs.size_hint() == (0, Some(0));
    }));
    if pulling.is_err() {
        pulled.how = End::Panicked;
    }
    write(to, Bytes::of(&bytes));
    pulled
}

/// Encoded bytes are handed on in parts of about this size.
const PART: usize = 1 << 20;

extern "C" fn put<It, C, S: Sink>(
    ctx: *mut c_void,
    first: u64,
    count: u64,
    rank: u32,
    results: Bytes,
) -> bool {
    // SAFETY: as in `pull`.
    let sink = unsafe { &mut (*ctx.cast::<State<It, C, S>>()).sink };
    // SAFETY: the host lends the bytes for this call.
    let bytes = unsafe { results.as_slice() };
    sink.from(rank);
    catch_unwind(AssertUnwindSafe(|| sink.results(first, count, bytes))).unwrap_or(false)
}

extern "C" fn failed<It, C, S: Sink>(ctx: *mut c_void, item: u64, fault: Fault, why: Bytes) {
    // SAFETY: as in `pull`.
    let sink = unsafe { &mut (*ctx.cast::<State<It, C, S>>()).sink };
    // SAFETY: the host lends the bytes for this call.
    let cause = String::from_utf8_lossy(unsafe { why.as_slice() }).into_owned();
    let error = match fault {
        Fault::Crashed => ItemError::Crashed { item, cause },
        Fault::TimedOut => ItemError::TimedOut { item },
        Fault::Cancelled => ItemError::Cancelled { item },
    };
    // A result whose `drop` panics must not unwind into the host.
    let _ = catch_unwind(AssertUnwindSafe(|| sink.failed(error)));
}
