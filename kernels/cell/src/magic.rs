//! What the code that magics generate calls. Not for users: it may change with any version.

use std::any::type_name;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

pub use crate::captures::Both;
use crate::catch::{caught, give_up};
use crate::checks::Travels;
use crate::codec;
use crate::error::ItemError;
use crate::exchange::tagged;
use crate::host::{Bytes, End, Fact, Write, host, packed, text_of};
use crate::job::Job;
use crate::options::MapOptions;
use crate::pool::PoolView;
pub use crate::resident::{Borrowed, Copied, Resident};
use crate::threads::Copies;
use crate::value::{CellValue as _, debug_text, show, whole_text};

/// How a magic's map is to run: the session has given its options to this cell, where they have this number.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn asked(number: u64) -> PoolView {
    assert!(number < (host().received)(), "the session gave no options");
    // SAFETY: the host keeps the bytes until the cell ends.
    let bytes = unsafe { (host().receive)(number).as_slice() };
    let options = MapOptions::from_bytes(bytes).expect("what was encoded can be decoded");
    PoolView { options }
}

/// For how many maps the session has given options to this cell.
#[must_use]
pub fn given() -> u64 {
    (host().received)()
}

/// A captured variable's copy, for a job on a thread pool.
pub fn copied<T: Copies>(value: &T) -> T {
    value.clone()
}

/// The results of a job, for `%result`.
///
/// # Panics
/// When the job failed; the message says so.
pub fn results<O>(job: &Job<O>) -> Vec<O> {
    match job.get() {
        Ok(results) => results,
        Err(why) => panic!("{why}"),
    }
}

/// The result of a job of one item.
///
/// # Panics
/// As [`results`].
pub fn result<O>(job: &Job<O>) -> O {
    match job.result() {
        Ok(result) => result,
        Err(why) => panic!("{why}"),
    }
}

/// The result of a reduction.
///
/// # Panics
/// When there was nothing to reduce.
pub fn reduced<O>(result: Option<O>) -> O {
    result.unwrap_or_else(|| {
        (host().tell)(Fact::NothingToReduce, Bytes::of(&[]));
        panic!("there is nothing to reduce")
    })
}

/// What is done of a job that was cancelled, each with the index of its input.
pub fn partly<O>(job: &Job<O>) -> Vec<(u64, O)> {
    // The job's thread may still be ending.
    job.wait(Duration::from_secs(1));
    job.partial()
}

/// The results of a job that another session has begun, which the session has given to this cell: so many.
///
/// # Panics
/// When they are of another type.
pub fn earlier<O: Travels>(count: u64) -> Vec<O> {
    // SAFETY: the host keeps the bytes until the cell ends.
    let mut bytes = unsafe { (host().receive)(0).as_slice() };
    let all: Option<Vec<O>> = (0..count)
        .map(|_| codec::take(&mut bytes, codec::form::<O>()).ok())
        .collect();
    whole(all, bytes)
}

/// The same of a job that collects errors: a result or an error for each item.
///
/// # Panics
/// As [`earlier`].
pub fn earlier_or_errors<O: Travels>() -> Vec<Result<O, ItemError>> {
    // SAFETY: as above.
    let [mut bytes, mut about] = [0, 1].map(|it| unsafe { (host().receive)(it).as_slice() });
    let (parts, errors): (Vec<(u64, u64)>, Vec<ItemError>) =
        codec::take(&mut about, codec::Form::Serde).unwrap_or_else(|_| give_up());
    let mut all: BTreeMap<u64, Result<O, ItemError>> = errors
        .into_iter()
        .map(|error| (error.item(), Err(error)))
        .collect();
    for item in parts
        .into_iter()
        .flat_map(|(first, count)| first..first + count)
    {
        let result = tagged(item, &mut bytes);
        let result = result.unwrap_or_else(|| panic!("{OTHER_TYPE}"));
        all.entry(item).or_insert(result);
    }
    whole(Some(all.into_values().collect()), bytes)
}

const OTHER_TYPE: &str = "the job's results are of another type";

fn whole<T>(all: Option<T>, rest: &[u8]) -> T {
    match all {
        Some(all) if rest.is_empty() => all,
        _ => panic!("{OTHER_TYPE}"),
    }
}

/// Sends what each thread of a `%px` in the background has come to, by its place among the targets: the text of its
/// value and the value's type, or why there is none.
pub fn tell_threads<T: Debug>(job: Job<Result<T, ItemError>>) {
    let text = |value: T| (debug_text(&value), type_name::<T>().to_owned());
    let told = partly(&job).into_iter();
    let told: Vec<(u64, Result<_, ItemError>)> =
        told.map(|(place, came)| (place, came.map(text))).collect();
    // Its results are looked at once, as those of processes.
    drop(job);
    send(&told);
}

/// Variables that may hold a job which code began.
pub trait HasJobs<O> {
    fn job(&self, number: u32) -> Option<Job<O>>;
}

