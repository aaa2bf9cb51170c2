//! What runs on the other engine: makes the function from its captured variables, decodes inputs, applies it,
//! encodes results. Only what depends on the types is generic: a step from an input's bytes to a result's.

use std::ffi::c_void;
use std::mem::size_of;
use std::sync::atomic::Ordering::Relaxed;
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
    let bytes = unsafe { captures.as_slice() };
    let made = value_of(|| {
        let owned = C::own(bytes)?;
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
        let Some(input) = chunk.input::<I>() else {
            return chunk.stepped();
        };
        chunk.begin();
        let result = f(input);
        chunk.end();
        chunk.result(&result)
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
        if chunk.asks == Asks::Result {
            return match &so_far {
                Some(result) => chunk.result(result),
                None => Stepped::Done,
            };
        }
        let Some(input) = chunk.input::<I>() else {
            return chunk.stepped();
        };
        chunk.begin();
        let result = f(input);
        so_far = Some(match so_far.take() {
            Some(before) => combine(before, result),
            None => result,
        });
        chunk.end();
        Stepped::Done
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

/// What came of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stepped {
    Done,
    Panicked,
    NotEncodable,
}

/// What a step is to do.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asks {
    /// Pass over an input.
    Skip,
    /// Run an item.
    Item,
    /// Write what the items of a reduction came to.
    Result,
}

/// Where a step is: it tells whose panic it was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Input,
    User,
    Result,
}

/// Takes the next input off a chunk and does what it asks.
type Step<'a> = &'a mut dyn FnMut(&mut Chunk<'_>) -> Stepped;

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
    rest: &'a [u8],
    end: ChunkEnd,
    out: Vec<u8>,
    asks: Asks,
    at: At,
    /// Each item is timed by itself.
    timed: bool,
    begun: Instant,
    /// Bytes of `out` before the item under way.
    before: usize,
}

fn run(task: &Task, types: Types, reduces: bool, step: Step<'_>) -> ChunkEnd {
    let mut chunk = Chunk {
        task,
        types,
        // SAFETY: the host lends the bytes for the time of the chunk.
        rest: unsafe { task.inputs.as_slice() },
        end: ChunkEnd {
            done: 0,
            failed: 0,
            busy: 0,
            how: End::Finished,
        },
        out: Vec::new(),
        asks: Asks::Skip,
        at: At::Input,
        timed: true,
        begun: Instant::now(),
        before: 0,
    };
    if !chunk.skip(step) {
        chunk.end.how = End::NotEncodable;
        return chunk.end;
    }
    chunk.asks = Asks::Item;
    if !reduces && (task.collect || task.timed || task.retries > 0) {
        chunk.run_carefully(step);
    } else {
        chunk.run_quickly(step);
    }
    if reduces {
        chunk.conclude(step);
    }
    chunk.write(0);
    chunk.status(task.item).store(0, Relaxed);
    chunk.end
}

