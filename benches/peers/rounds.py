"""A driver that stays: the name of a measure per line on stdin, the seconds of one round of it as JSON on stdout.

The pools of a driver are started once and outside of the measured time, as regatta's are.
"""

import json
import os
import statistics
import sys
import time


def serve(measures):
    """Measures what stdin names, until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    # What a library prints must not be taken for an answer.
    os.dup2(2, 1)
    for line in sys.stdin:
        json.dump(measures[line.strip()](), answers)
        answers.write("\n")
        answers.flush()


def each(call, wanted, rounds):
    """The median of one call's time, over so many calls one after the other."""
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        got = call()
        times.append(time.perf_counter() - begin)
        check(got == wanted, got)
    return statistics.median(times)


def once(call, is_right):
    """The time of one call."""
    begin = time.perf_counter()
    got = call()
    seconds = time.perf_counter() - begin
    check(is_right(got), got)
    return seconds


def check(right, got):
    if not right:
        sys.exit(f"a wrong result: {str(got)[:200]}")
