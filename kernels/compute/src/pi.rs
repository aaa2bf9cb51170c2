//! π by throwing darts. The generator is written out here, so that a seed gives the same result everywhere
//! and for ever.

/// An estimate of π: four times the share of `samples` random points of the unit square that fall into the
/// quarter circle. Same `samples` and `seed`, same result, on every machine.
///
/// The standard error is `√(π · (4 − π) / samples)`, that is `1.64 / √samples`: a hundred times the samples
/// for one more digit. Without samples there is no estimate: the result is NaN. Estimates of different seeds
/// are independent for all practical purposes, so their mean is an estimate over all their samples.
///
/// Random numbers: `SplitMix64` (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
/// OOPSLA 2014), the upper 53 bits of each as a fraction. It starts from the seed's own hash, so neighbouring
/// seeds give unrelated points.
///
/// Cost: two random numbers per sample, some nanoseconds; no memory.
///
/// In a lesson: the most even load there is. `n` seeds with equal samples take equal time, so the speedup is
/// the number of engines, and what is missing is the price of starting and sending.
///
/// ```
/// use regatta_kernels::monte_carlo_pi;
///
/// let estimate = monte_carlo_pi(100_000, 1);
/// assert!((estimate - std::f64::consts::PI).abs() < 4.0 * 1.64 / 100_000_f64.sqrt());
/// assert_eq!(estimate, monte_carlo_pi(100_000, 1));
/// ```
#[must_use]
pub fn monte_carlo_pi(samples: u64, seed: u64) -> f64 {
    let mut random = SplitMix64(SplitMix64(seed).next());
    let mut inside = 0_u64;
    for _ in 0..samples {
        let (x, y) = (random.fraction(), random.fraction());
        inside += u64::from(x * x + y * y < 1.0);
    }
    // Exact below 2^53 samples, which take years.
    #[allow(clippy::cast_precision_loss)]
    let share = inside as f64 / samples as f64;
    4.0 * share
}

struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in `[0, 1)`, a multiple of 2⁻⁵³.
    fn fraction(&mut self) -> f64 {
        const STEP: f64 = f64::EPSILON / 2.0;
        // 53 bits are what an `f64` holds exactly.
        #[allow(clippy::cast_precision_loss)]
        let bits = (self.next() >> 11) as f64;
        bits * STEP
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // First outputs for seed 1234567, as in the reference implementation (Vigna, splitmix64.c).
        let mut random = SplitMix64(1_234_567);
        let first: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn estimates_are_within_four_standard_errors() {
        for seed in 0..20 {
            for samples in [1_000_u32, 100_000] {
                let error = (monte_carlo_pi(samples.into(), seed) - PI).abs();
                let sigma = (PI * (4.0 - PI) / f64::from(samples)).sqrt();
                assert!(
                    error < 4.0 * sigma,
                    "seed {seed}, {samples} samples: {error}"
                );
            }
        }
    }

    #[test]
    fn seeds_are_independent_so_that_their_mean_is_better() {
        let (seeds, samples) = (400_u32, 1_000_u32);
        let mean = (0..seeds)
            .map(|seed| monte_carlo_pi(samples.into(), seed.into()))
            .sum::<f64>()
            / f64::from(seeds);
        let sigma = (PI * (4.0 - PI) / f64::from(seeds * samples)).sqrt();
        assert!((mean - PI).abs() < 4.0 * sigma, "{mean}");
    }

    #[test]
    fn a_seed_decides_the_result_and_no_samples_give_none() {
        assert_eq!(
            monte_carlo_pi(1_000, 5).to_bits(),
            monte_carlo_pi(1_000, 5).to_bits()
        );
        assert_ne!(
            monte_carlo_pi(1_000, 5).to_bits(),
            monte_carlo_pi(1_000, 6).to_bits()
        );
        assert!(monte_carlo_pi(0, 1).is_nan());
    }
}
