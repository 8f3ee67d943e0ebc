"""`make soak MINUTES=…`: two nodes, mixed commands, random faults; then everything that was promised is looked at.

Nodes are programs of their own on real servers. They are killed and frozen, the database, the broker and the region
fail under them. When the time is over the faults stop, everything must end by itself, and the audit begins.
"""

from __future__ import annotations

import argparse
import itertools
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from domain.errors import BackstayError
from domain.operation import TERMINAL, State
from tests.chaos.world import SOURCE, TENANT, command
from tests.fakes.region import RegionDouble
from tests.fakes.trees import digest, grow
from tests.prove import commands
from tests.prove.audit import audit
from tests.prove.bench import SECRET, Bench
from tests.prove.nodes import LEAST_SECONDS, WARM_SECONDS, Node
from tests.prove.stacks import STACKS, Servers, stack

NAMES = ("chaos-1", "chaos-2")
#: Seconds of lease: long enough for a call to the region.
LEASE = 10
SERVICES, INSTALLED = 8, 4
#: Operations that may be open at once; beyond that the load waits.
MOST_OPEN = 25
OPEN = [state for state in State if state not in TERMINAL]
#: Seconds in which all must have ended once the faults have stopped.
PATIENCE = 300.0
#: Seconds for which a fault waits until every node has begun.
BEGIN = 60.0
#: How many of the messages come twice.
REPEATED = 0.25


class Soak:
    """Load and faults on one bench."""

    def __init__(self, bench: Bench, servers: Servers, seed: int) -> None:
        self.bench, self.servers, self.draw = bench, servers, random.Random(seed)
        apps = {name: bench.home / name / "apps" for name in NAMES}
        self.nodes = [
            Node(name, bench.environment(BACKSTAY_LEASE_SECONDS=str(LEASE), BACKSTAY_APPS_ROOT=str(apps[name])),
                 bench.home / f"{name}.log")
            for name in NAMES
        ]  # fmt: skip
        self.apps, self.faults, self.asked = apps, Counter[str](), Counter[str]()
        self.services = [f"soak-{number}" for number in range(SERVICES)]
        self.installed = [f"shop-{number}" for number in range(INSTALLED)]
        self.messages: list[str] = []
        self.ended = False
        self._numbers = itertools.count()
        self._calls: int | None = None  # that the region had heard when it was told to misbehave

    # ------------------------------------------------------------ before
    def prepare(self) -> None:
        """Services with two trees that they change between, and services of the region."""
        for node in self.nodes:
            node.start()
        for number, service in enumerate(self.services):
            name = NAMES[number % 2]
            tree = self.apps[name] / service
            grow(tree, seed=number, files=20)
            self.bench.notes[service] = {"path": tree, "trees": {digest(tree)}, "kept": {}}
            configuration = {"envs": [{"name": "DB_PASSWORD", "value": SECRET, "secret": True}]}
            self.bench.ask(service, "register-service", {"node": name, "configuration": configuration})
        for service in self.installed:
            commands.installed(self.bench, service)
        self._all_over()
        for service in self.services:
            self.bench.ask(service, "create-snapshot", {"labels": ["step:a"]}, "a")
        self._all_over()
        for service in self.services:
            self._kept(service, "a")
            grow(self.bench.notes[service]["path"], seed=100, files=5)
            self.bench.ask(service, "create-snapshot", {"labels": ["step:b"]}, "b")
        for service in self.installed:
            commands.told(self.bench, service)
        self._all_over()
        for service in self.services:
            self._kept(service, "b")

    def _kept(self, service: str, name: str) -> None:
        """That snapshot holds the tree that is live."""
        note = self.bench.notes[service]
        note["tree"] = note["kept"][self.bench.found(service, name).op_id] = digest(note["path"])
        note["trees"].add(note["tree"])

    def _all_over(self, seconds: float = PATIENCE) -> bool:
        until = time.monotonic() + seconds
        asked = [message for service in (*self.services, *self.installed) for message in self.bench.asked(service)]
        while not self.bench.over(asked, self.bench.system):
            if time.monotonic() > until:
                return False
            for node in self.nodes:
                node.start()
            time.sleep(0.5)
        return True

    # ------------------------------------------------------------ meanwhile
    def run(self, seconds: float) -> None:
        """Load and faults until the time is over; then none, until everything has ended and all nodes are at work: each
        alone removes what was staged in its apps root."""
        until, next_fault = time.monotonic() + seconds, 0.0
        while time.monotonic() < until:
            if time.monotonic() > next_fault:
                self._fault()
                next_fault = time.monotonic() + self.draw.uniform(2, 8)
            self._load()
            for node in self.nodes:
                node.start()
                node.look()
            time.sleep(0.2)
        self._region_called()
        self.bench.region.script()
        self.ended = self._all_over()
        self._all_ready()

    def _load(self) -> None:
        try:
            if len(self.bench.system.database.list_operations(states=OPEN, limit=MOST_OPEN)) >= MOST_OPEN:
                return
            service, kind, data = self._wish()
            message = f"{service}/{next(self._numbers)}"
            event = command(kind, message, data) | {"subject": f"tenant/{TENANT}/service/{service}"}
            self.bench.publisher.command(event)
        except BackstayError:
            return  # not confirmed: not accepted, and nothing is promised
        self.messages.append(message)
        self.asked[kind] += 1
        self.bench.note_asked(service, message)
        if self.draw.random() < REPEATED:
            with suppress(BackstayError):  # it was confirmed before
                self.bench.publisher.command(event)

    def _wish(self) -> tuple[str, str, dict[str, Any]]:
        if self.draw.random() < 0.3:
            service = self.draw.choice(self.installed)
            if self.draw.random() < 0.5:
                return service, "upgrade-service", {"version": self.draw.choice(("v2", "v3"))}
            return service, "rollback", {"hold": False}  # else it could not be upgraded again
        service = self.draw.choice(self.services)
        known = [row.snapshot_id for row in self.bench.system.database.catalogue.find(None, [service], [], 100, None)]
        base = [self.bench.found(service, name).op_id for name in ("a", "b")]
        kind = self.draw.choice(
            ("create-snapshot", "restore-snapshot", "verify-snapshot", "export-snapshot", "delete-snapshot")
        )
        if kind == "create-snapshot":
            return service, kind, {"labels": ["step:more"]}
        more = [name for name in known if name not in base]
        if kind == "delete-snapshot":
            return service, *((kind, {"snapshot_id": self.draw.choice(more)}) if more else ("create-snapshot", {}))
        return service, kind, {"snapshot_id": self.draw.choice(known if kind != "restore-snapshot" else base)}

    def _fault(self) -> None:
        faults: list[Callable[[], None]] = [self._kill, self._kill, self._freeze, self._region]
        faults += [self._servers] if self.servers.running else []
        fault = self.draw.choice(faults)
        fault()
        if fault != self._region:  # which counts when somebody calls
            self.faults[fault.__name__.strip("_")] += 1

    def _kill(self) -> None:
        """The first node lives as long as the soak, so that it shows what grows."""
        self.draw.choice(self.nodes[1:]).kill()

    def _freeze(self) -> None:
        """Mostly for longer than the lease, so that the other one takes over."""
        self._all_ready()  # SQLite's lock may be frozen with it, and nobody can start then
        node = self.draw.choice(self.nodes)
        node.freeze()
        time.sleep(self.draw.choice((self.draw.uniform(1, LEASE), *[self.draw.uniform(LEASE + 1, 2 * LEASE)] * 3)))
        node.thaw()

    def _all_ready(self) -> None:
        """A node that is started while its database is away ends at once, for whoever runs it to start it again: that
        is no death. One that has begun must live."""
        until = time.monotonic() + BEGIN
        while not all(node.ready() for node in self.nodes) and time.monotonic() < until:
            for node in self.nodes:
                node.start()
            time.sleep(0.1)

    def _region(self) -> None:
        self._region_called()
        self._calls = len(self.bench.region.log())
        do = self.draw.choice(("cut-before", "cut-after", "empty-500", "half-body", "504-applied"))
        self.bench.region.script({"do": do, "times": self.draw.randint(1, 6)})

    def _region_called(self) -> None:
        """The last of its faults counts if anything was called meanwhile."""
        if self._calls is not None and len(self.bench.region.log()) > self._calls:
            self.faults["region"] += 1
        self._calls = None

    def _servers(self) -> None:
        self._all_ready()
        server = self.draw.choice(list(self.servers.running.values()))
        self.faults[f"killed {server.name}"] += 1
        server.kill()
        time.sleep(self.draw.uniform(0, 5))
        server.start()

    def deaths(self) -> list[str]:
        """Every end of a node that nobody ordered."""
        return [death for node in self.nodes for death in node.deaths]


