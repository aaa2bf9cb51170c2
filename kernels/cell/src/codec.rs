//! How values travel: by serde in postcard's format, and plain numbers as they lie in memory, which is the
//! same on every engine of a machine.

use std::any::TypeId;
use std::mem::{MaybeUninit, size_of, size_of_val};

use postcard::ser_flavors::Flavor;
use serde::{Serialize, de::DeserializeOwned};

use crate::catch::escaped;
use crate::host::{Bytes, host, host_if_any};

/// A value could not be encoded or decoded by its own serde code.
#[derive(Debug)]
pub(crate) struct NotEncodable;

/// Tells why a value could not be encoded.
#[inline(never)]
fn not_encoded(error: postcard::Error) -> NotEncodable {
    escaped(&format!("serde could not encode a value: {}", why(&error)));
    NotEncodable
}

/// The same of one that could not be decoded.
#[inline(never)]
fn not_decoded(error: postcard::Error) -> NotEncodable {
    escaped(&format!("serde could not decode a value: {}", why(&error)));
    NotEncodable
}

/// In the terms of whoever wrote the type.
pub(crate) fn why(error: &postcard::Error) -> &'static str {
    use postcard::Error;
    match error {
        Error::WontImplement => {
            "its type asks what comes next, as `#[serde(untagged)]` and `serde_json::Value` do, and numbers, texts and lists travel unmarked"
        }
        Error::SerializeSeqLengthUnknown => {
            "its type does not say how many parts it has, as with `#[serde(flatten)]`"
        }
        Error::SerdeSerCustom | Error::SerdeDeCustom => "its type's own code refused it",
        _ => {
            "its type does not read what it writes, as with `#[serde(skip_serializing_if)]` or a `Serialize` and `Deserialize` that differ"
        }
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {
        // Not generic, so compiled once and not with every cell.

        fn is_number_id(id: TypeId) -> bool {
            false $(|| id == TypeId::of::<$number>())+
        }

        fn is_vec_id(id: TypeId) -> bool {
            false $(|| id == TypeId::of::<Vec<$number>>())+
        }

        /// The memory of a `Vec` of plain numbers, when `id` is such a one.
        ///
        /// # Safety
        /// `value` must point to a value of the type with this id.
        unsafe fn vec_memory(id: TypeId, value: *const ()) -> Option<(*const u8, usize)> {
            $(if id == TypeId::of::<Vec<$number>>() {
                // SAFETY: the ids are equal, so it is this very type.
                let vec = unsafe { &*value.cast::<Vec<$number>>() };
                return Some((vec.as_ptr().cast(), size_of_val(vec.as_slice())));
            })+
            None
        }

        /// Makes a `Vec` of plain numbers from its memory, when `id` is such a one.
        ///
        /// # Safety
        /// `to` must have room for a value of the type with this id.
        unsafe fn make_vec(id: TypeId, bytes: &[u8], to: *mut ()) -> bool {
            $(if id == TypeId::of::<Vec<$number>>() {
                let count = bytes.len() / size_of::<$number>();
                let bytes = &bytes[..count * size_of::<$number>()];
                let laid = may_lay(bytes);
                let mut vec = Vec::<$number>::with_capacity(count);
                // SAFETY: there is room for `count` numbers, every bit pattern is a number, and the source
                // has as many bytes.
                unsafe {
                    fill(vec.as_mut_ptr().cast::<u8>(), bytes, laid);
                    vec.set_len(count);
                }
                // SAFETY: the ids are equal, so there is room for this very type.
                unsafe { to.cast::<Vec<$number>>().write(vec) };
                return true;
            })+
            false
        }
    };
}

numbers!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64
);

/// Whether `T` is one of the plain numbers. `typeid::of` also tells types with lifetimes apart.
#[inline]
pub(crate) fn is_number<T>() -> bool {
    is_number_id(typeid::of::<T>())
}

/// A `Vec` of so many bytes has memory that was mapped for it alone, whatever glibc has learned of other sizes.
pub(crate) const LARGE: usize = 32 << 20;

/// Whether a new block's memory may be that of these bytes, without a copy; the block is to be asked for next.
fn may_lay(bytes: &[u8]) -> bool {
    bytes.len() >= LARGE && host_if_any().is_some_and(|host| (host.may_lay)(Bytes::of(bytes)))
}

/// Fills new memory of the allocator's. `laid`: what [`may_lay`] has said.
///
/// # Safety
/// There must be room for the bytes, and nothing borrows it.
unsafe fn fill(room: *mut u8, bytes: &[u8], laid: bool) {
    if !(laid && (host().lay_over)(room, Bytes::of(bytes))) {
        // SAFETY: promised by the caller; what was just allocated is not what is lent.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), room, bytes.len()) };
    }
}

/// The memory of a `Vec` of plain numbers that are many.
pub(crate) fn large<T>(value: &T) -> Option<&[u8]> {
    vec_bytes(value).filter(|bytes| bytes.len() >= LARGE)
}

