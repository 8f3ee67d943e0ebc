"""What must hold at every moment of a simulation, and what must hold at its end.

Apart from the world, which makes things happen, because nothing here may change anything.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from domain.contracts import Claim
from domain.operation import TERMINAL, Operation, State, StepState
from domain.region import Call, Place
from domain.service import Service
from storage.sql import Database
from tests.simulation import shop
from tests.simulation.mirror import differences
from workers.region_double.state import RegionState

#: Transactions that only the holder makes; those that move the fence itself are not among them.
HOLDERS_WRITES = frozenset(
    ["plan", "intend", "conclude", "advance", "undo", "turn-back", "settle", "retry-later", "renew"]
)


class Truth:
    """Collects sentences about what is wrong in `bad`."""

    def __init__(
        self, database: Database, path: Path, region: RegionState, services: list[Service],
        claim: Callable[[], Claim | None],
    ) -> None:  # fmt: skip
        """`claim()` is what the running thread works on."""
        self._database, self._path, self._region, self._services = database, path, region, services
        self._claim = claim
        self.bad: list[str] = []
        self.ended: list[Operation] = []
        self._rows: dict[str, Service] = {}
        self._seen: dict[str, list[object]] = {}

    def begin(self) -> None:
        """The services are installed."""
        self._rows = self._read_services()
        self._seen = {name: [found.document["items"]] for name, found in self._rows.items()}

    # ------------------------------------------------------------ what must hold at every moment
    def committed(self, name: str) -> None:
        """A journal write was made by the present holder, and an end changes what it says and nothing else."""
        claim = self._claim()
        if claim is None or name not in HOLDERS_WRITES:
            return
        operation = self._database.ledger.get(claim.operation.op_id)
        assert operation is not None
        if operation.fence != claim.fence:
            self.bad.append(f"{name}: {operation.op_id} was written under fence {claim.fence}, not {operation.fence}")
        if name == "settle" and operation.state in TERMINAL:
            self._note_end(operation)

    def about_to_send(self, place: Place, call: Call) -> None:
        """A change of the region has an intent of its own operation."""
        claim = self._claim()
        assert claim is not None
        steps = self._database.ledger.steps(claim.operation.op_id)
        mine = [step for step in steps if step.request.get("service") == place.service_id]
        intended = any(step.state is not StepState.PENDING and step.kind not in ("plan", "protect") for step in mine)
        same = [step for step in mine if step.request.get("call") == call.document()]
        if not intended or (same and all(step.state is StepState.PENDING for step in same)):
            self.bad.append(f"{call.name} of {place.service_id} was sent without an intent")

    def _note_end(self, operation: Operation) -> None:
        rows = self._read_services()
        if any(found.op_id == operation.op_id for found in self.ended):
            self.bad.append(f"{operation.kind} {operation.op_id} ended twice")
        self.ended.append(operation)
        before, self._rows = self._rows, rows
        changed = {name for name in rows if rows[name].document != before[name].document}
        if operation.kind not in ("upgrade-service", "rollback"):
            return
        if operation.state is not State.SUCCEEDED and changed:
            self.bad.append(f"{operation.kind} ended {operation.state} and changed the rows of {sorted(changed)}")
        outcome = operation.outcome or {}
        if operation.state is State.SUCCEEDED and outcome["complete"]:
            wanted, name = outcome["figures"].get("new_version"), operation.service_id
            if wanted is not None and shop.version(rows[name]) != wanted:
                self.bad.append(f"{operation.kind} succeeded and {name} is at {shop.version(rows[name])}, not {wanted}")
            if operation.kind == "rollback" and rows[name].document["items"] not in self._seen[name]:
                self.bad.append(f"a rollback of {name} led to rows that it never had")
        for name in changed:
            self._seen[name].append(rows[name].document["items"])

    # ------------------------------------------------------------ what must hold at the end
    def compare(self, when: str) -> None:
        rows = self._read_services()
        if any(rows[name].document != self._rows[name].document for name in rows):
            self.bad.append(f"{when}: rows changed outside of any end")
        self.bad += [f"{when}: {line}" for line in differences(self._region, rows.values())]

    def receipts(self, messages: list[str]) -> None:
        with sqlite3.connect(self._path) as connection:
            kept = Counter(name for (name,) in connection.execute("SELECT message_id FROM operation"))
            told_ends = Counter(
                op_id
                for op_id, topic in connection.execute("SELECT op_id, topic FROM outbox")
                if topic.split(".")[-2] in ("succeeded", "rolled-back", "failed", "cancelled")
            )
        connection.close()
        self.bad += [f"message {name} became {kept[name]} operations" for name in messages if kept[name] != 1]
        for operation in self._database.list_operations(limit=100):
            if operation.state in TERMINAL and told_ends[operation.op_id] != 1:
                self.bad.append(f"the end of {operation.op_id} was told {told_ends[operation.op_id]} times")

    def deployments(self) -> None:
        if not self._region.fenced:
            return
        counted = Counter(event["event_id"] for event in self._region.root["events"])
        self.bad += [f"deployment {event} was started {count} times" for event, count in counted.items() if count > 1]

    def _read_services(self) -> dict[str, Service]:
        found = {service.service_id: self._database.services.get(service.service_id) for service in self._services}
        return {name: service for name, service in found.items() if service is not None}
