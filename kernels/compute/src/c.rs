//! The same four computations in C, compiled by the `cc` crate: C against Rust on one problem. Arguments, results and
//! cost are those of the Rust functions of these names, to the last bit; only the compiler is another one.

use std::ops::Range;

// SAFETY: they are declared as `c/kernels.h` declares them.
unsafe extern "C" {
    safe fn regatta_fib(n: u64) -> u64;
    safe fn regatta_count_primes(from: u64, to: u64) -> u64;
    safe fn regatta_monte_carlo_pi(samples: u64, seed: u64) -> f64;
    fn regatta_mandelbrot_row(
        y: u32,
        height: u32,
        max_iterations: u32,
        row: *mut u32,
        width: usize,
    );
}

/// [`crate::fib()`] in C.
///
/// ```
/// assert_eq!(regatta_kernels::c::fib(20), regatta_kernels::fib(20));
/// ```
#[must_use]
pub fn fib(n: u64) -> u64 {
    regatta_fib(n)
}

/// [`crate::count_primes`] in C. Ends the process when there is no memory, as Rust does.
///
/// ```
/// assert_eq!(regatta_kernels::c::count_primes(0..1_000_000), 78_498);
/// ```
#[must_use]
pub fn count_primes(range: Range<u64>) -> u64 {
    regatta_count_primes(range.start, range.end)
}

/// [`crate::monte_carlo_pi`] in C.
///
/// ```
/// let (c, rust) = (regatta_kernels::c::monte_carlo_pi(1_000, 1), regatta_kernels::monte_carlo_pi(1_000, 1));
/// assert_eq!(c.to_bits(), rust.to_bits());
/// ```
#[must_use]
pub fn monte_carlo_pi(samples: u64, seed: u64) -> f64 {
    regatta_monte_carlo_pi(samples, seed)
}

/// [`crate::mandelbrot_row`] in C.
///
/// ```
/// use regatta_kernels::{c, mandelbrot_row};
///
/// assert_eq!(c::mandelbrot_row(3, 60, 20, 100), mandelbrot_row(3, 60, 20, 100));
/// ```
#[must_use]
pub fn mandelbrot_row(y: u32, width: u32, height: u32, max_iterations: u32) -> Vec<u32> {
    let mut row = vec![0; width as usize];
    // SAFETY: it writes the `row.len()` numbers that there are, and keeps nothing.
    unsafe { regatta_mandelbrot_row(y, height, max_iterations, row.as_mut_ptr(), row.len()) };
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fibonacci_numbers_are_the_same() {
        for n in 0..25 {
            assert_eq!(fib(n), crate::fib(n));
        }
    }

    #[test]
    fn counts_of_primes_are_the_same() {
        let far = 1_000_000_000_000;
        let segment = 3 << 16;
        let ends = [0, 1, 2, 3, 4, 8, 100, segment, segment + 1, segment + 700];
        for from in ends {
            for to in ends {
                assert_eq!(
                    count_primes(from..to),
                    crate::count_primes(from..to),
                    "{from}..{to}"
                );
            }
        }
        assert_eq!(
            count_primes(far..far + 1_000),
            crate::count_primes(far..far + 1_000)
        );
    }

    #[test]
    fn estimates_of_pi_are_the_same_to_the_last_bit() {
        for (samples, seed) in [(1, 0), (1_000, 5), (50_000, u64::MAX)] {
            let (c, rust) = (
                monte_carlo_pi(samples, seed),
                crate::monte_carlo_pi(samples, seed),
            );
            assert_eq!(c.to_bits(), rust.to_bits(), "{samples}, {seed}");
        }
        assert!(monte_carlo_pi(0, 1).is_nan());
    }

    #[test]
    fn rows_are_the_same() {
        for (y, width, height, max) in [
            (0, 0, 10, 100),
            (7, 35, 11, 50),
            (50, 60, 20, 100),
            (0, 3, 1, 0),
        ] {
            assert_eq!(
                mandelbrot_row(y, width, height, max),
                crate::mandelbrot_row(y, width, height, max)
            );
        }
        let picture = |row: fn(u32, u32, u32, u32) -> Vec<u32>| -> Vec<Vec<u32>> {
            (0..40).map(|y| row(y, 60, 40, 300)).collect()
        };
        assert_eq!(picture(mandelbrot_row), picture(crate::mandelbrot_row));
    }
}