impl<O> HasJobs<O> for Job<O> {
    fn job(&self, number: u32) -> Option<Job<O>> {
        (self.number() == number).then(|| self.clone())
    }
}

impl<O, H: HasJobs<O>> HasJobs<O> for Vec<H> {
    fn job(&self, number: u32) -> Option<Job<O>> {
        self.iter().find_map(|one| one.job(number))
    }
}

impl<O, H: HasJobs<O>, const N: usize> HasJobs<O> for [H; N] {
    fn job(&self, number: u32) -> Option<Job<O>> {
        self.iter().find_map(|one| one.job(number))
    }
}

impl<O, H: HasJobs<O>> HasJobs<O> for Option<H> {
    fn job(&self, number: u32) -> Option<Job<O>> {
        self.as_ref()?.job(number)
    }
}

/// The job with this number.
///
/// # Panics
/// When none of them has it.
pub fn job_in<O>(number: u32, places: &[&dyn HasJobs<O>]) -> Job<O> {
    places
        .iter()
        .find_map(|place| place.job(number))
        .unwrap_or_else(|| panic!("no variable has job {number}"))
}

/// The `Debug` texts of a map's inputs, for the table of items.
#[derive(Default)]
pub struct Inputs(RefCell<Vec<String>>);

impl Inputs {
    pub fn add(&self, input: &impl Debug) {
        self.0.borrow_mut().push(one_line(input));
    }

    pub fn note(&self, results: &[impl Debug]) {
        let inputs = self.0.borrow();
        let texts = inputs.iter().zip(results);
        let texts: Vec<(&String, String)> = texts
            .map(|(input, result)| (input, one_line(result)))
            .collect();
        (host().note_items)(0, Bytes::of(&packed(&texts)));
    }
}

/// A `Debug` text that is one field of a list.
fn one_line(value: &impl Debug) -> String {
    let mut text = debug_text(value);
    if let Some((end, _)) = text.char_indices().nth(LONGEST_FIELD) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Characters of an input or a result in the table of items.
const LONGEST_FIELD: usize = 200;

/// A map without engines, for `%compare`.
pub fn serially<I, O>(
    how: &PoolView,
    inputs: impl IntoIterator<Item = I>,
    f: impl Fn(I) -> O,
) -> Vec<O> {
    let seed = how.options.seed;
    let most = usize::try_from(how.options.most()).unwrap_or(usize::MAX);
    (host().set_seed)(seed.is_some(), seed.unwrap_or_default());
    let one = |(item, input)| {
        if seed.is_some() {
            (host().item_begins)(item);
        }
        f(input)
    };
    let results = (0..).zip(inputs).take(most).map(one).collect();
    (host().set_seed)(false, 0);
    results
}

/// Results as bytes, and the nanoseconds that they took, for `%compare`.
pub fn measured<O: Travels>(run: impl FnOnce() -> Vec<O>) -> (Vec<u8>, u64) {
    let start = Instant::now();
    let results = run();
    let wall = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    for result in &results {
        codec::append(result, codec::form::<O>(), &mut bytes)
            .expect("a result can be encoded by serde");
    }
    (bytes, wall)
}

/// `%px` on a thread pool: runs `f` once on each of its threads.
pub fn broadcast<F: Fn() + Sync>(pool: &str, f: F) {
    extern "C" fn run<F: Fn()>(ctx: *mut c_void, _rank: u32) -> End {
        // SAFETY: `ctx` is the closure of the `broadcast` call that waits for all threads.
        let f = unsafe { &*ctx.cast::<F>() };
        if caught(&mut || f()) {
            End::Finished
        } else {
            End::Panicked
        }
    }
    let pool = Bytes::of(pool.as_bytes());
    if !(host().broadcast)((&raw const f).cast_mut().cast(), pool, run::<F>) {
        panic!("{}", text_of(|to, write| (host().failure)(to, write)));
    }
}

/// The same on some of its threads, with what each returned, which is shown too.
///
/// # Panics
/// When one of them panicked.
pub fn broadcast_values<T: Debug + Send>(
    pool: &str,
    ranks: &[u32],
    f: impl Fn() -> T + Sync,
) -> Vec<T> {
    let values = Mutex::new(BTreeMap::new());
    broadcast(pool, || {
        let rank = crate::engine::rank();
        if ranks.contains(&rank) {
            let value = f();
            show_value(&value);
            let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
            values.insert(rank, value);
        }
    });
    let mut values = values.into_inner().unwrap_or_else(PoisonError::into_inner);
    ranks
        .iter()
        .map(|rank| values.remove(rank).expect("a value of each thread"))
        .collect()
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
                .map(debug_text)
                .collect();
            (host().note_results)(rank, Bytes::of(&packed(&texts)));
        }
    }
}

impl<O> NoteNothing for &Results<'_, O> {}

/// Sends a value to the session, which hands it on.
pub fn send<T: Travels>(value: &T) {
    hand_over(&|out| codec::write(value, out).is_ok());
}

type Encode<'a> = &'a dyn Fn(&mut dyn FnMut(&[u8])) -> bool;

