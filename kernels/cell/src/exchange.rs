//! The calling side of a map on processes: gives inputs, takes results. Only what encodes an input and what
//! decodes results depends on their types; the rest is compiled once, not with every cell.

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Serialize, de::DeserializeOwned};

use crate::catch::caught;
use crate::chunk::VALUE;
use crate::codec;
use crate::error::ItemError;
use crate::host::{
    Bytes, Captures, Describe, End, Fault, MapCall, Progress, Pulled, Step, Write, WriteOf, host,
    text_of,
};
use crate::options::MapOptions;

/// What comes back.
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

/// The same from any thread.
pub(crate) type MovingFeed = Box<dyn Fn(&mut dyn FnMut(u64, &[u8])) -> bool + Send>;

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
    let why: String = codec::take(bytes, codec::Form::Serde).ok()?;
    Some(Err(panicked(item, &why)))
}

/// The error of a panic as [`crate::host::Host::take_panic`] tells it.
pub(crate) fn panicked(item: u64, why: &str) -> ItemError {
    let (message, place) = why.rsplit_once('\u{1f}').unwrap_or((why, ""));
    ItemError::Panicked {
        item,
        message: message.to_owned(),
        place: place.to_owned(),
    }
}

/// Gives inputs.
pub(crate) trait Source {
    fn pull(&mut self, to: &mut Inputs);
}

/// Those of an iterator.
pub(crate) struct Iterated<It> {
    inputs: It,
    /// At most so many more.
    left: u64,
}

impl<It> Iterated<It> {
    pub fn new(inputs: It, options: &MapOptions) -> Self {
        let left = options.most();
        Self { inputs, left }
    }
}

impl<It: Iterator> Source for Iterated<It>
where
    It::Item: Serialize,
{
    fn pull(&mut self, to: &mut Inputs) {
        let form = codec::form::<It::Item>();
        while to.wants_more() {
            let next = if self.left > 0 {
                self.inputs.next()
            } else {
                None
            };
            let Some(input) = next else {
                to.pulled.exhausted = true;
                return;
            };
            self.left -= 1;
            if codec::append(&input, form, &mut to.bytes).is_err() {
                to.pulled.how = End::NotEncodable;
                return;
            }
            to.pulled.count += 1;
        }
        to.pulled.exhausted = self.left == 0 || self.inputs.size_hint() == (0, Some(0));
    }
}

/// Encoded inputs on their way to the host.
pub(crate) struct Inputs {
    pulled: Pulled,
    bytes: Vec<u8>,
    written: u64,
    /// How many are wanted, and the bytes that are enough.
    max: u64,
    most: u64,
    to: *mut c_void,
    write: Write,
}

/// Encoded bytes are handed on in parts of about this size.
const PART: usize = 1 << 20;

impl Inputs {
    #[inline]
    fn wants_more(&mut self) -> bool {
        if self.bytes.len() > PART {
            self.hand_on();
        }
        self.pulled.count < self.max && self.written + (self.bytes.len() as u64) < self.most
    }

    fn hand_on(&mut self) {
        (self.write)(self.to, Bytes::of(&self.bytes));
        self.written += self.bytes.len() as u64;
        self.bytes.clear();
    }
}

/// A map as it is asked for.
pub(crate) struct Plan<'a> {
    pub request: Request,
    pub feed: Feed<'a>,
    pub source: Box<dyn Source + 'a>,
    pub take: OutcomeSink<'a>,
}

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

/// A map under way: the host's own part, and what is still to be pulled and has come back.
pub(crate) struct Exchange<'a> {
    // Dropped first: it works on the other.
    hosted: Hosted,
    #[expect(dead_code, reason = "it is kept for the host")]
    callbacks: Kept<'a>,
}

/// What the host's calls work on, in a box of its own.
struct Kept<'a>(*mut Callbacks<'a>);

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        // SAFETY: `Exchange::begin` made it, and the host has done with it.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

struct Callbacks<'a> {
    source: Box<dyn Source + 'a>,
    take: OutcomeSink<'a>,
    feed: Feed<'a>,
    captures: Option<Captures>,
    /// Where results are taken in the order of their inputs.
    order: Option<Order>,
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

