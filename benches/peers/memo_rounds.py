"""Rounds of results that are kept: in memory by `functools.lru_cache`, on disk by diskcache and by joblib.Memory.

On disk it is a process of its own each round, whose memory is empty, that looks up what another one has written.
"""

import functools
import os
import subprocess
import sys
import tempfile
import time

import diskcache
import joblib

from rounds import check, serve

CALLS = 1_000_000
KEYS = 10_000


# Bounded, as ours is.
@functools.lru_cache(maxsize=100_000)
def square(n):
    return n * n


def on_disk(n):
    return n * n


def memory():
    """Seconds of one call in a loop over a thousand keys."""
    keys = [n % 1000 for n in range(CALLS)]
    for n in range(1000):
        square(n)
    begin = time.perf_counter()
    total = 0
    for n in keys:
        total += square(n)
    seconds = time.perf_counter() - begin
    check(total == sum(n * n for n in range(1000)) * (CALLS // 1000), total)
    return seconds / CALLS


def kept(how, folder):
    """The function as it is kept on disk."""
    if how == "diskcache":
        return diskcache.Cache(f"{folder}/diskcache").memoize()(on_disk)
    return joblib.Memory(f"{folder}/joblib", verbose=0).cache(on_disk)


def looked_up(how, folder):
    """Seconds of one call in this process, over all keys."""
    function = kept(how, folder)
    function(0)
    begin = time.perf_counter()
    total = sum(function(n) for n in range(1, KEYS + 1))
    seconds = time.perf_counter() - begin
    check(total == sum(n * n for n in range(KEYS + 1)), total)
    return seconds / KEYS


def elsewhere(how, folder):
    """The same in another process."""
    command = [sys.executable, "-B", __file__, how, folder]
    return float(subprocess.run(command, check=True, capture_output=True).stdout)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(looked_up(*sys.argv[1:]))
    else:
        # On the same file system as ours.
        with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
            written = set()

            def disk(how):
                if how not in written:
                    function = kept(how, folder)
                    for n in range(KEYS + 1):
                        function(n)
                    written.add(how)
                return elsewhere(how, folder)

            serve(
                {
                    "memory": memory,
                    "diskcache": lambda: disk("diskcache"),
                    "joblib": lambda: disk("joblib"),
                }
            )
