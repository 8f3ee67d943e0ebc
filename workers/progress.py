"""How far the long work of this process has come: kept for whoever tells it, told now and then.

Apart from the ledger's row, which is for those who look: this is for those who listen. Progress is told at most every
few seconds for each operation, by a process for its own work, without any promise: an event that is lost or late is
followed by another, or by the outcome.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from domain.contracts import Clock
from domain.operation import Operation

#: Seconds between two events about one operation, and before the first: short work is over by then.
EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Progress:
    """One attempt's figures. Totals, rate and time left are None while they are not known."""

    bytes_done: int
    files_done: int
    bytes_total: int | None = None
    files_total: int | None = None
    bytes_per_second: int | None = None
    seconds_left: int | None = None

    def document(self) -> dict[str, int]:
        """The JSON form, without what is not known."""
        known = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in known.items() if value is not None}


@dataclass(slots=True)
class _Line:
    operation: Operation
    began: float
    told: float
    counts: dict[str, int] = field(default_factory=dict)
    changed: bool = False


class ProgressBoard:
    """Written by the watches of running work, read by the relay. Safe to share between threads."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._mutex = clock, threading.Lock()
        self._lines: dict[str, _Line] = {}

    def note(self, operation: Operation, counts: dict[str, int]) -> None:
        """The figures of an operation as they are now."""
        now = self._clock.boottime()
        with self._mutex:
            line = self._lines.setdefault(operation.op_id, _Line(operation, now, now))
            line.changed = line.changed or counts != line.counts
            line.counts = dict(counts)

    def drop(self, op_id: str) -> None:
        """Its attempt is over: nothing more is told of it."""
        with self._mutex:
            self._lines.pop(op_id, None)

    def due(self) -> list[tuple[Operation, Progress]]:
        """What has moved and was not told for a while; it counts as told."""
        now = self._clock.boottime()
        found = []
        with self._mutex:
            for line in self._lines.values():
                if line.changed and now - line.told >= EVERY:
                    line.told, line.changed = now, False
                    found.append((line.operation, _figures(line.counts, now - line.began)))
        return found


def _figures(counts: dict[str, int], seconds: float) -> Progress:
    done, total = counts.get("bytes_done", 0), counts.get("bytes_total") or None
    rate = round(done / seconds) if seconds > 0 and done else None
    left = round((total - done) / rate) if total and rate and total >= done else None
    return Progress(done, counts.get("files_done", 0), total, counts.get("files_total") or None, rate, left)
