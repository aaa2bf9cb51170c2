//! The C table through which a cell reaches the engine process that loaded it.
//!
//! An artifact and the engine executable each have a Rust standard library of their own, so nothing but C
//! types crosses here. A change of the layout changes [`SYMBOL`]'s number.

use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::SystemTime;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The symbol of the engine executable that returns its [`Host`] table.
pub const SYMBOL: &std::ffi::CStr = c"regatta_host_v15";

/// What a caller is told that cannot read a result of its map.
pub const UNDECODABLE: &str = "a result could not be decoded";

/// Borrowed bytes on their way through the table, valid for the call alone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    pub start: *const u8,
    pub len: usize,
}

impl Bytes {
    #[inline]
    #[must_use]
    pub const fn of(bytes: &[u8]) -> Self {
        Self {
            start: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// The bytes themselves.
    ///
    /// # Safety
    /// `start` must point to `len` readable bytes that outlive `'a`.
    #[must_use]
    pub unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.len == 0 {
            return &[];
        }
        // SAFETY: promised by the caller.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

/// Plain data as it crosses the table.
#[must_use]
pub fn packed(data: &impl Serialize) -> Vec<u8> {
    // Plain fields in memory: there is nothing that could fail.
    postcard::to_allocvec(data).unwrap_or_default()
}

/// From what [`packed`] made; the default for anything else.
#[must_use]
pub fn unpacked<T: DeserializeOwned + Default>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).unwrap_or_default()
}

/// Takes bytes; `to` is the caller's own.
pub type Write = extern "C" fn(to: *mut c_void, bytes: Bytes);

/// A user's function: how other processes make it from the captured variables and run it.
#[repr(C)]
pub struct Function {
    /// Decodes the captured variables and makes the function; null when that failed.
    pub make: extern "C" fn(captures: Bytes) -> *mut c_void,
    pub run: extern "C" fn(made: *const c_void, task: *const Task) -> ChunkEnd,
    pub release: extern "C" fn(made: *mut c_void),
}

/// The address of one instance of this function names a user's function in every process that has loaded the
/// same artifact.
pub type Describe = extern "C" fn() -> *const Function;

/// One chunk of a map.
#[repr(C)]
pub struct Task {
    /// `count` encoded inputs, the first of which has the index `first` in the map.
    pub inputs: Bytes,
    pub count: u64,
    pub first: u64,
    /// The ones to run, counted from `first`.
    pub from: u64,
    pub to: u64,
    /// Each result is tagged: a value, or an error.
    pub collect: bool,
    /// Begin and length of each item are told through [`Host::item_ran`].
    pub timed: bool,
    /// How often an item that panicked is tried again.
    pub retries: u32,
    pub output: *mut c_void,
    pub write: Write,
    /// Where the index of the item under way is noted, plus one.
    pub item: *const AtomicU64,
    /// The items begun so far.
    pub begun: *const AtomicU64,
    /// When it is `job`, the chunk ends before its next item.
    pub stop: *const AtomicU64,
    pub job: u64,
}

/// How a chunk ended.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ChunkEnd {
    /// Items from `from` on whose results were written.
    pub done: u64,
    /// Of them, errors.
    pub failed: u64,
    /// Nanoseconds inside the user's function.
    pub busy: u64,
    pub lookups: Lookups,
    pub how: End,
}

/// Calls of functions whose results are kept; not of those that another one called to compute its own.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lookups {
    /// Calls that found their result, in memory or on disk.
    pub hits: u64,
    /// Calls that computed.
    pub misses: u64,
}

impl Lookups {
    /// What has come since there were `before`.
    #[must_use]
    pub fn since(self, before: Self) -> Self {
        Self {
            hits: self.hits.wrapping_sub(before.hits),
            misses: self.misses.wrapping_sub(before.misses),
        }
    }
}

impl std::ops::AddAssign for Lookups {
    fn add_assign(&mut self, more: Self) {
        self.hits = self.hits.wrapping_add(more.hits);
        self.misses = self.misses.wrapping_add(more.misses);
    }
}

#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Finished = 0,
    /// The item after the last written one panicked; the host knows the message.
    Panicked = 1,
    /// An input could not be decoded or a result not encoded; nothing of it was written.
    NotEncodable = 2,
    /// It was told to stop.
    Stopped = 3,
}

