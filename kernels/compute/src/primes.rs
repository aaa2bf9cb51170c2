//! Counting primes in a range, with a segmented sieve of Eratosthenes.

use std::ops::Range;

/// Numbers looked at per segment; a segment's flags (one byte per odd number) fit into a 32 KiB L1 cache.
const SEGMENT: u64 = 1 << 16;

/// How many primes `range` contains; an empty range has none.
///
/// A segmented sieve over odd numbers (Bays and Hudson, "The segmented sieve of Eratosthenes and primes in
/// arithmetic progressions to 10^12", BIT 17, 1977). For a range of length `L` that ends at `b` the time is
/// `O(√b + L · log log b)`, plus one step per sieving prime and segment; memory is about `√b` bytes for the
/// sieving primes and 32 KiB for a segment, whatever `L`. Every range of `u64` gives the right count, but
/// one that ends near `u64::MAX` needs 4 GB.
///
/// In a lesson: nearly even load over ranges of one length, as long as they are much longer than `√b`.
/// Counts of neighbouring ranges add up, so it shows a map followed by a sum, and how small chunks lose
/// to the cost of starting one.
///
/// ```
/// use regatta_kernels::count_primes;
///
/// assert_eq!(count_primes(0..100), 25);
/// assert_eq!(count_primes(0..1_000_000), 78_498);
/// let by_parts: u64 = (0..10).map(|part| count_primes(part * 1000..(part + 1) * 1000)).sum();
/// assert_eq!(by_parts, count_primes(0..10_000));
/// ```
#[must_use]
pub fn count_primes(range: Range<u64>) -> u64 {
    if range.end <= 2 || range.start >= range.end {
        return 0;
    }
    let sieving = odd_primes_up_to((range.end - 1).isqrt());
    let mut count = u64::from(range.start <= 2);
    let mut composite = Vec::new();
    // Segments begin at an odd number; flag `i` stands for `low + 2 * i`.
    let mut low = range.start.max(3) | 1;
    while low < range.end {
        let high = low.saturating_add(SEGMENT).min(range.end);
        sieve(&mut composite, low, high, &sieving);
        count += composite
            .iter()
            .map(|&composite| u64::from(!composite))
            .sum::<u64>();
        match low.checked_add(SEGMENT) {
            Some(next) => low = next,
            None => break,
        }
    }
    count
}

/// Marks the composite ones among the odd numbers `low`, `low + 2`, … below `high`. `primes` are the odd
/// primes up to at least the square root of the last of them.
fn sieve(composite: &mut Vec<bool>, low: u64, high: u64, primes: &[u64]) {
    composite.clear();
    composite.resize(index((high - low).div_ceil(2)), false);
    for &prime in primes {
        let square = prime * prime;
        if square >= high {
            break;
        }
        // How far the first odd multiple that no smaller prime has marked lies above `low`.
        let first = if square >= low {
            square - low
        } else {
            let below = low % prime;
            let to_multiple = if below == 0 { 0 } else { prime - below };
            if to_multiple % 2 == 0 {
                to_multiple
            } else {
                to_multiple + prime
            }
        };
        for flag in composite
            .iter_mut()
            .skip(index(first / 2))
            .step_by(index(prime))
        {
            *flag = true;
        }
    }
}

/// The odd primes up to and including `limit`, by the plain sieve.
fn odd_primes_up_to(limit: u64) -> Vec<u64> {
    if limit < 3 {
        return Vec::new();
    }
    let mut composite = vec![false; index((limit - 1) / 2)];
    let mut primes = Vec::new();
    for at in 0..composite.len() {
        if composite[at] {
            continue;
        }
        let prime = 2 * at as u64 + 3;
        primes.push(prime);
        // `prime²` may lie beyond every index; then nothing is left to mark.
        let first = index((prime * prime - 3) / 2);
        for flag in composite.iter_mut().skip(first).step_by(index(prime)) {
            *flag = true;
        }
    }
    primes
}

/// Saturates where a `usize` is narrower: such an index is beyond every segment.
fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_trial_division(range: Range<u64>) -> u64 {
        let is_prime =
            |n: &u64| *n >= 2 && (2..=n.isqrt()).all(|divisor| !n.is_multiple_of(divisor));
        range.filter(is_prime).count() as u64
    }

    #[test]
    fn known_values_of_pi() {
        for (end, count) in [(10, 4), (1_000, 168), (100_000, 9_592), (1_000_000, 78_498)] {
            assert_eq!(count_primes(0..end + 1), count, "π({end})");
        }
        assert_eq!(count_primes(0..10_000_001), 664_579);
    }

    #[test]
    fn every_small_range_agrees_with_trial_division() {
        for start in 0..70 {
            for end in 0..140 {
                assert_eq!(
                    count_primes(start..end),
                    by_trial_division(start..end),
                    "{start}..{end}"
                );
            }
        }
    }

    #[test]
    fn ends_are_exclusive_and_backward_ranges_empty() {
        assert_eq!(count_primes(7..7), 0);
        assert_eq!(count_primes(7..8), 1);
        assert_eq!(count_primes(3..7), 2);
        #[allow(clippy::reversed_empty_ranges)]
        let backward = 100..3;
        assert_eq!(count_primes(backward), 0);
    }

    #[test]
    fn segments_join_without_a_gap() {
        let edge = 3 * SEGMENT + 1;
        assert_eq!(
            count_primes(edge - 500..edge + 500),
            by_trial_division(edge - 500..edge + 500)
        );
        let whole = count_primes(0..400_000);
        let parts: u64 = (0..16)
            .map(|part| count_primes(part * 25_000..(part + 1) * 25_000))
            .sum();
        assert_eq!(whole, parts);
    }

    #[test]
    fn far_ranges_are_right_too() {
        let start = 1_000_000_000_000;
        assert_eq!(
            count_primes(start..start + 100),
            by_trial_division(start..start + 100)
        );
    }
}
