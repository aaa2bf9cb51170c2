//! Parallel maps from code: `pool::map(inputs, f)` runs `f` on the engines of the pool in use.

use std::any::type_name;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;
use std::time::Instant;

use serde::{Serialize, de::DeserializeOwned};

use crate::host::{
    Bytes, ChunkEnd, End, MapCall, MapEnd, PoolKind, Pulled, ThreadsCall, Write, append, host,
};

/// Applies `f` to every input on the engines of the pool in use, and returns the results in input order.
///
/// On a process pool inputs and results travel by serde, and `f` must capture nothing: it is found again in
/// the other process by its address. On a thread pool nothing is encoded.
///
/// # Panics
/// When no pool is started, when an item panics or when it can't be encoded; the message names the item.
#[track_caller]
pub fn map<I, O, F>(inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
where
    I: Serialize + DeserializeOwned + Send,
    O: Serialize + DeserializeOwned + Send + Sync,
    F: Fn(I) -> O + Sync,
{
    match (host().pool_kind)() {
        PoolKind::Threads => on_threads("", inputs, f),
        PoolKind::Processes => on_processes("", inputs, f),
        PoolKind::None => panic!("no pool is started: `%pool start` starts one engine per core"),
    }
}

#[track_caller]
/// The map on a process pool. `function` is what the table calls it; empty: no table.
pub(crate) fn on_processes<I, O, F>(
    function: &str,
    inputs: impl IntoIterator<Item = I>,
    f: F,
) -> Vec<O>
where
    I: Serialize + DeserializeOwned,
    O: Serialize + DeserializeOwned,
    F: Fn(I) -> O,
{
    const {
        assert!(
            size_of::<F>() == 0,
            "regatta: the function of a map on a process pool captures variables (or is a function pointer)"
        );
    }
    std::mem::forget(f);
    let mut exchange = Exchange {
        inputs: inputs.into_iter(),
        results: Vec::new(),
    };
    let ctx: *mut Exchange<_, O> = &raw mut exchange;
    let call = MapCall {
        function: Bytes::of(function.as_bytes()),
        input_type: Bytes::of(type_name::<I>().as_bytes()),
        output_type: Bytes::of(type_name::<O>().as_bytes()),
        items: length(&exchange.inputs),
        trampoline: trampoline::<I, O, F>,
        ctx: ctx.cast(),
        pull: pull_of(&exchange),
        put: put_of(&exchange),
    };
    finish((host().map)(&raw const call));
    exchange
        .results
        .into_iter()
        .map(|result| result.expect("one result per input"))
        .collect()
}

#[track_caller]
/// The map on a thread pool: workers borrow inputs and closure.
pub(crate) fn on_threads<I, O, F>(
    function: &str,
    inputs: impl IntoIterator<Item = I>,
    f: F,
) -> Vec<O>
where
    I: Send,
    O: Send + Sync,
    F: Fn(I) -> O + Sync,
{
    let inputs: Vec<Cell<I>> = inputs
        .into_iter()
        .map(|input| Cell(MaybeUninit::new(input)))
        .collect();
    let results: Vec<OnceLock<O>> = inputs.iter().map(|_| OnceLock::new()).collect();
    let shared = Shared {
        inputs: &inputs,
        results: &results,
        f: &f,
    };
    let call = ThreadsCall {
        function: Bytes::of(function.as_bytes()),
        input_type: Bytes::of(type_name::<I>().as_bytes()),
        output_type: Bytes::of(type_name::<O>().as_bytes()),
        items: inputs.len() as u64,
        ctx: (&raw const shared).cast_mut().cast(),
        run: run_items::<I, O, F>,
    };
    finish((host().map_threads)(&raw const call));
    results
        .into_iter()
        .map(|result| result.into_inner().expect("one result per input"))
        .collect()
}

#[track_caller]
fn finish(end: MapEnd) {
    if end == MapEnd::Finished {
        return;
    }
    let mut why = Vec::<u8>::new();
    (host().failure)((&raw mut why).cast(), append);
    let why = String::from_utf8_lossy(&why).into_owned();
    if end == MapEnd::Refused {
        panic!("{why}");
    }
    // Not a panic of the user's code: the session shows the reason it already knows.
    std::panic::resume_unwind(Box::new(why));
}

fn length(inputs: &impl Iterator) -> u64 {
    match inputs.size_hint() {
        (low, Some(high)) if low == high => low as u64,
        _ => u64::MAX,
    }
}

/// The sending side's state: what is still to be pulled and what has come back.
struct Exchange<It, O> {
    inputs: It,
    results: Vec<Option<O>>,
}

type Pull = extern "C" fn(*mut c_void, u64, *mut c_void, Write) -> Pulled;
type Put = extern "C" fn(*mut c_void, u64, u64, Bytes) -> bool;

fn pull_of<It: Iterator<Item = I>, I: Serialize, O>(_: &Exchange<It, O>) -> Pull {
    pull::<It, I, O>
}

fn put_of<It, O: DeserializeOwned>(_: &Exchange<It, O>) -> Put {
    put::<It, O>
}

extern "C" fn pull<It: Iterator<Item = I>, I: Serialize, O>(
    ctx: *mut c_void,
    max: u64,
    to: *mut c_void,
    write: Write,
) -> Pulled {
    // SAFETY: `ctx` is the `Exchange` of the `on_processes` call that waits for this map, and the host calls
    // back from that same thread only.
    let exchange = unsafe { &mut *ctx.cast::<Exchange<It, O>>() };
    let mut bytes = Vec::new();
    let mut pulled = Pulled {
        count: 0,
        exhausted: false,
        how: End::Finished,
    };
    let pulling = catch_unwind(AssertUnwindSafe(|| {
        while pulled.count < max {
            let Some(input) = exchange.inputs.next() else {
                pulled.exhausted = true;
                break;
            };
            match postcard::to_extend(&input, std::mem::take(&mut bytes)) {
                Ok(longer) => bytes = longer,
                Err(_) => {
                    pulled.how = End::NotEncodable;
                    break;
                }
            }
            pulled.count += 1;
        }
    }));
    if pulling.is_err() {
        pulled.how = End::Panicked;
    }
    write(to, Bytes::of(&bytes));
    pulled
}

extern "C" fn put<It, O: DeserializeOwned>(
    ctx: *mut c_void,
    first: u64,
    count: u64,
    results: Bytes,
) -> bool {
    // SAFETY: as in `pull`.
    let exchange = unsafe { &mut *ctx.cast::<Exchange<It, O>>() };
    // SAFETY: the host lends the bytes for this call.
    let mut bytes = unsafe { results.as_slice() };
    let (Ok(first), Ok(count)) = (usize::try_from(first), usize::try_from(count)) else {
        return false;
    };
    if exchange.results.len() < first + count {
        exchange.results.resize_with(first + count, || None);
    }
    for slot in &mut exchange.results[first..first + count] {
        let decoded = catch_unwind(AssertUnwindSafe(|| postcard::take_from_bytes::<O>(bytes)));
        let Ok(Ok((result, rest))) = decoded else {
            return false;
        };
        *slot = Some(result);
        bytes = rest;
    }
    true
}

/// Runs on the other engine: decodes, applies, encodes. See [`crate::host::Trampoline`].
extern "C" fn trampoline<I, O, F>(
    inputs: Bytes,
    count: u64,
    to: *mut c_void,
    write: Write,
) -> ChunkEnd
where
    I: DeserializeOwned,
    O: Serialize,
    F: Fn(I) -> O,
{
    // SAFETY: `F` has no bytes (checked where its address was taken), so reading one touches no memory; a
    // value of it existed there, was forgotten, and so is not duplicated.
    let f: F = unsafe { std::ptr::NonNull::dangling().read() };
    // SAFETY: the host lends the bytes for this call.
    let mut bytes = unsafe { inputs.as_slice() };
    let mut end = ChunkEnd {
        done: 0,
        busy: 0,
        how: End::Finished,
    };
    let mut decoded = Vec::new();
    for _ in 0..count {
        let input = catch_unwind(AssertUnwindSafe(|| postcard::take_from_bytes::<I>(bytes)));
        let Ok(Ok((input, rest))) = input else {
            end.how = End::NotEncodable;
            break;
        };
        decoded.push(input);
        bytes = rest;
    }
    let mut results = Vec::with_capacity(decoded.len());
    let start = Instant::now();
    let applied = catch_unwind(AssertUnwindSafe(|| {
        for input in decoded {
            results.push(f(input));
        }
    }));
    end.busy = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if applied.is_err() {
        end.how = End::Panicked;
    }
    let mut encoded = Vec::new();
    for result in &results {
        let longer = catch_unwind(AssertUnwindSafe(|| {
            postcard::to_extend(result, std::mem::take(&mut encoded))
        }));
        let Ok(Ok(longer)) = longer else {
            end.how = End::NotEncodable;
            break;
        };
        encoded = longer;
        end.done += 1;
    }
    write(to, Bytes::of(&encoded));
    // A result whose `drop` panics must not unwind into the host.
    if catch_unwind(AssertUnwindSafe(|| drop(results))).is_err() {
        end.how = End::Panicked;
    }
    end
}

/// An input that exactly one worker takes out.
struct Cell<I>(MaybeUninit<I>);

// SAFETY: the host hands each index to exactly one worker, so no two threads touch the same input.
unsafe impl<I: Send> Sync for Cell<I> {}

struct Shared<'a, I, O, F> {
    inputs: &'a [Cell<I>],
    results: &'a [OnceLock<O>],
    f: &'a F,
}

extern "C" fn run_items<I, O, F>(ctx: *mut c_void, first: u64, end: u64) -> ChunkEnd
where
    F: Fn(I) -> O,
{
    // SAFETY: `ctx` is the `Shared` of the `on_threads` call that waits for this map.
    let shared = unsafe { &*ctx.cast::<Shared<'_, I, O, F>>() };
    let mut ended = ChunkEnd {
        done: 0,
        busy: 0,
        how: End::Finished,
    };
    let start = Instant::now();
    let applied = catch_unwind(AssertUnwindSafe(|| {
        for index in first as usize..end as usize {
            // SAFETY: each index is run once, so the input is still there and is taken once.
            let input = unsafe { shared.inputs[index].0.assume_init_read() };
            let _ = shared.results[index].set((shared.f)(input));
            ended.done += 1;
        }
    }));
    ended.busy = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    if applied.is_err() {
        ended.how = End::Panicked;
    }
    ended
}
