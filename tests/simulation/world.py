"""One seed: the real claim, journal, saga and settle code, workers that crash and stall, and a region that misbehaves.

Faults come first; then they stop and everything must end; then whoever stalled wakes and what was under way lands;
then what is true is compared with what was told. Every decision comes from the seed.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import random
from collections.abc import Callable
from typing import Any

from domain import failpoint as points
from domain.contracts import Accepted, Claim, Clock
from domain.errors import DatabaseUnavailable
from domain.identity import Subject
from domain.lease import Taken
from domain.message import Command
from domain.operation import TERMINAL, Operation
from domain.outcome import Outcome, SaveService, SaveVersion
from domain.region import Call, Place, Reply
from tests.simulation import crew, shop
from tests.simulation.archive import MemoryArchive
from tests.simulation.faults import Faults
from tests.simulation.floor import Floor
from tests.simulation.mirror import told
from tests.simulation.network import Network, Profile
from tests.simulation.post import POSTMEN, Post
from tests.simulation.schedule import Schedule, SimClock, Stalled, Task
from tests.simulation.truth import Truth

SOURCE = "/simulation"
#: Virtual seconds in which everything must have ended once faults have stopped.
PATIENCE = 4 * 3600.0


class Crash(BaseException):
    """kill -9 of one worker."""


class World:
    """`run()` returns what is wrong, in sentences; empty when nothing is."""

    def __init__(self, seed: int, *, fenced: bool, floor: Floor, withheld: frozenset[int] = frozenset()) -> None:
        """`floor`: the database to run on, emptied by this; `withheld`: faults, by number, that do not happen."""
        self.seed, self.fenced = seed, fenced
        self.draw = random.Random(f"{seed}/{fenced}")
        random.seed(seed)  # tenacity draws its jitter from the global generator
        self.schedule = Schedule(self.draw, self._time_passed)
        self.clock = SimClock(self.schedule)
        self.faults = Faults(lambda: f"{self.schedule.now:9.2f} {self.schedule.current.name:<7}", withheld)
        self.skew = 0
        self.database = floor.cleared(lambda: 1_000_000 + self.clock.wall_ms() + self.skew)
        self.services = shop.services(self.draw)
        self.post = Post(self.schedule, self.database, self.faults, self.draw)
        self.network = Network(
            self.schedule, told(self.services), Profile.drawn(self.draw, fenced=fenced), self.faults,
            self._before_sending, self._answered, self._taken,
        )  # fmt: skip
        self.network.state.fenced = self.network.fenced = fenced
        self.archive = MemoryArchive()
        self.calm, self._quiet = False, True
        self._claims: dict[str, Claim] = {}  # by task
        self._asleep: list[Task] = []
        self.truth = Truth(
            self.database, floor.path, self.network.state, self.services,
            lambda: self._claims.get(self.schedule.current.name), self.network.changes_under_way,
        )  # fmt: skip
        self._numbers = itertools.count(1)
        self.crash_chance = self.draw.choice((0.0, 0.005, 0.02, 0.05))
        self.away_chance = self.draw.choice((0.0, 0.0, 0.01, 0.05))
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
            for number in range(POSTMEN):
                self._keep_alive(f"intake{number}", self.post.intake)
                self._keep_alive(f"relay{number}", self.post.relay)
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
        claim = self.database.ledger.claim("n0", "o0", 1, crew.LEASE_MS)[0]
        self.database.ledger.settle(claim, Outcome.succeeded("installed", changes=tuple(changes)))
        self.truth.begin(versions)
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
            found = self.database.find_by_message(SOURCE, message) if self.draw.random() < 0.25 else None
            if found is not None:
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
            jump = self.draw.randint(-30_000, 90_000)
            if self.fenced and self.draw.random() < 0.2 and self.faults.happens("clock-jump", "database", f"{jump} ms"):
                self.skew += jump

    def _finish(self, messages: list[str]) -> None:
        self.calm = self.network.calm = self.post.calm = True
        until = self.schedule.now + PATIENCE
        while self._unfinished() and self.schedule.now < until:
            self._rest(30.0)
        if self.post.open():
            self.truth.bad.append(f"{self.post.open()} messages were never acknowledged")
        for operation in self._open():
            self.truth.bad.append(f"{operation.kind} {operation.op_id} is {operation.state} though the region is well")
        self.truth.compare("at the end")
        for task in self._asleep:
            task.wake_at = self.schedule.now
        self._rest(120.0)
        self.network.land(everything=True)
        self._rest(120.0)
        self.truth.compare("after the last of the late")
        self.truth.receipts(messages, self.post.told)
        self.truth.deployments()

    def _rest(self, seconds: float) -> None:
        self.schedule.sleep(seconds)

    def _before_sending(self, place: Place, call: Call) -> None:
        self.truth.about_to_send(place, call)

    def _answered(self, place: Place, call: Call, reply: Reply) -> None:
        self.truth.answered(place, call, reply)

    def _taken(self, place: Place, call: Call, fence: int) -> None:
        self.truth.taken(place, call, fence)

    def _time_passed(self) -> None:
        self.network.land()

    # ------------------------------------------------------------ messages
    def _deliver(self, message: str, kind: str, service: str, data: dict[str, Any]) -> None:
        subject = f"tenant/{shop.TENANT}/service/{service}"
        event = {"specversion": "1.0", "id": message, "source": SOURCE, "type": f"backstay.{kind}.v1"}
        self.faults.tell(f"{kind} {data} for {service[:6]} is published as {message}")
        self.post.publish(message, event | {"subject": subject, "data": data})

    def _accept(self, message: str, kind: str, service: str, data: dict[str, Any]) -> None:
        command = Command(SOURCE, message, kind, 1, Subject(shop.TENANT, service), data)
        exclusive = crew.SUBSCRIPTIONS[kind].exclusive
        self.database.inbox.accept([Accepted(command, f"hash-{message}", exclusive, local=False)])

    # ------------------------------------------------------------ workers
    def _hire(self) -> None:
        self._keep_alive(f"w{next(self._numbers)}", self._live)

    def _keep_alive(self, name: str, life: Callable[[Task, Clock], None]) -> None:
        """A place on a host of its own: whoever dies there is followed by another one."""
        clock = SimClock(self.schedule, self.draw.choice((0.0, 1e6)), self.draw.choice((0.0, -86_400.0, 300.0)))

        def work(task: Task) -> None:
            while True:
                try:
                    life(task, clock)
                except Crash:
                    self._claims.pop(task.name, None)
                    self.schedule.sleep(self.draw.choice((0.0, 5.0)))

        self.schedule.start(name, work)

    def _live(self, task: Task, clock: Clock) -> None:
        node, owner = f"n-{task.name}", f"{task.name}-{next(self._numbers)}"
        ports = crew.ports(self.database, self.archive, self.network, clock, self.draw)
        executor = crew.executor(ports, node, self.draw, self.truth.bad)
        idle = 1.0
        while True:
            asked_at = clock.boottime()
            claims: list[Claim] = []
            # As the node's broker does: what it does not know that it holds, somebody else takes in time.
            with contextlib.suppress(DatabaseUnavailable):
                claims = self.database.ledger.claim(node, owner, 1, crew.LEASE_MS)
            for claim in claims:
                self.truth.claimed(claim)
                self._claims[task.name] = claim
                executor.run(Taken(claim, asked_at, clock.boottime()))
                self._claims.pop(task.name, None)
            idle = 1.0 if claims else min(60.0, 2 * idle)
            self.schedule.sleep(0.0 if claims else self.draw.uniform(0.5, idle))

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
        if self.schedule.current is self.schedule.driver:
            return
        if self.draw.random() < self.crash_chance and self.faults.happens("crash", name):
            raise Crash(name)
        away = name.endswith("-commit") and self.draw.random() < self.away_chance
        if away and self.faults.happens("commit-refused" if within else "commit-unanswered", name):
            raise DatabaseUnavailable("the database did not answer")
        if within:
            return
        if self.draw.random() < self.stall_chance and self.faults.happens("stall", name):
            self._stall(name)
        elif self.draw.random() < self.turn_chance:
            self.schedule.turn()

    def _stall(self, name: str) -> None:
        """A pause in the middle of work. Without fences nobody may stall between looking at the lease and sending."""
        if not self.fenced and name == "region.before-call":
            self.schedule.sleep(self.draw.uniform(0, 4.0))
        elif self.draw.random() < 0.3 and self.schedule.current.name.startswith("w"):
            task = self.schedule.current
            self._hire()  # of intake and relay there are no more than there are: all of them would sleep for ever
            self._asleep.append(task)
            self.schedule.sleep(math.inf)
            self._asleep.remove(task)
        else:
            self.schedule.sleep(self.draw.uniform(1, 700))

    def _unfinished(self) -> bool:
        """Something is still to be accepted, done or told."""
        return bool(self.post.open() or self._open() or self.database.outbox.waiting()[0])

    def _open(self) -> list[Operation]:
        return [found for found in self.database.list_operations(limit=100) if found.state not in TERMINAL]
