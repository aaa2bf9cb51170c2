//! Operations for `reduce`, `all_reduce` and `scan`. Of a `Vec` or an array of numbers each number is taken by itself,
//! as in MPI. Any closure of two values does too; of a `Vec` it gets the whole.
//!
//! Sums and products of integers wrap.

use std::any::type_name;
use std::ffi::c_void;

use super::table::Op;

/// Numbers, and rows of them.
pub trait Numeric: Sized {
    #[doc(hidden)]
    fn folded(self, with: Self, op: Op) -> Self;
}

macro_rules! numbers {
    ($add:ident $mul:ident: $($type:ty),+) => {
        $(impl Numeric for $type {
            fn folded(self, with: Self, op: Op) -> Self {
                match op {
                    Op::Sum => self.$add(with),
                    Op::Prod => self.$mul(with),
                    Op::Min => self.min(with),
                    Op::Max => self.max(with),
                }
            }
        })+
    };
}

numbers!(wrapping_add wrapping_mul: u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize);
use std::ops::{Add as _, Mul as _};
numbers!(add mul: f32, f64);

impl<N: Numeric> Numeric for Vec<N> {
    fn folded(self, with: Self, op: Op) -> Self {
        assert_eq!(self.len(), with.len(), "rows of different lengths");
        self.into_iter()
            .zip(with)
            .map(|(a, b)| a.folded(b, op))
            .collect()
    }
}

impl<N: Numeric, const COUNT: usize> Numeric for [N; COUNT] {
    fn folded(self, with: Self, op: Op) -> Self {
        let mut with = with.into_iter();
        self.map(|a| match with.next() {
            Some(b) => a.folded(b, op),
            None => a,
        })
    }
}

/// Their sum.
pub fn sum<T: Numeric>(a: T, b: T) -> T {
    a.folded(b, Op::Sum)
}

/// Their product.
pub fn prod<T: Numeric>(a: T, b: T) -> T {
    a.folded(b, Op::Prod)
}

/// The smaller one.
pub fn min<T: Numeric>(a: T, b: T) -> T {
    a.folded(b, Op::Min)
}

/// The larger one.
pub fn max<T: Numeric>(a: T, b: T) -> T {
    a.folded(b, Op::Max)
}

/// Which of these functions it is: the engine folds numbers itself then. One that is not recognised is called.
#[inline]
pub(super) fn known<F>() -> Option<Op> {
    if size_of::<F>() != 0 {
        return None;
    }
    named(type_name::<F>())
}

/// The function behind an operation that is a function pointer, which the operation's type does not tell.
pub(super) fn pointed<F>(op: &F) -> Option<*const c_void> {
    let name = type_name::<F>();
    let is_pointer = name.starts_with("fn(") || name.starts_with("extern ");
    if !is_pointer || size_of::<F>() != size_of::<*const c_void>() {
        return None;
    }
    // SAFETY: only function pointers are called so, and they are as large as any pointer.
    Some(unsafe { std::ptr::from_ref(op).cast::<*const c_void>().read() })
}

fn named(name: &str) -> Option<Op> {
    let (function, _) = name
        .strip_prefix("regatta_cell::comm::op::")?
        .split_once('<')?;
    match function {
        "sum" => Some(Op::Sum),
        "prod" => Some(Op::Prod),
        "min" => Some(Op::Min),
        "max" => Some(Op::Max),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of<T>(_: impl Fn(T, T) -> T + Copy, known: Option<Op>, want: Op) {
        assert_eq!(known, Some(want));
    }

    fn known_of<F: Copy>(_: F) -> Option<Op> {
        known::<F>()
    }

    #[test]
    fn the_functions_are_known_and_closures_are_not() {
        of(sum::<f64>, known_of(sum::<f64>), Op::Sum);
        of(max::<Vec<i32>>, known_of(max::<Vec<i32>>), Op::Max);
        assert_eq!(known_of(|a: f64, b: f64| a + b), None);
        assert_eq!(named("ctx::op::sum<f64>"), None);
    }

    #[test]
    fn what_is_behind_a_pointer_is_found_and_nothing_behind_another_operation() {
        let pointer: fn(u8, u8) -> u8 = sum;
        assert_eq!(pointed(&pointer), Some(pointer as *const c_void));
        assert_eq!(pointed(&sum::<u8>), None);
        let more = 1_usize;
        assert_eq!(pointed(&|a: usize, b: usize| a + b + more), None);
        let boxed: Box<dyn Fn(u8, u8) -> u8> = Box::new(sum);
        assert_eq!(pointed(&boxed), None);
    }

    #[test]
    fn rows_are_folded_one_by_one() {
        assert_eq!(sum(vec![1, 2], vec![10, 20]), [11, 22]);
        assert_eq!(min([1.5, 2.5], [2.0, 0.5]), [1.5, 0.5]);
        assert_eq!(prod(3_u8, 100), 44);
    }
}
