//! Numbers that count.

use super::call::{Call, Number, Reply, Trouble};
use super::{call, refused};

/// A number that [`super::incr`] adds.
#[diagnostic::on_unimplemented(
    message = "`store::incr` adds whole numbers of up to 64 bits, or floats, and `{Self}` is neither"
)]
pub trait Counts: Copy {
    /// `None` when it does not fit.
    #[doc(hidden)]
    fn number(self) -> Option<Number>;
    #[doc(hidden)]
    fn from_number(number: Number) -> Option<Self>;
    #[doc(hidden)]
    const NAME: &'static str;
}

macro_rules! whole {
    ($($number:ident),+) => {
        $(impl Counts for $number {
            fn number(self) -> Option<Number> {
                i64::try_from(self).ok().map(Number::Int)
            }

            fn from_number(number: Number) -> Option<Self> {
                match number {
                    Number::Int(int) => Self::try_from(int).ok(),
                    Number::Float(_) => None,
                }
            }

            const NAME: &'static str = stringify!($number);
        })+
    };
}

whole!(i8, i16, i32, i64, isize, u8, u16, u32, u64, usize);

macro_rules! floats {
    ($($number:ident),+) => {
        $(impl Counts for $number {
            fn number(self) -> Option<Number> {
                Some(Number::Float(f64::from(self)))
            }

            fn from_number(number: Number) -> Option<Self> {
                Some(match number {
                    Number::Int(int) => int as $number,
                    Number::Float(float) => float as $number,
                })
            }

            const NAME: &'static str = stringify!($number);
        })+
    };
}

floats!(f32, f64);

#[track_caller]
pub(super) fn sum<N: Counts>(key: &str, by: N) -> N {
    let sum = added(key, by.number());
    if let Some(sum) = N::from_number(sum) {
        return sum;
    }
    // Others may have added to it meanwhile: it is not set to what it was.
    if let Some(by) = by.number().and_then(negative) {
        let key = key.to_owned();
        let _ = call(&Call::Incr { key, by });
    }
    does_not_fit(key, N::NAME, sum)
}

fn negative(number: Number) -> Option<Number> {
    match number {
        Number::Int(int) => int.checked_neg().map(Number::Int),
        Number::Float(float) => Some(Number::Float(-float)),
    }
}

#[track_caller]
fn added(key: &str, by: Option<Number>) -> Number {
    let reply = match by {
        Some(by) => call(&Call::Incr {
            key: key.to_owned(),
            by,
        }),
        None => Reply::Failed(Trouble::Overflow {
            key: key.to_owned(),
        }),
    };
    match reply {
        Reply::Number(sum) => sum,
        other => refused(other, ""),
    }
}

#[cold]
#[track_caller]
fn does_not_fit(key: &str, wanted: &str, sum: Number) -> ! {
    let trouble = Trouble::WrongType {
        key: key.to_owned(),
        wanted: wanted.to_owned(),
        found: sum.to_string(),
    };
    panic!("{trouble}, which it would become")
}
