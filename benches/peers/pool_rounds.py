"""Rounds of Python's own pool of two processes, `multiprocessing.Pool(2)`, started by fork."""

import functools
import multiprocessing

from rounds import each, once, serve

TINY = 20_000
MANY = 1_000_000
TABLE = 10_000_000
LOOKUPS = 100


def inc(x):
    return x + 1


def look_up(table, i):
    return table[i]


def counted_on(values, count):
    return len(values) == count and all(y == x + 1 for x, y in enumerate(values))


def main():
    with multiprocessing.get_context("fork").Pool(2) as pool:

        def capture():
            """Ten maps with the same array of 80 MB, which a map before had not."""
            import numpy

            capture.value += 1
            table = numpy.arange(TABLE, dtype=numpy.float64) + capture.value
            bound = functools.partial(look_up, table)
            wanted = [float(i + capture.value) for i in range(LOOKUPS)]
            return once(
                lambda: [pool.map(bound, range(LOOKUPS)) for _ in range(10)],
                lambda maps: all(got == wanted for got in maps),
            )

        capture.value = 0
        serve(
            {
                "trip": lambda: each(lambda: pool.apply(inc, (1,)), 2, 2000),
                "tiny": lambda: once(
                    lambda: pool.map(inc, range(TINY), chunksize=1),
                    lambda got: counted_on(got, TINY),
                ),
                "many": lambda: once(
                    lambda: pool.map(inc, range(MANY)), lambda got: counted_on(got, MANY)
                ),
                "capture": capture,
            }
        )


if __name__ == "__main__":
    main()
