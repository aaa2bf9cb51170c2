//! Artifacts in this process: loaded once, never unloaded (their thread-local destructors and the panic hook
//! may still be needed), known by their content. One that is not here is asked for, and comes as an open file.

use std::collections::{BTreeMap, HashMap};
use std::ffi::c_void;
use std::hash::{Hash as _, Hasher as _};
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use libloading::os::unix::Library;
use regatta_cell::host::Describe;
use xxhash_rust::xxh3::Xxh3;

use super::link::Link;
use crate::ids::ArtifactId;
use crate::wire::{FunctionAddress, WireError};

/// Which artifact is loaded where, in this process as the system loads for all of it: any thread may ask whose code
/// it runs.
static LOADED: Mutex<BTreeMap<usize, ArtifactId>> = Mutex::new(BTreeMap::new());

/// An artifact's entry: takes the variable store and returns it.
pub type Entry = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The connection on which it was asked for has ended.
    #[error(transparent)]
    Lost(#[from] WireError),
    #[error("{0}")]
    NotLoaded(String),
}

impl From<String> for LoadError {
    fn from(why: String) -> Self {
        Self::NotLoaded(why)
    }
}

#[derive(Default)]
pub struct Loader {
    loaded: HashMap<ArtifactId, Loaded>,
    /// Writes out what Rust code printed.
    flush: Option<extern "C" fn()>,
}

struct Loaded {
    library: ManuallyDrop<Library>,
    base: usize,
    /// Open where the library has its name of it.
    _file: Option<OwnedFd>,
}

impl Loader {
    /// The entry function `name` of an artifact.
    pub fn entry(
        &mut self,
        link: &Link,
        artifact: ArtifactId,
        name: &str,
    ) -> Result<Entry, LoadError> {
        let loaded = self.load(link, artifact)?;
        // SAFETY: the compiler room names the entry function of an artifact, which has this type.
        let entry = unsafe { loaded.library.get::<Entry>(name.as_bytes()) };
        entry
            .map(|entry| *entry)
            .map_err(|error| reason(&error).into())
    }

    /// What describes the function of a map.
    pub fn describe(
        &mut self,
        link: &Link,
        address: &FunctionAddress,
    ) -> Result<Describe, LoadError> {
        let base = self.load(link, address.artifact)?.base;
        let at = usize::try_from(address.offset).map_err(|error| error.to_string())?;
        // SAFETY: the address was taken from a `Describe` in another process that loaded the same artifact,
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

    fn load(&mut self, link: &Link, artifact: ArtifactId) -> Result<&Loaded, LoadError> {
        if !self.loaded.contains_key(&artifact) {
            // What was printed belongs before the answers that go along with the question.
            self.flush();
            let file = link.fetch(artifact)??;
            let (name, file) = named(file);
            let first = self.loaded.is_empty();
            // Global, so that a static of several artifacts is the first one's in all of them.
            let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL;
            // SAFETY: running foreign code is what an engine is for; it has a process of its own.
            let library =
                unsafe { Library::open(Some(name), flags) }.map_err(|error| reason(&error))?;
            let library = ManuallyDrop::new(library);
            // Any symbol tells where the file was loaded.
            // SAFETY: the prelude of every artifact defines it with this type.
            let symbol = unsafe { library.get::<extern "C" fn()>(b"regatta_attach\0") }
                .map_err(|error| reason(&error))?;
            let base = home_of(*symbol as *const c_void).map_or(0, |home| home.base);
            loaded().insert(base, artifact);
            if first {
                symbol();
                // The artifacts share one Rust standard library, so any of them will do.
                // SAFETY: as above.
                let flush = unsafe { library.get::<extern "C" fn()>(b"regatta_flush\0") };
                self.flush = flush.ok().map(|flush| *flush);
            }
            let loaded = Loaded {
                library,
                base,
                _file: file,
            };
            self.loaded.insert(artifact, loaded);
        }
        let loaded = self.loaded.get(&artifact);
        Ok(loaded.ok_or_else(|| "not loaded".to_owned())?)
    }
}

/// What C prints is written line by line, as Rust's is, so that their lines stand in the order of the calls.
pub fn print_c_by_lines() {
    unsafe extern "C" {
        static stdout: *mut libc::FILE;
    }
    // SAFETY: nothing was printed yet, and the stream makes a buffer of its own.
    unsafe { libc::setvbuf(stdout, std::ptr::null_mut(), libc::_IOLBF, 1 << 13) };
}

/// The version of the C library that this process runs on: `2.36`.
pub fn libc_version() -> String {
    // SAFETY: it gives a constant text.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    version.to_string_lossy().into_owned()
}

/// The system's own words, which the library keeps behind its own.
pub fn reason(error: &libloading::Error) -> String {
    use std::error::Error as _;
    error
        .source()
        .map_or_else(|| error.to_string(), ToString::to_string)
}

fn loaded() -> std::sync::MutexGuard<'static, BTreeMap<usize, ArtifactId>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name by which a library is loaded: that of its file, by which debuggers and backtraces find it too. A file
/// that has none here must stay open, because the loader takes two of one name for the same.
pub fn named(file: OwnedFd) -> (PathBuf, Option<OwnedFd>) {
    let open = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let number = |path: &PathBuf| {
        let about = nix::sys::stat::stat(path).ok()?;
        Some((about.st_dev, about.st_ino))
    };
    match std::fs::read_link(&open) {
        Ok(name) if number(&name).is_some_and(|there| Some(there) == number(&open)) => (name, None),
        _ => (open, Some(file)),
    }
}

/// Where code comes from.
pub struct Home {
    /// The load address.
    pub base: usize,
    /// `None`: it is no artifact's.
    pub artifact: Option<ArtifactId>,
}

/// Where the code or the constant at this address comes from.
pub fn home_of(address: *const c_void) -> Option<Home> {
    let mut info = std::mem::MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: `dladdr` accepts any address and fills `info` when it returns non-zero.
    let info = unsafe {
        if libc::dladdr(address, info.as_mut_ptr()) == 0 {
            return None;
        }
        info.assume_init()
    };
    let base = info.dli_fbase as usize;
    Some(Home {
        base,
        artifact: loaded().get(&base).copied(),
    })
}

/// The function in its artifact, as every process finds it.
pub fn address_of(function: *const c_void) -> Option<FunctionAddress> {
    let home = home_of(function)?;
    Some(FunctionAddress {
        artifact: home.artifact?,
        offset: (function as usize - home.base) as u64,
    })
}

/// A number of a function, the same in every process that runs this program and its artifacts; 0 when it has none.
pub fn number_of(function: *const c_void) -> u64 {
    let Some(home) = home_of(function) else {
        return 0;
    };
    let mut hasher = Xxh3::new();
    home.artifact.hash(&mut hasher);
    (function as usize - home.base).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_library_has_the_name_of_its_file_as_long_as_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("code.so");
        std::fs::write(&path, "code").unwrap();
        let open = || OwnedFd::from(std::fs::File::open(&path).unwrap());
        assert!(matches!(named(open()), (name, None) if name == path));
        let gone = open();
        std::fs::remove_file(&path).unwrap();
        let (name, kept) = named(gone);
        assert_eq!(std::fs::read_to_string(name).unwrap(), "code");
        assert!(kept.is_some());
        // Another file of that name is not this one.
        std::fs::write(&path, "code").unwrap();
        let old = open();
        std::fs::rename(&path, path.with_extension("old")).unwrap();
        std::fs::write(&path, "other").unwrap();
        let (name, _) = named(old);
        assert_eq!(std::fs::read_to_string(name).unwrap(), "code");
    }
}
