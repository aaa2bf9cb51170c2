"""Rounds of Dask's distributed scheduler with two worker processes of one thread on each of two hosts.

Arguments: what ssh needs to know (a file), and this machine's address for all hosts.
"""

import subprocess
import sys

from distributed import Client, LocalCluster

from rounds import each, once, serve

ITEMS = 10_000


def inc(x):
    return x + 1


def main():
    config, address = sys.argv[1:]
    with LocalCluster(n_workers=0, host=address, dashboard_address=None) as cluster:
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        worker += ["--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--local-directory", "/tmp"]
        workers = [
            subprocess.Popen(["ssh", "-tt", "-F", config, host, *worker], stdin=subprocess.PIPE, stdout=sys.stderr)
            for host in ("node1", "node2")
        ]
        try:
            with Client(cluster) as client:
                client.wait_for_workers(4)
                serve(
                    {
                        "trip": lambda: each(
                            lambda: client.submit(inc, 1, pure=False).result(), 2, 100
                        ),
                        "items": lambda: once(
                            lambda: client.gather(client.map(inc, range(ITEMS), pure=False)),
                            lambda got: got == list(range(1, ITEMS + 1)),
                        ),
                    }
                )
        finally:
            for one in workers:
                one.kill()


if __name__ == "__main__":
    main()