/// Captured variables.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Captures {
    pub ctx: *const c_void,
    /// Hands all their encoded bytes over, variable by variable; false when one can't be encoded.
    pub feed: extern "C" fn(ctx: *const c_void, to: *mut c_void, write: WriteOf) -> bool,
}

/// Takes bytes of the variable with this index.
pub type WriteOf = extern "C" fn(to: *mut c_void, variable: u64, bytes: Bytes);

/// A map over a process pool, as the cell asks for it. All but `ctx` and `captures` is copied; these live
/// until [`Host::map_end`].
#[repr(C)]
pub struct MapCall {
    /// A [`crate::options::MapOptions`] as it travels.
    pub options: Bytes,
    pub input_type: Bytes,
    pub output_type: Bytes,
    /// How many inputs there are; `u64::MAX` when the iterator does not say.
    pub items: u64,
    pub describe: Describe,
    /// Null without any.
    pub captures: *const Captures,
    pub ctx: *mut c_void,
    pub pull: Pull,
    pub put: Put,
    /// An item has no result.
    pub failed: extern "C" fn(ctx: *mut c_void, item: u64, fault: Fault, why: Bytes),
}

/// Decodes the results of the inputs `first..first + count`, which the engine of this rank has sent; false
/// when that failed.
pub type Put =
    extern "C" fn(ctx: *mut c_void, first: u64, count: u64, rank: u32, results: Bytes) -> bool;

/// Encodes up to `max` further inputs, and ends early once there are so many bytes.
pub type Pull =
    extern "C" fn(ctx: *mut c_void, max: u64, bytes: u64, to: *mut c_void, write: Write) -> Pulled;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pulled {
    pub count: u64,
    /// No input is left.
    pub exhausted: bool,
    /// The iterator panicked (the host knows the message) or an input could not be encoded.
    pub how: End,
}

/// Why an item has no result.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Crashed = 0,
    TimedOut = 1,
    Cancelled = 2,
    Lost = 3,
}

/// What [`Host::map_step`] came to.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Something was done; more is to come.
    Going = 0,
    Finished = 1,
    /// The session knows why, and so does [`Host::map_failure`].
    Failed = 2,
    Cancelled = 3,
    /// Nothing came in the time that was given.
    Waited = 4,
}

/// A map on a thread pool, as the cell asks for it: nothing is encoded, the workers borrow. All but `ctx` is
/// copied; that lives until [`Host::map_end`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ThreadsCall {
    /// A [`crate::options::MapOptions`] as it travels.
    pub options: Bytes,
    pub input_type: Bytes,
    pub output_type: Bytes,
    pub items: u64,
    pub ctx: *mut c_void,
    /// Is called from several threads at once, with each item once.
    pub run: extern "C" fn(ctx: *mut c_void, task: *const ThreadsTask) -> ChunkEnd,
}

/// Items of a map for one thread.
#[repr(C)]
pub struct ThreadsTask {
    /// The items from `first` up to `end` are to run.
    pub first: u64,
    pub end: u64,
    pub rank: u32,
    /// Where the index of the item under way is noted, plus one.
    pub at: *const AtomicU64,
    /// When it is set, they end before the next item.
    pub stop: *const AtomicBool,
}

/// What one thread made of a `%px` cell.
pub type RunOnThread = extern "C" fn(ctx: *mut c_void, rank: u32) -> End;

/// Which pool a map or a broadcast goes to.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    None = 0,
    Threads = 1,
    Processes = 2,
}

/// What is known of a map under way or over.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Progress {
    /// The session's number of the job; 0 until it is known.
    pub job: u32,
    /// Nanoseconds; 0 until the map is over.
    pub wall: u64,
    pub serial: u64,
}

/// What the generated code tells of a cell's run.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The user's code panicked midway.
    Panicked = 0,
    /// A `?` returned early.
    Errored = 1,
    /// The type of the variable of this name was redefined, and the cell has not run.
    ChangedType = 2,
    /// The drop of a value panicked after the cell had run and its variables were stored.
    PanickedAtEnd = 3,
    /// The variables in the store: their names, [`packed`].
    Variables = 4,
    /// A reduction has nothing to reduce, and panics.
    NothingToReduce = 5,
}

