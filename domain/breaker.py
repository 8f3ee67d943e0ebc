"""A circuit breaker per region: it delays operations while the region is down, and never fails one.

Apart from retries because it is shared by all operations of a process. State lives in this process only;
losing it costs a few calls, never correctness.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from dataclasses import dataclass, field

from domain.contracts import Clock
from domain.errors import Postponed


@dataclass(frozen=True, slots=True)
class Limits:
    """When to open, and for how long."""

    window: float = 30.0  # seconds that are looked at
    least: int = 20  # calls within the window below which nothing is concluded
    share: float = 0.5  # of them that must have failed
    rest: float = 15.0  # seconds until one probe is let through; drawn from rest .. 1.5 * rest
    pace: float = 0.05  # seconds between two operations that come back after a rest
    spread: float = 300.0  # seconds over which they come back at most


@dataclass(slots=True)
class _Circuit:
    calls: deque[tuple[float, bool]] = field(default_factory=deque)
    open_until: float = 0.0
    probing: bool = False
    next_back: float = 0.0  # when the last of those that were turned away comes back


class Breakers:
    """One circuit for each region. Safe to share between threads."""

    def __init__(self, clock: Clock, draw: random.Random, limits: Limits | None = None) -> None:
        self._clock, self._draw, self._limits = clock, draw, limits or Limits()
        self._circuits: dict[str, _Circuit] = {}
        self._mutex = threading.Lock()

    def admit(self, region: str) -> None:
        """Return when a call may be sent; raise Postponed, with the delay, while the region rests.

        After the rest exactly one call is let through; its result decides. A probe that is never recorded
        (its process died, or it never was sent) makes way after another rest.
        """
        with self._mutex:
            circuit = self._circuits.setdefault(region, _Circuit())
            now = self._clock.boottime()
            if circuit.open_until == 0.0:
                return
            if now < circuit.open_until:
                # One after the other: a thousand that came back at once would all be claimed, to be told the same.
                back = max(circuit.next_back + self._limits.pace, circuit.open_until)
                circuit.next_back = back = back if back < now + self._limits.spread else circuit.open_until
                raise Postponed(
                    f"region {region} does not answer; it is asked again in {circuit.open_until - now:.0f} s",
                    code="region-resting",
                    delay=back - now,
                )
            circuit.probing = True
            circuit.open_until = now + self._rest()

    def record(self, region: str, *, answered: bool) -> None:
        """A call has ended: answered, however rudely, or not."""
        with self._mutex:
            circuit = self._circuits.setdefault(region, _Circuit())
            now = self._clock.boottime()
            if circuit.probing:
                circuit.probing = False
                if answered:
                    circuit.open_until = circuit.next_back = 0.0
                    circuit.calls.clear()
                return
            circuit.calls.append((now, answered))
            while circuit.calls and circuit.calls[0][0] < now - self._limits.window:
                circuit.calls.popleft()
            failed = sum(not fine for _, fine in circuit.calls)
            enough = len(circuit.calls) >= self._limits.least
            if enough and failed >= self._limits.share * len(circuit.calls) and circuit.open_until == 0.0:
                circuit.open_until = now + self._rest()

    def resting(self) -> list[str]:
        """Regions that are given a rest now, for health and metrics."""
        with self._mutex:
            return sorted(name for name, circuit in self._circuits.items() if circuit.open_until)

    def _rest(self) -> float:
        return self._limits.rest * self._draw.uniform(1.0, 1.5)
