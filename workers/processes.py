"""Several worker processes on one node: start them, pass signals on, start again what died.

dramatiq's own master is not used: it takes over logging, and it ends the node when one process dies.
Each child is a complete worker, so this parent holds no state and may itself be killed at any time;
children ask the kernel to end them with it.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.context import SpawnProcess
from types import FrameType

import structlog

log = structlog.get_logger("processes")

_PR_SET_PDEATHSIG = 1
#: Seconds before a child that died is started again.
RESTART_SECONDS = 1.0
#: How a child ends that must not work as things are: another one would refuse as well, so the node ends.
REFUSED = os.EX_CONFIG


def _child(main: Callable[[], int], parent: int) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        return  # the parent died before the kernel was asked
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group; the parent decides
    raise SystemExit(main())


def supervise(main: Callable[[], int], count: int) -> int:
    """Run `main` (picklable) in `count` processes until SIGTERM or SIGINT, or until one of them ends with REFUSED;
    each further signal is passed on too."""
    context = multiprocessing.get_context("spawn")
    signals: list[int] = []  # no event: a handler that interrupts its lock would wait in it for ever
    children: list[SpawnProcess] = []
    asked: set[SpawnProcess] = set()  # whoever was alive when we were told to stop; only their ends count

    def spawn() -> SpawnProcess:
        child = context.Process(target=_child, args=(main, os.getpid()))
        child.start()
        return child

    def pass_on(number: int, _frame: FrameType | None) -> None:
        signals.append(number)
        for child in children:
            if child.is_alive() and child.pid:
                asked.add(child)
                os.kill(child.pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, pass_on)
    signal.signal(signal.SIGINT, pass_on)
    children += [spawn() for _ in range(count)]
    refused = False
    while not signals and not refused:
        multiprocessing.connection.wait([child.sentinel for child in children], timeout=0.5)
        for index, child in enumerate(children):
            if child.is_alive() or signals:
                continue
            if child.exitcode == REFUSED:
                refused = True
                break
            log.error("process.died", pid=child.pid, exit_code=child.exitcode)
            time.sleep(RESTART_SECONDS)
            if not signals:
                children[index] = spawn()
    # A signal that came while a child was being started has not reached it; ask again until all are gone.
    while any(child.is_alive() for child in children):
        for child in children:
            child.join(0.2)
            if child.is_alive() and child.pid and child not in asked:
                asked.add(child)
                os.kill(child.pid, signal.SIGTERM)
    if refused:
        return REFUSED
    return max((child.exitcode or 0 for child in asked if (child.exitcode or 0) > 0), default=0)
