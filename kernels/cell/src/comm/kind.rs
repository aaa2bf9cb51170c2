//! How values travel as messages: numbers, and rows of them, as they lie in memory, from the value itself into the
//! value that is received; others by serde.

use std::any::{TypeId, type_name};
use std::ffi::c_void;
use std::mem::{MaybeUninit, size_of_val};

use serde::{Serialize, de::DeserializeOwned};

use super::table::{Kind, Number};
use crate::host::Bytes;

/// What a type is, and what can be done with memory of it. Found once per call.
#[derive(Clone, Copy)]
pub(super) struct Form {
    pub kind: Kind,
    shape: Shape,
    /// Of the type itself, bytes.
    size: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A number, or an array of them.
    Plain,
    Slice,
    Vec(Number),
    Encoded,
}

macro_rules! numbers {
    ($($name:ident $type:ty),+) => {
        /// The kind of a type that is one number. Known when a cell is compiled: the ways of other types are not in it then.
        #[inline]
        pub(super) fn one_number<T: ?Sized>() -> Option<Kind> {
            number_of(typeid::of::<T>())
        }

        #[inline(always)]
        fn number_of(id: TypeId) -> Option<Kind> {
            $(if id == TypeId::of::<$type>() {
                return Some(Kind::one(Number::$name));
            })+
            None
        }

        // Not generic, so compiled once and not with every cell.

        #[inline(never)]
        fn form_of(id: TypeId, size: usize, name: &'static str) -> Form {
            if let Some(kind) = number_of(id) {
                return Form { kind, shape: Shape::Plain, size };
            }
            $(if id == TypeId::of::<Vec<$type>>() {
                return Form { kind: Kind::many(Number::$name), shape: Shape::Vec(Number::$name), size };
            })+
            $(if id == TypeId::of::<[$type]>() {
                return Form { kind: Kind::many(Number::$name), shape: Shape::Slice, size };
            })+
            // The language's own names of arrays: no type of the user's is called so.
            let array = name.strip_prefix('[').and_then(|name| name.split_once("; "));
            match array.map(|(number, _)| number) {
                $(Some(stringify!($type)) => {
                    Form { kind: Kind::many(Number::$name), shape: Shape::Plain, size }
                })+
                _ => Form { kind: Kind::ENCODED, shape: Shape::Encoded, size },
            }
        }

        /// The memory of a row of numbers.
        ///
        /// # Safety
        /// `value` points to a `Vec` of this number.
        unsafe fn vec_bytes(number: Number, value: *const u8) -> Bytes {
            match number {
                $(Number::$name => {
                    // SAFETY: promised by the caller.
                    let row = unsafe { &*value.cast::<Vec<$type>>() };
                    Bytes { start: row.as_ptr().cast(), len: size_of_val(row.as_slice()) }
                })+
            }
        }

        /// Makes a row of so many bytes in place of the one that is there, or where none is; what was there is used
        /// again when it is as long. Its numbers are still to be written.
        ///
        /// # Safety
        /// `to` has room for a `Vec` of this number, and has one when `is_there`.
        unsafe fn vec_room(number: Number, to: *mut u8, is_there: bool, bytes: usize) -> *mut u8 {
            match number {
                $(Number::$name => {
                    let to = to.cast::<Vec<$type>>();
                    let count = bytes / size_of::<$type>();
                    // SAFETY: promised by the caller; a new row's numbers are written before anybody reads them, and
                    // until then it is only dropped.
                    unsafe {
                        if !is_there {
                            to.write(Vec::with_capacity(count));
                        }
                        let row = &mut *to;
                        if row.capacity() < count {
                            row.clear();
                            row.reserve_exact(count);
                        }
                        row.set_len(count);
                        row.as_mut_ptr().cast()
                    }
                })+
            }
        }
    };
}

numbers!(
    F64 f64, I32 i32, U64 u64, I64 i64, U32 u32, Usize usize, F32 f32, U8 u8, Isize isize, U16 u16, I16 i16, I8 i8,
    U128 u128, I128 i128
);

#[inline]
pub(super) fn form<T: ?Sized>(size: usize) -> Form {
    form_of(typeid::of::<T>(), size, type_name::<T>())
}

/// A value's bytes while it is borrowed.
pub(super) struct Lent {
    pub kind: Kind,
    pub bytes: Bytes,
    /// What they are in, of an encoded value.
    _encoded: Vec<u8>,
}

/// The bytes of a value.
#[track_caller]
pub(super) fn lent<T: Serialize + ?Sized>(value: &T) -> Lent {
    let form = form::<T>(size_of_val(value));
    if form.shape == Shape::Encoded {
        return encoded(postcard::to_allocvec(value));
    }
    // SAFETY: the form is the type's.
    unsafe { in_memory(form, std::ptr::from_ref(value).cast()) }
}

#[track_caller]
#[inline(never)]
fn encoded(bytes: postcard::Result<Vec<u8>>) -> Lent {
    let bytes = match bytes {
        Ok(bytes) => bytes,
        Err(error) => panic!(
            "serde could not encode a value: {}",
            crate::codec::why(&error)
        ),
    };
    Lent {
        kind: Kind::ENCODED,
        bytes: Bytes::of(&bytes),
        _encoded: bytes,
    }
}

