"""What the parts of a node's process work with, taken from what bootstrap has opened.

Apart from the runtime, which starts and stops the parts: here nothing runs yet. One function for each part that
needs more than two ports.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable

import handlers
from domain.breaker import Breakers
from domain.contracts import Clock
from workers.attempt import Ports
from workers.bootstrap import System
from workers.cron import CronCalendar
from workers.daily import Daily
from workers.hook import hook_runner
from workers.judge import judge_with
from workers.metrics import Metrics
from workers.progress import ProgressBoard
from workers.replaying import Replaying
from workers.sweeper import Duties


def ports_of(system: System, clock: Clock, count: Callable[..., None], progress: ProgressBoard) -> Ports:
    """What the handlers of this process work with."""
    database = system.database
    return Ports(
        ledger=database.ledger,
        services=database.services,
        catalogue=database.catalogue,
        archive=system.archive,
        trees=system.trees,
        clock=clock,
        region=system.region,
        breakers=Breakers(clock, random.Random()),
        versions=database.versions,
        records=database.records,
        health_hook=hook_runner(system.settings.health_hook),
        sources=system.sources,
        hooks=system.hooks,
        places=system.places,
        schedules=database.schedules,
        calendar=CronCalendar(),
        count=count,
        identity_files=_patterns(system.settings.identity_files),
        progress=progress,
        tracer=system.tracer,
    )


def metrics_of(system: System, clock: Clock) -> Metrics:
    """The counters of a process, and the gauges of the installation."""
    settings = system.settings
    figures = functools.partial(system.database.figures, settings.metrics_services, tuple(settings.replicas or {}))
    return Metrics(figures, lambda: clock.wall_ms() / 1000)


def _patterns(text: str | None) -> tuple[str, ...]:
    """Patterns, one for each part between colons."""
    return tuple(filter(None, (text or "").split(":")))


def replaying_of(system: System) -> Replaying:
    """What is done with dead letters, with this program's message types."""
    known = handlers.subscriptions()
    return Replaying(system.database, judge_with(known), known)


def duties_of(system: System, wake: Callable[[], None]) -> Duties:
    """What the sweeper of this process looks after."""
    settings, database = system.settings, system.database
    daily = Daily(
        database.services,
        database.catalogue,
        database.inbox,
        database.now_ms,
        wake,
        database.schedules,
        settings.verify_days,
    )
    return Duties(
        database.ledger,
        database.catalogue,
        database.nodes,
        system.archive,
        system.trees,
        system.store,
        daily,
        replaying_of(system),
        database.history,
        settings.history_days,
    )
