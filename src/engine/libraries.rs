//! Shared objects of C in this process: loaded when the first artifact that calls them is, never unloaded. Their
//! names are nobody else's, so a function that was defined anew is beside the one from before.

use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::mem::ManuallyDrop;
use std::os::fd::AsRawFd as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use libloading::os::unix::Library;
use regatta_cell::host::Bytes;

use super::context::context;
use super::{loader, notes};
use crate::ids::ArtifactId;
use crate::wire::Payload;

type Libraries = HashMap<u128, Result<ManuallyDrop<Library>, String>>;

/// Those that were asked for; what could not be loaded is not asked for again.
static LOADED: Mutex<Option<Libraries>> = Mutex::new(None);

/// The address of a function in a library, by the library's content; null when it is not there, and why is kept.
pub extern "C" fn library_function(upper: u64, lower: u64, name: Bytes) -> *mut c_void {
    let content = (u128::from(upper) << 64) | u128::from(lower);
    // SAFETY: the caller's bytes live for the call.
    let name = String::from_utf8_lossy(unsafe { name.as_slice() }).into_owned();
    let mut loaded = loaded();
    let libraries = loaded.get_or_insert_default();
    let library = libraries.entry(content).or_insert_with(|| load(content));
    let found = library
        .as_ref()
        .map_err(String::clone)
        .and_then(|library| function(library, &name));
    found.unwrap_or_else(|why| {
        notes::refuse(why);
        std::ptr::null_mut()
    })
}

/// Opens a shared object that artifacts link to, so that they find it by its name, wherever else it is or is not.
pub fn open(payload: Payload) {
    let Payload::Shared(file) = payload else {
        return;
    };
    let name = format!("/proc/self/fd/{}", file.as_raw_fd());
    let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL;
    // SAFETY: as below. What cannot be opened is told when an artifact needs it.
    if let Ok(library) = unsafe { Library::open(Some(name), flags) } {
        std::mem::forget(library);
    }
    // Two of one name would be the same to the loader: it stays open.
    std::mem::forget(file);
}

fn loaded() -> MutexGuard<'static, Option<Libraries>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn load(content: u128) -> Result<ManuallyDrop<Library>, String> {
    let wanted = ArtifactId {
        content,
        ..ArtifactId::default()
    };
    let fetched = context().link.fetch(wanted);
    let file = fetched.map_err(|error| error.to_string())??;
    let (name, file) = loader::named(file);
    // Where it has no name it must stay open.
    std::mem::forget(file);
    let flags = libc::RTLD_NOW | libc::RTLD_LOCAL;
    // SAFETY: running foreign code is what an engine is for; it has a process of its own.
    let library = unsafe { Library::open(Some(name), flags) };
    library
        .map(ManuallyDrop::new)
        .map_err(|error| loader::reason(&error))
}

fn function(library: &Library, name: &str) -> Result<*mut c_void, String> {
    let symbol = CString::new(name).map_err(|error| error.to_string())?;
    // SAFETY: only its address is taken.
    let found = unsafe { library.get::<*mut c_void>(symbol.as_bytes_with_nul()) };
    found
        .map(|found| found.into_raw())
        .map_err(|_| format!("its library has no `{name}`"))
}
