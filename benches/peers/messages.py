"""Rounds of messages in mpi4py: `mpiexec -n N python messages.py MEASURE` prints the seconds of one."""

import sys
import time

import numpy
from mpi4py import MPI

SHORT = 100_000
LARGE = 64_000_000 // 8
REPEATS = 10

world = MPI.COMM_WORLD
rank = world.Get_rank()


def timed(rounds, call, warm=None):
    """Seconds of one of so many calls, after some that warm."""
    for _ in range(rounds // 50 if warm is None else warm):
        call()
    begin = time.perf_counter()
    for _ in range(rounds):
        call()
    return (time.perf_counter() - begin) / rounds


def buffers():
    """One way, as arrays."""
    values = numpy.array([7.0])

    def there_and_back():
        if rank == 0:
            world.Send(values, 1)
            world.Recv(values, 1)
        else:
            world.Recv(values, 0)
            world.Send(values, 0)

    return timed(SHORT, there_and_back) / 2


def pickled():
    """One way, as objects."""

    def there_and_back():
        if rank == 0:
            world.send(7.0, 1)
            return world.recv(source=1)
        value = world.recv(source=0)
        world.send(value, 0)
        return value

    return timed(SHORT, there_and_back) / 2


def all_reduce(count, rounds, warm=None):
    """The sum of arrays of all ranks."""
    mine, sums = numpy.full(count, rank + 1.0), numpy.empty(count)
    seconds = timed(rounds, lambda: world.Allreduce(mine, sums, MPI.SUM), warm)
    assert (sums == sum(range(1, world.Get_size() + 1))).all()
    return seconds


measures = {
    "buffers": buffers,
    "pickled": pickled,
    "barrier": lambda: timed(SHORT, world.Barrier),
    "all_reduce": lambda: all_reduce(1, SHORT),
    "all_reduce_large": lambda: all_reduce(LARGE, REPEATS, 1),
}

if __name__ == "__main__":
    seconds = measures[sys.argv[1]]()
    if rank == 0:
        print(f"{seconds:.9g}")
