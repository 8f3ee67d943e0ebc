"""A thread that does one thing for as long as the process lives, whatever the world does to it.

Intake and relay share it, so that "reconnect for ever, with jitter, never die silently" is written once.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import structlog

log = structlog.get_logger("loop")

#: Seconds; the pause after the n-th failure in a row is drawn from 0 .. min(cap, base * 2**n).
PAUSE_BASE, PAUSE_CAP = 0.2, 10.0


class Loop:
    """Runs `body(stopping)` again and again; `body` returns when `stopping` is set or at will."""

    def __init__(self, name: str, body: Callable[[threading.Event], None]) -> None:
        self._name, self._body = name, body
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._draw = random.Random()
        self._failures = 0

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float) -> None:
        """Ask the body to return, and wait for it for at most `timeout` seconds."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def well(self) -> None:
        """Called by the body when it got something done: the next failure is a first one again."""
        self._failures = 0

    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._body(self._stopping)
                self.well()
            except Exception as error:  # noqa: BLE001 - brokers and drivers raise what they like; this thread must go on
                self._failures += 1
                pause = self._draw.uniform(0, min(PAUSE_CAP, PAUSE_BASE * 2 ** min(self._failures, 10)))
                log.warning("loop.interrupted", loop=self._name, error=type(error).__name__, detail=str(error)[:300])
                self._stopping.wait(pause)
