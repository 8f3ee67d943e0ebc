"""Two nodes in network namespaces, and one of them cut off in the middle of its work for longer than its lease.

Database, broker and region are on the far side of the wire; the store is a folder that both still see, so that the
one that was cut could do harm. Load and audit are those of the soak.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

from domain.errors import BackstayError
from domain.operation import Operation, State
from storage.sealing import KeyRing
from tests.fakes.region import RegionDouble
from tests.prove.audit import audit
from tests.prove.bench import Bench
from tests.prove.cases import case
from tests.prove.namespace import CUTS, Namespace
from tests.prove.nodes import Node
from tests.prove.soak import LEASE, NAMES, Soak
from tests.prove.stacks import Servers
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

ACTIVE = (State.RUNNING, State.COMPENSATING)
#: Seconds that every cut which meets work lasts beyond the lease, at least.
BEYOND = 5.0
#: Seconds after the end of a lease within which another has taken over, on a machine that is very busy.
TAKEOVER = 20.0
#: Seconds more where the row is locked by a transaction that was cut: PostgreSQL ends it after the length of a lease.
IDLE = float(LEASE)
#: Seconds for which a cut waits for work.
BUSY = 20.0


class Hand:
    """What a node has in hand when it is cut off, and what becomes of it. It is looked at from the side of the
    database, after the cut: what was done on the way there is done, and was in hand no more."""

    def __init__(self, bench: Bench, held: list[Operation]) -> None:
        self._bench, self.held = bench, held
        self.locked = bench.locked_by(0, [one.op_id for one in held])
        self.taken: dict[str, float] = {}  # seconds after the end of its lease at which another had it

    def look(self) -> None:
        """Write down what another has taken over by now."""
        for one in self.held:
            if one.op_id not in self.taken and self._now(one).fence > one.fence:
                self.taken[one.op_id] = time.time() - one.lease_until / 1000

    def left(self) -> list[Operation]:
        """What still stands as the node has left it."""
        return [
            one
            for one in self.held
            if (now := self._now(one)).fence == one.fence and now.lease_until and now.state in ACTIVE
        ]

    def lacking(self) -> list[Operation]:
        """Of that, what another may take: a directory binds to its node."""
        return [one for one in self.left() if one.node is None]

    def _now(self, one: Operation) -> Operation:
        found = self._bench.system.database.find_by_message(one.source, one.message_id)
        assert found is not None, f"{one.message_id} was lost"
        return found


class Parted(Soak):
    """The soak with one fault: a node does not reach the others."""

    def __init__(self, bench: Bench, seed: int, spaces: list[Namespace], ports: list[int]) -> None:
        super().__init__(bench, Servers(), seed)
        self.spaces, self.late = spaces, list[str]()
        #: Operations in hand, and taken over; cuts that met none; the latest takeover, seconds after the lease.
        self.held, self.passed_on, self.idle, self.latest = 0, 0, 0, 0.0
        #: Cuts that left a row locked, and the latest takeover after one.
        self.locked, self.latest_locked = 0, 0.0
        self.nodes = [
            Node(name, _over(space, ports, bench.environment(
                BACKSTAY_LEASE_SECONDS=str(LEASE), BACKSTAY_APPS_ROOT=str(self.apps[name]))),
                bench.home / f"{name}.log", space.prefix)
            for name, space in zip(NAMES, spaces, strict=True)
        ]  # fmt: skip

    def _fault(self) -> None:
        number, how = self.draw.randrange(len(self.spaces)), self.draw.choice(CUTS)
        self._until_busy(NAMES[number])
        self.spaces[number].cut(how)
        began, hand = time.monotonic(), Hand(self.bench, self._held_by(NAMES[number]))
        least = LEASE + self.draw.uniform(BEYOND, 3 * BEYOND) if hand.held else self.draw.uniform(1, LEASE)
        most = LEASE + TAKEOVER + (IDLE if hand.locked else 0)
        while (passed := time.monotonic() - began) < least or (passed < most and hand.lacking()):
            self._load()
            hand.look()
            time.sleep(0.2)
        self.late += [f"nobody took over {one.kind} {one.op_id} in {passed:.0f} s" for one in hand.lacking()]
        self.spaces[number].heal()
        self._count(how, hand)

    def _until_busy(self, name: str) -> None:
        """Mostly something is in hand then that another node may take."""
        until = time.monotonic() + BUSY
        while all(one.node for one in self._held_by(name)) and time.monotonic() < until:
            self._load()
            time.sleep(0.05)

    def _count(self, how: str, hand: Hand) -> None:
        """A point is a cut that met work."""
        if not (met := len(hand.taken) + len(hand.left())):
            self.idle += 1
            return
        self.faults[how] += 1
        self.held, self.passed_on = self.held + met, self.passed_on + len(hand.taken)
        if hand.locked:
            self.locked, self.latest_locked = self.locked + 1, max(self.latest_locked, *hand.taken.values(), 0.0)
        else:
            self.latest = max(self.latest, *hand.taken.values(), 0.0)

    def _held_by(self, name: str) -> list[Operation]:
        try:
            active = self.bench.system.database.list_operations(states=list(ACTIVE), limit=100)
        except BackstayError:
            return []
        return [one for one in active if one.lease_until and (one.owner or "").startswith(f"{name}|")]


def _over(space: Namespace, ports: list[int], environment: dict[str, str]) -> dict[str, str]:
    """The same servers by the way that can be cut."""
    for port in ports:
        environment = {
            name: value.replace(f"127.0.0.1:{port}", f"{space.here}:{port}") for name, value in environment.items()
        }
    return environment


def run(home: Path, seconds: float, seed: int) -> tuple[Parted, list[str]]:
    """Cuts until the time is over, then the audit; what is wrong."""
    with ExitStack() as closing:
        postgres, redis = PostgresServer(), RedisServer()
        for server in (postgres, redis):
            closing.callback(server.close)
            server.start()
        region = closing.enter_context(RegionDouble(fenced=True))
        environment = {
            "DATABASE_URL": closing.enter_context(postgres.fresh_database()),
            "BROKER_URL": f"redisstream{redis.url.removeprefix('redis')}",
            "BACKSTAY_SECRET_KEYS": KeyRing.generate_text(),
        }
        ports = [postgres.port, redis.port, urlsplit(region.url).port or 0]
        spaces = [Namespace(ports, closing) for _ in NAMES]
        made = Parted(Bench(home, region, environment), seed, spaces, ports)
        return made, audited(made, seconds, lambda: made.late)


def audited(made: Soak, seconds: float, besides: Callable[[], list[str]]) -> list[str]:
    """Prepare, go on for so long, let everything end, look at everything, and at what only this proof is about."""
    bad = list[str]()
    try:
        made.prepare()
        made.run(seconds)
        bad += [] if made.ended else ["not everything had ended"]
        case("the audit", lambda: bad.extend(audit(made.bench, made.messages, made.services, made.installed)), bad)
        case("the look at the rest", lambda: bad.extend(besides()), bad)
    finally:
        for node in made.nodes:
            node.kill()
        made.bench.close()
    return bad + made.deaths()
