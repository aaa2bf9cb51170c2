//! The C table through which a cell reaches the engine process that loaded it.
//!
//! An artifact and the engine executable each have a Rust standard library of their own, so nothing but C
//! types crosses here. A change of the layout changes [`SYMBOL`]'s number.

use std::ffi::{c_char, c_void};

/// The symbol of the engine executable that returns its [`Host`] table.
pub const SYMBOL: &std::ffi::CStr = c"regatta_host_v1";

/// Borrowed bytes on their way through the table, valid for the call alone.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bytes {
    pub start: *const u8,
    pub len: usize,
}

impl Bytes {
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
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

/// Takes bytes; `to` is the caller's own.
pub type Write = extern "C" fn(to: *mut c_void, bytes: Bytes);

/// Decodes `count` inputs, applies the function to each, and writes the encoded results; the address of one
/// instance of this function names a user's closure in every process that has loaded the same artifact.
pub type Trampoline =
    extern "C" fn(inputs: Bytes, count: u64, to: *mut c_void, write: Write) -> ChunkEnd;

/// How a chunk ended.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ChunkEnd {
    /// Results written; fewer than were asked for when an item panicked.
    pub done: u64,
    /// Nanoseconds inside the user's function.
    pub busy: u64,
    pub how: End,
}

#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Finished = 0,
    /// The item after the last written one panicked; the host knows the message.
    Panicked = 1,
    /// An input could not be decoded or a result not encoded; nothing of it was written.
    NotEncodable = 2,
}

/// A map over a process pool, as the cell asks for it.
#[repr(C)]
pub struct MapCall {
    /// The function as the user wrote it; empty for a call from code, which shows no table.
    pub function: Bytes,
    pub input_type: Bytes,
    pub output_type: Bytes,
    /// How many inputs there are; `u64::MAX` when the iterator does not say.
    pub items: u64,
    pub trampoline: Trampoline,
    pub ctx: *mut c_void,
    /// Encodes up to `max` further inputs.
    pub pull: extern "C" fn(ctx: *mut c_void, max: u64, to: *mut c_void, write: Write) -> Pulled,
    /// Decodes `count` results that belong to the inputs from `first` on; false when that failed.
    pub put: extern "C" fn(ctx: *mut c_void, first: u64, count: u64, results: Bytes) -> bool,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pulled {
    pub count: u64,
    /// No input is left.
    pub exhausted: bool,
    /// The iterator panicked (the host knows the message) or an input could not be encoded.
    pub how: End,
}

/// A map or a broadcast on a thread pool: nothing is encoded, the workers borrow.
#[repr(C)]
pub struct ThreadsCall {
    pub function: Bytes,
    pub input_type: Bytes,
    pub output_type: Bytes,
    pub items: u64,
    pub ctx: *mut c_void,
    /// Runs the items from `first` up to `end`, and is called from several threads at once.
    pub run: extern "C" fn(ctx: *mut c_void, first: u64, end: u64) -> ChunkEnd,
}

/// What one thread made of a `%px` cell.
pub type RunOnThread = extern "C" fn(ctx: *mut c_void, rank: u32) -> End;

/// How a map ended; the engine has shown or kept the details.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapEnd {
    Finished = 0,
    /// The session knows why and says so.
    Failed = 1,
    /// The engine refused it; the reason is fetched with [`Host::failure`].
    Refused = 2,
}

/// Which pool a map or a broadcast goes to now.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    None = 0,
    Threads = 1,
    Processes = 2,
}

/// The services of the engine process.
#[repr(C)]
pub struct Host {
    pub rank: extern "C" fn() -> u32,
    pub size: extern "C" fn() -> u32,
    pub id: extern "C" fn() -> u32,
    /// A value of the user's, to be shown: its MIME type, its text and its Rust type.
    pub show: extern "C" fn(mime: Bytes, text: Bytes, type_name: Bytes),
    /// Notes a panic of this thread; false when the host has no use for it, so that it should be printed.
    pub panicked: extern "C" fn(message: Bytes, file: Bytes, line: u32, column: u32) -> bool,
    pub pool_kind: extern "C" fn() -> PoolKind,
    pub map: extern "C" fn(call: *const MapCall) -> MapEnd,
    pub map_threads: extern "C" fn(call: *const ThreadsCall) -> MapEnd,
    pub broadcast: extern "C" fn(ctx: *mut c_void, run: RunOnThread) -> MapEnd,
    /// Writes why the last map of this thread failed or was refused.
    pub failure: extern "C" fn(to: *mut c_void, write: Write),
    /// The input index at which a rank's first results stand, up to `max` of them: for the map table.
    pub first_items: extern "C" fn(rank: u32, to: *mut u64, max: u64) -> u64,
    /// The `Debug` texts of a rank's first results.
    pub note_results: extern "C" fn(rank: u32, texts: Bytes),
    /// Shows timings: seconds per loop and run.
    pub timing: extern "C" fn(per_loop: *const f64, runs: u64, loops: u64),
}

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
}

/// The table of the engine process that this cell was loaded into.
///
/// # Panics
/// When the code runs outside a regatta engine.
#[must_use]
pub fn host() -> &'static Host {
    // SAFETY: `dlsym` with the null handle (RTLD_DEFAULT) and a C string looks up a global symbol.
    let symbol = unsafe { dlsym(std::ptr::null_mut(), SYMBOL.as_ptr()) };
    assert!(
        !symbol.is_null(),
        "this code runs inside a regatta engine only"
    );
    // SAFETY: the engine executable defines this versioned symbol with exactly this type.
    let table: extern "C" fn() -> *const Host = unsafe { std::mem::transmute(symbol) };
    // SAFETY: it returns a static.
    unsafe { &*table() }
}

/// A [`Write`] that appends to a `Vec<u8>` behind `to`.
pub extern "C" fn append(to: *mut c_void, bytes: Bytes) {
    // SAFETY: this function is only handed out together with a `Vec<u8>`, and the caller's bytes live for
    // the call.
    unsafe { (*to.cast::<Vec<u8>>()).extend_from_slice(bytes.as_slice()) }
}
