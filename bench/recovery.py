"""How long an installation needs after each of its dependencies has been away: to its first outcome, and to its last.

    python -m bench.recovery [--minutes 10] [--only database|redis|rabbitmq|store|region] [--every 5]

Database, brokers, store and region are taken away at the same time, each from a node of its own (`backstay worker` with
the default settings) that needs nothing else which fails: PostgreSQL, Redis, RabbitMQ and Ceph's gateway are killed,
the region too. Meanwhile a command is published every few seconds (snapshots; upgrades where it is the region); what
the broker does not take is published again when it answers, as a publisher would. Seconds are counted from the start
of the server's process, and until it answered is told apart: nobody could have been quicker. Prints a Markdown table;
ends with 1 when not every command has succeeded.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from domain.errors import BackstayError
from domain.operation import TERMINAL, Operation, State
from storage.sealing import KeyRing
from tests.fakes.region import RegionDouble
from tests.fakes.trees import grow
from tests.prove import commands
from tests.prove.bench import SOURCE, Bench
from tests.prove.nodes import Node
from tests.servers.buckets import credentials, fresh_bucket, store_url_of
from tests.servers.postgres import PostgresServer
from tests.servers.rabbitmq import RabbitServer
from tests.servers.redis import RedisServer
from tests.servers.rgw import RgwServer
from tests.servers.server import Server
from workers.border import Publisher

#: Dependency -> the stack it is taken from, in words.
DEPENDENCIES = {
    "database": "PostgreSQL, spool, folder",
    "redis": "SQLite, Redis Streams, folder",
    "rabbitmq": "SQLite, RabbitMQ, folder",
    "store": "SQLite, spool, Ceph RGW",
    "region": "SQLite, spool, folder",
}
SERVICES = 20
#: Seconds after the return in which everything must have ended.
PATIENCE = 900.0


@dataclass
class Outage:
    """One dependency, its node and its commands."""

    bench: Bench
    node: Node
    services: list[str]
    kind: str
    take_away: Callable[[], None]
    give_back: Callable[[], None]
    messages: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, service: str, name: str) -> None:
        """Publish one command; note it when the broker does not take it."""
        data = {"version": "v2"} if self.kind == "upgrade-service" else {}
        try:
            self.messages.append(self.bench.ask(service, self.kind, data, name))
        except BackstayError:
            self.refused.append((service, name))

    def away(self, seconds: float, every: float) -> None:
        """Take it away, and go on asking."""
        self.take_away()
        began, number = time.monotonic(), 0
        while time.monotonic() - began < seconds:
            self.ask(self.services[number % len(self.services)], f"away-{number}")
            number += 1
            self.node.look()
            time.sleep(max(0.0, min(began + number * every, began + seconds) - time.monotonic()))

    def recover(self) -> dict[str, object]:
        """Give it back; what happened then, times in seconds since the start of the server's process."""
        began_at, began = time.time(), time.monotonic()
        self.give_back()  # returns when the server answers
        answered = time.monotonic() - began
        again, self.refused = self.refused, []
        for service, name in again:
            self.ask(service, name)
        while (now := time.monotonic() - began) < PATIENCE:
            ended = self._ended()
            if len(ended) == len(self.messages) and self._told():
                break
            self.node.look()
            time.sleep(0.2)
        # By their own times: the first may end while the server is still asked whether it answers.
        since = [one.updated_at / 1000 - began_at for one in ended]
        first = min((seconds for seconds in since if seconds > 0), default=0.0)
        return {
            "commands": len(self.messages),
            "published anew": len(again),
            "answered": round(answered, 1),
            "first": round(first, 1),
            "all": round(now, 1),
            "ends": Counter(one.state.value for one in ended),
            "memory": self.node.most_memory // 1024,
        }

    def _ended(self) -> list[Operation]:
        find = self.bench.system.database.find_by_message
        try:
            found = [find(SOURCE, message) for message in self.messages]
        except BackstayError:
            return []
        return [one for one in found if one and one.state in (*TERMINAL, State.STUCK)]

    def _told(self) -> bool:
        try:
            return self.bench.system.database.outbox.waiting()[0] == 0
        except BackstayError:
            return False


