//! What runs on the other engine: makes the function from its captured variables, decodes inputs, applies it,
//! encodes results.

use std::any::Any;
use std::ffi::c_void;
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use serde::{Serialize, de::DeserializeOwned};

use crate::captures::Captured;
use crate::codec;
use crate::host::{Bytes, ChunkEnd, End, Function, Task, host, text_of};

/// Inputs that are decoded together, and the bytes after which a block ends early.
const BLOCK: usize = 1024;
const BLOCK_BYTES: usize = 64 * 1024;

/// Tags of results in a map that collects errors.
pub(crate) const VALUE: u8 = 0;
pub(crate) const ERROR: u8 = 1;

/// The function of a map: `M` makes it from the captured variables.
pub(crate) extern "C" fn mapping<C, M, F, I, O>() -> *const Function
where
    C: Captured,
    M: FnOnce(C::Owned) -> F,
    F: Fn(I) -> O,
    I: DeserializeOwned,
    O: Serialize,
{
    const {
        assert!(
            size_of::<M>() == 0,
            "regatta: the function of a map on a process pool captures variables (or is a function pointer)"
        );
    }
    &const {
        Function {
            make: make::<C, M, F>,
            run: run_map::<F, I, O>,
            release: release::<F>,
        }
    }
}

/// The functions of a reduction: one for the items, one that combines.
pub(crate) extern "C" fn reducing<C, M, F, P, I, O>() -> *const Function
where
    C: Captured,
    M: FnOnce(C::Owned) -> (F, P),
    F: Fn(I) -> O,
    P: Fn(O, O) -> O,
    I: DeserializeOwned,
    O: Serialize,
{
    const {
        assert!(
            size_of::<M>() == 0,
            "regatta: the function of a map on a process pool captures variables (or is a function pointer)"
        );
    }
    &const {
        Function {
            make: make::<C, M, (F, P)>,
            run: run_reduce::<F, P, I, O>,
            release: release::<(F, P)>,
        }
    }
}

extern "C" fn make<C: Captured, M: FnOnce(C::Owned) -> W, W>(captures: Bytes) -> *mut c_void {
    // SAFETY: the host lends the bytes for this call.
    let bytes = unsafe { captures.as_slice() };
    let made = catch_unwind(|| {
        let owned = C::own(bytes)?;
        // SAFETY: `M` has no bytes (checked where its address was taken), so reading one touches no memory; a
        // value of it existed there and was forgotten.
        let maker: M = unsafe { std::ptr::NonNull::dangling().read() };
        Some(Box::into_raw(Box::new(maker(owned))).cast())
    });
    made.ok().flatten().unwrap_or(std::ptr::null_mut())
}

extern "C" fn release<W>(made: *mut c_void) {
    // SAFETY: `make` made it, and the host gives it back once.
    let made = unsafe { Box::from_raw(made.cast::<W>()) };
    // A value whose `drop` panics must not unwind into the host.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(made)));
}

fn nanoseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A chunk under way.
struct Chunk<'a> {
    task: &'a Task,
    rest: &'a [u8],
    end: ChunkEnd,
    out: Vec<u8>,
}

impl<'a> Chunk<'a> {
    /// At the first input that is to run; `None` when those before it can't be decoded.
    fn begin<I: DeserializeOwned>(task: &'a Task) -> Option<Self> {
        // SAFETY: the host lends the bytes for the time of the chunk.
        let mut rest = unsafe { task.inputs.as_slice() };
        if codec::is_number::<I>() {
            rest = rest.get(usize::try_from(task.from).ok()? * size_of::<I>()..)?;
        } else {
            for _ in 0..task.from {
                decode::<I>(&mut rest)?;
            }
        }
        let end = ChunkEnd {
            done: 0,
            failed: 0,
            busy: 0,
            how: End::Finished,
        };
        Some(Self {
            task,
            rest,
            end,
            out: Vec::new(),
        })
    }

    fn left(&self) -> u64 {
        self.task.to - self.task.from - self.end.done
    }

    /// The index of an item, counted from where this chunk begins.
    fn index(&self, done: u64) -> u64 {
        self.task.first + self.task.from + done
    }

    fn is_stopped(&self) -> bool {
        // SAFETY: the host's words live as long as the process.
        unsafe { &*self.task.stop }.load(Relaxed) == self.task.job
    }