impl Chunk<'_> {
    /// The next input; `None` when it is only passed over, or can't be decoded: see [`Self::stepped`].
    fn input<I: DeserializeOwned>(&mut self) -> Option<I> {
        self.at = At::Input;
        let input = codec::take::<I>(&mut self.rest, self.types.input).ok();
        if input.is_some() {
            self.at = At::User;
        }
        match self.asks {
            Asks::Item => input,
            _ => None,
        }
    }

    /// What a step without an input came to.
    fn stepped(&self) -> Stepped {
        match self.at {
            At::Input => Stepped::NotEncodable,
            _ => Stepped::Done,
        }
    }

    /// The user's function begins.
    fn begin(&mut self) {
        if self.timed {
            self.begun = Instant::now();
        }
    }

    /// It has ended.
    fn end(&mut self) {
        if self.timed {
            self.end.busy += nanoseconds(self.begun.elapsed());
        }
        self.at = At::Result;
    }

    fn result<O: Serialize>(&mut self, result: &O) -> Stepped {
        let encoded = codec::append(result, self.types.result, &mut self.out);
        // Whatever panics from here on is the user's: the result's `drop`.
        self.at = At::User;
        if encoded.is_ok() {
            Stepped::Done
        } else {
            Stepped::NotEncodable
        }
    }

    /// To the first input that is to run.
    fn skip(&mut self, step: Step<'_>) -> bool {
        let count = self.task.from as usize;
        if self.types.input == Form::Number {
            let rest = self.rest.get(count * self.types.size..);
            self.rest = rest.unwrap_or_default();
            return rest.is_some();
        }
        (0..count).all(|_| self.try_step(step) == Stepped::Done)
    }

    /// One step, whatever it does.
    fn try_step(&mut self, step: Step<'_>) -> Stepped {
        let mut stepped = Stepped::Panicked;
        if caught(&mut || stepped = step(self)) {
            return stepped;
        }
        self.panicked()
    }

    /// What a panic means.
    fn panicked(&mut self) -> Stepped {
        if self.at != At::User {
            return Stepped::NotEncodable;
        }
        if self.timed {
            self.end.busy += nanoseconds(self.begun.elapsed());
        }
        Stepped::Panicked
    }

    fn left(&self) -> u64 {
        self.task.to - self.task.from - self.end.done
    }

    fn status(&self, word: *const std::sync::atomic::AtomicU64) -> &std::sync::atomic::AtomicU64 {
        // SAFETY: the host's words live as long as the process.
        unsafe { &*word }
    }

    /// Notes the item that comes now; false when the chunk is to end before it.
    fn goes_on(&self) -> bool {
        if self.status(self.task.stop).load(Relaxed) == self.task.job {
            return false;
        }
        let item = self.task.first + self.task.from + self.end.done;
        self.status(self.task.item).store(item + 1, Relaxed);
        let begun = self.status(self.task.begun);
        begun.store(begun.load(Relaxed) + 1, Relaxed);
        true
    }

    /// Writes out what has come together.
    fn write(&mut self, least: usize) {
        if self.out.len() > least {
            (self.task.write)(self.task.output, Bytes::of(&self.out));
            self.out.clear();
        }
    }

    /// Blocks of items between two looks at the clock.
    fn run_quickly(&mut self, step: Step<'_>) {
        while self.left() > 0 && self.end.how == End::Finished {
            let (done, since) = (self.end.done, Instant::now());
            let most = if self.timed { TIMED } else { BLOCK };
            let last = done + self.left().min(most);
            let mut how = End::Panicked;
            if !caught(&mut || how = self.run_block(last, step)) {
                how = match self.panicked() {
                    Stepped::Panicked => End::Panicked,
                    _ => End::NotEncodable,
                };
            }
            if matches!(how, End::Panicked | End::NotEncodable) {
                self.out.truncate(self.before);
            }
            self.end.how = how;
            let took = since.elapsed();
            if !self.timed {
                self.end.busy += nanoseconds(took);
            }
            self.timed = took > LONG * (self.end.done - done) as u32;
            self.write(BLOCK_BYTES);
        }
    }

    fn run_block(&mut self, last: u64, step: Step<'_>) -> End {
        while self.end.done < last && self.out.len() <= BLOCK_BYTES {
            if !self.goes_on() {
                return End::Stopped;
            }
            self.before = self.out.len();
            if step(self) != Stepped::Done {
                return End::NotEncodable;
            }
            self.end.done += 1;
        }
        End::Finished
    }

    /// Item by item: each is timed, tried again, and its panic may be its result.
    fn run_carefully(&mut self, step: Step<'_>) {
        let task = self.task;
        while self.left() > 0 {
            if !self.goes_on() {
                self.end.how = End::Stopped;
                return;
            }
            let (before, input, busy) = (self.out.len(), self.rest, self.end.busy);
            let mut tries = 0;
            let stepped = loop {
                if task.collect {
                    self.out.push(VALUE);
                }
                let stepped = self.try_step(step);
                if stepped == Stepped::Done {
                    break stepped;
                }
                self.out.truncate(before);
                if stepped == Stepped::NotEncodable || tries >= task.retries {
                    break stepped;
                }
                tries += 1;
                self.rest = input;
                drop(text_of(|to, write| (host().take_panic)(to, write)));
            };
            if task.timed {
                (host().item_ran)(0, self.end.busy - busy);
            }
            match stepped {
                Stepped::Done => {}
                Stepped::Panicked if task.collect => {
                    let why = text_of(|to, write| (host().take_panic)(to, write));
                    self.out.push(ERROR);
                    self.end.failed += 1;
                    if codec::append(&why, Form::Serde, &mut self.out).is_err() {
                        self.end.how = End::NotEncodable;
                        return;
                    }
                }
                Stepped::Panicked => {
                    self.end.how = End::Panicked;
                    return;
                }
                Stepped::NotEncodable => {
                    self.end.how = End::NotEncodable;
                    return;
                }
            }
            self.end.done += 1;
            self.write(BLOCK_BYTES);
        }
    }

    /// The end of a reduction. Without a result only a panic says how far it came.
    fn conclude(&mut self, step: Step<'_>) {
        self.asks = Asks::Result;
        self.at = At::Result;
        if self.end.how == End::Finished && self.try_step(step) != Stepped::Done {
            self.end.how = End::NotEncodable;
        }
        if self.end.how != End::Finished {
            self.out.clear();
            if self.end.how != End::Panicked {
                self.end.done = 0;
            }
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

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
