"""Rounds of ipyparallel's cluster of two engines on this machine."""

import logging

import ipyparallel
import numpy

from rounds import each, once, serve

# Its load-balanced map with one item per task takes milliseconds per item: fewer items, and the time of one
# item is what counts.
TINY = 400
NUMBERS = 8_000_000


def inc(x):
    return x + 1


def main():
    cluster = ipyparallel.Cluster(n=2, log_level=logging.ERROR)
    try:
        client = cluster.start_and_connect_sync()
        one, every, balanced = client[0], client[:], client.load_balanced_view()
        numbers = numpy.arange(NUMBERS, dtype=numpy.float64)

        def there_and_back():
            every.scatter("part", numbers, block=True)
            return every.gather("part", block=True)

        def tiny():
            seconds = once(
                lambda: balanced.map_sync(inc, range(TINY), chunksize=1),
                lambda got: list(got) == list(range(1, TINY + 1)),
            )
            return seconds / TINY

        serve(
            {
                "trip": lambda: each(lambda: one.apply_sync(inc, 1), 2, 200),
                "tiny": tiny,
                "data": lambda: once(
                    there_and_back, lambda got: numpy.array_equal(got, numbers)
                ),
            }
        )
    finally:
        cluster.stop_cluster_sync()


if __name__ == "__main__":
    main()