    fn note(&self, item: u64) {
        // SAFETY: as above.
        let (word, begun) = unsafe { (&*self.task.item, &*self.task.begun) };
        word.store(item + 1, Relaxed);
        begun.store(begun.load(Relaxed) + 1, Relaxed);
    }

    /// Writes out what has come together.
    fn write(&mut self, least: usize) {
        if self.out.len() > least {
            (self.task.write)(self.task.output, Bytes::of(&self.out));
            self.out.clear();
        }
    }

    fn finish(mut self) -> ChunkEnd {
        self.write(0);
        // SAFETY: as above.
        unsafe { &*self.task.item }.store(0, Relaxed);
        self.end
    }
}

fn decode<I: DeserializeOwned>(rest: &mut &[u8]) -> Option<I> {
    catch_unwind(AssertUnwindSafe(|| codec::take::<I>(rest)))
        .ok()?
        .ok()
}

fn encode<O: Serialize>(result: &O, out: &mut Vec<u8>) -> bool {
    catch_unwind(AssertUnwindSafe(|| {
        codec::append(result, codec::form::<O>(), out)
    }))
    .is_ok_and(|done| done.is_ok())
}

const NOT_RUN: ChunkEnd = ChunkEnd {
    done: 0,
    failed: 0,
    busy: 0,
    how: End::NotEncodable,
};

extern "C" fn run_map<F, I, O>(made: *const c_void, task: *const Task) -> ChunkEnd
where
    F: Fn(I) -> O,
    I: DeserializeOwned,
    O: Serialize,
{
    // SAFETY: `make` made it, and both live for the call.
    let (f, task) = unsafe { (&*made.cast::<F>(), &*task) };
    let Some(mut chunk) = Chunk::begin::<I>(task) else {
        return NOT_RUN;
    };
    if task.collect || task.timed || task.retries > 0 {
        chunk.run_carefully(&mut |rest, out| {
            let Some(input) = decode::<I>(rest) else {
                return Applied::NotEncodable;
            };
            match catch_unwind(AssertUnwindSafe(|| f(input))) {
                Ok(result) if encode(&result, out) => Applied::Done,
                Ok(_) => Applied::NotEncodable,
                Err(payload) => {
                    drop_payload(payload);
                    Applied::Panicked
                }
            }
        });
    } else {
        run_quickly(f, &mut chunk);
    }
    chunk.finish()
}

