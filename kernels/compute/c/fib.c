/* Fibonacci numbers, the slow way. Never make it fast: its cost is what it is for. */

#include "kernels.h"

uint64_t regatta_fib(uint64_t n) {
    return n <= 2 ? 1 : regatta_fib(n - 1) + regatta_fib(n - 2);
}