def soak(name: str, seconds: float, seed: int, home: Path) -> tuple[str, list[str], list[str]]:
    """What was done, in a paragraph; what is wrong; and what could not be judged."""
    with stack(name, home) as (environment, servers), RegionDouble(fenced=True) as region:
        made = Soak(Bench(home, region, environment), servers, seed)
        try:
            made.prepare()
            made.run(seconds)
            bad = [] if made.ended else ["not everything had ended"]
            bad += audit(made.bench, made.messages, made.services, made.installed)
        finally:
            for node in made.nodes:
                node.kill()
        bad += made.deaths()
        bad += made.nodes[0].grows()
        judged, missed = growth(made.nodes[0])
        memory = max(node.most_memory for node in made.nodes) // 1024
        files = max(node.most_files for node in made.nodes)
        find = made.bench.system.database.find_by_message
        ends = [found for message in made.messages if (found := find(SOURCE, message)) is not None]
        states = Counter(f"{one.state} {one.error_code or ''}".strip() for one in ends)
        made.bench.close()
        return (
            f"{STACKS[name]}: {len(made.messages)} accepted commands {dict(made.asked)}, ended {dict(states)}; "
            f"faults {dict(made.faults)}; at most {memory} MiB and {files} files in one node; {judged}",
            bad,
            missed,
        )


def growth(node: Node) -> tuple[str, list[str]]:
    """Whether it was judged what that node holds ever more of, in words; and what was missed where it was not."""
    if node.judged:
        return f"memory and files judged over {node.judged / 60:.0f} minutes", []
    least = (WARM_SECONDS + LEAST_SECONDS) / 60
    told = "memory and files not judged: too short"
    return told, [f"{told}, the one that is never killed must be looked at for {least:.0f} minutes"]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.prove.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--stack", choices=list(STACKS), default="redis")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"seed {options.seed}, logs in {home}", flush=True)
    told, bad, missed = soak(options.stack, options.minutes * 60, options.seed, home)
    print(told)
    for line in bad:
        print(f"VIOLATION {line}")
    for line in missed:
        print(f"MISSED {line}")
    if not bad:
        shutil.rmtree(home, ignore_errors=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
