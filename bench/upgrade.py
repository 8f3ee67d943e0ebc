"""What an upgrade costs beside the region's own time, how many go on at once, and what the journal adds.

    python -m bench.upgrade [--latency-ms 20] [--quick]

A real node (SQLite, spool, folder) upgrades services through the region's double, which waits before each
reply. (1) wall time of one upgrade over calls x latency; (2) upgrades in flight in one process; (3) the
commits that a step of the journal costs, on SQLite with full sync and on PostgreSQL (the tests' server, whose
fsync is off). Prints Markdown tables. Nothing here judges the region: its own work would come on top.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

from domain.configuration import Configuration
from domain.deployment import status_call
from domain.operation import TERMINAL, Operation
from domain.region import Place
from tests.contract.sql_bench import LEASE, Bench
from tests.fakes.region import RegionDouble
from tests.servers.postgres import PostgresServer
from workers.bootstrap import System
from workers.border import Publisher
from workers.config import load
from workers.demo.region import as_region

HOME = Path(__file__).parents[1]
TENANT, APPLICATION, TENANT_ID = "bench", "bench.shop", "be" * 16
IN_FLIGHT = (1, 5, 10, 25, 50)
INSTALLED: dict[str, Any] = {
    "group_key": APPLICATION,
    "version": "1.0",
    "image": "shop:1.0",
    "envs": [{"name": "LOG_LEVEL", "value": "debug"}],
    "ports": [{"port": 80, "inner": True, "alias": "WEB80"}],
}


def version(items: int) -> dict[str, Any]:
    """A version that adds so many variables and has another image."""
    added = [{"name": f"ADDED_{number}", "value": "on"} for number in range(items)]
    return {"image": "shop:2.0", "envs": INSTALLED["envs"] + added, "ports": INSTALLED["ports"]}


class Node:
    """A node with `threads` executors, a region beside it, and `services` registered services, s0, s1, …"""

    def __init__(self, *, threads: int, services: int, items: int, latency_ms: int, fenced: bool = True) -> None:
        self.home = tempfile.TemporaryDirectory(prefix="backstay-bench-")
        self.region = RegionDouble(fenced=fenced, latency_ms=latency_ms)
        region = {"url": self.region.url, "fenced": fenced, "tenants": {TENANT: {"id": TENANT_ID}}}
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("BACKSTAY_")} | {
            "BACKSTAY_DATA_DIR": self.home.name,
            "BACKSTAY_NODE": "bench-1",
            "BACKSTAY_THREADS": str(threads),
            "BACKSTAY_LOG_LEVEL": "error",
            "BACKSTAY_REGIONS": json.dumps({"bench": region}),
        }
        self.services, self.items, self.seen = services, items, 0
        self.system = System(load(self.environment))
        self.system.database.migrate()
        self.publisher = Publisher(self.system.settings.broker_url)

    def __enter__(self) -> Node:
        try:
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _start(self) -> None:
        command = [sys.executable, "-m", "workers", "serve", "--http", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, env=self.environment, cwd=HOME)
        names = [f"s{number}" for number in range(self.services)]
        for name in names:
            self.send("register-service", name, {"region": "bench", "configuration": INSTALLED})
        template = {"services": {name: version(self.items) for name in names}}
        self.send("publish-version", "s0", {"group_key": APPLICATION, "version": "2.0", "template": template})
        self.ended(self.services + 1)
        held = {}
        for name in names:
            found = self.system.database.services.get(name)
            assert found is not None
            held[name] = as_region(Configuration.load(found.document)) | {"service_id": name}
        self.region.put_state({"tenants": {TENANT: held}})

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.publisher.close()
        self.system.close()
        self.region.stop()
        self.home.cleanup()

    def send(self, kind: str, service: str, data: dict[str, Any]) -> None:
        """Publish one command."""
        self.publisher.command(
            {
                "specversion": "1.0",
                "id": f"{kind}-{service}",
                "source": "/bench",
                "type": f"backstay.{kind}.v1",
                "subject": f"tenant/{TENANT}/service/{service}",
                "data": data,
            }
        )

    def upgrade(self, service: str) -> None:
        """Publish one upgrade."""
        self.send("upgrade-service", service, {"version": "2.0"})

    def ended(self, more: int) -> None:
        """Wait until `more` operations have ended since the last time; all must have succeeded."""
        self.seen += more
        ends = time.monotonic() + 60
        while True:
            if time.monotonic() > ends:
                raise SystemExit(f"not ended within a minute: {self.system.database.counts()['operations']}")
            by_state = self.system.database.counts()["operations"]
            ended = sum(n for (_, state), n in by_state.items() if state in {s.value for s in TERMINAL})
            if any(n for (_, state), n in by_state.items() if state in ("FAILED", "ROLLED_BACK", "STUCK")):
                raise SystemExit(f"an operation did not succeed: {by_state}")
            if ended >= self.seen:
                return
            time.sleep(0.05)  # counting is work for the node's database too

    def upgrades(self) -> list[Operation]:
        """The upgrades that have ended."""
        found = self.system.database.list_operations(limit=self.seen)
        return [operation for operation in found if operation.kind == "upgrade-service"]


def bare(latency_ms: int) -> float:
    """Median milliseconds of one call through the region's client, with nothing else going on."""
    with Node(threads=1, services=1, items=0, latency_ms=latency_ms) as node:
        place = Place("bench", TENANT, "s0", "s0")
        return statistics.median(
            _ms(partial(node.system.region.send, place, status_call(), 1_000_000)) for _ in range(100)
        )


