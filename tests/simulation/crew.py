"""The real executor as a simulation runs it, with every bug that it would retry counted instead of hidden.

Apart from the world, which decides what happens to workers, because this is only what one is made of.
"""

from __future__ import annotations

import random
import threading

import handlers
from domain.breaker import Breakers
from domain.contracts import Claim, Clock
from domain.health import HookResult
from domain.operation import Budget
from domain.source import HookSettings
from storage.places import NodePlaces
from storage.sources import open_hooks, open_sources
from storage.sql import Database
from tests.fakes.even_calendar import EvenCalendar
from tests.simulation.archive import MemoryArchive
from tests.simulation.network import Network
from workers.attempt import Attempt, Ports
from workers.executor import Executor

LEASE_MS = 60_000
BUDGET = Budget(max_claims=10**6, max_undo_attempts=10**6)
SUBSCRIPTIONS = handlers.subscriptions()


class Watched(Executor):
    """The executor, with its bugs counted: one that is retried must not stay unseen."""

    bugs: list[str]

    def _unplanned(self, attempt: Attempt, error: Exception) -> str:
        self._note(error)
        return super()._unplanned(attempt, error)

    def _unprepared(self, claim: Claim, attempt: Attempt | None, error: Exception) -> str:
        self._note(error)
        return super()._unprepared(claim, attempt, error)

    def _note(self, error: Exception) -> None:
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        where = f"{frame.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.tb_lineno}" if frame else ""
        self.bugs.append(f"{type(error).__name__}: {error} at {where}")


def executor(ports: Ports, node: str, draw: random.Random, bugs: list[str]) -> Executor:
    """One for each life of a worker; what goes wrong inside is added to `bugs`."""
    made = Watched(
        ports, SUBSCRIPTIONS, handlers.parse, node=node, lease_ms=LEASE_MS, budget=BUDGET, draw=draw,
        stopping=threading.Event(), ended=lambda kind, how: None,
    )  # fmt: skip
    made.bugs = bugs
    return made


def ports(database: Database, archive: MemoryArchive, region: Network, clock: Clock, draw: random.Random) -> Ports:
    """Everything real but the archive, the region and the clock."""
    return Ports(
        ledger=database.ledger, services=database.services, catalogue=database.catalogue,
        archive=archive,  # type: ignore[arg-type]
        trees=None,  # type: ignore[arg-type]
        clock=clock, region=region, breakers=Breakers(clock, draw), versions=database.versions,
        records=database.records, health_hook=lambda service: HookResult(True, ""), count=lambda *_, **__: None,
        sources=open_sources({}, lambda service: "", ""), hooks=open_hooks(HookSettings(), lambda service: "", ""),
        places=NodePlaces({}), schedules=database.schedules, calendar=EvenCalendar(),
    )  # fmt: skip
