//! Values of cells that outlive their cell: `_`, `_3` and `Out[3]`. The host has them by number; what they are
//! is known here. Called by generated code only.

use std::any::{TypeId, type_name};
use std::ffi::c_void;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::catch::caught;
use crate::host::{Bytes, Out, host};

/// What the heap holds before a value is made.
#[must_use]
pub fn begin() -> u64 {
    (host().heap)()
}

/// Hands a value over to the host, which keeps it for later cells or drops it. A value that may borrow from
/// something is dropped as ever.
pub fn keep<T>(before: u64, value: T) {
    // Little of this depends on the type, because it is compiled with every cell.
    let kind = Kind {
        name: type_name::<T>(),
        id: typeid::of::<T>(),
        bytes: size_of::<T>(),
        on_heap: std::mem::needs_drop::<T>(),
        drop: drop_boxed::<T>,
    };
    if is_kept(kind.name) {
        hand_over(before, kind, Box::into_raw(Box::new(value)).cast());
    }
}

/// A type, as far as what follows needs it.
struct Kind {
    name: &'static str,
    id: TypeId,
    bytes: usize,
    on_heap: bool,
    drop: unsafe fn(*mut c_void),
}

#[inline(never)]
fn is_kept(name: &str) -> bool {
    name != "()" && is_owned(name)
}

#[inline(never)]
fn hand_over(before: u64, kind: Kind, value: *mut c_void) {
    let heap = if kind.on_heap {
        (host().heap)().saturating_sub(before)
    } else {
        0
    };
    let drop = kind.drop;
    let out = Out {
        value: Box::into_raw(Box::new(Boxed { value, drop })).cast(),
        drop: drop_kept,
        stamp: stamp(kind.id, kind.name, kind.bytes),
        bytes: kind.bytes as u64 + heap,
    };
    (host().keep)(out, Bytes::of(kind.name.as_bytes()));
}

/// A value whose type is forgotten.
struct Boxed {
    value: *mut c_void,
    drop: unsafe fn(*mut c_void),
}

extern "C" fn drop_kept(boxed: *mut c_void) {
    // SAFETY: it is the box that `hand_over` made, and dropped once.
    let boxed = unsafe { Box::from_raw(boxed.cast::<Boxed>()) };
    // A destructor that panics has been told by the panic hook.
    // SAFETY: the function is the one of the value's type, and called once.
    caught(&mut || unsafe { (boxed.drop)(boxed.value) });
}

/// # Safety
/// `value` is a box of this type.
unsafe fn drop_boxed<T>(value: *mut c_void) {
    // SAFETY: says the caller.
    drop(unsafe { Box::from_raw(value.cast::<T>()) });
}

/// Takes a value back.
///
/// # Panics
/// When it is gone, or of another type.
#[must_use]
pub fn take<T>(number: u64) -> T {
    let stamp = stamp(typeid::of::<T>(), type_name::<T>(), size_of::<T>());
    let boxed = (host().take_kept)(number, stamp);
    assert!(
        !boxed.is_null(),
        "the value is no {}, or no longer there",
        type_name::<T>()
    );
    // SAFETY: it is what `hand_over` made of a box of this type, by its stamp, and the host has given it away, to the
    // thread that it came from. The stamp knows no lifetimes, but a type that is kept has none (`is_owned`), so there
    // is none in which this `T` could differ from it.
    unsafe {
        let boxed = Box::from_raw(boxed.cast::<Boxed>());
        *Box::from_raw(boxed.value.cast::<T>())
    }
}

/// Drops values; numbers that are gone already are skipped.
pub fn forget(numbers: &[u64]) {
    for number in numbers {
        (host().drop_kept)(*number);
    }
}

/// The same for the same type in every artifact.
fn stamp(id: TypeId, name: &str, bytes: usize) -> u64 {
    let mut hasher = DefaultHasher::new();
    (id, name, bytes).hash(&mut hasher);
    hasher.finish()
}

/// Whether a type of this name borrows from nothing: rustc writes every lifetime into a type's name, except
/// the one of a `dyn`; what a closure captures is not told at all.
fn is_owned(kind: &str) -> bool {
    !kind.contains(['\'', '&', '*', '{']) && !kind.contains("dyn ") && lifetimes_are_told()
}

/// Older compilers left them out.
fn lifetimes_are_told() -> bool {
    type_name::<std::slice::Iter<'static, u8>>().contains('\'')
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::fmt::Debug;

    use super::*;

    fn owned<T>(_: &T) -> bool {
        is_owned(type_name::<T>())
    }

    struct Borrows<'a>(#[expect(dead_code, reason = "only its type counts")] &'a str);

    fn hidden<'a>(text: &'a str) -> impl Iterator<Item = char> + 'a {
        text.chars()
    }

    #[test]
    fn only_what_borrows_from_nothing_is_kept() {
        let (list, word) = (vec![1.5], "text".to_owned());
        assert!(owned(&1) && owned(&list) && owned(&word) && owned(&Some((list.clone(), 'x'))));
        assert!(owned(&std::collections::HashMap::from([(
            1,
            Box::new(word.clone())
        )])));
        assert!(!owned(&"text") && !owned(&list.first()) && !owned(&list.iter()));
        assert!(!owned(&Borrows("text")) && !owned(&[Some(Borrows("text"))]));
        assert!(!owned(&Cow::Borrowed("text")) && !owned(&hidden(&word)));
        let length = || word.len();
        assert!(!owned(&length) && !owned(&(1, length)));
        let boxed: Box<dyn Debug + '_> = Box::new(&list);
        assert!(!owned(&boxed) && !owned(&std::cell::RefCell::new(1).borrow()));
        assert!(!owned(&(&raw const list)));
        drop((boxed, length));
    }
}
