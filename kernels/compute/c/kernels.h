/* The same four computations as the Rust functions of these names: same arguments, same results, to the last bit. */

#ifndef REGATTA_KERNELS_H
#define REGATTA_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* The n-th Fibonacci number, by the naive recursion. */
uint64_t regatta_fib(uint64_t n);

/* How many primes there are in from..to, by a segmented sieve. Ends the process when there is no memory. */
uint64_t regatta_count_primes(uint64_t from, uint64_t to);

/* An estimate of pi: four times the share of random points of the unit square that fall into the quarter circle. */
double regatta_monte_carlo_pi(uint64_t samples, uint64_t seed);

/* Row y of a picture of the Mandelbrot set, `width` x `height` pixels: iterations of each of its `width` pixels. */
void regatta_mandelbrot_row(uint32_t y, uint32_t height, uint32_t max_iterations, uint32_t *row, size_t width);

#endif
