"""One seed: the real claim, journal, saga and settle code, workers that crash and stall, and a region that misbehaves.

Faults come first; then they stop and everything must end; then whoever stalled wakes and what was under way lands;
then what is true is compared with what was told. Every decision comes from the seed.
"""

from __future__ import annotations

import itertools
import math
import random
import threading
from collections import Counter
from typing import Any

import handlers
from domain import failpoint as points
from domain.breaker import Breakers
from domain.contracts import Accepted, Claim
from domain.health import HookResult
from domain.identity import Subject
from domain.message import Command
from domain.operation import TERMINAL, Budget, Operation
from domain.outcome import Outcome, SaveService, SaveVersion
from domain.region import Call, Place
from domain.source import HookSettings
from storage.places import NodePlaces
from storage.sources import open_hooks, open_sources
from tests.fakes.even_calendar import EvenCalendar
from tests.simulation import shop
from tests.simulation.archive import MemoryArchive
from tests.simulation.floor import Floor
from tests.simulation.mirror import told
from tests.simulation.network import Network, Profile
from tests.simulation.schedule import Schedule, SimClock, Stalled, Task
from tests.simulation.truth import Truth
from workers.attempt import Ports
from workers.executor import Executor

LEASE_MS = 60_000
SOURCE = "/simulation"
#: Virtual seconds in which everything must have ended once faults have stopped.
PATIENCE = 4 * 3600.0
BUDGET = Budget(max_claims=10**6, max_undo_attempts=10**6)
SUBSCRIPTIONS = handlers.subscriptions()


class Crash(BaseException):
    """kill -9 of one worker."""


class Watched(Executor):
    """The executor, with its bugs counted: one that is retried must not stay unseen."""

    bugs: list[str]

    def _unplanned(self, claim: Claim, attempt: Any, error: Exception) -> str:
        frame = error.__traceback__
        while frame is not None and frame.tb_next is not None:
            frame = frame.tb_next
        where = f"{frame.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.tb_lineno}" if frame else ""
        self.bugs.append(f"{type(error).__name__}: {error} at {where}")
        return super()._unplanned(claim, attempt, error)


