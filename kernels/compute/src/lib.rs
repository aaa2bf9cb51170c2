//! Compute kernels for lessons, benchmarks and tests: plain functions of plain values, so that they run
//! anywhere, on one thread, with any engine. They never spawn threads, read files, print or keep state:
//! how the work is spread is the caller's lesson.
//!
//! | kernel | one item | load over items |
//! |---|---|---|
//! | [`fib()`] | a number | very uneven: each next number costs 1.6 times as much |
//! | [`count_primes`] | a range of numbers | nearly even for ranges of one length |
//! | [`monte_carlo_pi`] | a number of samples and a seed | even |
//! | [`mandelbrot_row`] | a row of a picture | uneven, and where is not known beforehand |
//!
//! With the feature `c` the same four are there in C too, in the module `c`.

#[cfg(feature = "c")]
pub mod c;
mod fib;
mod mandelbrot;
mod pi;
mod primes;
#[cfg(feature = "sources")]
pub mod sources;

pub use fib::fib;
pub use mandelbrot::mandelbrot_row;
pub use pi::monte_carlo_pi;
pub use primes::count_primes;
