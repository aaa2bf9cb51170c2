"""ipyparallel's cluster over hosts by its ssh launcher.

Arguments: what ssh needs to know (a file), this machine's address for all hosts, how many hosts, engines per host, and `start` or `serve`. With `start` it prints the
seconds until all engines have answered; with `serve` it stays for rounds.
"""

import logging
import os
import sys
import time

import ipyparallel
from traitlets.config import Config

from rounds import once, serve

# Of so many the time of one counts: all 10 000 would take minutes.
ITEMS = 400


def inc(x):
    return x + 1


def cluster(config, address, hosts, engines):
    ssh = ["-F", config]
    settings = Config()
    settings.SSHEngineSetLauncher.engines = {f"node{n + 1}": engines for n in range(hosts)}
    for launcher in ("SSHLauncher", "SSHEngineSetLauncher", "SSHEngineLauncher", "SSHProxyEngineSetLauncher"):
        settings[launcher].ssh_args = ssh
        settings[launcher].scp_args = ssh
        settings[launcher].remote_python = sys.executable
        settings[launcher].remote_profile_dir = os.path.join(os.path.dirname(config), "ipython")
    return ipyparallel.Cluster(
        engines="ssh", controller_ip=address, config=settings, log_level=logging.ERROR, n=hosts * engines
    )


def main():
    config, address, hosts, engines, what = sys.argv[1:]
    hosts, engines = int(hosts), int(engines)
    begin = time.perf_counter()
    own = cluster(config, address, hosts, engines)
    try:
        client = own.start_and_connect_sync(n=hosts * engines)
        pids = client[:].apply_sync(os.getpid)
        seconds = time.perf_counter() - begin
        if len(set(pids)) != hosts * engines:
            sys.exit(f"not all engines answered: {pids}")
        if what == "start":
            print(seconds)
            return
        balanced = client.load_balanced_view()

        def items():
            seconds = once(
                lambda: balanced.map_sync(inc, range(ITEMS), chunksize=1),
                lambda got: list(got) == list(range(1, ITEMS + 1)),
            )
            return seconds / ITEMS * 10_000

        serve({"items": items})
    finally:
        own.stop_cluster_sync()


if __name__ == "__main__":
    main()
