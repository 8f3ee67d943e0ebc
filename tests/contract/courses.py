"""A course carried out against the region's double, without nodes: what it says in the end, and what the region holds.

Apart from the tests because random and chosen configurations go the same way. Deployments and data are left out.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from domain.breaker import Breakers
from domain.changeset import ServicePlan
from domain.compensation import Compensation
from domain.configuration import Configuration
from domain.context import Context
from domain.contracts import Claim, Ledger
from domain.course import Course, Task
from domain.journal import Journal
from domain.lease import Lease
from domain.outcome import Item
from domain.planning import effect_of
from domain.region import Call, Place, Reply, Trouble
from domain.saga import Saga, StepRefused
from domain.service import Service
from tests.acceptance.terms import TENANT, asked, in_order, tell
from tests.fakes.clock import FakeClock
from tests.fakes.unfenced import UnfencedRegion
from workers.region_double.state import RegionState

OPERATION = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff"
#: What happens to the n-th call: nothing special, an answer of its own, or a try that gets no answer.
Fate = Callable[[Call, int], Reply | None]
LOST, UNSENT = (Reply(trouble=Trouble.CUT, message=words) for words in ("answer lost", "request lost"))


def nothing(call: Call, number: int) -> Reply | None:
    """Every call is answered."""
    return None


class DirectRegion(UnfencedRegion):
    """The port `Region` on a double in the same process; `fate` decides about each call."""

    def __init__(self, state: RegionState, fate: Fate) -> None:
        self.state, self.fate, self.sent = state, fate, list[str]()

    def send(self, place: Place, call: Call, fence: int) -> Reply:
        self.sent.append(f"{call.method} {call.path}")
        fate = self.fate(call, len(self.sent))
        if fate is not None and fate is not LOST:
            return fate
        answer = asked(self.state, call, place)
        document = json.JSONDecoder().raw_decode(answer.body.decode())[0] if answer.body else {}
        words = str(document.get("msg") or document.get("validation_error") or "")
        reply = Reply(answer.status, document.get("bean"), document.get("list"), words)
        return LOST if fate is LOST else reply


class _Anything:
    """A ledger and a lease that take whatever is written."""

    ttl_ms = 60_000

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *given, **named: None


@dataclass
class Told:
    """What came of a course."""

    put_back: bool
    items: list[Item]
    complete: bool
    sent: list[str]
    #: By service: what the region held before, what it holds, and what it must hold by the rows of the end.
    before: dict[str, Any] = field(default_factory=dict)
    held: dict[str, Any] = field(default_factory=dict)
    wanted: dict[str, Any] = field(default_factory=dict)
    rows: dict[str, Configuration] = field(default_factory=dict)


def region_of(services: dict[str, Configuration], generation: str, others: dict[str, Any]) -> RegionState:
    """A double that holds these services, and of `others` what is given."""
    state = RegionState(generation)
    state.put({"tenants": {TENANT: {name: {"service_id": name} for name in services} | others}})
    tell(state, {name: (Service(name, TENANT, name, "x", region="eu-1"), known) for name, known in services.items()})
    return state


def carried_out(
    plans: dict[str, ServicePlan],
    state: RegionState,
    others: dict[str, Any],
    *,
    fate: Fate = nothing,
    fail: bool = False,
) -> Told:
    """Bring the plans about in the region; with `fail` they are put back as after a refused deployment."""
    before = _held(state, plans)
    tasks = tuple(Task(plan, Place("eu-1", TENANT, name, name), effect_of(plan)) for name, plan in plans.items())
    course, region = Course("upgrade", tasks), DirectRegion(state, fate)
    context = _context(region)
    context.journal.plan(course.steps(OPERATION))
    saga = Saga(context, course)
    try:
        saga.change_items()
        refused = fail
    except StepRefused:
        refused = True
    items = [*saga.ignored(), *saga.not_converged()]
    if refused:
        region.fate = nothing
        items = saga.overwritten()
        Compensation(Saga(context, course)).undo_items(set(plans))
    told = Told(refused, items, {item.code for item in items} <= {"exists"}, region.sent, before, _held(state, plans))
    rows = {name: saga.result(course.task(name)) for name in plans}
    told.wanted = before if refused else _held(region_of(rows, state.generation, others), plans)
    told.rows = rows
    return told


def _held(state: RegionState, services: dict[str, ServicePlan]) -> dict[str, Any]:
    return {name: in_order(state.snapshot()["tenants"][TENANT][name]) for name in services}


def _context(region: DirectRegion) -> Context:
    clock, anything = FakeClock(), _Anything()
    claim = SimpleNamespace(takeover=False, fence=1, operation=SimpleNamespace(op_id=OPERATION))
    journal = Journal(cast(Ledger, anything), cast(Claim, claim), cast(Lease, anything), clock)
    return cast(
        Context,
        SimpleNamespace(
            region=region, journal=journal, watch=anything, breakers=Breakers(clock, random.Random(1)), clock=clock,
            count=anything.count, undoing_handed_over=False,
        ),
    )  # fmt: skip