/// What `encode` has come to stands beside it.
type Encoding<'a> = (Encode<'a>, Cell<bool>);

/// Gives the session the bytes that `encode` writes; when it cannot, the cell ends with the reason.
fn hand_over(encode: Encode<'_>) {
    extern "C" fn feed(encode: *const c_void, to: *mut c_void, write: Write) {
        // SAFETY: it is the one that the `hand_over` call below borrows.
        let (encode, encoded) = unsafe { &*encode.cast::<Encoding<'_>>() };
        let mut out = |bytes: &[u8]| write(to, Bytes::of(bytes));
        caught(&mut || encoded.set(encode(&mut out)));
    }
    let encoding: Encoding<'_> = (encode, Cell::new(false));
    (host().send)((&raw const encoding).cast(), feed);
    if !encoding.1.get() {
        give_up();
    }
}

/// Sends one block of a slice for each of `parts` engines; their lengths differ by at most one.
pub fn scatter_blocks<T: Travels + Clone>(values: &[T], parts: usize) {
    for part in 0..parts {
        let (from, to) = (
            values.len() * part / parts,
            values.len() * (part + 1) / parts,
        );
        send_slice(&values[from..to]);
    }
}

/// Deals a slice out to `parts` engines, one by one.
pub fn scatter_cyclic<T: Travels + Clone>(values: &[T], parts: usize) {
    for part in 0..parts {
        let dealt: Vec<T> = values.iter().skip(part).step_by(parts).cloned().collect();
        send(&dealt);
    }
}

/// Sends a slice as the `Vec` that it will be.
fn send_slice<T: Travels + Clone>(values: &[T]) {
    hand_over(&|out| codec::write_slice(values, out).is_ok());
}

/// The parts of a scatter in blocks, joined.
pub fn gather_blocks<T: Travels>() -> Vec<T> {
    let parts: Vec<&[u8]> = (0..(host().received)())
        // SAFETY: the host keeps the bytes until the cell ends.
        .map(|index| unsafe { (host().receive)(index).as_slice() })
        .collect();
    let bytes: usize = parts.iter().map(|part| part.len()).sum();
    let mut all = Vec::new();
    if codec::is_number::<T>() {
        all.reserve_exact(bytes / size_of::<T>());
    }
    for mut part in parts {
        codec::take_vec(&mut part, &mut all).unwrap_or_else(|_| give_up());
    }
    all
}

/// The parts of a cyclic scatter, one of each in turn.
pub fn gather_cyclic<T: Travels>() -> Vec<T> {
    let mut parts: Vec<_> = received::<Vec<T>>()
        .into_iter()
        .map(Vec::into_iter)
        .collect();
    let mut all = Vec::new();
    loop {
        let before = all.len();
        all.extend(parts.iter_mut().filter_map(Iterator::next));
        if all.len() == before {
            return all;
        }
    }
}

/// A value on its way to the session, for `%px -o`. Text that stands in the program arrives as a `String`:
/// the method of `Outgoing<&str>` is found before the one of [`SendValue`].
pub struct Outgoing<'a, T>(pub &'a T);

/// What [`Outgoing`] does with every value but text. The result says what type arrives.
pub trait SendValue<T> {
    fn send(&self) -> PhantomData<T>
    where
        T: Travels;
}

impl<T> SendValue<T> for Outgoing<'_, T> {
    fn send(&self) -> PhantomData<T>
    where
        T: Travels,
    {
        send(self.0);
        PhantomData
    }
}

impl Outgoing<'_, &str> {
    #[must_use]
    pub fn send(&self) -> PhantomData<String> {
        send(&String::from(*self.0));
        PhantomData
    }
}

/// The value that the session has given to this cell.
///
/// # Panics
/// When there is none of this type.
pub fn received_one<T: Travels>() -> T {
    received().pop().expect("the session gave a value")
}

/// The values that the session has given to this cell, in its order.
///
/// # Panics
/// When one of them is no such value.
pub fn received<T: Travels>() -> Vec<T> {
    (0..(host().received)())
        .map(|index| {
            // SAFETY: the host keeps the bytes until the cell ends.
            let mut bytes = unsafe { (host().receive)(index).as_slice() };
            codec::take(&mut bytes, codec::form::<T>()).unwrap_or_else(|_| give_up())
        })
        .collect()
}

/// Shows a value whole, however long it is, for `%show` and what draws values.
pub fn show_whole<T: Debug + ?Sized>(value: &T) {
    show(&whole_text(value), type_name::<T>());
}

/// The values of those engines that gave one, of all that were asked.
///
/// # Panics
/// As [`received`] does.
#[must_use]
pub fn received_from<T: Travels>(came: &[bool]) -> Vec<Option<T>> {
    let mut values = received().into_iter();
    came.iter()
        .map(|came| if *came { values.next() } else { None })
        .collect()
}

/// Shows a value of one thread of a `%px`.
pub fn show_value<T: Debug>(value: &T) {
    value.evcxr_display();
}
