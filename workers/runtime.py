"""A node's process: intake, executors, relay and sweeper, started together and stopped in order.

It owns the threads and the signals. The first SIGTERM stops intake and lets running operations finish;
the second one, or the end of the allowed time, makes them give their leases back at once. `kill -9` is
always safe: nothing here is needed for correctness afterwards.
"""

from __future__ import annotations

import functools
import random
import sys
import threading
from collections.abc import Callable, Mapping
from typing import TypeAlias

import dramatiq
import structlog

import handlers
from domain.errors import BackstayError
from domain.operation import Budget
from domain.subscription import Subscription
from workers import log as logging
from workers import processes
from workers.abilities import abilities, remembered, unfit
from workers.bootstrap import System, check_packages, version
from workers.broker import SPARE, SqlBroker
from workers.clock import SystemClock
from workers.config import Settings
from workers.copier import Copier
from workers.executor import Executor
from workers.health import Finding, Health, probe
from workers.ingress import Ingress
from workers.judge import judge_with
from workers.node_report import misspelt_slots, node_report
from workers.open_files import PER_OPERATION, allow_many
from workers.owner import Owner
from workers.progress import ProgressBoard
from workers.relay import Relay
from workers.scheduler import Diary, Scheduler
from workers.serving import server_of
from workers.signals import stop_requests
from workers.sweeper import Sweeper
from workers.wiring import duties_of, metrics_of, ports_of

log = structlog.get_logger("runtime")

#: Called once when everything runs, with the HTTP address or None.
Ready: TypeAlias = Callable[[str | None], None]

#: Seconds without a turn after which a consumer counts as hung.
HUNG_SECONDS = 30.0


class NodeProcess:
    """One worker process. `start()`, then `stop(hurry)` from the same thread."""

    def __init__(
        self,
        system: System,
        subscriptions: Mapping[str, Subscription] | None = None,
        budget: Budget | None = None,
    ) -> None:
        """`subscriptions` defaults to what the folder `handlers` holds."""
        settings, database, tracer = system.settings, system.database, system.tracer
        self._settings, self._database = settings, database
        self.clock = SystemClock()
        self.metrics = metrics_of(system, self.clock)
        self._giving_up = threading.Event()
        owner = Owner.of_this_process(settings.node)
        self._wake = database.wake()
        self.wake = self._wake.set
        subscriptions = subscriptions or handlers.subscriptions()
        progress = ProgressBoard(self.clock)
        executor = Executor(
            ports_of(system, self.clock, self.metrics.count, progress),
            subscriptions,
            handlers.parse,
            node=settings.node,
            lease_ms=settings.lease_seconds * 1000,
            budget=budget or Budget(),
            draw=random.Random(),
            stopping=self._giving_up,
            ended=self._ended,
            low_on_room=lambda: node_report(settings, self.clock).low_on_room,
        )
        self.broker = SqlBroker(
            database.ledger,
            self._wake,
            self.clock,
            executor.run,
            node=settings.node,
            owner=str(owner),
            slots=settings.threads,
            lease_ms=settings.lease_seconds * 1000,
            kind_slots=settings.slots or {},
        )
        self.worker = dramatiq.Worker(self.broker, worker_threads=settings.threads + SPARE, worker_timeout=500)
        self.ingress = Ingress(
            settings.broker_url,
            database.inbox,
            judge_with(subscriptions),
            on_accepted=self._accepted,
            backlog_limit=settings.backlog_limit,
            clock=self.clock,
            tracer=tracer,
        )
        self.relay = Relay(settings.broker_url, database.outbox, clock=self.clock, progress=progress, tracer=tracer)
        duties = duties_of(system, self._wake.set)
        report = functools.partial(node_report, settings, self.clock)
        self.sweeper = Sweeper(duties, owner, self.clock, version(), self._wake.set, self.metrics, report)
        diary = Diary.over(database, subscriptions)
        self.scheduler = Scheduler(diary, owner, self.clock, self._wake.set, self.relay.wake)
        self.metrics.watch_intake({"connected": self.ingress.connected, "paused": self.ingress.paused})
        replicated = system.replicated
        self.copier = Copier(database.copies, replicated, tuple(system.replica_stores)) if replicated else None

    def start(self) -> None:
        """Everything at once; each part waits by itself for what is not there yet."""
        self.sweeper.start()
        self.scheduler.start()
        if self.copier:
            self.copier.start()
        self.relay.start()
        self.worker.start()
        self.ingress.start()
        log.info("node.started", database=self._settings.database_url.partition(":")[0], version=version())

    def stop(self, hurry: threading.Event) -> None:
        """Drain: no new work, finish what runs while there is time and nobody hurries, tell, leave."""
        log.info("node.stopping", seconds=self._settings.shutdown_seconds)
        stopper = threading.Thread(
            target=self.worker.stop, args=(self._settings.shutdown_seconds * 1000,), name="drain", daemon=True
        )
        deadline = self.clock.boottime() + self._settings.shutdown_seconds
        stopper.start()
        self.ingress.stop(timeout=5.0)  # beside it: each of the two waits for a look that is under way
        while stopper.is_alive() and not hurry.wait(0.05) and self.clock.boottime() < deadline:
            pass
        self._giving_up.set()
        stopper.join(1.0)
        given_back = self.broker.give_back()
        self.relay.stop(timeout=5.0)
        self.sweeper.stop(timeout=1.0)
        self.scheduler.stop(timeout=1.0)
        if self.copier:
            self.copier.stop(timeout=1.0)
        self._wake.close()
        log.info("node.stopped", given_back=given_back)

    def health(self) -> Health:
        """Live: the threads go round. Ready: SQL answers and has the schema."""
        return Health(live=(self._consumes, self._takes_in), ready=(probe("database", self._database.round_trip),))

    def _consumes(self) -> Finding:
        idle = self.clock.boottime() - self.broker.turned_at
        return Finding("executors", idle < HUNG_SECONDS, f"consumer went round {idle:.1f} s ago")

    def _takes_in(self) -> Finding:
        idle = self.ingress.idle_seconds()
        return Finding("ingress", idle < HUNG_SECONDS, f"intake went round {idle:.1f} s ago")

    def _accepted(self, accepted: int, duplicates: int, rejected: int) -> None:
        self.metrics.accepted(accepted)
        self.metrics.duplicates(duplicates)
        self.metrics.rejected(rejected)
        self._wake.set()
        if rejected:
            self.relay.wake()

    def _ended(self, kind: str, how: str) -> None:
        self.metrics.ended(kind, how)
        self.relay.wake()


