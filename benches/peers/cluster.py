"""ipyparallel's cluster of two engines on this machine: until both engines have answered a task.

Prints one JSON value, in seconds; the imports are outside the measured time, the shutdown too.
"""

import json
import logging
import os
import sys
import time

import ipyparallel


def start():
    begin = time.perf_counter()
    cluster = ipyparallel.Cluster(n=2, log_level=logging.ERROR)
    try:
        client = cluster.start_and_connect_sync()
        pids = client[:].apply_sync(os.getpid)
        seconds = time.perf_counter() - begin
    finally:
        cluster.stop_cluster_sync()
    if len(set(pids)) != 2:
        sys.exit(f"not two engines answered: {pids}")
    return {"start": seconds}


if __name__ == "__main__":
    json.dump(start(), sys.stdout)