/// Blocks of items between two looks at the clock.
fn run_quickly<F, I, O>(f: &F, chunk: &mut Chunk<'_>)
where
    F: Fn(I) -> O,
    I: DeserializeOwned,
    O: Serialize,
{
    let mut inputs: Vec<I> = Vec::new();
    let mut results: Vec<O> = Vec::new();
    while chunk.left() > 0 && chunk.end.how == End::Finished {
        let most = chunk.left().min(BLOCK as u64) as usize;
        let decodable = decode_block(&mut chunk.rest, most, &mut inputs);
        let first = chunk.index(chunk.end.done);
        let start = Instant::now();
        let applied = catch_unwind(AssertUnwindSafe(|| {
            for (item, input) in (first..).zip(inputs.drain(..)) {
                if chunk.is_stopped() {
                    return End::Stopped;
                }
                chunk.note(item);
                results.push(f(input));
            }
            End::Finished
        }));
        chunk.end.busy += nanoseconds(start);
        chunk.end.how = applied.unwrap_or(End::Panicked);
        let encoded = catch_unwind(AssertUnwindSafe(|| {
            codec::append_many(&results, &mut chunk.out)
        }));
        let (done, encodable) = match encoded {
            Ok(Ok(())) => (results.len(), true),
            Ok(Err((done, _))) => (done, false),
            Err(_) => (0, false),
        };
        chunk.end.done += done as u64;
        if !encodable || (!decodable && chunk.end.how == End::Finished) {
            chunk.end.how = End::NotEncodable;
        }
        // A result whose `drop` panics must not unwind into the host.
        if catch_unwind(AssertUnwindSafe(|| results.clear())).is_err() {
            chunk.end.how = End::Panicked;
        }
        chunk.write(BLOCK_BYTES);
    }
}

/// Decodes up to `most` inputs, fewer when they are large; false when one can't be decoded.
fn decode_block<I: DeserializeOwned>(rest: &mut &[u8], most: usize, inputs: &mut Vec<I>) -> bool {
    if codec::is_number::<I>() {
        return codec::take_many(most, rest, inputs).is_ok();
    }
    let before = rest.len();
    while inputs.len() < most && before - rest.len() < BLOCK_BYTES {
        match decode(rest) {
            Some(input) => inputs.push(input),
            None => return false,
        }
    }
    true
}

/// What came of one item.
enum Applied {
    /// Its result was appended.
    Done,
    Panicked,
    NotEncodable,
}

impl Chunk<'_> {
    /// Item by item: each is timed, tried again, and its panic may be its result. `apply` takes one input off
    /// the bytes and appends its result.
    fn run_carefully(&mut self, apply: &mut dyn FnMut(&mut &[u8], &mut Vec<u8>) -> Applied) {
        let task = self.task;
        while self.left() > 0 {
            if self.is_stopped() {
                self.end.how = End::Stopped;
                return;
            }
            self.note(self.index(self.end.done));
            let before = self.out.len();
            let start = Instant::now();
            let mut tries = 0;
            let (applied, rest) = loop {
                let mut rest = self.rest;
                if task.collect {
                    self.out.push(VALUE);
                }
                let applied = apply(&mut rest, &mut self.out);
                if !matches!(applied, Applied::Panicked) {
                    break (applied, rest);
                }
                self.out.truncate(before);
                if tries >= task.retries {
                    break (applied, rest);
                }
                tries += 1;
                drop(text_of(|to, write| (host().take_panic)(to, write)));
            };
            self.rest = rest;
            let took = nanoseconds(start);
            self.end.busy += took;
            if task.timed {
                (host().item_ran)(0, took);
            }
            match applied {
                Applied::Done => {}
                Applied::Panicked if task.collect => {
                    let why = text_of(|to, write| (host().take_panic)(to, write));
                    self.out.push(ERROR);
                    self.end.failed += 1;
                    if !encode(&why, &mut self.out) {
                        self.end.how = End::NotEncodable;
                        return;
                    }
                }
                Applied::Panicked => {
                    self.end.how = End::Panicked;
                    return;
                }
                Applied::NotEncodable => {
                    self.out.truncate(before);
                    self.end.how = End::NotEncodable;
                    return;
                }
            }
            self.end.done += 1;
            self.write(BLOCK_BYTES);
        }
    }
}

/// A panic's payload may panic when it is dropped.
fn drop_payload(payload: Box<dyn Any + Send>) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(payload)));
}

extern "C" fn run_reduce<F, P, I, O>(made: *const c_void, task: *const Task) -> ChunkEnd
where
    F: Fn(I) -> O,
    P: Fn(O, O) -> O,
    I: DeserializeOwned,
    O: Serialize,
{
    // SAFETY: `make` made it, and both live for the call.
    let ((f, combine), task) = unsafe { (&*made.cast::<(F, P)>(), &*task) };
    let Some(mut chunk) = Chunk::begin::<I>(task) else {
        return NOT_RUN;
    };
    let mut so_far: Option<O> = None;
    let (mut done, count) = (0, chunk.left());
    let start = Instant::now();
    let applied = catch_unwind(AssertUnwindSafe(|| {
        while done < count {
            if chunk.is_stopped() {
                return End::Stopped;
            }
            let Ok(input) = codec::take::<I>(&mut chunk.rest) else {
                return End::NotEncodable;
            };
            chunk.note(chunk.index(done));
            let result = f(input);
            so_far = Some(match so_far.take() {
                Some(before) => combine(before, result),
                None => result,
            });
            done += 1;
        }
        End::Finished
    }));
    chunk.end.busy = nanoseconds(start);
    chunk.end.how = applied.unwrap_or(End::Panicked);
    if chunk.end.how == End::Finished {
        match &so_far {
            Some(result) if !encode(result, &mut chunk.out) => chunk.end.how = End::NotEncodable,
            _ => chunk.end.done = done,
        }
    } else if chunk.end.how == End::Panicked {
        // The index of the item that panicked; nothing is written.
        chunk.end.done = done;
    }
    if catch_unwind(AssertUnwindSafe(|| drop(so_far))).is_err() {
        chunk.end.how = End::Panicked;
    }
    chunk.finish()
}
