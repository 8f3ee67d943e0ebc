"""What a hundred thousand commands at once do to a node, and to whoever else asks for something meanwhile.

    python -m bench.overload [--count 100000] [--stack spool|redis|rabbit] [--minutes 5]

Apart from bench/commands.py because it is about the worst second and not about the rate: one tenant publishes all
before the node starts; then a small tenant's command, another kind of the same tenant and a cancel are published
every few seconds. A command is timed from publishing to its outcome, a cancel from publishing to the end of what it
cancels, which waits for a node that does not exist. The node does nothing for a command, so that the queue is measured
and not the work. Prints lines of a Markdown table; ends with 1 when not all was accepted, when the node took more than
400 MiB, or when a probe was never heard of.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.noop_node import KNOWN
from domain.message import Envelope
from domain.operation import TERMINAL, State
from storage.sealing import KeyRing
from storage.sql import open_database
from tests.servers.postgres import PostgresServer
from tests.servers.rabbitmq import RabbitServer
from tests.servers.redis import RedisServer
from workers.border import Publisher
from workers.judge import judge_with

HOME = Path(__file__).parents[1]
STACKS = {"spool": "SQLite, spool", "redis": "PostgreSQL, Redis Streams", "rabbit": "PostgreSQL, RabbitMQ"}
SERVICES = 200
#: Seconds between looks, and between rounds of probes; no round begins before the last one has ended.
LOOK_EVERY, PROBE_EVERY = 1.0, 5.0
#: MiB that a node may take, however much waits.
MOST_MIB = 400
#: What is asked for beside the flood: name, kind, tenant.
PROBES = (
    ("another tenant", "noop", "small"),
    ("another kind", "urgent", "flood"),
    ("cancel", "cancel-operation", "small"),
)


def command(name: str, kind: str, tenant: str, service: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """A command of this benchmark."""
    return {
        "specversion": "1.0",
        "id": name,
        "source": "/bench",
        "type": f"backstay.{kind}.v1",
        "subject": f"tenant/{tenant}/service/{service}",
        "data": data or {},
    }


@dataclass
class Seen:
    """What was seen while the backlog was worked off."""

    rows: list[tuple[float, int, int, float]] = field(default_factory=list)  # seconds, accepted, ended, MiB
    waits: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name, _, _ in PROBES})
    heard: set[str] = field(default_factory=set)  # probes that came to their outcome, at least once
    figures_ms: list[float] = field(default_factory=list)

    def rate(self, column: int, first: float, last: float) -> float:
        """Per second, between two shares of the time."""
        rows = [row for row in self.rows if first * self.rows[-1][0] <= row[0] <= last * self.rows[-1][0]]
        spent = rows[-1][0] - rows[0][0]
        return (float(rows[-1][column]) - float(rows[0][column])) / spent if spent else 0.0

    def accepting(self, count: int) -> tuple[float, float]:
        """Seconds until all were accepted, and how many a second that is; infinite if that was not seen."""
        done = next((row[0] for row in self.rows if row[1] >= count), float("inf"))
        return done, count / done


class Overload:
    """One flood on one pair of broker and database."""

    def __init__(self, broker_url: str, database_url: str | None, home: Path) -> None:
        keys = KeyRing.generate_text()
        url = database_url or f"sqlite:///{home}/backstay.db"
        self.environment = os.environ | {
            "BACKSTAY_DATA_DIR": str(home),
            "BROKER_URL": broker_url,
            "DATABASE_URL": url,
            "BACKSTAY_NODE": "bench-1",
            "BACKSTAY_SECRET_KEYS": keys,
        }
        self.database = open_database(url, KeyRing.parse(keys))
        self.database.migrate()
        self.publisher, self.spool = Publisher(broker_url), home / "spool"
        self.publisher.command(command("first", "noop", "flood", "s0"))
        self._asked: dict[str, tuple[str, float]] = {}  # probes under way: name, when
        self._besides = 1  # what was published and is not of the flood: the first command, and all probes

    def publish(self, count: int) -> float:
        """The flood; messages per second. Into a spool as any program may, by files, without waiting for the disk."""
        began = time.monotonic()
        new = self.spool / "backstay.inbox" / "new"
        for number in range(count):
            event = command(f"f-{number}", "noop", "flood", f"s{number % SERVICES}")
            if new.is_dir():
                (new / f"{number:020d}.flood").write_text(json.dumps(event))
            else:
                self.publisher.command(event)
        return count / (time.monotonic() - began)

    @contextlib.contextmanager
    def node(self) -> Iterator[int]:
        """A node's process while it runs; its id."""
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.noop_node"], env=self.environment, cwd=HOME, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    def watch(self, count: int, seconds: float) -> tuple[Seen, float]:
        """Until everything has ended or the time is over; what was seen, and the most memory in MiB."""
        seen = Seen()
        with self.node() as pid:
            began, look_at, probe_at = time.monotonic(), 0.0, 0.0
            while (now := time.monotonic() - began) < seconds:
                if now >= look_at:
                    look_at = now + LOOK_EVERY
                    seen.figures_ms.append(_milliseconds(lambda: self.database.figures(200)))
                    by_state = self.database.counts()["operations"]
                    ended = sum(n for (_, state), n in by_state.items() if state in TERMINAL)
                    accepted, besides = sum(by_state.values()), self._besides
                    memory = _memory(pid, "VmRSS")
                    seen.rows.append((now, max(0, accepted - besides), max(0, ended - besides), memory))
                    if ended >= count + besides:
                        break
                if now >= probe_at and not self._asked:
                    probe_at = now + PROBE_EVERY
                    self._probe(round(now))
                self._hear(seen)
                time.sleep(0.02)
            for name, sent in self._asked.values():
                seen.waits[name].append(time.monotonic() - sent)  # at least so long
            return seen, _memory(pid, "VmHWM")

    def _probe(self, number: int) -> None:
        """One command of each probe at once."""
        for name, kind, tenant in PROBES:
            message = f"{name}-{number}"
            heard, data = message, dict[str, Any]()
            if kind == "cancel-operation":
                heard, data = f"waits-{number}", {"operation_id": self._waiting(f"waits-{number}", tenant)}
            self._asked[heard] = (name, time.monotonic())
            self._besides += 1
            self.publisher.command(command(message, kind, tenant, f"probe-{kind}-{tenant}", data))

    def _waiting(self, message: str, tenant: str) -> str:
        """An operation that waits for a node that does not exist, not by way of the broker; its id."""
        event = command(message, "elsewhere", tenant, "probe-elsewhere")
        (receipt,) = self.database.inbox.accept([judge_with(KNOWN)(Envelope(json.dumps(event).encode()))])
        assert receipt.op_id is not None, receipt
        self._besides += 1
        return receipt.op_id

    def _hear(self, seen: Seen) -> None:
        """Note which probes have come to what was asked for."""
        for message, (name, sent) in list(self._asked.items()):
            found = self.database.find_by_message("/bench", message)
            if found is not None and found.state in TERMINAL:
                if name == "cancel" and found.state is not State.CANCELLED:
                    raise SystemExit(f"what was to be cancelled ended as {found.state}: {found.outcome}")
                seen.waits[name].append(time.monotonic() - sent)
                seen.heard.add(name)
                del self._asked[message]

    def close(self) -> None:
        """Close connections."""
        self.publisher.close()
        self.database.close()


