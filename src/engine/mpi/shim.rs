//! MPI as an engine reaches it: a small library, compiled by the user's `mpicc` from `src/c/mpi/shim.c`.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::os::fd::{AsRawFd as _, OwnedFd};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Of the functions below.
const VERSION: u32 = 4;

/// Bytes for a text that MPI writes.
const ROOM: usize = 256;

/// A wait that its caller has ended; see `shim.c`.
pub const GIVEN_UP: c_int = -1;

/// Who this process is.
pub struct About {
    pub rank: u32,
    pub size: u32,
    /// The library's own words: `Open MPI v4.1.4, …`.
    pub library: String,
}

/// Whether somebody who waits is to give up.
pub type Check = extern "C" fn(*mut c_void) -> c_int;

macro_rules! shim {
    ($($name:ident = $symbol:literal: fn($($argument:ty),* $(,)?) $(-> $result:ty)?;)+) => {
        /// The functions of `shim.c`, without their first words `regatta_mpi_`.
        pub struct Shim {
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)+
            /// For as long as its functions may be called.
            _library: Library,
        }

        impl Shim {
            fn of(library: Library) -> Result<Self, libloading::Error> {
                // SAFETY: the types are those of the functions in `shim.c`.
                unsafe {
                    Ok(Self {
                        $($name: *library.get($symbol)?,)+
                        _library: library,
                    })
                }
            }
        }
    };
}

shim! {
    init = b"regatta_mpi_init\0": fn(*mut c_int, *mut c_int, *mut c_int, *mut c_char, c_int) -> c_int;
    finalize = b"regatta_mpi_finalize\0": fn() -> c_int;
    error = b"regatta_mpi_error\0": fn(c_int, *mut c_char, c_int);
    send = b"regatta_mpi_send\0": fn(c_int, *const u8, c_int, c_int, c_int, *mut *mut c_void) -> c_int;
    recv = b"regatta_mpi_recv\0": fn(
        c_int, *mut u8, c_int, c_int, c_int, *mut c_int, *mut c_int, *mut c_int, *mut *mut c_void,
    ) -> c_int;
    recv_body = b"regatta_mpi_recv_body\0": fn(c_int, *mut u8, u64, c_int, c_int, c_int, *mut u64) -> c_int;
    isend = b"regatta_mpi_isend\0": fn(c_int, c_int, *const u8, u64, c_int, c_int, c_int) -> *mut c_void;
    irecv = b"regatta_mpi_irecv\0": fn(c_int, c_int, *mut u8, u64, c_int, c_int, c_int) -> *mut c_void;
    end = b"regatta_mpi_end\0": fn(
        *mut c_void, c_int, *mut c_int, *mut c_int, *mut c_int, *mut c_int, Option<Check>, *mut c_void, *mut u64,
    ) -> c_int;
    cancel = b"regatta_mpi_cancel\0": fn(*mut c_void, *mut c_int, *mut c_int, *mut c_int, *mut c_int) -> c_int;
    probe = b"regatta_mpi_probe\0": fn(c_int, c_int, c_int, *mut c_int, *mut c_int, *mut c_int) -> c_int;
    barrier = b"regatta_mpi_barrier\0": fn(c_int) -> c_int;
    broadcast = b"regatta_mpi_broadcast\0": fn(c_int, *mut u8, u64, c_int, c_int) -> c_int;
    words = b"regatta_mpi_words\0": fn(c_int, c_int, *const u64, *mut u64, c_int, c_int) -> c_int;
    parts = b"regatta_mpi_parts\0": fn(
        c_int, c_int, c_int, *const u8, *const c_int, *const c_int, *mut u8, *const c_int, *const c_int, c_int,
    ) -> c_int;
    reduce = b"regatta_mpi_reduce\0": fn(
        c_int, c_int, c_int, c_int, *const u8, *mut u8, u64, c_int,
    ) -> c_int;
    split = b"regatta_mpi_split\0": fn(
        c_int, c_int, c_int, *mut c_int, *mut c_int, *mut c_int, *mut c_int,
    ) -> c_int;
}

impl Shim {
    pub fn load(file: &OwnedFd) -> Result<Self, String> {
        let text = |error: libloading::Error| format!("MPI cannot be loaded: {error}");
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: regatta compiled it itself; what runs when it is loaded is the MPI library's. Its names are there for
        // all, as the MPI library's own plug-ins expect.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }.map_err(text)?;
        // SAFETY: the type is that of the function in `shim.c`.
        let version =
            unsafe { library.get::<unsafe extern "C" fn() -> u32>(b"regatta_mpi_version\0") };
        // SAFETY: as above.
        if unsafe { version.map_err(text)?() } != VERSION {
            return Err("MPI cannot be loaded: the shim is of another version".to_owned());
        }
        Self::of(library).map_err(text)
    }

    pub fn initialise(&self) -> Result<(About, i32), String> {
        let (mut rank, mut size, mut most_tag) = (0, 0, 0);
        let mut text: [c_char; ROOM] = [0; ROOM];
        // SAFETY: it writes to what it is given, of the text no more than there is room for.
        let code = unsafe {
            (self.init)(
                &raw mut rank,
                &raw mut size,
                &raw mut most_tag,
                text.as_mut_ptr(),
                ROOM as c_int,
            )
        };
        self.checked(code)?;
        let about = About {
            rank: rank.unsigned_abs(),
            size: size.unsigned_abs(),
            library: read(&text),
        };
        Ok((about, most_tag))
    }

    /// Ends this process's part in MPI; waits for the others'.
    pub fn finalise(&self) {
        // SAFETY: it takes nothing. What it gives is of no use to a process that ends.
        unsafe { (self.finalize)() };
    }

    /// MPI's own words for an error.
    pub fn checked(&self, code: c_int) -> Result<(), String> {
        if code == 0 {
            return Ok(());
        }
        let mut text: [c_char; ROOM] = [0; ROOM];
        // SAFETY: it writes no more than there is room for.
        unsafe { (self.error)(code, text.as_mut_ptr(), ROOM as c_int) };
        Err(read(&text))
    }
}

fn read(text: &[c_char; ROOM]) -> String {
    // SAFETY: the shim has ended it with a zero, or not written to it.
    let text = unsafe { CStr::from_ptr(text.as_ptr()) };
    text.to_string_lossy().into_owned()
}