/// # Safety
/// `value` points to a value of this form, which is not encoded.
unsafe fn in_memory(form: Form, value: *const u8) -> Lent {
    let bytes = match form.shape {
        // SAFETY: promised by the caller.
        Shape::Vec(number) => unsafe { vec_bytes(number, value) },
        _ => Bytes {
            start: value,
            len: form.size,
        },
    };
    Lent {
        kind: form.kind,
        bytes,
        _encoded: Vec::new(),
    }
}

/// Where values that come are put: room for each of some parts, one behind the other.
pub(super) struct Landing {
    form: Form,
    /// The memory of the first.
    start: *mut u8,
    count: usize,
    /// Values are there already, and are replaced.
    are_there: bool,
    /// Which have become values.
    made: Vec<bool>,
    /// Of encoded ones, their bytes.
    encoded: Vec<Vec<u8>>,
    /// One alone needs no list.
    one_made: bool,
    one_encoded: Vec<u8>,
}

impl Landing {
    #[inline]
    fn new(form: Form, start: *mut u8, count: usize, are_there: bool) -> Self {
        let mut landing = Self {
            form,
            start,
            count,
            are_there,
            made: Vec::new(),
            encoded: Vec::new(),
            one_made: false,
            one_encoded: Vec::new(),
        };
        if count != 1 {
            landing.made.resize(count, false);
            if form.shape == Shape::Encoded {
                landing.encoded.resize(count, Vec::new());
            }
        }
        landing
    }

    pub fn ctx(&mut self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }

    /// Room for the bytes of a part.
    fn room(&mut self, part: usize, bytes: usize) -> *mut u8 {
        if part >= self.count {
            return std::ptr::null_mut();
        }
        let is_one = self.count == 1;
        let (form, start) = (self.form, self.start);
        // SAFETY: there is memory for so many values.
        let value = || unsafe { start.add(part * form.size) };
        let to = match form.shape {
            Shape::Plain if bytes == form.size => value(),
            Shape::Slice if bytes == form.size => start,
            Shape::Plain | Shape::Slice => return std::ptr::null_mut(),
            // SAFETY: as above.
            Shape::Vec(number) => unsafe { vec_room(number, value(), self.are_there, bytes) },
            Shape::Encoded => {
                let buffer = match is_one {
                    true => &mut self.one_encoded,
                    false => &mut self.encoded[part],
                };
                buffer.clear();
                buffer.resize(bytes, 0);
                self.one_made = is_one;
                return match bytes {
                    0 => std::ptr::dangling_mut(),
                    _ => buffer.as_mut_ptr(),
                };
            }
        };
        match is_one {
            true => self.one_made = true,
            false => self.made[part] = true,
        }
        to
    }

    #[track_caller]
    fn decode<T: DeserializeOwned>(bytes: &[u8]) -> T {
        match postcard::from_bytes(bytes) {
            Ok(value) => value,
            Err(error) => panic!(
                "serde could not decode a value: {}",
                crate::codec::why(&error)
            ),
        }
    }
}

/// See [`super::table::Room`].
pub(super) extern "C" fn room(ctx: *mut c_void, part: u64, bytes: u64) -> *mut u8 {
    // SAFETY: this function is only handed out together with a `Landing`.
    let landing = unsafe { &mut *ctx.cast::<Landing>() };
    landing.room(part as usize, bytes as usize)
}

/// Where one number is put.
pub(super) struct Place {
    to: *mut u8,
    bytes: u64,
    is_made: bool,
}

impl Place {
    #[inline]
    pub fn of<T>(to: &mut MaybeUninit<T>) -> Self {
        Self {
            to: to.as_mut_ptr().cast(),
            bytes: size_of::<T>() as u64,
            is_made: false,
        }
    }

    #[inline]
    pub fn ctx(&mut self) -> *mut c_void {
        std::ptr::from_mut(self).cast()
    }

    /// It has come; otherwise there is nothing in its memory.
    #[track_caller]
    #[inline]
    pub fn has_come(&self) {
        if !self.is_made {
            nothing_comes();
        }
    }

    /// See [`super::table::Room`].
    pub extern "C" fn room(ctx: *mut c_void, part: u64, bytes: u64) -> *mut u8 {
        // SAFETY: this function is only handed out together with a `Place`.
        let place = unsafe { &mut *ctx.cast::<Self>() };
        if part > 0 || bytes != place.bytes {
            return std::ptr::null_mut();
        }
        place.is_made = true;
        place.to
    }
}

#[track_caller]
#[cold]
fn nothing_comes() -> ! {
    panic!(
        "nothing comes from `comm::PROC_NULL`: `recv_into`, `sendrecv_into` and `sendrecv_replace` leave the value as it is"
    );
}

/// One value that comes.
pub(super) struct Coming<T> {
    value: MaybeUninit<T>,
}

