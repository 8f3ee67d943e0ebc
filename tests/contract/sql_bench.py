"""A bench for the SQL contract suites: one migrated database, a clock that stands still, short builders.

Apart from the suites so that each of them reads as behaviour. The sealer is a fake that is reversible,
refuses the wrong row, and hides its input from a search through raw bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from domain.audit import Actor
from domain.contracts import Accepted, Claim, Receipt, Rejected
from domain.errors import Damaged
from domain.identity import Subject
from domain.message import Command
from domain.operation import Operation, State
from domain.outcome import Change, Outcome
from domain.snapshot import Consistency, Label, Snapshot, SnapshotState
from storage.sql import Database, open_database
from storage.sql.tables import service_fence

LEASE = 60_000
ANN, BOB = Actor("ann", "cli"), Actor("bob", "console")


class FlippingSealer:
    """Flips every bit and appends what the value is bound to."""

    def __init__(self) -> None:
        self.lost_rows: set[str] = set()

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        return bytes(byte ^ 0xFF for byte in plain) + aad + len(aad).to_bytes(2, "big")

    def unseal(self, sealed: bytes, aad: bytes) -> bytes:
        end = len(sealed) - 2 - int.from_bytes(sealed[-2:], "big")
        if sealed[end:-2] != aad or aad.decode().rpartition("|")[2] in self.lost_rows:
            raise Damaged("a sealed value does not belong here")
        return bytes(byte ^ 0xFF for byte in sealed[:end])


def command(
    message_id: str,
    service: str = "web",
    *,
    kind: str = "create-snapshot",
    tenant: str = "acme",
    data: dict[str, Any] | None = None,
    source: str = "/console",
    **more: Any,
) -> Command:
    return Command(source, message_id, kind, 1, Subject(tenant, service), data or {}, **more)


def accepted(
    message_id: str,
    service: str = "web",
    *,
    digest: str = "same",
    exclusive: bool = True,
    local: bool = False,
    node: str | None = None,
    **more: Any,
) -> Accepted:
    return Accepted(command(message_id, service, **more), digest, exclusive, local, node)


def rejected(raw: bytes = b"{", **more: Any) -> Rejected:
    return Rejected(raw, "invalid", "field labels must be a list", **more)


def snapshot(snapshot_id: str, packs: tuple[str, ...] = (), **more: Any) -> Snapshot:
    values: dict[str, Any] = {
        "tenant_id": "acme",
        "service_id": "web",
        "state": SnapshotState.AVAILABLE,
        "taken_at": 1_000,
        "manifest_key": f"tenants/acme/services/web/snapshots/{snapshot_id}/manifest",
        "root_digest": "aa",
        "logical_bytes": 10,
        "stored_bytes": 5,
        "files": 1,
        "consistency": Consistency.STABLE,
        "include": ("configuration", "data"),
        "labels": (Label("owner", "42"),),
    }
    return Snapshot(snapshot_id=snapshot_id, packs=packs, **(values | more))


def pack_key(snapshot_id: str, token: str) -> str:
    return f"tenants/acme/packs/{snapshot_id}/{token}"


@dataclass
class Bench:
    """What the suites work with."""

    url: str
    database: Database
    sealer: FlippingSealer
    now: int = 1_800_000_000_000
    _names: Iterator[int] = field(default_factory=lambda: iter(range(1_000_000)))

    @classmethod
    @contextmanager
    def opened(cls, url: str, readers_ms: int = 0, *, rolled_back_letters: bool = False) -> Iterator[Bench]:
        sealer = FlippingSealer()
        database = open_database(
            url, sealer, clock_ms=lambda: bench.now, readers_ms=readers_ms, rolled_back_letters=rolled_back_letters
        )
        bench = cls(url, database, sealer)
        database.migrate()
        try:
            yield bench
        finally:
            database.close()

    def accept(self, *items: Accepted | Rejected) -> list[Receipt]:
        return self.database.inbox.accept(items)

    def accept_one(self, message_id: str = "", service: str = "web", **more: Any) -> str:
        (receipt,) = self.accept(accepted(message_id or f"auto-{next(self._names)}", service, **more))
        assert receipt.op_id is not None
        return receipt.op_id

    def claim(self, limit: int = 10, node: str = "n1", owner: str = "n1:1") -> list[Claim]:
        return self.database.ledger.claim(node, owner, limit, LEASE)

    def claim_one(self, **more: Any) -> Claim:
        (claim,) = self.claim(**more)
        return claim

    def running(self, service: str = "web", **more: Any) -> Claim:
        """A new operation, claimed."""
        op_id = self.accept_one(service=service, **more)
        return next(claim for claim in self.claim() if claim.operation.op_id == op_id)

    def succeed(self, claim: Claim, *changes: Change) -> None:
        self.database.ledger.settle(claim, Outcome.succeeded("done", changes=changes))

    def make(self, *changes: Change) -> None:
        """Settle an operation that makes these changes."""
        self.succeed(self.running(), *changes)

    def fail(self, claim: Claim, **more: Any) -> None:
        self.database.ledger.settle(claim, Outcome(State.FAILED, "it is broken", code="broken", **more))

    def get(self, op_id: str) -> Operation:
        found = self.database.ledger.get(op_id)
        assert found is not None
        return found

    def state(self, op_id: str) -> State:
        return self.get(op_id).state

    def fences(self) -> dict[str, tuple[int, str]]:
        """Fence and holder of every service that has a row."""
        with self.database._engine.connect() as connection:
            rows = connection.execute(select(service_fence))
            return {row.service_id: (row.fence, row.reserved_by) for row in rows}

    def topics(self) -> list[str]:
        """Of all events that have not been taken yet."""
        return [event.topic for event in self.database.outbox.take(1000, LEASE)]

    def letters(self) -> list[str]:
        """Reasons of the unresolved dead letters, newest first."""
        return [letter.reason for letter in self.database.dead_letters.list(resolved=False, limit=100, before=None)]
