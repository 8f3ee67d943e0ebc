"""One stack under proof: a database, a broker, a store and a region, with services that belong to one case each.

Apart from `tests/chaos/world.py`, which copies a whole world for every death, because servers cannot be copied: here
each case has a service of its own in the same world, and its promises are about that service only.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, MetaData, NullPool, create_engine, select

from domain.errors import BackstayError
from domain.operation import TERMINAL, Operation, State
from storage.flock import holder_of
from tests.acceptance.terms import REGION_TENANT
from tests.chaos.victim import PATIENCE, Death, End, end_of, run_node, start_node
from tests.chaos.world import SECRET, SOURCE, TENANT, command, settings_of
from tests.fakes.region import RegionDouble
from tests.prove.listener import ENDS, Listener
from tests.prove.scanner import Scanner, files
from workers.bootstrap import System
from workers.border import Publisher
from workers.config import Settings

#: How messages end that wait for a node that does not exist.
WAITING = "/waiting"


@dataclass(frozen=True, slots=True)
class Known:
    """A row of garbage; times in UTC milliseconds."""

    key: str
    is_prefix: bool
    created_at: int
    not_before: int

    @property
    def rested(self) -> bool:
        """Whether it was not to be removed at once."""
        return self.not_before > self.created_at

    def due_seconds(self) -> float:
        """For how long it may have been removed, negative before that; the databases here go by this host's clock."""
        return time.time() - self.not_before / 1000

    def covers(self, key: str) -> bool:
        """Whether that object goes with the row, unless it is a live pack."""
        return key.startswith(self.key) if self.is_prefix else key == self.key


