# A bad cable between this network and another namespace's: packets come late, are lost, repeated and reordered, by chances
# with a seed, and no more of them than it takes. It says a byte when it is plugged in, is unplugged when standard input
# ends, and tells then how many bytes the session has sent.
#
#   cable.py NAMESPACE OUR-ADDRESS THEIR-ADDRESS DELAY-MS LOST REPEATED LATE BYTES-PER-SECOND SEED
import ctypes
import fcntl
import heapq
import os
import random
import selectors
import struct
import subprocess
import sys
import time

namespace, ours, theirs = sys.argv[1:4]
delay = int(sys.argv[4]) / 1000
lost, repeated, late = map(float, sys.argv[5:8])
rate = float(sys.argv[8])
chances = random.Random(int(sys.argv[9]))

TUNSETIFF, IFF_TUN, IFF_NO_PI, CLONE_NEWNET = 0x400454CA, 1, 0x1000, 0x40000000
NAME = namespace + "c"


def end(own, other):
    """One end of the cable, in the namespace that this process is in."""
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH22x", NAME.encode(), IFF_TUN | IFF_NO_PI))
    for words in (
        ["link", "set", NAME, "up", "mtu", "1500", "txqueuelen", "5000"],
        ["route", "add", other + "/32", "dev", NAME, "src", own],
    ):
        subprocess.run(["ip", *words], check=True)
    return tun


here = os.open("/proc/self/ns/net", os.O_RDONLY)
there = os.open("/run/netns/" + namespace, os.O_RDONLY)
libc = ctypes.CDLL(None, use_errno=True)
assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
far = end(theirs, ours)
assert libc.setns(here, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
near = end(ours, theirs)
other_end = {far: near, near: far}

eyes = selectors.DefaultSelector()
for file in (far, near, 0):
    eyes.register(file, selectors.EVENT_READ)
os.write(1, b"+")
waiting, number = [], 0
sent, free = {far: 0, near: 0}, {far: 0.0, near: 0.0}
while True:
    now = time.monotonic()
    while waiting and waiting[0][0] <= now:
        _, _, to, packet = heapq.heappop(waiting)
        try:
            os.write(to, packet)
        except OSError:
            pass  # It is full, or down: one lost more.
    patience = max(0, waiting[0][0] - now) if waiting else None
    for key, _ in eyes.select(patience):
        if key.fd == 0:
            if not os.read(0, 100):
                print(sent[near])
                sys.exit()
            continue
        for _ in range(64):
            try:
                packet = os.read(key.fd, 65536)
            except BlockingIOError:
                break
            sent[key.fd] += len(packet)
            if chances.random() < lost:
                continue
            for _ in range(2 if chances.random() < repeated else 1):
                # Those that come later than others are overtaken by them.
                more = delay / 2 + 0.005 if chances.random() < late else 0
                number += 1
                # One after the other.
                free[key.fd] = max(free[key.fd], time.monotonic()) + len(packet) / rate
                heapq.heappush(waiting, (free[key.fd] + delay + more, number, other_end[key.fd], packet))