def _memory(pid: int, which: str) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(which)).split()[1]) / 1024


def _milliseconds(ask: Callable[[], object]) -> float:
    began = time.perf_counter()
    ask()
    return (time.perf_counter() - began) * 1000


def tell(name: str, count: int, published: float, seen: Seen, peak: float) -> None:
    """Lines of the table."""
    took, rate = seen.accepting(count)
    early, late = seen.rate(2, 0.0, 0.2), seen.rate(2, 0.8, 1.0)
    print(f"| {name} | published/s | {published:,.0f} |")
    print(f"| | all accepted after s (per s) | {took:.0f} ({rate:,.0f}) |")
    print(f"| | ended/s in the first and the last fifth of {seen.rows[-1][0]:.0f} s | {early:.0f} / {late:.0f} |")
    print(f"| | accepted, ended, of {count:,} | {seen.rows[-1][1]:,}, {seen.rows[-1][2]:,} |")
    print(f"| | MiB at first, at most | {seen.rows[0][3]:.0f} / {peak:.0f} |")
    for probe, waits in seen.waits.items():
        if waits:
            print(f"| | {probe}: s to its outcome, median, most ({len(waits)}) "
                  f"| {statistics.median(waits):.2f} / {max(waits):.2f} |")  # fmt: skip
    print(f"| | figures for metrics, ms, median | {statistics.median(seen.figures_ms):.0f} |", flush=True)


def missed(count: int, seen: Seen, peak: float) -> list[str]:
    """What must hold whatever the machine is: all is taken in, within bounded memory, and who asks besides is heard."""
    accepted = seen.rows[-1][1]
    left = [] if accepted >= count else [f"{count - accepted:,} commands were not accepted in the time"]
    left += [f"the node took {peak:.0f} MiB"] if peak > MOST_MIB else []
    return left + [f"nobody has heard of {probe}" for probe in seen.waits.keys() - seen.heard]


def flood(stack: str, count: int, seconds: float) -> list[str]:
    """One flood on a stack of its own; what was missed."""
    with ExitStack() as closing:
        home = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="backstay-overload-")))
        broker_url, database_url = f"spool://{home}/spool", None
        if stack != "spool":
            postgres, broker = PostgresServer(), (RabbitServer() if stack == "rabbit" else RedisServer())
            for server in (postgres, broker):
                closing.callback(server.close)
                server.start()
            database_url = closing.enter_context(postgres.fresh_database())
            broker_url = broker.url.replace("redis://", "redisstream://")
        made = Overload(broker_url, database_url, home)
        closing.callback(made.close)
        published = made.publish(count)
        seen, peak = made.watch(count, seconds)
        tell(STACKS[stack], count, published, seen, peak)
        return [f"{STACKS[stack]}: {sentence}" for sentence in missed(count, seen, peak)]


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    options.add_argument("--count", type=int, default=100_000)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--stack", choices=list(STACKS), action="append")
    chosen = options.parse_args()
    print("| stack | | |\n|---|---|---|")
    found = [line for stack in chosen.stack or STACKS for line in flood(stack, chosen.count, chosen.minutes * 60)]
    print(*(f"MISSED {line}" for line in found), sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
