//! MPI as an engine reaches it: a small library, compiled by the user's `mpicc` from `src/c/mpi/shim.c`.

use std::ffi::{CStr, c_char, c_int};
use std::os::fd::{AsRawFd as _, OwnedFd};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

/// Of the functions below.
const VERSION: u32 = 2;

/// Bytes for a text that MPI writes.
const ROOM: usize = 256;

/// Who this process is.
pub struct About {
    pub rank: u32,
    pub size: u32,
    /// The largest tag.
    #[allow(dead_code)]
    pub most_tag: i32,
    /// The library's own words: `Open MPI v4.1.4, …`.
    pub library: String,
}

type Init = unsafe extern "C" fn(*mut c_int, *mut c_int, *mut c_int, *mut c_char, c_int) -> c_int;
type Finalize = unsafe extern "C" fn() -> c_int;
type ErrorText = unsafe extern "C" fn(c_int, *mut c_char, c_int);

pub struct Shim {
    init: Init,
    finalize: Finalize,
    error: ErrorText,
    /// For as long as its functions may be called.
    _library: Library,
}

impl Shim {
    pub fn load(file: &OwnedFd) -> Result<Self, String> {
        let text = |error: libloading::Error| format!("MPI cannot be loaded: {error}");
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        // SAFETY: regatta compiled it itself; what runs when it is loaded is the MPI library's. Its names are there for
        // all, as the MPI library's own plug-ins expect.
        let library = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_GLOBAL) }.map_err(text)?;
        // SAFETY: the types are those of the functions in `shim.c`.
        unsafe {
            let version = library.get::<unsafe extern "C" fn() -> u32>(c"regatta_mpi_version");
            if version.map_err(text)?() != VERSION {
                return Err("MPI cannot be loaded: the shim is of another version".to_owned());
            }
            Ok(Self {
                init: *library.get(c"regatta_mpi_init").map_err(text)?,
                finalize: *library.get(c"regatta_mpi_finalize").map_err(text)?,
                error: *library.get(c"regatta_mpi_error").map_err(text)?,
                _library: library,
            })
        }
    }

    pub fn initialise(&self) -> Result<About, String> {
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
        Ok(About {
            rank: rank.unsigned_abs(),
            size: size.unsigned_abs(),
            most_tag,
            library: read(&text),
        })
    }

    /// Ends this process's part in MPI; waits for the others'.
    pub fn finalise(&self) {
        // SAFETY: it takes nothing. What it gives is of no use to a process that ends.
        unsafe { (self.finalize)() };
    }

    fn checked(&self, code: c_int) -> Result<(), String> {
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
