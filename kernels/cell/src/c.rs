//! What the functions of `%%c` cells are called through. Written by generated code alone.

use std::ffi::{CStr, CString, c_char, c_void};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::host::{Bytes, host, text_of};

/// A function of a C library: found once, when the artifact is loaded, so that a call is one indirect call.
pub struct Function {
    library: [u64; 2],
    name: &'static str,
    address: AtomicPtr<c_void>,
}

impl Function {
    /// The function of this name in the library with this content. `absent` is called in its place until it is found.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)]
    pub const fn new(library: u128, name: &'static str, absent: *mut c_void) -> Self {
        Self {
            library: [(library >> 64) as u64, library as u64],
            name,
            address: AtomicPtr::new(absent),
        }
    }

    /// Looks it up; whether it is there. What is not there is told when it is called.
    pub fn find(&self) -> bool {
        let found = (host().library_function)(
            self.library[0],
            self.library[1],
            Bytes::of(self.name.as_bytes()),
        );
        if !found.is_null() {
            self.address.store(found, Ordering::Relaxed);
        }
        !found.is_null()
    }

    /// Its address, or that of what is called in its place.
    #[inline(always)]
    pub fn get(&self) -> *const c_void {
        self.address.load(Ordering::Relaxed)
    }

    /// Its address, for what is called in its place.
    ///
    /// # Panics
    /// When the engine has no such library or function.
    #[cold]
    #[inline(never)]
    pub fn found_late(&self) -> *const c_void {
        if !self.find() {
            let why = text_of(|to, write| (host().failure)(to, write));
            panic!("the C function `{}` is not there: {why}", self.name);
        }
        self.get()
    }
}

/// The C function of this name and type in the library with this content.
#[doc(hidden)]
#[macro_export]
macro_rules! c_function {
    ($library:literal, $name:literal, fn($($input:ident: $kind:ty),*) $(-> $output:ty)?) => {{
        // A panic in its place unwinds through the call.
        type Called = unsafe extern "C-unwind" fn($($kind),*) $(-> $output)?;
        static FUNCTION: $crate::c::Function =
            $crate::c::Function::new($library, $name, absent as *mut ::std::ffi::c_void);
        extern "C-unwind" fn absent($($input: $kind),*) $(-> $output)? {
            let found = FUNCTION.found_late();
            // SAFETY: the type is that of the C function with this name; its caller has seen to the rest.
            unsafe { ::std::mem::transmute::<*const ::std::ffi::c_void, Called>(found)($($input),*) }
        }
        extern "C" fn find() {
            FUNCTION.find();
        }
        // Called when the artifact is loaded.
        #[used]
        #[unsafe(link_section = ".init_array")]
        static FIND: extern "C" fn() = find;
        // SAFETY: the type is that of the C function with this name, and of what stands in its place.
        #[allow(unused_unsafe)]
        unsafe {
            ::std::mem::transmute::<*const ::std::ffi::c_void, Called>(FUNCTION.get())
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