class Bench:
    """Made once for each process of a proof; forks nodes, and must therefore hold no threads."""

    def __init__(self, home: Path, region: RegionDouble, environment: dict[str, str], *, fenced: bool = True) -> None:
        self.home, self.region = home, region
        home.mkdir(parents=True, exist_ok=True)
        self.old = home / "old-archives"
        self.old.mkdir(exist_ok=True)
        regions = {
            "eu-1": {
                "url": region.url, "fenced": fenced, "settle_seconds": 0.2, "call_seconds": 2.0, "connect_seconds": 1.0,
                "retry_seconds": 1.0, "tenants": {TENANT: {"name": TENANT, "id": REGION_TENANT}},
            }
        }  # fmt: skip
        places = {"old": {"url": f"file://{self.old}", "tenants": [TENANT]}}
        self._environment = {
            "BACKSTAY_REGIONS": json.dumps(regions),
            "BACKSTAY_PLACES": json.dumps(places),
            **environment,
        }
        self.settings = self.settings_with()
        self.system = System(self.settings)
        self.system.database.migrate()
        self.publisher = Publisher(self.settings.broker_url)
        self.listener = Listener(self.settings.broker_url, "bench.heard")
        self.notes: dict[str, Any] = {}  # what a scenario wants to know of a service when it checks it
        self.cancelled: set[str] = set()
        self._asked: dict[str, list[str]] = {}
        self._events: dict[str, dict[str, Any]] = {}

    def environment(self, **overrides: str) -> dict[str, str]:
        """What a node that is a program of its own is started with."""
        return {
            "BACKSTAY_DATA_DIR": str(self.home / "data"),
            "BACKSTAY_READER_GRACE_SECONDS": "0",
            "BACKSTAY_LOG_LEVEL": "info",
            **self._environment,
            **overrides,
        }

    def settings_with(self, **overrides: str) -> Settings:
        """This stack's settings, with some changed."""
        return settings_of(self.home / "data", **{**self._environment, **overrides})

    def close(self) -> None:
        """Close what was opened; the servers are somebody else's."""
        self.publisher.close()
        self.system.close()

    # ------------------------------------------------------------ messages
    def ask(self, service: str, kind: str, data: dict[str, Any], name: str = "") -> str:
        """Publish a command about a service; its message id."""
        message = f"{service}/{name or kind}"
        self._events[message] = command(kind, message, data) | {"subject": f"tenant/{TENANT}/service/{service}"}
        self.repeat(message)
        self._asked.setdefault(service, []).append(message)
        return message

    def repeat(self, message: str) -> None:
        """Publish it once more with the same id, as a publisher does who has heard nothing."""
        self.publisher.command(self._events[message])

    def note_asked(self, service: str, message: str) -> None:
        """A message about a service that was published by other means."""
        self._asked.setdefault(service, []).append(message)

    def found(self, service: str, name: str) -> Operation:
        """The operation of a message of that service."""
        found = self.system.database.find_by_message(SOURCE, f"{service}/{name}")
        assert found is not None, f"{service}/{name} was lost"
        return found

    def asked(self, service: str) -> list[str]:
        """All messages about a service."""
        return self._asked.get(service, [])

    # ------------------------------------------------------------ nodes
    def over(self, messages: list[str], system: System) -> bool:
        """Every one of them has ended or is STUCK, and every event is told. What waits for a node that does not exist
        need only be accepted, for as long as nobody cancels it."""
        ends = {message for message in messages if not (message.endswith(WAITING) and message not in self.cancelled)}
        try:
            found = {message: system.database.find_by_message(SOURCE, message) for message in messages}
            told = system.database.outbox.waiting()[0] == 0
        except BackstayError:  # who cannot be asked has not said that it is over
            return False
        return told and all(
            operation is not None and (operation.state in (*TERMINAL, State.STUCK) or message not in ends)
            for message, operation in found.items()
        )

    def run(self, messages: list[str], death: Death | None = None, **options: Any) -> End:
        """A node that works until they are over, or dies there."""
        return run_node(
            self.settings, partial(self.over, messages), self.home / "trace", death, log=self.home / "log", **options
        )

    def start(self, messages: list[str], settings: Settings, name: str, death: Death | None, **options: Any) -> int:
        """The same without waiting; `name` tells the traces of several nodes apart."""
        finished = partial(self.over, messages)
        return start_node(settings, finished, self.home / name, death, log=self.home / "log", **options)

    def end(self, pid: int, name: str) -> End:
        """Wait for one that was started."""
        return end_of(pid, self.home / name)

    # ------------------------------------------------------------ what the database says
    @cached_property
    def _tables(self) -> dict[str, Any]:
        tables = MetaData()
        tables.reflect(self._engine)
        return dict(tables.tables)

    @cached_property
    def _engine(self) -> Engine:
        # No pool: a node that is forked must not share a connection with this process.
        return create_engine(self.settings.database_url, poolclass=NullPool)

    def ends_told(self, op_id: str) -> list[str]:
        """Topics of the events that tell its end."""
        outbox = self._tables["outbox"]
        with self._engine.connect() as connection:
            topics = connection.scalars(select(outbox.c.topic).where(outbox.c.op_id == op_id)).all()
        return [topic for topic in topics if topic.split(".")[-2] in ENDS]

    def unheard(self, messages: list[str]) -> list[str]:
        """I5: of these, ends that have not arrived at a listener, or have arrived as something else."""
        find = partial(self.system.database.find_by_message, SOURCE)
        found = {message: operation for message in messages if (operation := find(message)) is not None}
        ended = {message: one for message, one in found.items() if one.state in (*TERMINAL, State.STUCK)}
        self.listener.misses({one.op_id for one in ended.values()})
        bad = []
        for message, one in ended.items():
            heard, how = self.listener.ends(one.op_id), one.state.lower().replace("_", "-")
            if heard != [how] and not self.listener.lost(one.op_id):
                bad.append(f"{message} ended as {one.state}, and what a listener has heard is {heard}")
        return bad

    def operations_of(self, messages: list[str]) -> Counter[str]:
        """How many operations each message has become."""
        operation = self._tables["operation"]
        with self._engine.connect() as connection:
            rows = connection.scalars(select(operation.c.message_id).where(operation.c.message_id.in_(messages))).all()
        return Counter(rows)

    @property
    def embedded(self) -> bool:
        """Whether the database is a file."""
        return self._engine.dialect.name == "sqlite"

    def locked_by(self, pid: int, op_ids: list[str]) -> bool:
        """Whether that node, the only one and frozen, keeps others from these operations by a lock of the database: the
        file's, or of a row that a claim would change and therefore leaves out."""
        if self.embedded:
            holder = holder_of(f"{self._engine.url.database}.lock")
            return holder is not None and holder.pid == pid
        operation = self._tables["operation"]
        asked = select(operation.c.op_id).where(operation.c.op_id.in_(op_ids))
        with self._engine.connect() as connection:
            free = connection.scalars(asked.with_for_update(skip_locked=True)).all()
        return len(free) < len(op_ids)

    def why_waiting(self, op_id: str) -> str:
        """Code and sentence of why its last attempt left it waiting; "" while there is none."""
        operation = self._tables["operation"]
        asked = select(operation.c.error_code, operation.c.error_sentence).where(operation.c.op_id == op_id)
        with self._engine.connect() as connection:
            code, sentence = connection.execute(asked).one()
        return f"{code}: {sentence}" if sentence else ""

    def garbage(self) -> list[Known]:
        """What is to be removed when its time is over. No stack here has a replica, for which some of it would wait."""
        with self._engine.connect() as connection:
            rows = connection.execute(select(self._tables["garbage"])).all()
        return [Known(row.object_key, bool(row.is_prefix), row.created_at, row.not_before) for row in rows]

    def forget(self, snapshot_id: str) -> None:
        """The catalogue loses a snapshot, as after a database that was restored from an older copy."""
        link, pack, snapshot = (self._tables[name] for name in ("snapshot_pack", "pack", "snapshot"))
        with self._engine.begin() as connection:
            packs = connection.scalars(select(link.c.pack_key).where(link.c.snapshot_id == snapshot_id)).all()
            for table in (self._tables["snapshot_label"], link):
                connection.execute(table.delete().where(table.c.snapshot_id == snapshot_id))
            connection.execute(pack.delete().where(pack.c.pack_key.in_(packs)))
            connection.execute(snapshot.delete().where(snapshot.c.snapshot_id == snapshot_id))

    def secrets_found(self) -> list[str]:
        """Where the marked secret can be read, however it was written: rows, objects, files, logs. The region is told
        it and is left out."""
        return Scanner({"marked secret": SECRET}).places(self._kept())

    def _kept(self) -> Iterator[tuple[str, bytes]]:
        with self._engine.connect() as connection:
            for name, table in self._tables.items():
                for row in connection.execute(select(table)):
                    for value in row:
                        plain = bytes(value) if isinstance(value, memoryview | bytes) else str(value).encode()
                        yield f"table {name}", plain
        for info in self.system.store.list("tenants/"):
            yield f"object {info.key}", self.system.store.get(info.key)
        yield from files(self.home)


@contextmanager
def bench_at(home: Path, **environment: str) -> Iterator[Bench]:
    """One beside a region of its own, with fences; the embedded stack, but for what `environment` says."""
    with RegionDouble(fenced=True) as region:
        made = Bench(home, region, environment)
        yield made
        made.close()


__all__ = ["PATIENCE", "SECRET", "SOURCE", "TENANT", "Bench", "Known", "bench_at"]
