"""The time a claim has left, measured on this process's own clock.

A lease is only a hint that keeps work alive; the fence is what makes a late writer harmless. It is
counted from the moment before the database was asked, on a clock that counts suspend, so that it never
ends later here than it does in the database.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from domain.contracts import Claim, Clock
from domain.errors import LeaseLost


class Hold:
    """Whether a process that stops may give a claim back. Safe to share between threads: either the one that stops or
    the one that works comes first, and the other one knows it."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._stays = self._given = False

    @contextmanager
    def staying(self) -> Iterator[None]:
        """While the block runs it is not given back; LeaseLost when it has been."""
        with self._mutex:
            if self._given:
                raise LeaseLost("the operation was given back because this process stops")
            self._stays = True
        try:
            yield
        finally:
            with self._mutex:
                self._stays = False

    def stays(self) -> bool:
        """Whether a block of `staying` runs."""
        with self._mutex:
            return self._stays

    def give_back(self) -> bool:
        """Whether it may be given back; then nobody can make it stay any more."""
        with self._mutex:
            self._given = self._given or not self._stays
            return self._given


@dataclass(frozen=True, slots=True)
class Taken:
    """A claim, and the readings of `Clock.boottime()` between which the database has made it."""

    claim: Claim
    asked_at: float
    answered_at: float
    hold: Hold = field(default_factory=Hold, compare=False)

    def now_ms(self, lease_ms: int, boottime: float) -> int:
        """UTC milliseconds by the database's clock at `boottime`, for a claim that was made with a lease of `lease_ms`.

        Reckoned from the answer, and so never ahead, however long the question has waited: what an operation says
        about its time is then always before the claim of whatever follows it in its service.
        """
        claimed_at = self.claim.operation.lease_until - lease_ms
        return claimed_at + round((boottime - self.answered_at) * 1000)


class Lease:
    """How long the holder may still act. Safe to share between threads."""

    def __init__(self, clock: Clock, ttl_ms: int, asked_at: float) -> None:
        """`asked_at` is `clock.boottime()` taken before the claim was sent."""
        self._clock = clock
        self._mutex = threading.Lock()
        self.ttl_ms = ttl_ms
        self._ends_at = asked_at + ttl_ms / 1000

    def renewed(self, asked_at: float) -> None:
        """A renewal that was sent at `asked_at` has been confirmed."""
        with self._mutex:
            self._ends_at = max(self._ends_at, asked_at + self.ttl_ms / 1000)

    def left(self) -> float:
        """Seconds until the lease ends; negative when it has ended."""
        with self._mutex:
            return self._ends_at - self._clock.boottime()