impl<T: DeserializeOwned> Coming<T> {
    pub fn new() -> Self {
        Self {
            value: MaybeUninit::uninit(),
        }
    }

    /// Where it is to be put.
    pub fn landing(&mut self) -> (Kind, Landing) {
        let form = form::<T>(size_of::<T>());
        let start = self.value.as_mut_ptr().cast();
        (form.kind, Landing::new(form, start, 1, false))
    }

    /// The value, once it is there.
    #[track_caller]
    pub fn landed(mut self, landing: Landing) -> T {
        if !landing.one_made {
            nothing_comes();
        }
        if landing.form.shape == Shape::Encoded {
            self.value.write(Landing::decode(&landing.one_encoded));
        }
        // SAFETY: it is there.
        unsafe { self.value.assume_init() }
    }
}

/// Receives so many values; none when `fetch` says so.
#[track_caller]
pub(super) fn fetched_all<T: DeserializeOwned>(
    count: usize,
    fetch: impl FnOnce(Kind, &mut Landing) -> bool,
) -> Vec<T> {
    let form = form::<T>(size_of::<T>());
    let mut values: Vec<T> = Vec::with_capacity(count);
    let mut landing = Landing::new(form, values.as_mut_ptr().cast(), count, false);
    if !fetch(form.kind, &mut landing) || count == 0 {
        return Vec::new();
    }
    if form.shape == Shape::Encoded {
        let encoded = match count {
            1 => vec![landing.one_encoded],
            _ => landing.encoded,
        };
        values.extend(encoded.iter().map(|bytes| Landing::decode::<T>(bytes)));
    } else if match count {
        1 => landing.one_made,
        _ => landing.made.iter().all(|made| *made),
    } {
        // SAFETY: there are so many, and all were made.
        unsafe { values.set_len(count) };
    }
    values
}

/// What a value can be received into: any value of serde's, and slices of numbers.
pub trait Buffer {
    #[doc(hidden)]
    #[track_caller]
    fn fill(&mut self, fetch: &mut dyn FnMut(Kind, *mut c_void) -> bool);
}

impl<T: DeserializeOwned> Buffer for T {
    #[track_caller]
    fn fill(&mut self, fetch: &mut dyn FnMut(Kind, *mut c_void) -> bool) {
        let form = form::<T>(size_of::<T>());
        let start: *mut u8 = std::ptr::from_mut(self).cast();
        let mut landing = Landing::new(form, start, 1, true);
        let has_come = fetch(form.kind, landing.ctx());
        match form.shape {
            Shape::Encoded if has_come && landing.one_made => {
                *self = Landing::decode(&landing.one_encoded);
            }
            // Not all of its numbers have come.
            Shape::Vec(number) if !has_come && landing.one_made => {
                // SAFETY: it is such a row.
                unsafe { vec_room(number, start, true, 0) };
            }
            _ => {}
        }
    }
}

macro_rules! slices {
    ($($type:ty),+) => {
        $(impl Buffer for [$type] {
            #[track_caller]
            fn fill(&mut self, fetch: &mut dyn FnMut(Kind, *mut c_void) -> bool) {
                let form = form::<[$type]>(size_of_val(self));
                let mut landing = Landing::new(form, self.as_mut_ptr().cast(), 1, true);
                fetch(form.kind, landing.ctx());
            }
        })+
    };
}

slices!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64
);

/// Room for the result of a reduction of numbers, as long as the value that goes into it; `None`: it is of no numbers.
pub(super) fn folded<T: Serialize>(value: &T, fold: impl FnOnce(&Lent, *mut u8)) -> Option<T> {
    let form = form::<T>(size_of::<T>());
    if form.shape == Shape::Encoded {
        return None;
    }
    let mut result = MaybeUninit::<T>::uninit();
    // SAFETY: the form is the type's.
    let lent = unsafe { in_memory(form, std::ptr::from_ref(value).cast()) };
    let start: *mut u8 = result.as_mut_ptr().cast();
    let to = match form.shape {
        // SAFETY: there is room for one.
        Shape::Vec(number) => unsafe { vec_room(number, start, false, lent.bytes.len) },
        _ => start,
    };
    fold(&lent, to);
    // SAFETY: it was made, and its numbers written.
    Some(unsafe { result.assume_init() })
}

/// The same where no result comes.
pub(super) fn given<T: Serialize>(value: &T, fold: impl FnOnce(&Lent)) -> bool {
    let form = form::<T>(size_of::<T>());
    if form.shape == Shape::Encoded {
        return false;
    }
    // SAFETY: the form is the type's.
    fold(&unsafe { in_memory(form, std::ptr::from_ref(value).cast()) });
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_which_a_part_has_come_is_empty() {
        let mut row = vec![1.5_f64; 3];
        row.fill(&mut |_, ctx| room(ctx, 0, 80).is_null());
        assert!(row.is_empty());
        // Nothing of it has come.
        let mut row = vec![1.5_f64; 3];
        row.fill(&mut |_, _| false);
        assert_eq!(row, [1.5; 3]);
    }
}