impl<'a> Exchange<'a> {
    /// Begins a map; an error says why it was refused.
    pub fn begin(plan: Plan<'a>) -> Result<Self, String> {
        let request = plan.request;
        let callbacks = Kept(Box::into_raw(Box::new(Callbacks {
            source: plan.source,
            take: plan.take,
            feed: plan.feed,
            captures: None,
            order: request.ordered.then(Order::default),
        })));
        // SAFETY: nobody else knows of it yet.
        let mine = unsafe { &mut *callbacks.0 };
        if !request.options.captures.is_empty() {
            mine.captures = Some(Captures {
                ctx: callbacks.0.cast_const().cast(),
                feed,
            });
        }
        let captures = mine
            .captures
            .as_ref()
            .map_or(std::ptr::null(), std::ptr::from_ref);
        let options = request.options.to_bytes();
        let call = MapCall {
            options: Bytes::of(&options),
            input_type: Bytes::of(request.input_type.as_bytes()),
            output_type: Bytes::of(request.output_type.as_bytes()),
            items: request.items,
            describe: request.describe,
            captures,
            ctx: callbacks.0.cast(),
            pull,
            put,
            failed,
        };
        let hosted = Hosted::of((host().map_begin)(&raw const call))?;
        Ok(Self { hosted, callbacks })
    }

    pub fn hosted(&mut self) -> &mut Hosted {
        &mut self.hosted
    }
}

/// The host's part of a map, for whoever steps it.
pub(crate) struct Hosted {
    map: *mut c_void,
    handle: Handle,
}

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

/// A map whose every part may move to another thread, and goes with it.
pub(crate) struct MovableExchange(Exchange<'static>);

// SAFETY: `begin`, the only way to make one, asks for parts that are `Send`; and the host may be asked to step a map
// from any thread, one at a time, which is whoever has this.
unsafe impl Send for MovableExchange {}

impl MovableExchange {
    pub fn begin(
        request: Request,
        feed: MovingFeed,
        source: Box<dyn Source + Send>,
        take: Box<dyn FnMut(Outcome<'_>) -> bool + Send>,
    ) -> Result<Self, String> {
        Exchange::begin(Plan {
            request,
            feed,
            source,
            take,
        })
        .map(Self)
    }
}

impl Movable for MovableExchange {
    fn hosted(&mut self) -> &mut Hosted {
        self.0.hosted()
    }
}

impl Callbacks<'_> {
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

/// How many inputs a map has; `u64::MAX` when the iterator does not say.
pub(crate) fn length(inputs: &impl Iterator, options: &MapOptions) -> u64 {
    exact(inputs.size_hint(), options.most())
}

fn exact(hint: (usize, Option<usize>), most: u64) -> u64 {
    match hint {
        (low, _) if low as u64 >= most => most,
        (low, Some(high)) if low == high => low as u64,
        _ => u64::MAX,
    }
}

/// The callbacks that a call of the host's is for.
///
/// # Safety
/// `ctx` must be what [`Exchange::begin`] gave to a map that is still under way.
unsafe fn callbacks<'a>(ctx: *mut c_void) -> &'a mut Callbacks<'a> {
    // SAFETY: promised by the caller; the host calls from the thread that steps the map alone.
    unsafe { &mut *ctx.cast::<Callbacks<'a>>() }
}

extern "C" fn feed(ctx: *const c_void, to: *mut c_void, write: WriteOf) -> bool {
    // SAFETY: the host hands back what it was given.
    let callbacks = unsafe { callbacks(ctx.cast_mut()) };
    let mut fed = false;
    let mut out = |variable, bytes: &[u8]| write(to, variable, Bytes::of(bytes));
    caught(&mut || fed = (callbacks.feed)(&mut out)) && fed
}

extern "C" fn pull(ctx: *mut c_void, max: u64, most: u64, to: *mut c_void, write: Write) -> Pulled {
    // SAFETY: as in `feed`.
    let callbacks = unsafe { callbacks(ctx) };
    let mut inputs = Inputs {
        pulled: Pulled {
            count: 0,
            exhausted: false,
            how: End::Finished,
        },
        bytes: Vec::new(),
        written: 0,
        max,
        most,
        to,
        write,
    };
    if !caught(&mut || callbacks.source.pull(&mut inputs)) {
        inputs.pulled.how = End::Panicked;
    }
    inputs.hand_on();
    inputs.pulled
}

extern "C" fn put(ctx: *mut c_void, first: u64, count: u64, rank: u32, results: Bytes) -> bool {
    // SAFETY: as in `feed`; the host lends the bytes for this call.
    let (callbacks, bytes) = unsafe { (callbacks(ctx), results.as_slice()) };
    let mut taken = false;
    caught(&mut || taken = callbacks.results(first, count, rank, bytes)) && taken
}

extern "C" fn failed(ctx: *mut c_void, item: u64, fault: Fault, why: Bytes) {
    // SAFETY: as in `put`.
    let (callbacks, why) = unsafe { (callbacks(ctx), why.as_slice()) };
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
