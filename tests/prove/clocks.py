"""Wrong clocks under real nodes: hours and days off, jumping forward and back, running two or twenty times too fast.

libfaketime changes the wall clock of a process, and leaves alone what measures durations: only that jumps on a real
host. On the stack with PostgreSQL each node has a wrong clock of its own and the database a right one. Embedded, the
nodes' clock is the database's too. Load and audit are those of the soak; besides, a retention policy is in force that
must delete nothing, schedules ask once for each minute, and a far deadline passes for nobody.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from domain.due import stamp
from domain.errors import BackstayError
from domain.operation import Operation, State
from domain.snapshot import SnapshotState
from storage.sealing import KeyRing
from tests.chaos.world import TENANT, command
from tests.fakes.region import RegionDouble
from tests.prove.bench import Bench
from tests.prove.nodes import Node
from tests.prove.parted import audited
from tests.prove.soak import LEASE, NAMES, OPEN, PATIENCE, Soak
from tests.prove.stacks import Servers
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
HOUR, DAY = 3600, 86_400
#: What the clock of a node says, as libfaketime reads it: seconds off, or a speed.
OWN = ("+0", f"-{3 * HOUR}", f"+{3 * HOUR}", f"-{30 * DAY}", f"+{40 * DAY}", "+0 x20")
#: The same where it is the database's as well: there a day more or less is one for retention too, and
#: a lease is over sooner by the speed.
SHARED = ("+0", "-600", "+600", f"-{3 * HOUR}", f"+{3 * HOUR}", "+0 x2")
#: So many services have a retention policy and a schedule.
KEEPING = 4
#: Seconds in which another scheduler has taken over and asked for what its predecessor left: its lease, and more.
MAKE_UP = 60.0
#: What the source of a command has that a schedule asked for.
SCHEDULE = "/schedule"
#: Under libfaketime time.sleep fails: the kernel is asked to sleep until a moment of a clock that is not faked.
SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], max(0.0, seconds))\n"


def missing() -> str:
    """What this machine lacks; empty when it lacks nothing."""
    return "" if LIBRARY.exists() else "not installed: faketime"


class Clocks(Soak):
    """The soak with one fault: a clock jumps."""

    def __init__(self, bench: Bench, seed: int, *, shared: bool) -> None:
        super().__init__(bench, Servers(), seed)
        self.rates = SHARED if shared else OWN
        #: By a right clock: when schedules may first have been there, surely were, still must ask, and may no more.
        self.opened = self.began = self.rested = self.closed = time.time()
        self.scheduled, self.judged = 0, ""
        self.files = [bench.home / f"clock-{name}" for name in NAMES]
        if shared:
            self.files[1] = self.files[0]
        self.present = dict.fromkeys(self.files, "+0")
        self.jumps = set[tuple[str, str, str]]()  # which clock, from what, to what
        site = prepared(bench.home)
        self.nodes = []
        for name, file in zip(NAMES, self.files, strict=True):
            set_clock(file, "+0")
            more = faked(site, file) | {"BACKSTAY_APPS_ROOT": str(self.apps[name])}
            environment = bench.environment(BACKSTAY_LEASE_SECONDS=str(LEASE), **more)
            self.nodes.append(Node(name, environment, bench.home / f"{name}.log"))

    def prepare(self) -> None:
        """What must not be done at a wrong time: retention, schedules."""
        super().prepare()
        self.opened = time.time()
        for service in self.services[:KEEPING]:
            if self.rates is OWN:
                self.bench.ask(service, "set-retention", {"policy": {"within_days": 2}})
            # Where time itself jumps, every minute of hours would be made up for.
            exact = {"catch_up": "all", "coalesce": False} if self.rates is OWN else {}
            wish = {"kind": "create-snapshot", "service": service, "cron": "* * * * *"}
            self.bench.ask(service, "set-schedule", wish | exact)
        self._all_over()
        self.began = time.time()

    def _fault(self) -> None:
        file = self.draw.choice(self.files)
        rate = self.draw.choice(self._new(file) or [rate for rate in self.rates if rate != self.present[file]])
        set_clock(file, rate)
        self.jumps.add((file.name, self.present[file], rate))
        self.present[file] = rate
        self.faults[rate] += 1
        if self.rates is OWN:
            self._ask_in_time("create-snapshot")
            self._ask_in_time("apply-retention")

    def _new(self, file: Path) -> list[str]:
        """Where that clock has not yet jumped to from where it is."""
        before = self.present[file]
        return [rate for rate in self.rates if rate != before and (file.name, before, rate) not in self.jumps]

    def _ask_in_time(self, kind: str) -> None:
        """A command that must begin within ten minutes, and would if nobody asked a wrong clock."""
        service, message = self.draw.choice(self.services[:KEEPING]), f"{kind}/{sum(self.faults.values())}"
        until = datetime.fromtimestamp(time.time() + 600, UTC).isoformat()
        more = {"subject": f"tenant/{TENANT}/service/{service}", "deadline": until}
        with suppress(BackstayError):  # not confirmed: not accepted
            self.bench.publisher.command(command(kind, message, {}) | more)
            self.messages.append(message)
            self.bench.note_asked(service, message)

    def run(self, seconds: float) -> None:
        """As the soak; then the clocks go right again, schedules rest, and retention is applied once more."""
        super().run(seconds)
        for file in self.files:
            set_clock(file, "+0")
        self.rested = time.time()
        until = time.monotonic() + MAKE_UP
        while self.rates is OWN and not self._all_asked() and time.monotonic() < until:
            time.sleep(0.5)
        for service in self.services[:KEEPING]:
            self.bench.ask(service, "pause-schedule", {"reason": "the proof is over"})
            if self.rates is OWN:
                self.bench.ask(service, "apply-retention", {}, "in the end")
        self.ended = self._all_over() and self.ended
        self.closed, until = time.time(), time.monotonic() + PATIENCE
        while self.ended and self.bench.system.database.list_operations(states=OPEN, limit=1):  # schedules asked too
            self.ended = time.monotonic() < until
            time.sleep(0.5)

    def _wish(self) -> tuple[str, str, dict[str, Any]]:
        """Nothing is deleted by command, so that whatever is gone was deleted by retention."""
        service, kind, data = super()._wish()
        return (service, "create-snapshot", {}) if kind == "delete-snapshot" else (service, kind, data)

    def wrong(self) -> list[str]:
        """What a wrong time of day has done and must not have."""
        database, bad = self.bench.system.database, []
        operations = self._operations()
        bad += [f"{one.message_id} ran out of time" for one in operations if one.error_code == "deadline-exceeded"]
        for one in operations:
            if one.kind != "create-snapshot" or one.state is not State.SUCCEEDED:
                continue
            row = database.catalogue.get(one.op_id)
            if row is None or row.state is SnapshotState.DELETING:
                bad.append(f"snapshot {one.op_id} was deleted by nobody")
            elif self.rates is OWN and not one.created_at <= row.taken_at <= one.updated_at:
                bad.append(f"snapshot {one.op_id} is dated {row.taken_at}, its operation {one.created_at}")
        return bad + self._out_of_time([one for one in operations if SCHEDULE in one.source])

    def _out_of_time(self, asked: list[Operation]) -> list[str]:
        """Of every schedule; and in words, which minutes were judged."""
        self.scheduled, bad = len(asked), list[str]()
        wanted = minutes(self.began, self.rested) if self.rates is OWN else []
        self.judged = f"each of {len(wanted)} nominal minutes of {KEEPING} schedules judged"
        if self.rates is not OWN:
            self.judged = "schedules judged by what is asked for twice: time itself has jumped"
        elif not wanted:
            self.judged = "schedules not judged: no nominal minute in so short a time"
        may_be = minutes(self.opened, self.closed) if self.rates is OWN else None
        for service in self.services[:KEEPING]:
            times = Counter(nominal(one) for one in asked if one.service_id == service)
            bad += mistimed(service, times, wanted, list(times) if may_be is None else may_be)
        return bad

    def _all_asked(self) -> bool:
        """Whether what must have been asked for has been."""
        wanted = {(service, at) for service in self.services[:KEEPING] for at in minutes(self.began, self.rested)}
        return wanted <= {(one.service_id, nominal(one)) for one in self._operations() if SCHEDULE in one.source}

    def _operations(self) -> list[Operation]:
        found, before = list[Operation](), None
        while page := self.bench.system.database.list_operations(limit=200, before=before):
            found += page
            before = page[-1].op_id
        return found


def minutes(after: float, until: float) -> list[str]:
    """The nominal minutes between two moments of a right clock, as schedules write them."""
    return [stamp(minute * 60_000) for minute in range(math.floor(after / 60) + 1, math.floor(until / 60) + 1)]


def mistimed(service: str, times: Counter[str], wanted: Sequence[str], may_be: Sequence[str]) -> list[str]:
    """Minutes for which a schedule has asked more than once, or has not asked, or which it had no business with."""
    return [
        *(f"{service}: {at} was asked for {count} times" for at, count in times.items() if count > 1),
        *(f"{service}: {at} was never asked for" for at in wanted if at not in times),
        *(f"{service}: {at} was asked for, when there was no schedule" for at in times if at not in may_be),
    ]


def nominal(asked: Operation) -> str:
    """The time for which a schedule has asked for it."""
    return asked.message_id.split("/")[1]


def prepared(home: Path) -> Path:
    """A folder with what Python must load to sleep under libfaketime."""
    (home / "site").mkdir()
    (home / "site" / "sitecustomize.py").write_text(SLEEP)
    return home / "site"


def set_clock(file: Path, rate: str) -> None:
    """From now on the programs that read it go by that."""
    file.with_suffix(".new").write_text(f"{rate}\n")
    os.replace(file.with_suffix(".new"), file)


def faked(site: Path, file: Path) -> dict[str, str]:
    """The environment of a process whose wall clock is what the file says."""
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "PYTHONPATH": os.pathsep.join((str(site), os.getcwd())),
    }


def run(home: Path, seconds: float, seed: int, *, shared: bool) -> tuple[Clocks, list[str]]:
    """Jumps until the time is over, then the audit; what is wrong. `shared`: the database goes by the same clock."""
    with ExitStack() as closing:
        environment = {} if shared else _servers(closing)
        region = closing.enter_context(RegionDouble(fenced=True))
        made = Clocks(Bench(home, region, environment), seed, shared=shared)
        return made, audited(made, seconds, made.wrong)


def _servers(closing: ExitStack) -> dict[str, str]:
    postgres, redis = PostgresServer(), RedisServer()
    for server in (postgres, redis):
        closing.callback(server.close)
        server.start()
    return {
        "DATABASE_URL": closing.enter_context(postgres.fresh_database()),
        "BROKER_URL": f"redisstream{redis.url.removeprefix('redis')}",
        "BACKSTAY_SECRET_KEYS": KeyRing.generate_text(),
    }
