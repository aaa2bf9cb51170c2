//! What runs on the other engine: makes the function from its captured variables, and applies it to a chunk, item by
//! item.
//!
//! The functions of a map on a process pool hold nothing, which is checked when a cell is compiled:
//!
//! ```no_run
//! use regatta_cell::pool;
//! let squares = pool::map(0..4_u64, |x| x * x);
//! let sum = pool::reduce(0..4_u64, |x| x * x, |a, b| a + b);
//! ```
//!
//! ```compile_fail
//! # use regatta_cell::pool;
//! let factor = 3;
//! let squares = pool::map(0..4_u64, move |x| x * factor);
//! ```
//!
//! ```compile_fail
//! # use regatta_cell::pool;
//! let factor = 3;
//! let sum = pool::reduce(0..4_u64, move |x| x * factor, |a, b| a + b);
//! ```
//!
//! ```compile_fail
//! # use regatta_cell::pool;
//! let factor = 3;
//! let sum = pool::reduce(0..4_u64, |x| x * x, move |a, b| a + b * factor);
//! ```

use std::ffi::c_void;
use std::mem::size_of;

use serde::{Serialize, de::DeserializeOwned};

use crate::captures::Captured;
use crate::catch::{caught, value_of};
use crate::checks;
use crate::chunk::{Types, run};
use crate::host::{Bytes, ChunkEnd, Function, Task};

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
        if size_of::<M>() != 0 {
            panic!("{}", checks::CAPTURES);
        }
    }
    &const {
        Function {
            make: make::<C, M, F>,
            run: run_map::<F, I, O>,
            release: release::<F>,
        }
    }
}

/// The functions of a reduction: one for the items, one that combines. `M` alone must have no bytes: it is had again
/// from nothing. `F` and `P` are what it makes, which may hold captured variables, and are kept as any value is.
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
        if size_of::<M>() != 0 {
            panic!("{}", checks::CAPTURES);
        }
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
        // SAFETY: the cell that begins the map had one, and forgot it or called it for the same functions.
        let maker = unsafe { again::<M>() };
        Some(Box::into_raw(Box::new(maker(owned))).cast())
    });
    made.flatten().unwrap_or(std::ptr::null_mut())
}

/// A value of a type that has no bytes, such as a function that captures nothing.
///
/// # Safety
/// One was had when the map was begun, so that the type has values, and whoever began it gave up its own: each
/// engine has it again. What rustc cannot check: that the function captures no witness without bytes, a type of the user's
/// whose values mean that something was done in this process.
///
/// # Panics
/// When it has bytes. What the user's code gives is checked before it runs, in [`mapping`] and [`reducing`], where
/// the error can name the function.
unsafe fn again<T>() -> T {
    assert!(size_of::<T>() == 0, "a function that captures variables");
    // SAFETY: it has no bytes, so reading it touches no memory; that it may be had is promised by the caller.
    unsafe { std::ptr::NonNull::dangling().read() }
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use super::*;
    use crate::codec::{self, Form};
    use crate::host::{End, append};

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
    #[should_panic(expected = "a function that captures variables")]
    fn a_function_with_bytes_is_not_had_again() {
        // SAFETY: it has bytes, so none is made.
        unsafe { again::<(fn(u8) -> u8, u8)>() };
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