class World:
    """`run()` returns what is wrong, in sentences; empty when nothing is."""

    def __init__(self, seed: int, *, fenced: bool, floor: Floor) -> None:
        """`floor`: the database to run on, emptied by this."""
        self.seed, self.fenced = seed, fenced
        self.draw = random.Random(f"{seed}/{fenced}")
        random.seed(seed)  # tenacity draws its jitter from the global generator
        self.schedule = Schedule(self.draw, self._time_passed)
        self.clock = SimClock(self.schedule)
        self.skew = 0
        self.database = floor.cleared(lambda: 1_000_000 + self.clock.wall_ms() + self.skew)
        self.services = shop.services(self.draw)
        self.network = Network(
            self.schedule, told(self.services), Profile.drawn(self.draw, fenced=fenced), self._before_sending
        )
        self.network.state.fenced = self.network.fenced = fenced
        self.archive = MemoryArchive()
        self.fired: Counter[str] = Counter()
        self.calm, self._quiet = False, True
        self._claims: dict[str, Claim] = {}  # by task
        self._asleep: list[Task] = []
        self.truth = Truth(
            self.database, floor.path, self.network.state, self.services,
            lambda: self._claims.get(self.schedule.current.name),
        )  # fmt: skip
        self._numbers = itertools.count(1)
        self.crash_chance = self.draw.choice((0.0, 0.005, 0.02, 0.05))
        self.stall_chance = self.draw.choice((0.0, 0.002, 0.01))
        self.turn_chance = self.draw.choice((0.05, 0.3))

    # ------------------------------------------------------------ one run
    def run(self) -> list[str]:
        """Everything, from installing to comparing."""
        former, points.hook = points.hook, self._hook
        try:
            self._install()
            self._quiet = False
            for _ in range(self.draw.choice((1, 2, 3))):
                self._hire()
            messages = self._publish()
            self._weather()
            self._finish(messages)
        except Stalled as error:
            self.truth.bad.append(str(error))
        finally:
            self._quiet = True
            for task in self.schedule.tasks[1:]:
                self.schedule.stop(task)
            points.hook = former
            self.database.close()
        return self.truth.bad + self.schedule.broken

    def _install(self) -> None:
        versions = {name: shop.template(name, self.services, self.draw) for name in shop.VERSIONS}
        changes = [SaveService(service) for service in self.services]
        changes += [SaveVersion(shop.TENANT, shop.GROUP_KEY, name, found) for name, found in versions.items()]  # type: ignore[misc]
        self._accept("installing", "publish-version", self.services[0].service_id, {})
        claim = self.database.ledger.claim("n0", "o0", 1, LEASE_MS)[0]
        self.database.ledger.settle(claim, Outcome.succeeded("installed", changes=tuple(changes)))
        self.truth.begin()
        if self.draw.random() < 0.15:
            self.network.bad_images = {f"registry/app0:{self.draw.choice(shop.VERSIONS)}"}
        self.network.refused = {shop.REFUSED}

    def _publish(self) -> list[str]:
        """One to three messages with repeats, cancels and a rollback, some virtual seconds apart."""
        messages: list[str] = []
        for number in range(self.draw.choice((1, 2, 3))):
            service = self.draw.choice(self.services).service_id
            kind, data = self._wish(number)
            message = f"m{number}"
            messages.append(message)
            for _ in range(self.draw.choice((1, 1, 2))):
                self._deliver(message, kind, service, data)
                self._rest(self.draw.choice((0.0, 0.5, 20.0)))
            if self.draw.random() < 0.25:
                found = self.database.find_by_message(SOURCE, message)
                assert found is not None
                self._deliver(f"c{number}", "cancel-operation", service, {"operation_id": found.op_id})
                messages.append(f"c{number}")
            self._rest(self.draw.choice((0.0, 5.0, 120.0)))
        return messages

    def _wish(self, number: int) -> tuple[str, dict[str, Any]]:
        if number and self.draw.random() < 0.4:
            return "rollback", {"hold": self.draw.random() < 0.5, "whole": self.draw.random() < 0.5}
        group = self.draw.random() < 0.4
        options = {name: self.draw.random() < 0.25 for name in ("strict", "whole")}
        return "upgrade-service", {"version": self.draw.choice(shop.VERSIONS), "group": group, **options}

    def _weather(self) -> None:
        """Let faults rain for a while, with jumps of the database's clock where fences make them harmless."""
        for _ in range(self.draw.choice((2, 6))):
            self._rest(self.draw.choice((10.0, 60.0, 200.0)))
            if self.fenced and self.draw.random() < 0.2:
                self.skew += self.draw.randint(-30_000, 90_000)

    def _finish(self, messages: list[str]) -> None:
        self.calm = self.network.calm = True
        until = self.schedule.now + PATIENCE
        while self._open() and self.schedule.now < until:
            self._rest(30.0)
        for operation in self._open():
            self.truth.bad.append(f"{operation.kind} {operation.op_id} is {operation.state} though the region is well")
        self.truth.compare("at the end")
        for task in self._asleep:
            task.wake_at = self.schedule.now
        self._rest(120.0)
        self.network.land(everything=True)
        self._rest(120.0)
        self.truth.compare("after the last of the late")
        self.truth.receipts(messages)
        self.truth.deployments()

    def _rest(self, seconds: float) -> None:
        self.schedule.sleep(seconds)

    def _before_sending(self, place: Place, call: Call) -> None:
        self.truth.about_to_send(place, call)

    def _time_passed(self) -> None:
        self.network.land()

    # ------------------------------------------------------------ messages
    def _deliver(self, message: str, kind: str, service: str, data: dict[str, Any]) -> None:
        """As a broker does: again until it is acknowledged."""
        while True:
            try:
                self._accept(message, kind, service, data)
                return
            except Crash:
                self._rest(1.0)

    def _accept(self, message: str, kind: str, service: str, data: dict[str, Any]) -> None:
        subscription = SUBSCRIPTIONS[kind]
        command = Command(SOURCE, message, kind, 1, Subject(shop.TENANT, service), data)
        self.database.inbox.accept([Accepted(command, f"hash-{message}", subscription.exclusive, local=False)])

    # ------------------------------------------------------------ workers
    def _hire(self) -> None:
        self.schedule.start(f"w{next(self._numbers)}", self._work)

    def _work(self, task: Task) -> None:
        """A worker's place: whoever dies is followed by another one."""
        while True:
            try:
                self._live(task)
            except Crash:
                self._claims.pop(task.name, None)
                self.fired["crash"] += 1
                self.schedule.sleep(self.draw.choice((0.0, 5.0)))

    def _live(self, task: Task) -> None:
        node, owner = f"n-{task.name}", f"{task.name}-{next(self._numbers)}"
        executor = Watched(
            self._ports(), SUBSCRIPTIONS, handlers.parse, node=node, lease_ms=LEASE_MS, budget=BUDGET, draw=self.draw,
            stopping=threading.Event(), ended=lambda kind, how: None,
        )  # fmt: skip
        executor.bugs = self.truth.bad
        idle = 1.0
        while True:
            asked_at = self.clock.boottime()
            claims = self.database.ledger.claim(node, owner, 1, LEASE_MS)
            for claim in claims:
                self._claims[task.name] = claim
                executor.run(claim, asked_at)
                self._claims.pop(task.name, None)
            idle = 1.0 if claims else min(60.0, 2 * idle)
            self.schedule.sleep(0.0 if claims else self.draw.uniform(0.5, idle))

    def _ports(self) -> Ports:
        database = self.database
        return Ports(
            ledger=database.ledger, services=database.services, catalogue=database.catalogue,
            archive=self.archive,  # type: ignore[arg-type]
            trees=None,  # type: ignore[arg-type]
            clock=self.clock, region=self.network, breakers=Breakers(self.clock, self.draw),
            versions=database.versions, records=database.records,
            health_hook=lambda service: HookResult(True, ""), count=lambda *_, **__: None,
            sources=open_sources({}, lambda service: "", ""), hooks=open_hooks(HookSettings(), lambda service: ""),
            places=NodePlaces({}), schedules=database.schedules, calendar=EvenCalendar(),
        )  # fmt: skip

    # ------------------------------------------------------------ what may happen at a point
    def _hook(self, name: str) -> None:
        if self._quiet:
            return
        within = name.endswith(".before-commit")
        if name.endswith(".after-commit"):
            self.truth.committed(name.removesuffix(".after-commit"))
        if self.calm:
            if not within and self.draw.random() < self.turn_chance:
                self.schedule.turn()
            return
        if self.draw.random() < self.crash_chance:
            raise Crash(name)
        if within or self.schedule.current is self.schedule.driver:
            return
        if self.draw.random() < self.stall_chance:
            self._stall(name)
        elif self.draw.random() < self.turn_chance:
            self.schedule.turn()

    def _stall(self, name: str) -> None:
        """A pause in the middle of work. Without fences nobody may stall between looking at the lease and sending."""
        self.fired["stall"] += 1
        if not self.fenced and name == "region.before-call":
            self.schedule.sleep(self.draw.uniform(0, 4.0))
        elif self.draw.random() < 0.3:
            task = self.schedule.current
            self._hire()
            self._asleep.append(task)
            self.schedule.sleep(math.inf)
            self._asleep.remove(task)
        else:
            self.schedule.sleep(self.draw.uniform(1, 700))

    def _open(self) -> list[Operation]:
        return [found for found in self.database.list_operations(limit=100) if found.state not in TERMINAL]