def _nobody(_address: str | None) -> None:
    """Nobody waits for it."""


def run_worker(settings: Settings, *, http: str | None, migrate: bool, ready: Ready = _nobody) -> int:
    """Run this node until it is told to stop; the exit code. `migrate`: everything is in this one process, so it
    brings the schema up to date first and serves the API and the console too. `ready` is told the HTTP address."""
    logging.configure(settings.log_level, settings.node)
    check_packages()
    if (files := allow_many()) < settings.threads * PER_OPERATION:
        log.warning("node.few-open-files", limit=files, wanted=settings.threads * PER_OPERATION)
    if misspelt := misspelt_slots(settings.slots or {}, handlers.subscriptions()):
        return _refuse(misspelt)
    system = System(settings)
    if migrate:
        system.database.migrate()
    elif trouble := system.database.check_schema():
        return _refuse(trouble)
    if settings.processes > 1:
        system.close()
        ready(None)
        return processes.supervise(functools.partial(_run_one, settings), settings.processes)
    return _run_one(settings, http, system, whole=migrate, ready=ready)


def _run_one(
    settings: Settings,
    http: str | None = None,
    system: System | None = None,
    *,
    whole: bool = False,
    ready: Ready = _nobody,
) -> int:
    logging.configure(settings.log_level, settings.node)
    system = system or System(settings)
    known = remembered(system, SystemClock())
    if known and (trouble := unfit(known[0])):  # before anything is claimed
        system.close()
        return _refuse(_unfit_store(trouble), processes.REFUSED)
    node = NodeProcess(system)
    wake = node.wake if whole else None
    server = server_of(system, node.health(), node.metrics, http, wake) if http else None
    told, hurry = stop_requests()
    node.start()
    if server:
        server.start()
        log.info("http.listening", address=server.address)
    ready(server.address if server else None)
    refused: list[str] = []
    # Beside the work: a store that is away now keeps nobody from upgrades, and is examined another day.
    threading.Thread(target=_examine, args=(system, refused, told), name="examine", daemon=True).start()
    told.wait()
    node.stop(hurry)
    if server:
        server.stop()
    system.close()
    return _refuse(refused[0], processes.REFUSED) if refused else 0


def _examine(system: System, refused: list[str], told: threading.Event) -> None:
    """End a node whose store cannot keep snapshots safe."""
    try:
        found, _ = abilities(system, SystemClock())
    except (BackstayError, OSError) as error:
        log.warning("store.not-examined", detail=str(error))
        return
    if trouble := unfit(found):
        refused.append(_unfit_store(trouble))
        told.set()


def _unfit_store(trouble: str) -> str:
    log.error("store.unfit", detail=trouble)
    return f"the store is not fit for snapshots: {trouble}; `backstay doctor` asks it again"


def run_web(settings: Settings, http: str, ready: Ready = _nobody) -> int:
    """Serve the API, the console, health, metrics and archives without working. `ready` is told the address."""
    logging.configure(settings.log_level, settings.node)
    check_packages()
    system = System(settings)
    if trouble := system.database.check_schema():
        return _refuse(trouble)
    health = Health(ready=(probe("database", system.database.round_trip),))
    wake = system.database.wake()
    server = server_of(system, health, metrics_of(system, SystemClock()), http, wake.set)
    told, _ = stop_requests()
    server.start()
    log.info("http.listening", address=server.address)
    ready(server.address)
    told.wait()
    server.stop()
    wake.close()
    system.close()
    return 0


def _refuse(trouble: str, code: int = 1) -> int:
    sys.stderr.write(f"error: {trouble}\n")
    return code
