//! What the functions of `%%c` cells are called through. Written by generated code alone.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::host::{Bytes, host, text_of};

/// A function of a C library: found once, when the artifact is loaded, so that a call is a load and a call.
pub struct Function {
    library: [u64; 2],
    name: &'static str,
    address: AtomicPtr<c_void>,
}

impl Function {
    /// The function of this name in the library with this content.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub const fn new(library: u128, name: &'static str) -> Self {
        Self {
            library: [(library >> 64) as u64, library as u64],
            name,
            address: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Looks it up. What is not there is told when it is called.
    pub fn find(&self) {
        let found = (host().library_function)(
            self.library[0],
            self.library[1],
            Bytes::of(self.name.as_bytes()),
        );
        self.address.store(found, Ordering::Relaxed);
    }

    /// Its address.
    ///
    /// # Panics
    /// When the engine has no such library or function.
    #[inline(always)]
    #[track_caller]
    pub fn get(&self) -> *const c_void {
        let address = self.address.load(Ordering::Relaxed);
        if address.is_null() {
            return self.missing();
        }
        address
    }

    #[cold]
    #[inline(never)]
    #[track_caller]
    fn missing(&self) -> *const c_void {
        self.find();
        let found = self.address.load(Ordering::Relaxed);
        if found.is_null() {
            let why = text_of(|to, write| (host().failure)(to, write));
            panic!("the C function `{}` is not there: {why}", self.name);
        }
        found
    }
}

/// The C function of this name and type in the library with this content.
#[doc(hidden)]
#[macro_export]
macro_rules! c_function {
    ($library:literal, $name:literal, $kind:ty) => {{
        static FUNCTION: $crate::c::Function = $crate::c::Function::new($library, $name);
        extern "C" fn find() {
            FUNCTION.find();
        }
        // Called when the artifact is loaded.
        #[used]
        #[unsafe(link_section = ".init_array")]
        static FIND: extern "C" fn() = find;
        // SAFETY: the type is that of the C function with this name.
        #[allow(unused_unsafe)]
        unsafe {
            ::std::mem::transmute::<*const ::std::ffi::c_void, $kind>(FUNCTION.get())
        }
    }};
}

/// One length was to serve several slices.
///
/// # Panics
/// Always: it says which slice has which length.
#[cold]
#[inline(never)]
#[track_caller]
pub fn lengths_differ(function: &str, length: &str, slices: &[(&str, usize)]) -> ! {
    let mut said = String::new();
    for (at, (name, count)) in slices.iter().enumerate() {
        let between = if at == 0 { "" } else { ", " };
        let _ = write!(said, "{between}`{name}` has {count}");
    }
    panic!("`{function}` takes slices of one length `{length}`: {said}");
}

/// A struct of C's can be defined anew in Rust; then it must not go to the function.
///
/// # Panics
/// When its size is another one.
#[inline(always)]
#[track_caller]
pub fn same_size<T>(size: usize, name: &str) {
    assert!(
        size_of::<T>() == size,
        "`{name}` is another type than the C function's: run its `%%c` cell again"
    );
}

/// Text for C, which ends at its first zero.
///
/// # Panics
/// When there is a zero inside.
#[must_use]
#[track_caller]
pub fn text(text: &str, function: &str, name: &str) -> CString {
    match CString::new(text) {
        Ok(text) => text,
        Err(error) => panic!(
            "`{name}` of `{function}` has a zero byte at {}, at which C's text would end",
            error.nul_position()
        ),
    }
}

/// A copy of C's text, with `\u{fffd}` for what is no UTF-8.
///
/// # Panics
/// When it is null.
///
/// # Safety
/// It is null, or points to bytes that end with a zero.
#[must_use]
#[track_caller]
pub unsafe fn copied(text: *const c_char) -> String {
    assert!(!text.is_null(), "the C function gave NULL for a text");
    // SAFETY: as the caller says.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}
