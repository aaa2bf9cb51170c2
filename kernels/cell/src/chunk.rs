//! A chunk on the engine: its items one after the other, timed, tried again, stopped between two of them. Nothing
//! here depends on the types of a map but a step from an input's bytes to a result's.

use std::mem::size_of;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Serialize, de::DeserializeOwned};

use crate::catch::caught;
use crate::codec::{self, Form};
use crate::host::{Bytes, ChunkEnd, End, Task, host, take_panic};
use crate::memo;

/// Tags of results in a map that collects errors.
pub(crate) const VALUE: u8 = 0;
pub(crate) const ERROR: u8 = 1;

/// How the types of a map travel.
#[derive(Clone, Copy)]
pub(crate) struct Types {
    input: Form,
    /// Bytes of an input that is a plain number.
    size: usize,
    result: Form,
}

impl Types {
    pub fn of<I, O>() -> Self {
        Self {
            input: codec::form::<I>(),
            size: size_of::<I>(),
            result: codec::form::<O>(),
        }
    }
}

/// Where the code of a type is at work: it tells whose panic it was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Input,
    User,
    Result,
    /// The item is done, and its result is dropped.
    Drop,
}

/// Runs items as long as the chunk goes on.
pub(crate) type Steps<'a> = &'a mut dyn FnMut(&mut Chunk<'_>);

/// Items that are timed together, and the bytes beyond which their results are written out.
const BLOCK: u64 = 1024;
const BLOCK_BYTES: usize = 64 * 1024;

/// Items at the beginning of a chunk that are timed one by one, and the rest too where one takes so long. Of
/// shorter ones the clock would be much of their time; theirs includes coming and going.
const TIMED: u64 = 8;
const LONG: Duration = Duration::from_micros(2);

/// A chunk under way.
pub(crate) struct Chunk<'a> {
    task: &'a Task,
    types: Types,
    /// Inputs that have not been taken.
    rest: &'a [u8],
    /// The item under way, counted from the payload's first; those before `task.from` are passed over.
    item: u64,
    /// Where the steps are to end.
    last: u64,
    /// Bytes of `out` before the item under way.
    before: usize,
    out: Vec<u8>,
    how: End,
    at: At,
    failed: u64,
    /// Nanoseconds inside the user's function.
    busy: u64,
    /// Each item is timed by itself, since `begun`.
    timed: bool,
    begun: Instant,
    /// What the items of a reduction came to is wanted.
    pub concludes: bool,
}

pub(crate) fn run(task: &Task, types: Types, reduces: bool, steps: Steps<'_>) -> ChunkEnd {
    let lookups = memo::lookups();
    let types = Types {
        input: types.input.among_errors(task.collect),
        ..types
    };
    let mut chunk = Chunk {
        task,
        types,
        // SAFETY: the host lends the bytes for the time of the chunk.
        rest: unsafe { task.inputs.as_slice() },
        item: 0,
        last: 0,
        before: 0,
        out: Vec::new(),
        how: End::Finished,
        at: At::Input,
        failed: 0,
        busy: 0,
        timed: true,
        begun: Instant::now(),
        concludes: false,
    };
    if types.input == Form::Number {
        chunk.item = task.from;
        let passed = chunk.rest.get(task.from as usize * types.size..);
        chunk.rest = passed.unwrap_or_default();
    }
    if !reduces && (task.collect || task.timed || task.retries > 0) {
        chunk.run_carefully(steps);
    } else {
        chunk.run_quickly(steps);
    }
    let mut done = chunk.item.saturating_sub(task.from);
    if reduces && !chunk.conclude(steps) {
        // Only a panic says how far it came.
        done = 0;
    }
    chunk.write(0);
    status(task.item).store(0, Relaxed);
    ChunkEnd {
        done,
        failed: chunk.failed,
        busy: chunk.busy,
        lookups: memo::lookups().since(lookups),
        how: chunk.how,
    }
}

fn status(word: *const AtomicU64) -> &'static AtomicU64 {
    // SAFETY: the host's words live as long as the process.
    unsafe { &*word }
}

