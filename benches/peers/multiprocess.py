"""Python's own process pool: the seed's map on two workers, and the start of two workers.

    multiprocess.py map      the loop one after the other, then the same on the pool
    multiprocess.py start    until both workers of a new pool have answered a task

Prints one JSON value, in seconds; nothing but the pool is inside the measured time.
"""

import json
import multiprocessing
import os
import sys
import time

INPUTS = [38, 37, 36, 35, 34, 33]
EXPECTED = [39088169, 24157817, 14930352, 9227465, 5702887, 3524578]


def fib(n):
    return 1 if n <= 2 else fib(n - 1) + fib(n - 2)


def meet(barrier):
    """Gives a worker the barrier, so that no worker can answer twice."""
    global both
    both = barrier


def answer(_):
    both.wait()
    return os.getpid()


def map_both_ways():
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pool.map(fib, [10, 10], chunksize=1)
        begin = time.perf_counter()
        serial_values = [fib(n) for n in INPUTS]
        middle = time.perf_counter()
        values = pool.map(fib, INPUTS, chunksize=1)
        end = time.perf_counter()
    if values != EXPECTED or serial_values != EXPECTED:
        sys.exit(f"wrong numbers: {values}")
    return {"serial": middle - begin, "wall": end - middle}


def start():
    context = multiprocessing.get_context("spawn")
    begin = time.perf_counter()
    with context.Pool(2, initializer=meet, initargs=(context.Barrier(2),)) as pool:
        pids = pool.map(answer, range(2), chunksize=1)
        seconds = time.perf_counter() - begin
    if len(set(pids)) != 2:
        sys.exit(f"only one worker answered: {pids}")
    return {"start": seconds}


if __name__ == "__main__":
    json.dump({"map": map_both_ways, "start": start}[sys.argv[1]](), sys.stdout)
