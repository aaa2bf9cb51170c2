"""Drives a REPL through a pseudo-terminal and measures what somebody in front of it waits for.

    terminal.py start PROMPT CELL RESULT PROGRAM [ARGUMENT…]
        one start: until the prompt, until the result of a cell, and how long a small cell after it takes
    terminal.py cells PROMPT PROGRAM [ARGUMENT…]
        cells from a JSON list on stdin: Enter until the next prompt

PROMPT and RESULT are regular expressions on the text without escape sequences. Prints one JSON value, in
seconds. It knows no program by name: every REPL is measured by the same code.
"""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

# A REPL that is silent for so long has gone wrong, seconds.
PATIENCE = 120
# A key that is not drawn by then is not drawn at all; a screen that rests for so long is drawn. Seconds.
ECHO = 0.2
QUIET = 0.02
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|\x1b[=>78]")


class Session:
    def __init__(self, program, *arguments):
        self.raw = b""
        self.start = time.perf_counter()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            # Wide, so that no cell wraps and a line break means that Enter was accepted.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 250, 0, 0))
            os.environ["TERM"] = "xterm-256color"
            os.execvp(program, [program, *arguments])

    def text(self):
        return ESCAPES.sub("", self.raw.decode("utf-8", "replace"))

    def read(self, patience):
        """Reads what the program has written; False when it writes nothing for so many seconds."""
        if not select.select([self.terminal], [], [], max(0, patience))[0]:
            return False
        try:
            data = os.read(self.terminal, 65536)
        except OSError:
            data = b""
        if not data:
            sys.exit(f"the program ended: {self.text()!r}")
        self.raw += data
        return True

    def wait(self, pattern):
        """Reads until the text since the last Enter matches; returns the clock's time."""
        deadline = time.monotonic() + PATIENCE
        while not re.search(pattern, self.text()):
            if not self.read(deadline - time.monotonic()):
                sys.exit(f"no {pattern!r} within {PATIENCE} s in {self.text()!r}")
        return time.perf_counter()

    def enter(self, line):
        """Types a line, then Enter; returns the clock's time before Enter.

        Key by key as a person does: an editor with bytes left in its buffer may wait for the next key
        (evcxr's does). Each key is awaited on the screen before the next.
        """
        for key in line:
            os.write(self.terminal, key.encode())
            self.read(ECHO)
        while self.read(QUIET):
            pass
        self.raw = b""
        now = time.perf_counter()
        os.write(self.terminal, b"\r")
        return now

    def close(self):
        """Leaves with Ctrl-D, as a user does, so that the program can tidy up."""
        os.write(self.terminal, b"\x04")
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                return
            if select.select([self.terminal], [], [], 0.05)[0]:
                try:
                    os.read(self.terminal, 65536)
                except OSError:
                    time.sleep(0.01)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def start(prompt, cell, result, *program):
    session = Session(*program)
    prompted = session.wait(prompt + r"\r?$")
    session.enter(cell)
    answered = session.wait(result)
    session.wait(r"\n[^\n]*" + prompt + r"\r?$")
    entered = session.enter("2 + 1")
    again = session.wait(r"\n[^\n]*" + prompt + r"\r?$") - entered
    session.close()
    return {
        "prompt": prompted - session.start,
        "result": answered - session.start,
        "again": again,
    }


def cells(prompt, *program):
    lines = json.load(sys.stdin)
    session = Session(*program)
    session.wait(prompt + r"\r?$")
    times = []
    for line in lines:
        sent = session.enter(line)
        times.append(session.wait(r"\n[^\n]*" + prompt + r"\r?$") - sent)
        if re.search(r"\berror(:|\[)|panicked", session.text()):
            sys.exit(f"the cell `{line}` failed: {session.text()}")
    session.close()
    return times


if __name__ == "__main__":
    measure = {"start": start, "cells": cells}[sys.argv[1]]
    json.dump(measure(*sys.argv[2:]), sys.stdout)
