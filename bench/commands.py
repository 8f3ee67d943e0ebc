"""Commands per second, and how long one takes, against raw dramatiq and raw Celery in the same run.

    python -m bench.commands [--count 3000] [--rounds 3]

For RabbitMQ and Redis with SQLite and PostgreSQL: `accepted/s` counts rows committed in the inbox while
the node also works, `ended/s` counts settled outcomes. Celery acknowledges late; dramatiq confirms. One
process, four threads each, everything published beforehand. Prints a Markdown table of medians.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from storage.sealing import KeyRing
from storage.sql import open_database
from tests.servers.postgres import PostgresServer
from tests.servers.rabbitmq import RabbitServer
from tests.servers.redis import RedisServer
from workers.border import Publisher

HOME = Path(__file__).parents[1]
SERVICES = 200


@dataclass(frozen=True, slots=True)
class Rates:
    """One measurement; messages per second."""

    published: float
    accepted: float
    ended: float


def command(number: int) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": f"m-{number}",
        "source": "/bench",
        "type": "backstay.noop.v1",
        "subject": f"tenant/bench/service/s{number % SERVICES}",
        "data": {},
    }


class Node:
    """A no-op node on the given servers, in a directory of its own."""

    def __init__(self, broker_url: str, database_url: str | None) -> None:
        self.home = tempfile.TemporaryDirectory(prefix="backstay-bench-")
        keys = KeyRing.generate_text()
        self.environment = os.environ | {
            "BACKSTAY_DATA_DIR": self.home.name,
            "BROKER_URL": broker_url,
            "BACKSTAY_NODE": "bench-1",
            "BACKSTAY_THREADS": "4",
            "BACKSTAY_BACKLOG_LIMIT": "1000000",
            "BACKSTAY_SECRET_KEYS": keys,
        }
        url = database_url or f"sqlite:///{self.home.name}/backstay.db"
        self.environment["DATABASE_URL"] = url
        self.database = open_database(url, KeyRing.parse(keys))
        self.database.migrate()

    def __enter__(self) -> Node:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.noop_node"], env=self.environment, cwd=HOME, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.process.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()
        self.database.close()
        self.home.cleanup()

    def counts(self) -> tuple[int, int]:
        """Accepted and ended so far."""
        by_state = self.database.counts()["operations"]
        total = sum(by_state.values())
        return total, sum(n for (_, state), n in by_state.items() if state == "SUCCEEDED")


def throughput(broker_url: str, database_url: str | None, count: int) -> Rates:
    """Publish everything, then start the node and watch it."""
    node = Node(broker_url, database_url)
    publisher = Publisher(broker_url)
    began = time.monotonic()
    for number in range(count):
        publisher.command(command(number))
    published = count / (time.monotonic() - began)
    publisher.close()
    with node:
        began = time.monotonic()
        accepted_at = 0.0
        while True:
            accepted, ended = node.counts()
            now = time.monotonic() - began
            if accepted >= count and not accepted_at:
                accepted_at = now
            if ended >= count:
                return Rates(published, count / accepted_at, count / now)
            time.sleep(0.1)  # counting rows is work for the node's database too


def latency(broker_url: str, database_url: str | None, rate: int, seconds: int) -> tuple[float, float]:
    """p50 and p99 in milliseconds from publish to settled outcome, at a steady rate on an idle system."""
    with Node(broker_url, database_url) as node:
        publisher = Publisher(broker_url)
        sent: dict[str, float] = {}
        began = time.time()
        for number in range(rate * seconds):
            time.sleep(max(0.0, began + number / rate - time.time()))
            sent[f"m-{number}"] = time.time() * 1000
            publisher.command(command(number))
        while node.counts()[1] < len(sent):
            time.sleep(0.05)
        found = node.database.list_operations(limit=len(sent))
        waits = sorted(o.updated_at - sent[o.message_id] for o in found if o.message_id in sent)
        publisher.close()
        return waits[len(waits) // 2], waits[int(len(waits) * 0.99)]


def peer(name: str, broker_url: str, count: int) -> tuple[float, float]:
    """Published and worked per second by a peer."""
    with tempfile.TemporaryDirectory() as scratch:
        environment = os.environ | {
            "BENCH_BROKER": broker_url.replace("redisstream", "redis"),
            "BENCH_COUNT": str(count),
            "BENCH_DONE": f"{scratch}/done",
        }
        run = subprocess.run(
            [sys.executable, "-m", "bench.peers", name],
            env=environment,
            cwd=HOME,
            capture_output=True,
            text=True,
            check=False,
        )
    if run.returncode:
        raise SystemExit(f"{name} failed: {run.stderr[-2000:]}")
    figures = dict(line.split() for line in run.stdout.splitlines() if line.startswith(("published", "worked")))
    return count / float(figures["published"]), count / float(figures["worked"])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--count", type=int, default=3000)
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    postgres, rabbit, redis = PostgresServer(), RabbitServer(), RedisServer()
    for server in (postgres, rabbit, redis):
        server.start()
    try:
        print("| broker | system | published/s | accepted/s | ended/s | accepted ÷ Celery | p50 / p99 ms at 100/s |")
        print("|---|---|---|---|---|---|---|")
        for broker, server, url in (
            ("RabbitMQ", rabbit, rabbit.url),
            ("Redis", redis, redis.url.replace("redis://", "redisstream://")),
        ):
            _compare(broker, server, url, postgres, chosen.count, chosen.rounds)
    finally:
        for server in (postgres, rabbit, redis):
            server.close()


def _compare(
    broker: str, server: RabbitServer | RedisServer, url: str, postgres: PostgresServer, count: int, rounds: int
) -> None:
    celery: list[tuple[float, float]] = []
    dramatiq: list[tuple[float, float]] = []
    ours: dict[str, list[Rates]] = {"SQLite": [], "PostgreSQL": []}
    for _ in range(rounds):
        for rates in (celery, dramatiq):
            server.empty()
            rates.append(peer("celery" if rates is celery else "dramatiq", url, count))
        for name, rates_of in ours.items():
            server.empty()
            with _database(name, postgres) as database:
                rates_of.append(throughput(url, database, count))
    base = statistics.median(worked for _, worked in celery)
    for name, figures in (("Celery, acks late", celery), ("dramatiq", dramatiq)):
        published, worked = (statistics.median(column) for column in zip(*figures, strict=True))
        print(f"| {broker} | {name} | {published:,.0f} | – | {worked:,.0f} | | |", flush=True)
    for name, rates_of in ours.items():
        server.empty()
        with _database(name, postgres) as database:
            p50, p99 = latency(url, database, 100, 5)
        accepted = statistics.median(r.accepted for r in rates_of)
        print(
            f"| {broker} | Backstay, {name} | {statistics.median(r.published for r in rates_of):,.0f} "
            f"| {accepted:,.0f} | {statistics.median(r.ended for r in rates_of):,.0f} | {accepted / base:.1f} "
            f"| {p50:.0f} / {p99:.0f} |",
            flush=True,
        )


def _database(name: str, postgres: PostgresServer) -> contextlib.AbstractContextManager[str | None]:
    return postgres.fresh_database() if name == "PostgreSQL" else contextlib.nullcontext()


if __name__ == "__main__":
    main()