fn vec_bytes<T>(value: &T) -> Option<&[u8]> {
    // SAFETY: the value is of this type.
    let (start, length) =
        unsafe { vec_memory(typeid::of::<T>(), std::ptr::from_ref(value).cast()) }?;
    // SAFETY: numbers have no padding, and any of their bytes may be read as long as the `Vec` is borrowed.
    Some(unsafe { std::slice::from_raw_parts(start, length) })
}

/// A `Vec` of plain numbers from its memory.
pub(crate) fn vec_from<T>(bytes: &[u8]) -> Option<T> {
    let mut made = MaybeUninit::<T>::uninit();
    // SAFETY: there is room for a `T`, and it is there when it was made.
    unsafe {
        make_vec(typeid::of::<T>(), bytes, made.as_mut_ptr().cast()).then(|| made.assume_init())
    }
}

/// The memory of a plain number.
fn number_bytes<T>(value: &T) -> &[u8] {
    // SAFETY: only called for plain numbers, which have no padding.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(value).cast(), size_of::<T>()) }
}

/// Hands the encoded value to `out`, in one or more parts. A `Vec` of numbers is not copied.
pub(crate) fn write<T: Serialize>(
    value: &T,
    out: &mut dyn FnMut(&[u8]),
) -> Result<(), NotEncodable> {
    if is_number::<T>() {
        out(number_bytes(value));
    } else if let Some(bytes) = vec_bytes(value) {
        out(&(bytes.len() as u64).to_le_bytes());
        out(bytes);
    } else {
        out(&postcard::to_allocvec(value).map_err(not_encoded)?);
    }
    Ok(())
}

/// As [`write()`] for a `Vec` with these values.
pub(crate) fn write_slice<T: Serialize>(
    values: &[T],
    out: &mut dyn FnMut(&[u8]),
) -> Result<(), NotEncodable> {
    if is_number::<T>() {
        // SAFETY: numbers have no padding, and any of their bytes may be read.
        let bytes =
            unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) };
        out(&(size_of_val(values) as u64).to_le_bytes());
        out(bytes);
    } else {
        out(&postcard::to_allocvec(values).map_err(not_encoded)?);
    }
    Ok(())
}

/// Another of the same, by way of its bytes.
pub(crate) fn copy<T: Serialize + DeserializeOwned>(value: &T) -> Option<T> {
    let mut bytes = Vec::new();
    append(value, form::<T>(), &mut bytes).ok()?;
    take(&mut bytes.as_slice(), form::<T>()).ok()
}

/// How values of a type travel; asked for once, before many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Number,
    Vec,
    Serde,
    /// By serde, behind the number of bytes: what cannot be decoded can be passed over.
    Framed,
}

impl Form {
    /// The same of the inputs of a map that may collect errors: one that cannot be decoded is one of them.
    pub fn among_errors(self, collects: bool) -> Self {
        match self {
            Self::Serde if collects => Self::Framed,
            other => other,
        }
    }
}

/// Passes over the first value, which is framed.
pub(crate) fn pass(bytes: &mut &[u8]) -> Result<(), NotEncodable> {
    framed(bytes).map(drop)
}

pub(crate) fn form<T>() -> Form {
    form_of(typeid::of::<T>())
}

fn form_of(id: TypeId) -> Form {
    if is_number_id(id) {
        Form::Number
    } else if is_vec_id(id) {
        Form::Vec
    } else {
        Form::Serde
    }
}

/// Appends the encoded value; `form` is its type's. What numbers need is inlined, the rest is not.
#[inline(always)]
pub(crate) fn append<T: Serialize>(
    value: &T,
    form: Form,
    to: &mut Vec<u8>,
) -> Result<(), NotEncodable> {
    if form != Form::Number {
        return append_other(value, form, to);
    }
    let (at, size) = (to.len(), size_of::<T>());
    if to.capacity() - at < size {
        grow(to);
    }
    // SAFETY: there is room behind what is there, and a number has no padding.
    unsafe {
        let room = to.as_mut_ptr().wrapping_add(at).cast::<T>();
        room.write_unaligned(std::ptr::read(value));
        to.set_len(at + size);
    }
    Ok(())
}

#[inline(never)]
fn grow(bytes: &mut Vec<u8>) {
    bytes.reserve(1024);
}

#[inline(never)]
fn append_other<T: Serialize>(value: &T, form: Form, to: &mut Vec<u8>) -> Result<(), NotEncodable> {
    if form == Form::Vec {
        append_vec(vec_bytes(value), to)
    } else {
        let length = to.len();
        if form == Form::Framed {
            to.extend_from_slice(&[0; LENGTH]);
        }
        // What a failed encoding has written is taken back.
        if let Err(error) = postcard::serialize_with_flavor(value, Tail(to)) {
            to.truncate(length);
            return Err(not_encoded(error));
        }
        if form == Form::Framed {
            let bytes = (to.len() - length - LENGTH) as u64;
            to[length..length + LENGTH].copy_from_slice(&bytes.to_le_bytes());
        }
        Ok(())
    }
}

fn append_vec(bytes: Option<&[u8]>, to: &mut Vec<u8>) -> Result<(), NotEncodable> {
    let bytes = bytes.ok_or(NotEncodable)?;
    to.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
    to.extend_from_slice(bytes);
    Ok(())
}

