"""Rounds of Dask's distributed scheduler with two worker processes of one thread on this machine."""

import logging

from distributed import Client, LocalCluster

from rounds import each, serve


def inc(x):
    return x + 1


def main():
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        # Not pure: a result that Dask remembers would be no trip.
        serve({"trip": lambda: each(lambda: client.submit(inc, 1, pure=False).result(), 2, 200)})


if __name__ == "__main__":
    main()
