/* Pi by throwing darts, with SplitMix64 as generator: Steele, Lea and Flood, OOPSLA 2014. */

#include "kernels.h"

static uint64_t next(uint64_t *state) {
    *state += 0x9E3779B97F4A7C15;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
}

/* Uniform in [0, 1), a multiple of 2^-53. */
static double fraction(uint64_t *state) {
    return (double)(next(state) >> 11) * 0x1p-53;
}

double regatta_monte_carlo_pi(uint64_t samples, uint64_t seed) {
    uint64_t state = seed;
    state = next(&state);
    uint64_t inside = 0;
    for (uint64_t i = 0; i < samples; i++) {
        double x = fraction(&state), y = fraction(&state);
        inside += x * x + y * y < 1.0;
    }
    return 4.0 * ((double)inside / (double)samples);
}
