"""What must hold at every moment of a simulation, and what must hold at its end.

Apart from the world, which makes things happen, because nothing here may change anything.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import QueuePool

from domain.contracts import Claim
from domain.operation import TERMINAL, Operation, State, StepState
from domain.region import Call, Place, Reply
from domain.service import Service
from storage.sql import Database
from tests.simulation.aims import Aims
from tests.simulation.fences import Fences
from tests.simulation.mirror import differences
from workers.region_double.state import RegionState

#: Transactions that only the holder makes; those that move the fence itself are not among them.
HOLDERS_WRITES = frozenset(
    ["plan", "intend", "conclude", "advance", "undo", "turn-back", "settle", "retry-later", "renew"]
)

#: A step goes from lower to higher.
_RANKS = {
    StepState.PENDING: 0,
    StepState.INTENT: 1,
    StepState.DONE: 2,
    StepState.IGNORED: 2,
    StepState.UNDONE: 3,
}
#: Parts of a step's request that are no part of what is to be done: "idle" says that it certainly did not arrive.
_NOTED_LATER = frozenset({"idle"})


class Truth:
    """Collects sentences about what is wrong in `bad`."""

    def __init__(
        self, database: Database, path: Path, region: RegionState, services: list[Service],
        claim: Callable[[], Claim | None], under_way: Callable[[], list[tuple[Place, Call]]],
    ) -> None:  # fmt: skip
        """`claim()` is what the running thread works on; `under_way()`: changes of the region that may still land."""
        self._database, self._path, self._region, self._services = database, path, region, services
        self._claim, self._under_way = claim, under_way
        self.bad: list[str] = []
        self.ended: list[Operation] = []
        self._rows: dict[str, Service] = {}
        self._fences = Fences(database)
        self._steps: dict[tuple[str, int], StepState] = {}
        self._requests: dict[tuple[str, int], tuple[str, dict[str, Any]]] = {}  # as they were first seen
        self._aims = Aims({}, {})

    def begin(self, templates: Mapping[str, Any]) -> None:
        """The services are installed, and these versions published."""
        self._rows = self._read_services()
        self._aims = Aims(templates, self._rows)

    # ------------------------------------------------------------ what must hold at every moment
    def claimed(self, claim: Claim) -> None:
        """I10, I11: whoever claims has a fence beyond all that were given, and finds the rows as the last end has left
        them; nothing that has ended is claimed."""
        operation, rows = claim.operation, self._read_services()
        if any(rows[name].document != self._rows[name].document for name in rows):
            self.bad.append(f"{operation.op_id} was claimed when rows had changed outside of any end")
        now = self._database.ledger.get(operation.op_id)
        if now is None or now.fence > claim.fence:
            return  # it was paused for so long that another has taken over
        if any(found.op_id == operation.op_id for found in self.ended):
            self.bad.append(f"{operation.op_id} was claimed, and had ended")
        if operation.exclusive:
            self.bad += self._fences.claimed(operation, claim.fence)

    def committed(self, name: str) -> None:
        """Whoever has committed: no service is held twice. A journal write was made by the present holder, and an end
        changes what it says and nothing else."""
        self.bad += self._fences.committed()
        claim = self._claim()
        if claim is None or name not in HOLDERS_WRITES:
            return
        operation = self._database.ledger.get(claim.operation.op_id)
        assert operation is not None
        if operation.fence != claim.fence:
            self.bad.append(f"{name}: {operation.op_id} was written under fence {claim.fence}, not {operation.fence}")
        self._steps_went_on(operation.op_id)
        if name == "settle" and operation.state in TERMINAL:
            self._note_end(operation)

    def _steps_went_on(self, op_id: str) -> None:
        """I10, I30: no step has gone back, and each is still to do what it was when it was first written down."""
        for step in self._database.ledger.steps(op_id):
            before = self._steps.get((op_id, step.ordinal), StepState.PENDING)
            if _RANKS[step.state] < _RANKS[before]:
                self.bad.append(f"step {step.kind} of {op_id} was {before} and is {step.state}")
            self._steps[op_id, step.ordinal] = step.state
            is_now = step.kind, {name: value for name, value in step.request.items() if name not in _NOTED_LATER}
            first = self._requests.setdefault((op_id, step.ordinal), is_now)
            if is_now != first:
                self.bad.append(f"step {step.kind} of {op_id} was rewritten: {_difference(first, is_now)}")

    def about_to_send(self, place: Place, call: Call) -> None:
        """I7, I8, I12: no transaction is open; a change of the region has an intent of its own operation, and nobody
        else holds the service."""
        pool = self._database._engine.pool
        assert isinstance(pool, QueuePool)
        if pool.checkedout():
            self.bad.append(f"{call.name} of {place.service_id} is sent while a transaction is open")
        if call.method == "GET" or call.name == "seal":
            return
        claim = self._claim()
        assert claim is not None
        steps = self._database.ledger.steps(claim.operation.op_id)
        mine = [step for step in steps if step.request.get("service") == place.service_id]
        intended = any(step.state is not StepState.PENDING and step.kind not in ("plan", "protect") for step in mine)
        same = [step for step in mine if step.request.get("call") == call.document()]
        if not intended or (same and all(step.state is StepState.PENDING for step in same)):
            self.bad.append(f"{call.name} of {place.service_id} was sent without an intent")
        if any(step.request.get("idle") and step.state is StepState.INTENT for step in same):
            self.bad.append(f"{call.name} of {place.service_id} is sent while the journal says that it was not")
        self._nobody_else_holds(claim, place, call)

    def _nobody_else_holds(self, claim: Claim, place: Place, call: Call) -> None:
        """Whoever has lost its operation may still believe that it holds the service: fences are for that."""
        others = self._fences.others(place.service_id, claim.operation.op_id)
        now = self._database.ledger.get(claim.operation.op_id) if others else None
        if now is not None and now.state not in TERMINAL and now.fence == claim.fence:
            self.bad.append(f"{call.name} of {place.service_id} is sent by {now.op_id} while {others} hold the service")

    def taken(self, place: Place, call: Call, fence: int) -> None:
        """The region has not refused the fence of a request, whenever that was sent."""
        self.bad += self._fences.taken(place, call, fence)

    def answered(self, place: Place, call: Call, reply: Reply) -> None:
        """What the region has refused may be left out."""
        claim = self._claim()
        if reply.status == 400 and claim is not None:
            self._aims.refused(claim.operation.op_id, place, call)

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
        steps, records = self._database.ledger.steps(operation.op_id), self._database.records.of(operation.op_id)
        self.bad += self._aims.wrong(operation, steps, records, before, rows)
        if operation.state is State.SUCCEEDED and (operation.outcome or {})["complete"]:
            self._deployed(operation)
        self._agree(operation)

    def _agree(self, operation: Operation) -> None:
        """I19, I20: of the services that it was about, console and region say the same now and not only in the end.
        Where nothing but waiting keeps from landing what was sent, it has landed by now."""
        when = f"when {operation.kind} ended {operation.state}"
        mine = {step.request.get("service") for step in self._database.ledger.steps(operation.op_id)}
        found = [line for line in differences(self._region, self._rows.values()) if line.partition(" ")[0] in mine]
        self.bad += [f"{when}: {line}" for line in found]
        for place, call in self._under_way() if not self._region.fenced else ():
            if place.service_id in mine:
                self.bad.append(f"{when}: {call.name} of {place.service_id} is still under way")

    def _deployed(self, operation: Operation) -> None:
        """What an end calls deployed has succeeded in the region."""
        finals = {event["event_id"]: event["final"] for event in self._region.root["events"]}
        for step in self._database.ledger.steps(operation.op_id):
            asked = step.reply.get("event")
            if step.kind == "deploy" and step.state is StepState.DONE and finals.get(asked) != "success":
                self.bad.append(f"{operation.kind} succeeded though the deployment {asked} is {finals.get(asked)}")

    # ------------------------------------------------------------ what must hold at the end
    def compare(self, when: str) -> None:
        rows = self._read_services()
        if any(rows[name].document != self._rows[name].document for name in rows):
            self.bad.append(f"{when}: rows changed outside of any end")
        self.bad += [f"{when}: {line}" for line in differences(self._region, rows.values())]

    def receipts(self, messages: list[str], heard: Counter[str]) -> None:
        """Every message became one operation, and every end one event, which listeners have `heard`."""
        with sqlite3.connect(self._path) as connection:
            kept = Counter(name for (name,) in connection.execute("SELECT message_id FROM operation"))
            events = connection.execute("SELECT op_id, topic, event_id, sent_at FROM outbox").fetchall()
            letters = connection.execute("SELECT reason, sentence FROM dead_letter WHERE op_id IS NULL").fetchall()
        connection.close()
        ends = ("succeeded", "rolled-back", "failed", "cancelled")
        told_ends = Counter(op_id for op_id, topic, _, _ in events if topic.split(".")[-2] in ends)
        self.bad += [f"{topic} was never told" for _, topic, name, _ in events if not heard[name]]
        self.bad += [f"{topic} is not marked as told" for _, topic, _, sent_at in events if sent_at is None]
        self.bad += [f"something was told that no row says: {name}" for name in heard.keys() - {e[2] for e in events}]
        self.bad += [f"a good message was refused: {letter}" for letter in letters]
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


def _difference(first: tuple[str, dict[str, Any]], is_now: tuple[str, dict[str, Any]]) -> str:
    """The parts that differ, by name: values are long."""
    (kind, before), (other, after) = first, is_now
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    return ", ".join([f"it was {kind}"] * (kind != other) + names)