def one(dependency: str, seconds: float, every: float) -> dict[str, object]:
    """The figures of one dependency."""
    with ExitStack() as closing:
        home = Path(tempfile.mkdtemp(prefix=f"recovery-{dependency}-"))
        closing.callback(shutil.rmtree, home, ignore_errors=True)
        region = closing.enter_context(RegionDouble(fenced=True, state_file=str(home / "region.json")))
        environment, server = _stack(dependency, closing)
        bench = Bench(home, region, environment)
        closing.callback(bench.close)
        bench.publisher = Publisher(bench.settings.broker_url, seconds=0)
        apps = home / "apps"
        node = Node("chaos-1", bench.environment(BACKSTAY_APPS_ROOT=str(apps), BACKSTAY_LOG_LEVEL="warning"),
                    home / "node.log")  # fmt: skip
        node.start()
        closing.callback(node.kill)
        services = [f"{dependency}-{number}" for number in range(SERVICES)]
        for service in services:
            _register(bench, service, apps, of_region=dependency == "region")
        kind = "upgrade-service" if dependency == "region" else "create-snapshot"
        stop, start = (region.stop, region.start) if server is None else (server.kill, server.start)
        outage = Outage(bench, node, services, kind, stop, start)
        _wait(lambda: bench.over([m for service in services for m in bench.asked(service)], bench.system))
        if dependency == "region":
            for service in services:
                commands.told(bench, service)
        outage.away(seconds, every)
        return outage.recover()


def _stack(dependency: str, closing: ExitStack) -> tuple[dict[str, str], Server | None]:
    environment = {"BACKSTAY_SECRET_KEYS": KeyRing.generate_text()}
    made: dict[str, Callable[[], Server]] = {
        "database": PostgresServer, "redis": RedisServer, "rabbitmq": RabbitServer, "store": RgwServer
    }  # fmt: skip
    if dependency not in made:
        return environment, None
    server = made[dependency]()
    closing.callback(server.close)
    server.start()
    if isinstance(server, PostgresServer):
        environment["DATABASE_URL"] = closing.enter_context(server.fresh_database())
    elif isinstance(server, RedisServer):
        environment["BROKER_URL"] = f"redisstream{server.url.removeprefix('redis')}"
    elif isinstance(server, RabbitServer):
        environment["BROKER_URL"] = server.url
    elif isinstance(server, RgwServer):
        os.environ.update(credentials(server))  # boto3 reads them there
        environment["BACKSTAY_STORE_URL"] = store_url_of(server, fresh_bucket(server))
    return environment, server


def _register(bench: Bench, service: str, apps: Path, *, of_region: bool) -> None:
    if of_region:
        commands.installed(bench, service)
        return
    grow(apps / service, files=20)
    bench.ask(service, "register-service", {"node": "chaos-1"})


def _wait(finished: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not finished():
        if time.monotonic() > until:
            raise SystemExit("the node did not work off the preparation")
        time.sleep(0.5)


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench.recovery", description=__doc__)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--every", type=float, default=5.0)
    options.add_argument("--only", choices=list(DEPENDENCIES), action="append")
    options.add_argument("--one", choices=list(DEPENDENCIES), help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.one:
        print(json.dumps(one(chosen.one, chosen.minutes * 60, chosen.every)))
        return 0
    wanted = chosen.only or list(DEPENDENCIES)
    shared = ["--minutes", str(chosen.minutes), "--every", str(chosen.every)]
    running = {
        name: subprocess.Popen([sys.executable, "-m", "bench.recovery", "--one", name, *shared], stdout=subprocess.PIPE)
        for name in wanted
    }
    print("| away | stack | commands | s until the server answers | s to the first outcome "
          "| s until all had ended and were told | ends | MiB |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|")
    unlike = 0
    for name, process in running.items():
        said, _ = process.communicate()
        if process.returncode:
            print(f"| {name} | {DEPENDENCIES[name]} | could not go on | | | | | |")
            continue
        got = json.loads(said)
        ends = ", ".join(f"{count} {state}" for state, count in sorted(got["ends"].items()))
        figures = (got["commands"], got["answered"], got["first"], got["all"], ends, got["memory"])
        print(f"| {name} | {DEPENDENCIES[name]} | {' | '.join(map(str, figures))} |", flush=True)
        unlike += got["ends"] != {State.SUCCEEDED.value: got["commands"]}
    return 1 if unlike or any(process.returncode for process in running.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