/// A value that outlives its cell.
#[repr(C)]
pub struct Out {
    pub value: *mut c_void,
    /// Called once, unless the value is given away.
    pub drop: extern "C" fn(*mut c_void),
    /// Of its type.
    pub stamp: u64,
    /// What it takes, as far as that can be measured.
    pub bytes: u64,
}

/// A function whose results are kept.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MemoCall {
    pub name: Bytes,
    /// The type of its results, where that and the name are all that it goes by.
    pub kind: Bytes,
    /// A hash of what it means; zero without one.
    pub meaning: [u64; 2],
    /// What that is made of, as JSON; empty when it is not known.
    pub made_of: Bytes,
    /// Bytes that its results may take on disk; 0: none are kept there.
    pub limit: u64,
    /// Milliseconds for which a result is good; 0: for ever.
    pub ttl: u64,
}

/// What becomes of a result that is not on disk and that another process may be computing.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flight {
    /// Another thread of this process sees to that.
    None = 0,
    /// Others are to wait for this process, which waits for nobody.
    Leads = 1,
    /// The other process is waited for.
    Waits = 2,
}

/// What the host knows of a result.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct MemoFound {
    /// It was written; else whoever asks computes.
    pub is_there: bool,
    /// No other process computes it until [`Host::memo_leave`] is called.
    pub locked: bool,
    /// When it was computed, milliseconds since 1970, and how many nanoseconds that took.
    pub made: u64,
    pub took: u64,
}

/// What a process's memory has of a result.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoMemory {
    pub is_there: bool,
    /// It went for others.
    pub dropped: bool,
    /// As in [`MemoFound`]; `made` is 0 where nobody has noted it.
    pub made: u64,
    pub took: u64,
    /// How many other results are there.
    pub others: u64,
}

/// What is counted of it in this process. But for `cleared` only the function's own code writes, which has a lock.
#[repr(C)]
#[derive(Debug, Default)]
pub struct MemoCounts {
    /// Calls that found their result in memory.
    pub hits: AtomicU64,
    /// Calls that found it on disk.
    pub disk_hits: AtomicU64,
    /// Calls that computed.
    pub misses: AtomicU64,
    /// Nanoseconds that computing took for what was found.
    pub saved: AtomicU64,
    /// Results in memory, and the bytes that they take there.
    pub entries: AtomicU64,
    pub bytes: AtomicU64,
    /// How often the host wanted all results dropped.
    pub cleared: AtomicU64,
    /// Results are kept on disk too.
    pub on_disk: AtomicBool,
}

