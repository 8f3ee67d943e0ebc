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

#: Seconds after the end of a lease within which another has taken over, on a machine that is very busy.
TAKEOVER = 20.0


class Parted(Soak):
    """The soak with one fault: a node does not reach the others."""

    def __init__(self, bench: Bench, seed: int, spaces: list[Namespace], ports: list[int]) -> None:
        super().__init__(bench, Servers(), seed)
        self.spaces, self.held, self.passed_on, self.late = spaces, 0, 0, list[str]()
        self.nodes = [
            Node(name, _over(space, ports, bench.environment(
                BACKSTAY_LEASE_SECONDS=str(LEASE), BACKSTAY_APPS_ROOT=str(self.apps[name]))),
                bench.home / f"{name}.log", space.prefix)
            for name, space in zip(NAMES, spaces, strict=True)
        ]  # fmt: skip

    def _fault(self) -> None:
        number, how = self.draw.randrange(len(self.spaces)), self.draw.choice(CUTS)
        until = time.monotonic() + 10
        while not (held := self._held_by(NAMES[number])) and time.monotonic() < until:
            self._load()
            time.sleep(0.05)
        self.spaces[number].cut(how)
        began, length = time.monotonic(), LEASE + self.draw.uniform(3, TAKEOVER + 5)
        while time.monotonic() < began + length:
            self._load()
            time.sleep(0.2)
        self.passed_on += sum(self._passed_on(one) for one in held)
        if length > LEASE + TAKEOVER:
            self.late += [f"nobody took over {one.kind} {one.op_id}" for one in self._held_by(NAMES[number])
                          if one.node is None and one.op_id in {each.op_id for each in held}]  # fmt: skip
        self.spaces[number].heal()
        self.faults[how] += 1
        self.held += len(held)

    def _passed_on(self, one: Operation) -> bool:
        found = self.bench.system.database.find_by_message(one.source, one.message_id)
        return found is not None and found.fence > one.fence

    def _held_by(self, name: str) -> list[Operation]:
        try:
            active = self.bench.system.database.list_operations(states=[State.RUNNING, State.COMPENSATING], limit=100)
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
    try:
        made.prepare()
        made.run(seconds)
        bad = [] if made.ended else ["not everything had ended"]
        case("the audit", lambda: bad.extend(audit(made.bench, made.messages, made.services, made.installed)), bad)
        case("the look at the rest", lambda: bad.extend(besides()), bad)
        return bad
    finally:
        for node in made.nodes:
            node.kill()
        made.bench.close()
