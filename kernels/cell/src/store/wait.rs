//! Times to wait.

use std::fmt;
use std::time::{Duration, Instant};

use super::call::milliseconds;

/// How long something may take: seconds, a [`Duration`], or [`FOREVER`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wait(Option<Duration>);

/// Without an end, but for Ctrl-C.
pub const FOREVER: Wait = Wait(None);

impl Wait {
    pub(super) fn milliseconds(self) -> Option<u64> {
        self.0.map(milliseconds)
    }

    pub(super) fn deadline(self) -> Option<Instant> {
        // One that no clock reaches is none.
        Instant::now().checked_add(self.0?)
    }
}

/// What is left of it, milliseconds.
pub(super) fn left(deadline: Option<Instant>) -> Option<u64> {
    let left = deadline?.saturating_duration_since(Instant::now());
    Some(milliseconds(left))
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(time) => write!(f, "{} s", time.as_secs_f64()),
            None => f.write_str("any time"),
        }
    }
}

impl From<Duration> for Wait {
    fn from(time: Duration) -> Self {
        Self(Some(time))
    }
}

macro_rules! seconds {
    ($($number:ty),+) => {
        $(impl From<$number> for Wait {
            fn from(seconds: $number) -> Self {
                let seconds = seconds as f64;
                // What is no time is none; what is too long has no end.
                match Duration::try_from_secs_f64(seconds) {
                    Ok(time) => Self(Some(time)),
                    Err(_) if seconds > 0.0 => FOREVER,
                    Err(_) => Self(Some(Duration::ZERO)),
                }
            }
        })+
    };
}

seconds!(i32, i64, u32, u64, usize, f32, f64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_durations() {
        let milliseconds = |wait: Wait| wait.milliseconds();
        assert_eq!(milliseconds(2.into()), Some(2000));
        assert_eq!(milliseconds(0.25.into()), Some(250));
        assert_eq!(milliseconds(0.into()), Some(0));
        assert_eq!(milliseconds((-1).into()), Some(0));
        assert_eq!(milliseconds(f64::INFINITY.into()), None);
        assert_eq!(milliseconds(f64::NAN.into()), Some(0));
        assert_eq!(milliseconds(Duration::from_micros(1).into()), Some(1));
        assert_eq!(milliseconds(Duration::MAX.into()), Some(u64::MAX));
        assert_eq!(milliseconds(1e18.into()), Some(u64::MAX));
        assert_eq!(milliseconds(FOREVER), None);
        assert_eq!(Wait::from(0.5).to_string(), "0.5 s");
    }
}