/// The services of the engine process. Its functions take pointers on trust, so this crate alone gets at the table:
/// each of its calls hands over what the function's description says.
#[repr(C)]
pub struct Host {
    pub rank: extern "C" fn() -> u32,
    pub size: extern "C" fn() -> u32,
    pub id: extern "C" fn() -> u32,
    /// A number for the random generator of the item under way.
    pub seed: extern "C" fn() -> u64,
    /// Sets what `seed` depends on until the cell ends.
    pub set_seed: extern "C" fn(given: bool, seed: u64),
    /// A value of the user's, to be shown: its MIME type, its text and its Rust type.
    pub show: extern "C" fn(mime: Bytes, text: Bytes, type_name: Bytes),
    /// How the cell goes.
    pub tell: extern "C" fn(fact: Fact, what: Bytes),
    /// Notes a panic of this thread; false when the host has no use for it, so that it should be printed.
    pub panicked: extern "C" fn(message: Bytes, file: Bytes, line: u32, column: u32) -> bool,
    /// Of the noted panics of this thread, the one with this message has escaped the user's code; of an empty one, the last.
    pub escaped: extern "C" fn(message: Bytes),
    /// Takes the noted panic of this thread: message and place, [`packed`].
    pub take_panic: extern "C" fn(to: *mut c_void, write: Write),
    /// The user's name for a line of an artifact's source, such as `In [3]:2`; `file` as a panic's location has
    /// it, in the artifact's own memory.
    pub place: extern "C" fn(file: Bytes, line: u32, to: *mut c_void, write: Write),
    /// The kind of a pool; of the one in use for an empty name.
    pub pool_kind: extern "C" fn(name: Bytes) -> PoolKind,
    /// Begins a map on a process pool; null when it is refused, see `failure`.
    pub map_begin: extern "C" fn(call: *const MapCall) -> *mut c_void,
    /// The same on a thread pool. What follows is for maps of either kind.
    pub threads_begin: extern "C" fn(call: *const ThreadsCall) -> *mut c_void,
    /// Does what the map wants next; waits so many milliseconds for it, for ever when negative.
    pub map_step: extern "C" fn(map: *mut c_void, wait: i64) -> Step,
    /// May be called from any thread.
    pub map_cancel: extern "C" fn(map: *mut c_void),
    /// Prints on standard output, then on standard error: in the order of these calls, and before the map's table.
    /// May be called from any thread.
    pub map_print: extern "C" fn(map: *mut c_void, stdout: Bytes, stderr: Bytes),
    pub map_progress: extern "C" fn(map: *mut c_void) -> Progress,
    pub map_failure: extern "C" fn(map: *mut c_void, to: *mut c_void, write: Write),
    /// Ends a map that is over, or drops one that is not.
    pub map_end: extern "C" fn(map: *mut c_void),
    /// Nobody has the job with this number any more.
    pub job_dropped: extern "C" fn(job: u32),
    /// The store of this engine's variables; null before its first cell.
    pub variables: extern "C" fn() -> *mut c_void,
    /// Runs once on every thread of a pool; false when it cannot, see `failure`.
    pub broadcast: extern "C" fn(ctx: *mut c_void, pool: Bytes, run: RunOnThread) -> bool,
    /// Writes why the last call of this thread was refused.
    pub failure: extern "C" fn(to: *mut c_void, write: Write),
    /// A thread pool's item, by its index in the map.
    pub item_begins: extern "C" fn(item: u64),
    /// When an item began on the monotonic clock and how long it took, nanoseconds.
    pub item_ran: extern "C" fn(began: u64, took: u64),
    /// The input index at which a rank's first results stand, up to `max` of them: for the map table.
    pub first_items: extern "C" fn(rank: u32, to: *mut u64, max: u64) -> u64,
    /// The `Debug` texts of a rank's first results, [`packed`].
    pub note_results: extern "C" fn(rank: u32, texts: Bytes),
    /// `Debug` texts of inputs and results from an index on, [`packed`] pairs.
    pub note_items: extern "C" fn(first: u64, texts: Bytes),
    /// Shows timings: seconds per loop and run.
    pub timing: extern "C" fn(per_loop: *const f64, runs: u64, loops: u64),
    /// Keeps a value for the session: `feed` hands its bytes over.
    pub send:
        extern "C" fn(ctx: *const c_void, feed: extern "C" fn(*const c_void, *mut c_void, Write)),
    /// How many values the session has given to this cell.
    pub received: extern "C" fn() -> u64,
    /// One of them; it stays until the cell ends.
    pub receive: extern "C" fn(index: u64) -> Bytes,
    /// Bytes that the heap has given out.
    pub heap: extern "C" fn() -> u64,
    /// Keeps a cell's value of this Rust type for later cells, or drops it when it is too large.
    pub keep: extern "C" fn(out: Out, type_name: Bytes),
    /// Gives a kept value away; null when it is gone or has another stamp.
    pub take_kept: extern "C" fn(number: u64, stamp: u64) -> *mut c_void,
    pub drop_kept: extern "C" fn(number: u64),
    /// The address of a function in the C library with this content, its upper half first; null when it is not
    /// there, see `failure`.
    pub library_function: extern "C" fn(upper: u64, lower: u64, name: Bytes) -> *mut c_void,
    /// Runs a [`crate::shell::Command`], and writes its `Result<ShellResult, String>`, both as they travel.
    pub command: extern "C" fn(command: Bytes, to: *mut c_void, write: Write),
    /// What an engine of another host has made of a command, both [`packed`]: it is written to the job log and among the
    /// results.
    pub command_over: extern "C" fn(command: Bytes, result: Bytes),
    /// The numbers of a function whose results are kept; they live as long as the process.
    pub memo_open: extern "C" fn(call: *const MemoCall) -> *const MemoCounts,
    /// Looks for a result on disk.
    pub memo_find: extern "C" fn(
        of: *const MemoCounts,
        key: Bytes,
        flight: Flight,
        to: *mut c_void,
        write: Write,
    ) -> MemoFound,
    /// Keeps a result on disk, which took so many nanoseconds; `arguments` is how they read. One that another computation
    /// waits for may be written later than this returns.
    pub memo_keep: extern "C" fn(
        of: *const MemoCounts,
        key: Bytes,
        arguments: Bytes,
        value: Bytes,
        took: u64,
        within: bool,
    ),
    /// Lets other processes compute it, or find it.
    pub memo_leave: extern "C" fn(of: *const MemoCounts, key: Bytes),
    /// Tells the session why the result of these arguments is kept or not.
    pub memo_explain:
        extern "C" fn(of: *const MemoCounts, key: Bytes, arguments: Bytes, memory: MemoMemory),
    /// Makes a [`crate::store::call::Call`] and writes its [`crate::store::call::Reply`], both [`packed`]. Waits in it
    /// end with Ctrl-C.
    pub store: extern "C" fn(call: Bytes, to: *mut c_void, write: Write),
    /// Whether [`Self::lay_over`] may do something for these bytes: they are of what came to stay. The next large block of the
    /// allocator's is one of its own then, and that is to be asked for next.
    pub may_lay: extern "C" fn(bytes: Bytes) -> bool,
    /// Makes memory hold these bytes without a copy, when both lie alike within their pages: until one is written to, its
    /// pages are those in which the bytes came. False when it cannot. There must be room for as many bytes at `to`, in a block of
    /// the allocator's own that nobody borrows.
    pub lay_over: extern "C" fn(to: *mut u8, bytes: Bytes) -> bool,
    /// Messages between ranks.
    pub comm: crate::comm::table::Table,
    /// Makes a [`crate::children::Call`] and writes its [`crate::children::Reply`], both [`packed`].
    pub children: extern "C" fn(call: Bytes, to: *mut c_void, write: Write),
}

/// Milliseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// The table of the engine process that this cell was loaded into.
///
/// # Panics
/// When the code runs outside a regatta engine.
#[inline]
#[must_use]
pub(crate) fn host() -> &'static Host {
    match host_if_any() {
        Some(host) => host,
        None => panic!("this code runs inside a regatta engine only"),
    }
}

/// The same; `None` outside of an engine.
#[inline]
pub(crate) fn host_if_any() -> Option<&'static Host> {
    match FOUND.get() {
        Some(found) => found.0,
        None => look(),
    }
}

/// Found once: it is the same for all artifacts.
static FOUND: std::sync::OnceLock<Found> = std::sync::OnceLock::new();

#[cold]
fn look() -> Option<&'static Host> {
    FOUND.get_or_init(|| Found(find())).0
}

struct Found(Option<&'static Host>);

// SAFETY: the table is constant, and its functions may be called from any thread.
unsafe impl Sync for Found {}
// SAFETY: as above.
unsafe impl Send for Found {}

fn find() -> Option<&'static Host> {
    // SAFETY: `dlsym` with the null handle (RTLD_DEFAULT) and a C string looks up a global symbol.
    let symbol = unsafe { dlsym(std::ptr::null_mut(), SYMBOL.as_ptr()) };
    if symbol.is_null() {
        return None;
    }
    // SAFETY: the engine executable defines this versioned symbol with exactly this type.
    let table: extern "C" fn() -> *const Host = unsafe { std::mem::transmute(symbol) };
    // SAFETY: it returns a static.
    Some(unsafe { &*table() })
}

/// A [`Write`] that appends to a `Vec<u8>` behind `to`.
pub extern "C" fn append(to: *mut c_void, bytes: Bytes) {
    // SAFETY: this function is only handed out together with a `Vec<u8>`, and the caller's bytes live for
    // the call.
    unsafe { (*to.cast::<Vec<u8>>()).extend_from_slice(bytes.as_slice()) }
}

/// What a host function writes.
pub(crate) fn bytes_of(fetch: impl FnOnce(*mut c_void, Write)) -> Vec<u8> {
    let mut bytes = Vec::<u8>::new();
    fetch((&raw mut bytes).cast(), append);
    bytes
}

/// The same as text.
pub(crate) fn text_of(fetch: impl FnOnce(*mut c_void, Write)) -> String {
    String::from_utf8_lossy(&bytes_of(fetch)).into_owned()
}

/// Message and place of the panic that was noted of this thread.
pub(crate) fn take_panic() -> (String, String) {
    unpacked(&bytes_of(|to, write| (host().take_panic)(to, write)))
}
