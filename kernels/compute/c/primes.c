/* Counting primes in a range, with a segmented sieve over odd numbers: Bays and Hudson, BIT 17, 1977. */

#include <stdlib.h>
#include <string.h>

#include "kernels.h"

/* Numbers looked at per segment; a segment's flags, one byte per odd number, fit into a 32 KiB L1 cache. */
#define SEGMENT ((uint64_t)1 << 16)

static void *memory(size_t bytes) {
    void *there = calloc(bytes ? bytes : 1, 1);
    if (!there)
        abort();
    return there;
}

/* The root of n, rounded down. */
static uint64_t root(uint64_t n) {
    uint64_t r = 0;
    for (uint64_t bit = (uint64_t)1 << 31; bit; bit >>= 1)
        if ((r | bit) * (r | bit) <= n)
            r |= bit;
    return r;
}

/* The odd primes up to and including `limit`; how many there are goes to `count`. */
static uint64_t *odd_primes(uint64_t limit, size_t *count) {
    size_t flags = limit < 3 ? 0 : (size_t)((limit - 1) / 2);
    unsigned char *composite = memory(flags);
    size_t found = 0;
    for (size_t at = 0; at < flags; at++) {
        if (composite[at])
            continue;
        found++;
        uint64_t prime = 2 * (uint64_t)at + 3;
        for (uint64_t i = (prime * prime - 3) / 2; i < flags; i += prime)
            composite[i] = 1;
    }
    uint64_t *primes = memory(found * sizeof *primes);
    found = 0;
    for (size_t at = 0; at < flags; at++)
        if (!composite[at])
            primes[found++] = 2 * (uint64_t)at + 3;
    free(composite);
    *count = found;
    return primes;
}

/* Marks the composite ones among the odd numbers `low`, `low + 2`, ... below `high`. */
static void sieve(unsigned char *composite, size_t flags, uint64_t low, uint64_t high, const uint64_t *primes,
                  size_t count) {
    memset(composite, 0, flags);
    for (size_t i = 0; i < count; i++) {
        uint64_t prime = primes[i], square = prime * prime;
        if (square >= high)
            break;
        /* How far the first odd multiple that no smaller prime has marked lies above `low`. */
        uint64_t first;
        if (square >= low) {
            first = square - low;
        } else {
            uint64_t below = low % prime;
            first = below ? prime - below : 0;
            if (first % 2)
                first += prime;
        }
        for (uint64_t at = first / 2; at < flags; at += prime)
            composite[at] = 1;
    }
}

uint64_t regatta_count_primes(uint64_t from, uint64_t to) {
    if (to <= 2 || from >= to)
        return 0;
    size_t primes;
    uint64_t *sieving = odd_primes(root(to - 1), &primes);
    unsigned char composite[SEGMENT / 2];
    uint64_t count = from <= 2;
    uint64_t low = (from > 3 ? from : 3) | 1;
    while (low < to) {
        uint64_t high = to - low > SEGMENT ? low + SEGMENT : to;
        size_t flags = (size_t)((high - low + 1) / 2);
        sieve(composite, flags, low, high, sieving, primes);
        for (size_t i = 0; i < flags; i++)
            count += !composite[i];
        if (low > UINT64_MAX - SEGMENT)
            break;
        low += SEGMENT;
    }
    free(sieving);
    return count;
}
