//! Artifacts in this process: loaded once, never unloaded (their thread-local destructors and the panic hook
//! may still be needed), found again by path.

use std::collections::HashMap;
use std::ffi::{CStr, OsStr, c_void};
use std::mem::ManuallyDrop;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use libloading::os::unix::Library;
use regatta_cell::host::Describe;

use crate::wire::FunctionAddress;

/// An artifact's entry: takes the variable store and returns it.
pub type Entry = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

#[derive(Default)]
pub struct Loader {
    loaded: HashMap<PathBuf, Loaded>,
    /// Writes out what Rust code printed.
    flush: Option<extern "C" fn()>,
}

struct Loaded {
    library: ManuallyDrop<Library>,
    base: usize,
}

impl Loader {
    /// The entry function `name` of the artifact `so`.
    pub fn entry(&mut self, so: &Path, name: &str) -> Result<Entry, String> {
        let loaded = self.load(so)?;
        // SAFETY: the compiler room names the entry function of an artifact, which has this type.
        let entry = unsafe { loaded.library.get::<Entry>(name.as_bytes()) };
        entry.map(|entry| *entry).map_err(|error| reason(&error))
    }

    /// What describes the function of a map.
    pub fn describe(&mut self, address: &FunctionAddress) -> Result<Describe, String> {
        let base = self.load(&address.so)?.base;
        let at = usize::try_from(address.offset).map_err(|error| error.to_string())?;
        // SAFETY: the address was taken from a `Describe` in another process that loaded the same file,
        // relative to its load address there.
        Ok(unsafe { std::mem::transmute::<usize, Describe>(base + at) })
    }

    /// Writes out what user code, in Rust or C, left in its buffers.
    pub fn flush(&self) {
        if let Some(flush) = self.flush {
            flush();
        }
        // SAFETY: a null stream means all of them.
        unsafe { libc::fflush(std::ptr::null_mut()) };
    }

    fn load(&mut self, so: &Path) -> Result<&Loaded, String> {
        if !self.loaded.contains_key(so) {
            let first = self.loaded.is_empty();
            // Global, so that a static of several artifacts is the first one's in all of them.
            let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL;
            // SAFETY: running foreign code is what an engine is for; it has a process of its own.
            let library =
                unsafe { Library::open(Some(so), flags) }.map_err(|error| reason(&error))?;
            let library = ManuallyDrop::new(library);
            // Any symbol tells where the file was loaded.
            // SAFETY: the prelude of every artifact defines it with this type.
            let symbol = unsafe { library.get::<extern "C" fn()>(b"regatta_attach\0") }
                .map_err(|error| reason(&error))?;
            let base = address_of(*symbol as *const c_void).map_or(0, |(base, _)| base);
            if first {
                symbol();
                // The artifacts share one Rust standard library, so any of them will do.
                // SAFETY: as above.
                let flush = unsafe { library.get::<extern "C" fn()>(b"regatta_flush\0") };
                self.flush = flush.ok().map(|flush| *flush);
            }
            self.loaded.insert(so.to_owned(), Loaded { library, base });
        }
        self.loaded.get(so).ok_or_else(|| "not loaded".to_owned())
    }
}

/// The system's own words, which the library keeps behind its own.
fn reason(error: &libloading::Error) -> String {
    use std::error::Error as _;
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

/// The load address and the file of the artifact that contains `function`.
pub fn address_of(function: *const c_void) -> Option<(usize, PathBuf)> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` accepts any address and fills `info` when it returns non-zero.
    let info = unsafe {
        if libc::dladdr(function, info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    if info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: a non-null `dli_fname` is a C string that lives as long as the library, which is for ever.
    let file = unsafe { CStr::from_ptr(info.dli_fname) };
    let file = PathBuf::from(OsStr::from_bytes(file.to_bytes()));
    Some((info.dli_fbase as usize, file))
}
