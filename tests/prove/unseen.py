"""Deaths that nobody sees: whoever follows cannot look whether the process lives, and has to wait until its lease ends.

Apart from the other kills, whose successor asks the same kernel and goes on at once. Here it is as on another host, or
in another container. Leases are waited for on a bench of their own, so that other cases have the time meanwhile: a node
of theirs would see the death, or take over itself.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from unittest import mock

from domain.operation import Operation, State
from tests.chaos.victim import Death
from tests.prove.bench import Bench
from tests.prove.cases import Case, case
from tests.prove.commands import SCENARIOS
from tests.prove.matrix import TAKEOVER, Matrix, end_within, held_of
from workers.config import Settings
from workers.owner import Owner

#: Seconds before the end of a lease at which the successor is started: what a node needs to begin.
AHEAD = 1.0
#: Seconds between looks while there is nothing else to do.
LOOK_EVERY = 0.05


@dataclass(frozen=True, slots=True)
class Left:
    """What a dead process had in hand, and nobody has taken over yet."""

    name: str
    service: str
    death: Death
    wanted: dict[str, State]
    held: dict[str, Operation]
    settings: Settings

    @property
    def until(self) -> float:
        """When the last of its leases ends."""
        return max(one.lease_until for one in self.held.values()) / 1000


class Unseen(Matrix):
    """These deaths, one at a time."""

    batch = 2  # there is time for a few of each scenario

    def __init__(self, bench: Bench, deaths: Iterable[tuple[str, Death]]) -> None:
        super().__init__(bench)
        self._deaths = deque(deaths)
        self.left: Left | None = None

    def among(self, cases: Iterable[Case]) -> Iterator[Case]:
        """The cases in their order, and what is due here between them; in the end the rest."""
        for one in cases:
            yield from self._due()
            yield one
        while self.left or self._deaths:
            yield from self._due()
            time.sleep(LOOK_EVERY)

    def finish(self, bad: list[str]) -> None:
        """Follow the last one, if nobody has yet."""
        if self.left is not None:
            case(f"{self.left.name} followed after {self.left.death}", self.follow, bad)

    def _due(self) -> Iterator[Case]:
        if self.left is None and self._deaths:
            name, death = self._deaths.popleft()
            yield f"{name} killed unseen at {death}", partial(self.leave, name, death)
        elif self.left is not None and self.left.until - AHEAD < time.time():
            yield f"{self.left.name} followed after {self.left.death}", self.follow

    def leave(self, name: str, death: Death) -> None:
        """SIGKILL there. Where it had nothing in hand, there is no lease to wait for, and no point."""
        bench, service = self.bench, self.ready(name)
        wanted = SCENARIOS[name].act(bench, service)
        _, settings = self.with_lease(name)
        died = bench.end(bench.start(list(wanted), settings, "unseen", death), "unseen")
        self._note_death(name, service, death, died)
        if died.killed and (held := held_of(self.found(wanted))):
            self.left = Left(name, service, death, wanted, held, settings)
        else:
            self._judge(name, service, wanted, death, "killed", reached=False)

    def follow(self) -> None:
        """Another process, which sees no death, finishes; nobody takes over before the lease is over."""
        left, self.left = self.left, None
        assert left is not None
        how, taken, began = f"{left.name} killed unseen at {left.death}", dict[str, float](), time.time()
        with blind():
            pid = self.bench.start(list(left.wanted), left.settings, "follower", None)
        code = end_within(pid, left.until - began + TAKEOVER, partial(self.look, left.held, taken))
        if code is None:
            self.tally.bad.append(f"{how}: nobody finished what it had in hand")
            code = self.bench.end(pid, "follower").exit_code
        self.look(left.held, taken)
        for message, late in taken.items():
            if late < 0:
                self.tally.bad.append(f"{how}: {message} was taken over {-late:.1f} s before the end of its lease")
            # One that was started later is measured from there.
            absent = max(0.0, began - left.held[message].lease_until / 1000)
            self.tally.latest = max(self.tally.latest, late - absent)
        self.tally.two_owners += bool(taken)
        self._judge(left.name, left.service, left.wanted, left.death, "killed unseen", reached=bool(taken), code=code)


@contextmanager
def blind() -> Iterator[None]:
    """Nodes that are started in here cannot tell of any process that it is dead."""
    with mock.patch.object(Owner, "is_dead", return_value=False):
        yield
