//! What runs on the other engine: makes the function from its captured variables, decodes inputs, applies it,
//! encodes results. Only what depends on the types is generic: a step from an input's bytes to a result's.

use std::ffi::c_void;
use std::mem::size_of;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use serde::{Serialize, de::DeserializeOwned};

use crate::captures::Captured;
use crate::catch::{caught, value_of};
use crate::codec::{self, Form};
use crate::host::{Bytes, ChunkEnd, End, Function, Task, host, text_of};

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
    let mut bytes = unsafe { captures.as_slice() };
    let made = value_of(|| {
        let owned = C::own(&mut bytes)?;
        // SAFETY: `M` has no bytes (checked where its address was taken), so reading one touches no memory; a
        // value of it existed there and was forgotten.
        let maker: M = unsafe { std::ptr::NonNull::dangling().read() };
        Some(Box::into_raw(Box::new(maker(owned))).cast())
    });
    made.flatten().unwrap_or(std::ptr::null_mut())
}

extern "C" fn release<W>(made: *mut c_void) {
    // A value whose `drop` panics must not unwind into the host.
    caught(&mut || {
        // SAFETY: `make` made it, and the host gives it back once.
        drop(unsafe { Box::from_raw(made.cast::<W>()) });
    });
}

extern "C" fn run_map<F, I, O>(made: *const c_void, task: *const Task) -> ChunkEnd
where
    F: Fn(I) -> O,
    I: DeserializeOwned,
    O: Serialize,
{
    // SAFETY: `make` made it, and both live for the call.
    let (f, task) = unsafe { (&*made.cast::<F>(), &*task) };
    run(task, Types::of::<I, O>(), false, &mut |chunk| {
        while chunk.goes_on() {
            let Some(input) = chunk.input::<I>() else {
                continue;
            };
            chunk.begin();
            let result = f(input);
            chunk.end();
            chunk.result(&result);
        }
    })
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
    let mut so_far: Option<O> = None;
    run(task, Types::of::<I, O>(), true, &mut |chunk| {
        while chunk.goes_on() {
            let Some(input) = chunk.input::<I>() else {
                continue;
            };
            chunk.begin();
            let result = f(input);
            so_far = Some(match so_far.take() {
                Some(before) => combine(before, result),
                None => result,
            });
            chunk.end();
            chunk.next();
        }
        if let Some(result) = so_far.as_ref().filter(|_| chunk.concludes) {
            chunk.result(result);
        }
    })
}

/// How the types of a map travel.
#[derive(Clone, Copy)]
struct Types {
    input: Form,
    /// Bytes of an input that is a plain number.
    size: usize,
    result: Form,
}

