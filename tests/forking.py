"""Children of a process that has threads."""

from __future__ import annotations

import os
import sys
import time

#: Seconds; a library may keep threads of its own, and those are no reason to wait for ever.
PATIENCE = 2.0


def fork() -> int:
    """As `os.fork`, once every thread that has ended is gone.

    Python has joined a thread before the system has: on its last steps it holds locks of OpenSSL, and a child that is
    made just then waits for them for ever at its first digest.
    """
    until = time.monotonic() + PATIENCE
    while len(os.listdir("/proc/self/task")) > len(sys._current_frames()) and time.monotonic() < until:
        os.sched_yield()
    return os.fork()
