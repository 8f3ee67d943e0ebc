"""Removing objects that no snapshot needs, as far as the store lets go of them.

Apart from the sweeper, which says when, and from the archive, which removes a batch or says why not. What cannot be
removed rests for a while, so that it stands in nobody's way; while it is a manifest, nothing of its tenant that it may
name is removed either.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from domain.contracts import Archive, Catalogue, Clock, Garbage
from domain.errors import BackstayError, DatabaseUnavailable, Refused

log = structlog.get_logger("sweeper")

#: Rows that are removed together.
BATCH = 500
#: Seconds for which what could not be removed is left alone the first time; then twice as long each time, at most so.
REST_SECONDS, LONGEST_REST_SECONDS = 60.0, 3600.0
#: Objects in a row that could not be removed: then it is the store's fault and not theirs.
MOST_IN_A_ROW = 3
#: The same of refusals, each of which is about its object and not about the store.
MOST_REFUSED = 100


@dataclass(slots=True)
class _Rest:
    """How long what could not be removed is left alone."""

    seconds: float
    until: float
    first: bool  # it names others, which then stay as well


class Collecting:
    """Used by one thread at a time."""

    def __init__(self, catalogue: Catalogue, archive: Archive, clock: Clock) -> None:
        self._catalogue, self._archive, self._clock = catalogue, archive, clock
        self._resting: dict[str, _Rest] = {}
        self._held: set[str] = set()  # tenants with a manifest that stays
        self._now = 0.0  # when the round began

    def collect(self, stopping: threading.Event) -> int:
        """Remove what may go; how many rows were finished. Raises, at the end, why the first that stays could not."""
        done, trouble = 0, list[Exception]()
        self._look_at_the_clock()
        while not stopping.is_set() and (rows := self._next()):
            try:
                done += self._remove(rows)
            except DatabaseUnavailable:
                raise
            except (BackstayError, OSError):
                done += self._one_by_one(rows, stopping, trouble)
        if trouble:
            raise trouble[0]
        return done

    def _next(self) -> list[Garbage]:
        """The next batch of what does not rest, however much lies before it."""
        limit = BATCH
        while True:
            found = self._catalogue.garbage(limit, self._archive.replicas)
            free = [row for row in found if not self._rests(row)]
            if free or len(found) < limit:
                return free[:BATCH]
            limit *= 2

    def _remove(self, rows: Sequence[Garbage]) -> int:
        gone = set(self._archive.collect(rows, self._catalogue.live_packs))
        self._catalogue.forget_garbage(gone)
        for row in rows:
            if row.key in gone:
                self._resting.pop(row.key, None)
            else:
                self._leave(row)
        return len(gone)

    def _one_by_one(self, rows: Sequence[Garbage], stopping: threading.Event, trouble: list[Exception]) -> int:
        done, in_a_row = 0, 0
        for row in rows:
            if stopping.is_set():
                break
            if self._rests(row):
                continue  # since the manifest of a moment ago
            try:
                done += self._remove([row])
                in_a_row = 0
            except DatabaseUnavailable:
                raise
            except (BackstayError, OSError) as error:
                log.warning("sweep.object-stays", key=row.key, detail=str(error))
                self._leave(row)
                trouble.append(error)
                in_a_row += 1
                if in_a_row >= (MOST_REFUSED if isinstance(error, Refused) else MOST_IN_A_ROW):
                    raise
        return done

    def _leave(self, row: Garbage) -> None:
        """Leave it alone for a while, longer each time: what never goes is not to cost every round."""
        before = self._resting.get(row.key)
        seconds = min(LONGEST_REST_SECONDS, before.seconds * 2) if before else REST_SECONDS
        self._resting[row.key] = _Rest(seconds, self._clock.boottime() + seconds, row.first)
        if row.first:
            self._held.add(_tenant(row.key))

    def _rests(self, row: Garbage) -> bool:
        rest = self._resting.get(row.key)
        if rest is not None and self._now < rest.until:
            return True
        return not row.first and _tenant(row.key) in self._held

    def _look_at_the_clock(self) -> None:
        """Once a round, so that none lasts for as long as something wakes up."""
        self._now = self._clock.boottime()
        # What was not tried again for long has gone through another node.
        known = {key: rest for key, rest in self._resting.items() if self._now < rest.until + LONGEST_REST_SECONDS}
        self._resting = known
        self._held = {_tenant(key) for key, rest in known.items() if rest.first and self._now < rest.until}


def _tenant(key: str) -> str:
    """The beginning that all keys of a tenant share: `tenants/<tenant>`."""
    return "/".join(key.split("/", 2)[:2])