impl Types {
    fn of<I, O>() -> Self {
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
type Steps<'a> = &'a mut dyn FnMut(&mut Chunk<'_>);

/// Items that are timed together, and the bytes beyond which their results are written out.
const BLOCK: u64 = 1024;
const BLOCK_BYTES: usize = 64 * 1024;

/// Items at the beginning of a chunk that are timed one by one, and the rest too where one takes so long. Of
/// shorter ones the clock would be much of their time; theirs includes coming and going.
const TIMED: u64 = 8;
const LONG: Duration = Duration::from_micros(2);

/// A chunk under way.
struct Chunk<'a> {
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
    concludes: bool,
}

fn run(task: &Task, types: Types, reduces: bool, steps: Steps<'_>) -> ChunkEnd {
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
    fn goes_on(&mut self) -> bool {
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
    fn input<I: DeserializeOwned>(&mut self) -> Option<I> {
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

    /// The user's function begins.
    #[inline]
    fn begin(&mut self) {
        self.at = At::User;
        if self.timed {
            self.begun = Instant::now();
        }
    }

    /// It has ended.
    #[inline]
    fn end(&mut self) {
        if self.timed {
            self.busy += nanoseconds(self.begun.elapsed());
        }
        self.at = At::Result;
    }

    #[inline]
    fn result<O: Serialize>(&mut self, result: &O) {
        match codec::append(result, self.types.result, &mut self.out) {
            Ok(()) => self.next(),
            Err(_) => self.how = End::NotEncodable,
        }
    }

    #[inline]
    fn next(&mut self) {
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

    /// Item by item: each is timed, tried again, and its panic may be its result.
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
                drop(text_of(|to, write| (host().take_panic)(to, write)));
                continue;
            }
            tries = 0;
            if task.timed && self.how != End::Stopped {
                (host().item_ran)(0, self.busy - busy);
            }
            if self.how == End::Panicked && task.collect {
                self.how = End::Finished;
                let why = text_of(|to, write| (host().take_panic)(to, write));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::append;

    /// Runs a chunk of the inputs `first..first + count` from `from` on; how it ended, and its results.
    fn ran<I: Serialize>(
        function: extern "C" fn(*const c_void, *const Task) -> ChunkEnd,
        made: *const c_void,
        inputs: &[I],
        from: u64,
    ) -> (ChunkEnd, Vec<u8>) {
        let (mut bytes, mut results) = (Vec::new(), Vec::<u8>::new());
        for input in inputs {
            codec::append(input, codec::form::<I>(), &mut bytes).unwrap();
        }
        let words = [const { AtomicU64::new(0) }; 3];
        let task = Task {
            inputs: Bytes::of(&bytes),
            count: inputs.len() as u64,
            first: 100,
            from,
            to: inputs.len() as u64,
            collect: false,
            timed: false,
            retries: 0,
            output: (&raw mut results).cast(),
            write: append,
            item: &raw const words[0],
            begun: &raw const words[1],
            stop: &raw const words[2],
            job: 1,
        };
        let end = function(made, &raw const task);
        assert_eq!(words[0].load(Relaxed), 0, "an item seems to run");
        (end, results)
    }

    fn mapped<F: Fn(I) -> O, I, O>(f: &F, inputs: &[I], from: u64) -> (ChunkEnd, Vec<O>)
    where
        I: Serialize + DeserializeOwned,
        O: Serialize + DeserializeOwned,
    {
        let made = std::ptr::from_ref(f).cast();
        let (end, bytes) = ran(run_map::<F, I, O>, made, inputs, from);
        let mut results = Vec::new();
        codec::take_many(end.done as usize, &mut &bytes[..], &mut results).unwrap();
        (end, results)
    }

    #[test]
    fn long_chunks_come_to_their_end() {
        // Sizes around those at which blocks end and results are written out.
        for count in [0, 1, 8, 9, 8191, 8192, 8193, 100_000] {
            let inputs: Vec<u64> = (0..count).collect();
            let (end, results) = mapped(&|x: u64| x + 1, &inputs, 0);
            assert_eq!((end.done, end.how), (count, End::Finished));
            assert!((1..=count).eq(results));
        }
        let inputs: Vec<String> = (0..20_000).map(|n| format!("number {n}")).collect();
        let (end, results) = mapped(&|text: String| text, &inputs, 5);
        assert_eq!((end.done, end.how), (19_995, End::Finished));
        assert_eq!(results, inputs[5..]);
    }

    #[test]
    fn what_was_done_before_a_panic_is_kept() {
        let inputs: Vec<u64> = (0..3000).collect();
        for bad in [0, 3, 8, 2000] {
            let f = |x: u64| {
                if x == bad {
                    panic!("as wanted")
                } else {
                    (x, x.to_string())
                }
            };
            let (end, results) = mapped(&f, &inputs, 0);
            assert_eq!((end.done, end.how), (bad, End::Panicked));
            assert!(results.into_iter().map(|(x, _)| x).eq(0..bad));
        }
    }

    #[test]
    fn a_result_whose_drop_panics_is_none() {
        #[derive(Serialize, serde::Deserialize)]
        struct Bomb(u64);
        impl Drop for Bomb {
            fn drop(&mut self) {
                assert!(self.0 != 5, "as wanted");
            }
        }
        let f = |x: u64| Bomb(x);
        let made = std::ptr::from_ref(&f).cast();
        fn function<F: Fn(u64) -> Bomb>(
            _: &F,
        ) -> extern "C" fn(*const c_void, *const Task) -> ChunkEnd {
            run_map::<F, u64, Bomb>
        }
        let (end, bytes) = ran(function(&f), made, &[1_u64, 2, 5, 6], 0);
        assert_eq!((end.done, end.how, bytes.len()), (2, End::Panicked, 2));
    }

    #[test]
    fn a_reduction_gives_one_result() {
        fn of<F: Fn(u64) -> String, P: Fn(String, String) -> String>(
            both: &(F, P),
            inputs: &[u64],
        ) -> (ChunkEnd, Vec<u8>) {
            let made = std::ptr::from_ref(both).cast();
            ran(run_reduce::<F, P, u64, String>, made, inputs, 1)
        }
        let join = |a: String, b: String| a + &b;
        let (end, bytes) = of(&(|x| x.to_string(), join), &[1, 2, 3, 4]);
        assert_eq!((end.done, end.how), (3, End::Finished));
        let joined = codec::take::<String>(&mut &bytes[..], Form::Serde).unwrap();
        assert_eq!(joined, "234");
        let (end, bytes) = of(
            &(
                |x| {
                    assert!(x < 3);
                    x.to_string()
                },
                join,
            ),
            &[1, 2, 3, 4],
        );
        assert_eq!((end.done, end.how, bytes.len()), (1, End::Panicked, 0));
    }
}
