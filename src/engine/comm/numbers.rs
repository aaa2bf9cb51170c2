//! Arithmetic on rows of numbers, compiled with the engine: a cell's own code may be unoptimised.

use regatta_cell::comm::table::{Number, Op};

/// `to[i] = a[i] op b[i]` for so many bytes of numbers; the three are the same, or do not overlap.
pub type Fold = unsafe fn(to: *mut u8, a: *const u8, b: *const u8, bytes: usize);

/// # Safety
/// As many bytes are there; `to` may be one of the others. They need not be aligned.
unsafe fn each<T: Copy>(
    to: *mut u8,
    a: *const u8,
    b: *const u8,
    bytes: usize,
    op: impl Fn(T, T) -> T,
) {
    let (to, a, b) = (to.cast::<T>(), a.cast::<T>(), b.cast::<T>());
    for at in 0..bytes / size_of::<T>() {
        // SAFETY: promised by the caller, and any bytes are a number.
        unsafe {
            let folded = op(a.add(at).read_unaligned(), b.add(at).read_unaligned());
            to.add(at).write_unaligned(folded);
        }
    }
}

macro_rules! folds {
    ($sum:ident, $prod:ident: $($number:ident $type:ident),+) => {
        fn $sum(number: Number, op: Op) -> Option<Fold> {
            $(if number == Number::$number {
                return Some(match op {
                    // SAFETY: as the type `Fold` says.
                    Op::Sum => |to, a, b, bytes| unsafe { each::<$type>(to, a, b, bytes, |a, b| a.$sum(b)) },
                    // SAFETY: as the type `Fold` says.
                    Op::Prod => |to, a, b, bytes| unsafe { each::<$type>(to, a, b, bytes, |a, b| a.$prod(b)) },
                    // SAFETY: as the type `Fold` says.
                    Op::Min => |to, a, b, bytes| unsafe { each::<$type>(to, a, b, bytes, |a, b| a.min(b)) },
                    // SAFETY: as the type `Fold` says.
                    Op::Max => |to, a, b, bytes| unsafe { each::<$type>(to, a, b, bytes, |a, b| a.max(b)) },
                });
            })+
            None
        }
    };
}

folds!(wrapping_add, wrapping_mul: U8 u8, U16 u16, U32 u32, U64 u64, U128 u128, Usize usize, I8 i8, I16 i16, I32 i32,
    I64 i64, I128 i128, Isize isize);

use std::ops::{Add as _, Mul as _};
folds!(add, mul: F32 f32, F64 f64);

/// Sums and products of integers wrap, as MPI's do; the smaller of a number and NaN is the number.
pub fn fold(number: Number, op: Op) -> Option<Fold> {
    wrapping_add(number, op).or_else(|| add(number, op))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded<T: Copy + Default>(number: Number, op: Op, a: &[T], b: &[T]) -> Vec<T> {
        let mut to = vec![T::default(); a.len()];
        let fold = fold(number, op).expect("numbers fold");
        // SAFETY: the three are as long.
        unsafe {
            fold(
                to.as_mut_ptr().cast(),
                a.as_ptr().cast(),
                b.as_ptr().cast(),
                size_of_val(a),
            );
        }
        to
    }

    #[test]
    fn numbers_fold_one_by_one() {
        let (a, b) = ([1.5, f64::NAN, -3.0], [2.0, 1.0, f64::NEG_INFINITY]);
        assert_eq!(folded(Number::F64, Op::Sum, &a, &b)[0], 3.5);
        assert_eq!(folded(Number::F64, Op::Prod, &a, &b)[0], 3.0);
        assert_eq!(
            folded(Number::F64, Op::Min, &a, &b),
            [1.5, 1.0, f64::NEG_INFINITY]
        );
        assert_eq!(folded(Number::F64, Op::Max, &a, &b), [2.0, 1.0, -3.0]);
        assert_eq!(folded(Number::U8, Op::Sum, &[255, 1], &[2, 1]), [1_u8, 2]);
        assert_eq!(
            folded(Number::I16, Op::Max, &[-1, 1], &[-2, 5]),
            [-1_i16, 5]
        );
        assert_eq!(
            folded(Number::I128, Op::Prod, &[3], &[i128::from(i64::MAX)]),
            [3 * i128::from(i64::MAX)]
        );
        for code in 1..=14 {
            let number = Number::of(code).unwrap();
            for op in [Op::Sum, Op::Prod, Op::Min, Op::Max] {
                assert!(fold(number, op).is_some(), "{number:?} {op:?}");
            }
        }
    }
}
