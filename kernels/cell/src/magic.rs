//! What the code that magics generate calls. Not for users: it may change with any version.

use std::any::type_name;
use std::ffi::c_void;
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::{Serialize, de::DeserializeOwned};

use crate::host::{Bytes, End, MapEnd, host};
use crate::pool::{on_processes, on_threads};
use crate::value::{debug_text, show};

/// `%map` on a process pool.
pub fn map_processes<I, O, F>(function: &str, inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
where
    I: Serialize + DeserializeOwned,
    O: Serialize + DeserializeOwned,
    F: Fn(I) -> O,
{
    on_processes(function, inputs, f)
}

/// `%map` on a thread pool.
pub fn map_threads<I, O, F>(function: &str, inputs: impl IntoIterator<Item = I>, f: F) -> Vec<O>
where
    I: Send,
    O: Send + Sync,
    F: Fn(I) -> O + Sync,
{
    on_threads(function, inputs, f)
}

/// `%px` on a thread pool: runs `f` once on each of its threads and shows what each returned.
pub fn broadcast<F: Fn() + Sync>(f: F) {
    extern "C" fn run<F: Fn()>(ctx: *mut c_void, _rank: u32) -> End {
        // SAFETY: `ctx` is the closure of the `broadcast` call that waits for all threads.
        let f = unsafe { &*ctx.cast::<F>() };
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(()) => End::Finished,
            Err(_) => End::Panicked,
        }
    }
    let end = (host().broadcast)((&raw const f).cast_mut().cast(), run::<F>);
    if end != MapEnd::Finished {
        std::panic::resume_unwind(Box::new("the broadcast failed"));
    }
}

/// How many of an engine's first results the map table looks at.
const FIRST: u64 = 8;

/// Hands the `Debug` texts of each engine's first results to the map table. Chosen by method lookup (see
/// [`Results`]), because a result type need not have `Debug`.
pub trait NoteDebug {
    fn note(&self);
}

/// The fallback of [`NoteDebug`]: the table goes without the column.
pub trait NoteNothing {
    fn note(&self) {}
}

/// Results of a map. `(&Results(&r)).note()` finds [`NoteDebug`] first when the results have `Debug`, and
/// [`NoteNothing`] one reference further otherwise.
pub struct Results<'a, O>(pub &'a [O]);

impl<O: Debug> NoteDebug for Results<'_, O> {
    fn note(&self) {
        let mut items = [0_u64; FIRST as usize];
        for rank in 0.. {
            let count = (host().first_items)(rank, items.as_mut_ptr(), FIRST);
            if count == u64::MAX {
                break;
            }
            let texts: Vec<String> = items[..count as usize]
                .iter()
                .filter_map(|&index| self.0.get(usize::try_from(index).ok()?))
                .map(|result| debug_text(result).replace('\u{1f}', " "))
                .collect();
            (host().note_results)(rank, Bytes::of(texts.join("\u{1f}").as_bytes()));
        }
    }
}

impl<O> NoteNothing for &Results<'_, O> {}

/// Shows a value and sends it to the session, for `%px -o`.
pub fn send_value<T: Debug + Serialize + DeserializeOwned>(value: &T) {
    show_value(value);
    let encoded = postcard::to_allocvec(value).expect("the value can be encoded by serde");
    let digits: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
    (host().show)(
        Bytes::of(b"application/x-regatta"),
        Bytes::of(digits.as_bytes()),
        Bytes::of(type_name::<T>().as_bytes()),
    );
}

/// The values of [`send_value`], one a line of the file, by rank.
pub fn received<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let text = std::fs::read_to_string(file).expect("the session wrote the file");
    let decode = |line: &str| {
        let bytes: Vec<u8> = (0..line.len() / 2)
            .map(|at| u8::from_str_radix(&line[2 * at..2 * at + 2], 16).expect("digits"))
            .collect();
        postcard::from_bytes(&bytes).expect("what serde encoded it decodes")
    };
    text.lines().map(decode).collect()
}

/// Shows a value of one thread of a `%px`.
pub fn show_value<T: Debug>(value: &T) {
    show(&debug_text(value), type_name::<T>());
}
