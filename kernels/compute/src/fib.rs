//! Fibonacci numbers, the slow way. Never make it fast: its cost is what it is for.

/// The `n`-th Fibonacci number, by the naive recursion; `fib(1) = fib(2) = 1`.
///
/// As in the usual two-line example, everything up to 2 gives 1, so `fib(0)` is 1 and not 0.
///
/// Cost: `2 · fib(n) − 1` calls, which grows by the golden ratio (1.618) with every `n`; no memory but a
/// stack of depth `n`. Results fit in a `u64` up to `n = 93`, long after anyone waits for them.
///
/// In a lesson: few items of very different cost. Over `[38, 37, 36, 35, 34, 33]` the first item alone is
/// two fifths of the work, so the order of the items and the size of the chunks decide the speedup.
///
/// ```
/// use regatta_kernels::fib;
///
/// let numbers: Vec<u64> = (1..=10).map(fib).collect();
/// assert_eq!(numbers, [1, 1, 2, 3, 5, 8, 13, 21, 34, 55]);
/// ```
#[must_use]
pub fn fib(n: u64) -> u64 {
    if n <= 2 { 1 } else { fib(n - 1) + fib(n - 2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_numbers() {
        assert_eq!(
            [fib(0), fib(1), fib(2), fib(3), fib(20)],
            [1, 1, 1, 2, 6765]
        );
        assert_eq!(fib(30), 832_040);
        assert_eq!(fib(38), 39_088_169);
    }

    #[test]
    fn every_number_is_the_sum_of_the_two_before() {
        for n in 3..25 {
            assert_eq!(fib(n), fib(n - 1) + fib(n - 2));
        }
    }
}