impl Chunk<'_> {
    /// Whether another item is to run; notes it.
    #[inline]
    pub fn goes_on(&mut self) -> bool {
        if self.item >= self.last || self.how != End::Finished || self.out.len() > BLOCK_BYTES {
            return false;
        }
        if status(self.task.stop).load(Relaxed) == self.task.job {
            self.how = End::Stopped;
            return false;
        }
        status(self.task.item).store(self.task.first + self.item + 1, Relaxed);
        let begun = status(self.task.begun);
        begun.store(begun.load(Relaxed) + 1, Relaxed);
        self.before = self.out.len();
        self.at = At::Input;
        true
    }

    /// The next input; `None` when it is only passed over, or can't be decoded.
    #[inline]
    pub fn input<I: DeserializeOwned>(&mut self) -> Option<I> {
        if self.item < self.task.from && self.types.input == Form::Framed {
            self.pass_over();
            return None;
        }
        let Ok(input) = codec::take::<I>(&mut self.rest, self.types.input) else {
            self.how = End::NotEncodable;
            return None;
        };
        if self.item < self.task.from {
            self.item += 1;
            return None;
        }
        Some(input)
    }

    fn pass_over(&mut self) {
        match codec::pass(&mut self.rest) {
            Ok(()) => self.item += 1,
            Err(_) => self.how = End::NotEncodable,
        }
    }

    /// The user's function begins.
    #[inline]
    pub fn begin(&mut self) {
        self.at = At::User;
        if self.timed {
            self.begun = Instant::now();
        }
    }

    /// It has ended.
    #[inline]
    pub fn end(&mut self) {
        if self.timed {
            self.busy += nanoseconds(self.begun.elapsed());
        }
        self.at = At::Result;
    }

    #[inline]
    pub fn result<O: Serialize>(&mut self, result: &O) {
        match codec::append(result, self.types.result, &mut self.out) {
            Ok(()) => self.next(),
            Err(_) => self.how = End::NotEncodable,
        }
    }

    #[inline]
    pub fn next(&mut self) {
        self.item += 1;
        self.at = At::Drop;
    }

    /// Runs the items before `last`.
    fn run_until(&mut self, last: u64, steps: Steps<'_>) {
        self.last = last;
        if caught(&mut || steps(self)) {
            return;
        }
        self.how = match self.at {
            At::Input | At::Result => End::NotEncodable,
            At::User | At::Drop => End::Panicked,
        };
        if self.at == At::User && self.timed {
            self.busy += nanoseconds(self.begun.elapsed());
        }
        if self.at == At::Drop {
            self.item -= 1;
        }
    }

    /// Writes out what has come together.
    fn write(&mut self, least: usize) {
        if self.out.len() > least {
            (self.task.write)(self.task.output, Bytes::of(&self.out));
            self.out.clear();
        }
    }

    /// Blocks of items between two looks at the clock.
    fn run_quickly(&mut self, steps: Steps<'_>) {
        while self.item < self.task.to && self.how == End::Finished {
            let (item, since) = (self.item, Instant::now());
            let most = if self.timed { TIMED } else { BLOCK };
            self.run_until(self.task.to.min(item + most), steps);
            if matches!(self.how, End::Panicked | End::NotEncodable) {
                self.out.truncate(self.before);
            }
            let took = since.elapsed();
            if !self.timed {
                self.busy += nanoseconds(took);
            }
            self.timed = took > LONG * (self.item - item) as u32;
            self.write(BLOCK_BYTES);
        }
    }

    /// Item by item: each is timed, tried again, and its panic, or serde's refusal, may be its result.
    fn run_carefully(&mut self, steps: Steps<'_>) {
        let task = self.task;
        self.run_until(task.from, steps);
        let mut tries = 0;
        while self.item < task.to && self.how == End::Finished {
            let (before, input, busy) = (self.out.len(), self.rest, self.busy);
            if task.collect {
                self.out.push(VALUE);
            }
            self.run_until(self.item + 1, steps);
            if self.how != End::Finished {
                self.out.truncate(before);
            }
            if self.how == End::Panicked && tries < task.retries {
                tries += 1;
                self.how = End::Finished;
                self.rest = input;
                take_panic();
                continue;
            }
            tries = 0;
            if task.timed && self.how != End::Stopped {
                (host().item_ran)(0, self.busy - busy);
            }
            if matches!(self.how, End::Panicked | End::NotEncodable) && task.collect {
                self.how = End::Finished;
                let why = take_panic();
                self.out.push(ERROR);
                self.failed += 1;
                match codec::append(&why, Form::Serde, &mut self.out) {
                    Ok(()) => self.next(),
                    Err(_) => self.how = End::NotEncodable,
                }
            }
            // With room for the next one's tag.
            self.write(BLOCK_BYTES / 2);
        }
    }

    /// The end of a reduction; false when it has no result.
    fn conclude(&mut self, steps: Steps<'_>) -> bool {
        if self.how == End::Finished {
            let item = self.item;
            self.concludes = true;
            self.at = At::Result;
            self.run_until(0, steps);
            self.item = item;
        }
        if self.how != End::Finished {
            self.out.clear();
        }
        matches!(self.how, End::Finished | End::Panicked)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