/// Bytes of a length.
const LENGTH: usize = size_of::<u64>();

/// Where postcard writes to.
struct Tail<'a>(&'a mut Vec<u8>);

impl Flavor for Tail<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Takes the first value off `bytes`; `form` is its type's. As with [`append`].
#[inline(always)]
pub(crate) fn take<T: DeserializeOwned>(bytes: &mut &[u8], form: Form) -> Result<T, NotEncodable> {
    if form != Form::Number {
        return take_other(bytes, form);
    }
    let number = front(bytes, size_of::<T>())?;
    // SAFETY: `T` is a plain number and there are as many bytes as it has.
    Ok(unsafe { number.as_ptr().cast::<T>().read_unaligned() })
}

#[inline(never)]
fn take_other<T: DeserializeOwned>(bytes: &mut &[u8], form: Form) -> Result<T, NotEncodable> {
    if form == Form::Vec {
        return vec_from(framed(bytes)?).ok_or(NotEncodable);
    }
    if form == Form::Framed {
        return postcard::from_bytes(framed(bytes)?).map_err(not_decoded);
    }
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(not_decoded)?;
    *bytes = rest;
    Ok(value)
}

/// Takes so many bytes off the front.
#[inline(always)]
fn front<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], NotEncodable> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(NotEncodable)?;
    *bytes = rest;
    Ok(taken)
}

/// Takes what stands behind its length off the front: the memory of a `Vec` of numbers, or a framed value.
fn framed<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], NotEncodable> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH>().ok_or(NotEncodable)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| NotEncodable)?;
    *bytes = rest;
    front(bytes, length)
}

/// Takes `count` values off `bytes` and appends them.
pub(crate) fn take_many<T: DeserializeOwned>(
    count: usize,
    bytes: &mut &[u8],
    to: &mut Vec<T>,
) -> Result<(), NotEncodable> {
    let form = form::<T>();
    if form == Form::Number {
        let size = count.checked_mul(size_of::<T>()).ok_or(NotEncodable)?;
        let numbers = front(bytes, size)?;
        to.reserve(count);
        // SAFETY: there is room for `count` numbers behind the ones that are there, every bit pattern is a
        // number, and the source has as many bytes.
        unsafe {
            let room = to.as_mut_ptr().add(to.len()).cast::<u8>();
            std::ptr::copy_nonoverlapping(numbers.as_ptr(), room, size);
            to.set_len(to.len() + count);
        }
        return Ok(());
    }
    for _ in 0..count {
        to.push(take(bytes, form)?);
    }
    Ok(())
}

/// Appends the values of a `Vec` as [`write()`] has written it.
pub(crate) fn take_vec<T: DeserializeOwned>(
    bytes: &mut &[u8],
    to: &mut Vec<T>,
) -> Result<(), NotEncodable> {
    if is_number::<T>() {
        let mut numbers = framed(bytes)?;
        return take_many(numbers.len() / size_of::<T>(), &mut numbers, to);
    }
    to.append(&mut take::<Vec<T>>(bytes, Form::Serde)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
        let mut bytes = vec![1, 2, 3];
        append(value, form::<T>(), &mut bytes).unwrap();
        append(value, form::<T>(), &mut bytes).unwrap();
        let mut parts = Vec::new();
        write(value, &mut |part| parts.extend_from_slice(part)).unwrap();
        assert_eq!([&parts[..], &parts[..]].concat(), bytes[3..]);
        let mut rest = &bytes[3..];
        let form = form::<T>();
        assert_eq!(&take::<T>(&mut rest, form).unwrap(), value);
        assert_eq!(&take::<T>(&mut rest, form).unwrap(), value);
        assert!(rest.is_empty());
        assert!(take::<T>(&mut &parts[..parts.len() - 1], form).is_err());
    }

    #[test]
    fn values_come_back_as_they_went() {
        there_and_back(&7_u64);
        there_and_back(&-1.5_f64);
        there_and_back(&vec![1.5_f64, f64::MAX]);
        there_and_back(&vec![3_u8; 1000]);
        there_and_back(&(1_u8, "two".to_owned(), vec![3.0_f32]));
        there_and_back(&Some(vec![vec![1_i32], vec![]]));
    }

    #[test]
    fn what_is_framed_can_be_passed_over() {
        let mut bytes = Vec::new();
        for value in ["one", "", "three"] {
            append(&value.to_owned(), Form::Framed, &mut bytes).unwrap();
        }
        let mut rest = &bytes[..];
        pass(&mut rest).unwrap();
        assert_eq!(take::<String>(&mut rest, Form::Framed).unwrap(), "");
        // A failure ends behind the value too.
        assert!(take::<(String, u8)>(&mut rest, Form::Framed).is_err());
        assert!(rest.is_empty() && pass(&mut rest).is_err());
        assert_eq!(form::<u8>().among_errors(true), Form::Number);
    }

    #[test]
    fn numbers_lie_as_in_memory() {
        let mut bytes = Vec::new();
        append(&vec![1_u16, 2], Form::Vec, &mut bytes).unwrap();
        assert_eq!(bytes, [4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0]);
    }
}
