"""What an operator sees while a server is away, and that everything goes on by itself when it is back.

Apart from `nemesis.py`, which strikes for a moment: here two nodes, as programs of their own, work through an outage
that lasts, and are asked what a person or a platform would ask meanwhile: health, metrics, `backstay doctor`, the log,
and `backstay operations explain` of a command that waits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.region import RegionDouble
from tests.fakes.trees import grow
from tests.prove import commands
from tests.prove.audit import ends
from tests.prove.bench import SECRET, SOURCE, Bench
from tests.prove.cases import case
from tests.prove.nodes import Node
from tests.prove.stacks import Servers

NAMES = ("web-1", "web-2")
#: Seconds in which what is to be seen must be there: the store is asked for 30 s before an attempt gives up.
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Sight:
    """What must be seen while it is away."""

    check: str  # of `backstay doctor`, which says "fail"
    ready: int  # status of /readyz
    event: str  # in the log of a node
    metric: str  # in /metrics of a node
    explained: str = ""  # in what `operations explain` tells of a command that waits for it


SIGHTS = {
    "postgres": Sight("database", 503, "claim.database-unavailable", "backstay_database_up 0.0"),
    "redis": Sight("broker", 200, "loop.interrupted", 'backstay_intake{state="connected"} 0.0'),
    "rabbitmq": Sight("broker", 200, "loop.interrupted", 'backstay_intake{state="connected"} 0.0'),
    "rgw": Sight("store", 200, "operation.retry", 'code="store-unavailable"', "store-unavailable"),
    "region": Sight("regions", 200, "operation.retry", 'code="not-sealed"', "not-sealed"),
}
#: What is asked for while it is away, and of which service. Nothing can be asked of a broker that is away.
ASKED = {
    "postgres": ("shop", "create-snapshot", {}),
    "rgw": ("shop", "create-snapshot", {}),
    "region": ("app", "upgrade-service", {"version": "v2"}),
}


class Outages:
    """Two nodes on one bench, a service with a directory on the first, and one of the region."""

    def __init__(self, bench: Bench, servers: Servers) -> None:
        self.bench, self.servers, self.messages = bench, servers, list[str]()
        apps = str(bench.home / "apps")
        self.environment = bench.environment(BACKSTAY_LEASE_SECONDS="10", BACKSTAY_APPS_ROOT=apps)
        self.logs = [bench.home / f"{name}.log" for name in NAMES]
        served = ("--http", "127.0.0.1:0")
        pairs = zip(NAMES, self.logs, strict=True)
        self.nodes = [Node(name, self.environment, log, options=served) for name, log in pairs]

    def begin(self) -> None:
        """Nodes that work, and something to work on."""
        for node in self.nodes:
            node.start()
        grow(self.bench.home / "apps" / "shop", seed=1, files=20)
        secret = {"envs": [{"name": "DB_PASSWORD", "value": SECRET, "secret": True}]}
        self.messages.append(self.bench.ask("shop", "register-service", {"node": NAMES[0], "configuration": secret}))
        commands.installed(self.bench, "app")
        self.messages += self.bench.asked("app")
        assert _comes(self._over), "the nodes do not work"
        commands.told(self.bench, "app")

    def end(self) -> None:
        """Nobody is left."""
        for node in self.nodes:
            node.kill()

    def lived_through(self, kind: str) -> list[str]:
        """Take it away, look, bring it back; sentences about what was not seen, or did not go on."""
        sight, written = SIGHTS[kind], [log.stat().st_size for log in self.logs]
        away, back = self._ways(kind)
        away()
        try:
            if kind in ASKED:
                service, command, data = ASKED[kind]
                self.messages.append(self.bench.ask(service, command, data, f"while {kind} is away"))
            bad = [f"{kind} is away, and not seen: {what}" for what, is_seen in self._looks(sight, written).items()
                   if not _comes(is_seen)]  # fmt: skip
        finally:
            back()
        if not _comes(self._over):
            bad.append(f"{kind} is back, and not everything has ended")
        if not _comes(lambda: self._verdict(sight.check) in ("ok", "warn")):
            bad.append(f"{kind} is back, and doctor still fails {sight.check}")
        return bad + ends(self.bench, self.messages)

    def _ways(self, kind: str) -> tuple[Callable[[], None], Callable[[], None]]:
        if kind == "region":
            return self.bench.region.stop, self.bench.region.start
        server = self.servers.running[kind]
        return server.kill, server.start

    def _looks(self, sight: Sight, written: list[int]) -> dict[str, Callable[[], bool]]:
        looks: dict[str, Callable[[], bool]] = {
            f"doctor fails {sight.check}": lambda: self._verdict(sight.check) == "fail",
            f"/readyz is {sight.ready}": lambda: all(
                self._asked(log, "/readyz")[0] == sight.ready for log in self.logs
            ),
            f"the log has {sight.event}": lambda: any(sight.event in text for text in self._since(written)),
            f"/metrics has {sight.metric}": lambda: any(
                sight.metric in self._asked(log, "/metrics")[1] for log in self.logs
            ),
        }
        if sight.explained:
            looks[f"explain tells {sight.explained}"] = lambda: sight.explained in self._explained()
        return looks

    # ------------------------------------------------------------ what a person asks
    def _over(self) -> bool:
        return self.bench.over(self.messages, self.bench.system)

    def _since(self, written: list[int]) -> list[str]:
        return [log.read_text()[start:] for log, start in zip(self.logs, written, strict=True)]

    def _verdict(self, check: str) -> str:
        said = self._said("doctor", "--json")
        if not said:
            return ""
        found = json.loads(said)["checks"]
        return max((str(one["verdict"]) for one in found if one["name"] == check), key=("ok", "warn", "fail").index)

    def _explained(self) -> str:
        found = self.bench.system.database.find_by_message(SOURCE, self.messages[-1])
        return self._said("operations", "explain", found.op_id) if found else ""

    def _said(self, *words: str) -> str:
        environment = {**os.environ, **self.environment, "BACKSTAY_NODE": NAMES[0]}
        command = [sys.executable, "-m", "workers", *words]
        try:
            return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE).stdout
        except subprocess.TimeoutExpired:  # it has said nothing, and is asked again for as long as there is time
            return ""

    def _asked(self, log: Path, path: str) -> tuple[int, str]:
        (address,) = [json.loads(line)["address"] for line in log.read_text().splitlines() if "http.listening" in line]
        try:
            with urllib.request.urlopen(f"http://{address}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:  # nobody answers, or not in time
            return 0, ""


def lived_through(
    home: Path, region: RegionDouble, environment: dict[str, str], servers: Servers, kinds: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """Each of these away for a while, one after the other; what is wrong with each."""
    bench = Bench(home, region, environment)
    outages = Outages(bench, servers)
    try:
        outages.begin()
        for kind in kinds:
            bad = list[str]()
            case(f"the outage of {kind}", lambda: bad.extend(outages.lived_through(kind)), bad)  # noqa: B023 - called at once
            yield kind, bad
    finally:
        outages.end()
        bench.close()


def _comes(is_so: Callable[[], bool]) -> bool:
    until = time.monotonic() + PATIENCE
    while not (so := is_so()) and time.monotonic() < until:
        time.sleep(0.2)
    return so