def cpu_ms(pid: int) -> float:
    """Milliseconds of processor time that the process has used, all its threads together."""
    used = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, used)) * 1000 / os.sysconf("SC_CLK_TCK")


def alone(latency_ms: int, items: int, fenced: bool, rounds: int) -> tuple[int, float, float]:
    """(calls of one upgrade, wall ms, processor ms of the node), medians and mean; one upgrade at a time.

    Wall time is accepted to settled, both by the database's clock."""
    calls, walls = [], []
    with Node(threads=4, services=rounds, items=items, latency_ms=latency_ms, fenced=fenced) as node:
        used = cpu_ms(node.process.pid)
        for number in range(rounds):
            before = len(node.region.log())
            node.upgrade(f"s{number}")
            node.ended(1)
            calls.append(len(node.region.log()) - before)
        used = (cpu_ms(node.process.pid) - used) / rounds
        walls = [operation.updated_at - operation.created_at for operation in node.upgrades()]
    wall, each = statistics.median(walls), int(statistics.median(calls))
    return each, wall, used


def together(latency_ms: int, items: int, threads: int, services: int) -> float:
    """Upgrades per second with so many in flight, from the first acceptance to the last settling."""
    with Node(threads=threads, services=services, items=items, latency_ms=latency_ms) as node:
        for number in range(services):
            node.upgrade(f"s{number}")
        node.ended(services)
        done = node.upgrades()
        first, last = min(op.created_at for op in done), max(op.updated_at for op in done)
    return services / (last - first) * 1000


def journal(url: str, steps: int) -> dict[str, float]:
    """Median milliseconds of the commits of one step: plan (per step), first intent, advance, conclude."""
    with Bench.opened(url) as bench:
        ledger, claim = bench.database.ledger, bench.running()
        call = {"service": "web", "item": "env/NAME", "call": {"name": "add-env", "body": {"env_value": "x" * 200}}}
        planned = _ms(lambda: ledger.intend_many(claim, 0, [("call", call)] * steps, LEASE))
        reply = {"verdict": "applied", "unknown": False, "tries": [{"status": 200, "ms": 20}]}
        took: dict[str, list[float]] = {"advance": [], "intend": [], "conclude": []}
        half = steps // 2
        ledger.intend(claim, 0, "call", call, (), LEASE)
        for number in range(half):
            took["advance"].append(_ms(partial(ledger.advance, claim, number, reply, "DONE", number + 1, LEASE)))
        ledger.conclude(claim, half, "DONE", reply, LEASE)
        for number in range(half + 1, steps):
            took["intend"].append(_ms(partial(ledger.intend, claim, number, "call", call, (), LEASE)))
            took["conclude"].append(_ms(partial(ledger.conclude, claim, number, "DONE", reply, LEASE)))
    return {"plan": planned / steps} | {name: statistics.median(times) for name, times in took.items()}


def _ms(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) * 1000


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--latency-ms", type=int, default=20)
    options.add_argument("--quick", action="store_true", help="fewer services and rounds")
    chosen = options.parse_args()
    call = bare(chosen.latency_ms)
    print(f"one bare call through the client: {call:.1f} ms\n", flush=True)
    rounds = 5 if chosen.quick else 15
    print("| one upgrade at a time | calls | wall ms | ÷ latency | ÷ bare calls | node's CPU ms |", flush=True)
    print("|---|---|---|---|---|---|", flush=True)
    for items, fenced in ((7, False), (7, True), (30, True)):
        calls, wall, used = alone(chosen.latency_ms, items, fenced, rounds)
        mode, waited, own = "fenced" if fenced else "plain", calls * chosen.latency_ms, calls * call
        ratios = f"{wall / waited:.2f} | {wall / own:.2f}"
        print(f"| {items} variables and a build, {mode} | {calls} | {wall:.0f} | {ratios} | {used:.0f} |", flush=True)
    print("\n| in flight | upgrades/s | ÷ linear |\n|---|---|---|", flush=True)
    base = 0.0
    for threads in IN_FLIGHT:
        rate = together(chosen.latency_ms, 7, threads, min(100, (2 if chosen.quick else 10) * max(threads, 2)))
        base = base or rate
        print(f"| {threads} | {rate:.1f} | {rate / (base * threads):.2f} |", flush=True)
    _journals(200 if chosen.quick else 1000)


def _journals(steps: int) -> None:
    print("\n| journal, ms per step (p50) | plan | advance | intend | conclude | intend + conclude |")
    print("|---|---|---|---|---|---|", flush=True)
    postgres = PostgresServer()
    postgres.start()
    try:
        with tempfile.TemporaryDirectory() as scratch, postgres.fresh_database() as url:
            for name, database in (("SQLite, full sync", f"sqlite:///{scratch}/b.db"), ("PostgreSQL 15", url)):
                took = journal(database, steps)
                both = took["intend"] + took["conclude"]
                print(f"| {name} | {took['plan']:.2f} | {took['advance']:.2f} | {took['intend']:.2f} "
                      f"| {took['conclude']:.2f} | {both:.2f} |", flush=True)  # fmt: skip
    finally:
        postgres.close()


if __name__ == "__main__":
    main()
