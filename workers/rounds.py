"""Duties that come due again and again, carried out one after another by one thread.

Apart from `loop`, which knows one thing to do, and from the duties themselves, which know no time. A duty that fails
fails alone and is tried again. After an error that nobody planned the loop takes a breath, and the next round begins
behind that duty: it keeps no other from its turn.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from domain.contracts import Clock
from domain.errors import BackstayError
from workers.loop import Loop
from workers.metrics import Metrics

log = structlog.get_logger("sweeper")


@dataclass(frozen=True, slots=True)
class Duty:
    """What to do, and how many seconds must lie between its beginnings."""

    name: str
    seconds: float
    do: Callable[[], object]


class Rounds:
    """One thread. `start()`, `stop()`."""

    def __init__(self, name: str, duties: Sequence[Duty], pause: float, clock: Clock, metrics: Metrics) -> None:
        """`pause`: seconds between two rounds."""
        self._turns, self._pause, self._clock, self._metrics = deque(duties), pause, clock, metrics
        self._stopping = threading.Event()
        self._loop = Loop(name, self._look)
        self._due: dict[str, float] = {}

    def start(self) -> None:
        """Begin; the first round runs at once."""
        self._loop.start()

    def ask_to_stop(self) -> None:
        """Begin no further duty."""
        self._stopping.set()

    def stop(self, timeout: float) -> None:
        """End after the duty in hand, for which it waits so many seconds."""
        self.ask_to_stop()
        self._loop.stop(timeout)

    def _look(self, stopping: threading.Event) -> None:
        self.round()
        stopping.wait(self._pause)

    def round(self) -> None:
        """Do whatever is due."""
        for _ in range(len(self._turns)):
            duty = self._turns[0]
            self._turns.rotate(-1)  # first: whatever it raises, the next round begins with the next one
            now = self._clock.boottime()
            if now < self._due.get(duty.name, 0.0) or self._stopping.is_set():
                continue
            self._due[duty.name] = now + duty.seconds
            self._carry_out(duty)

    def _carry_out(self, duty: Duty) -> None:
        try:
            duty.do()
        except (BackstayError, OSError) as error:
            self._failed(duty, error, str(error))
        except Exception as error:  # a bug of ours is counted as well; the loop tells it
            self._failed(duty, error, "")
            raise
        else:
            self._metrics.duty_done(duty.name)

    def _failed(self, duty: Duty, error: Exception, detail: str) -> None:
        log.warning("sweep.failed", duty=duty.name, error=type(error).__name__, detail=detail)
        self._metrics.duty_failed(duty.name)
