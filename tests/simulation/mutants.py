"""Bugs planted on purpose: a harness that does not see them would prove nothing.

Each replaces one promise of the product, or of a region, by what a tired programmer might have written instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from sqlalchemy import update

import domain.dialogue
import domain.rolling_back
import domain.upgrading
import workers.ingress
from domain.changeset import ServicePlan
from domain.classify import Answer, Verdict, classify
from domain.compensation import Compensation
from domain.configuration import Configuration
from domain.contracts import Claim
from domain.deployment import Progress, Sighting
from domain.dialogue import Dialogue, Said
from domain.failpoint import failpoint
from domain.journal import Journal
from domain.kind import Facts
from domain.operation import Step, StepState
from domain.outcome import Outcome
from domain.planning import plan_upgrade
from domain.region import Reply
from domain.rollout import Rollout
from domain.saga import Saga
from domain.upgrade_record import Status
from storage.sql.changes import apply
from storage.sql.ledger import SqlLedger
from storage.sql.outbox import SqlOutbox
from storage.sql.tables import step
from tests.simulation import trespasses
from workers.ingress import Ingress

Patch = pytest.MonkeyPatch


def _no_intent(patch: Patch) -> None:
    """The effect first, its record afterwards."""

    def start(self: Journal, step: Step, changes: Any = ()) -> Step:
        return self._keep(replace(step, state=StepState.INTENT, reply={}))

    def end(self: Journal, step: Step, state: StepState = StepState.DONE, reply: Any = None, changes: Any = (),
            following: Step | None = None) -> Step:  # fmt: skip
        ledger, lease = self._ledger, self._lease.ttl_ms
        ledger.intend(self._claim, step.ordinal, step.kind, step.request, (), lease)
        ledger.conclude(self._claim, step.ordinal, state.value, reply or {}, lease, changes)
        if following is not None:
            self._keep(replace(following, state=StepState.INTENT))
        return self._keep(replace(step, state=state, reply=reply or {}))

    patch.setattr(Journal, "start", start)
    patch.setattr(Journal, "end", end)


def _swallowed_400(patch: Patch) -> None:
    """400 is taken for "it is there already"."""

    def swallow(call: Any, reply: Any, **options: Any) -> Answer:
        return Answer(Verdict.APPLIED) if reply.status == 400 else classify(call, reply, **options)

    patch.setattr(domain.dialogue, "classify", swallow)


def _invalid_repeat_is_an_echo(patch: Patch) -> None:
    """Any 400 after a lost try is taken for the echo of that try."""

    def echo(call: Any, reply: Any, **options: Any) -> Answer:
        repeat = options.get("sent_before") and not options.get("undoing") and call.optional
        return Answer(Verdict.APPLIED) if repeat and reply.status == 400 else classify(call, reply, **options)

    patch.setattr(domain.dialogue, "classify", echo)


def _sent_again_without_an_intent(patch: Patch) -> None:
    """What is known not to have arrived stays known as such while it is sent again."""

    def begun(self: Saga, step: Step) -> Step:
        return self.journal.start(step) if step.state is StepState.PENDING else step

    patch.setattr(Saga, "begun", begun)


def _rows_apart_from_the_end(patch: Patch) -> None:
    """Domain rows are committed before the terminal state instead of with it."""
    whole = SqlLedger.settle

    def settle(self: SqlLedger, claim: Claim, outcome: Outcome) -> None:
        with self._tx.write("rows") as connection:
            apply(self._tx, connection, self._vault, claim.operation, outcome.changes, self._tx.now(connection))
        failpoint("settle.between")
        whole(self, claim, replace(outcome, changes=()))

    patch.setattr(SqlLedger, "settle", settle)


def _no_settle_wait(patch: Patch) -> None:
    """A region without fences is not given the time in which a lost request may still land."""
    patch.setattr(Dialogue, "settle", lambda self, places, *, unsettled: False)


def _said_once(patch: Patch) -> None:
    """Whoever has waited until nothing can land any more believes that what he had put back is still so."""
    patch.setattr(Compensation, "_undone", lambda self: [])


def _acknowledged_before_stored(patch: Patch) -> None:
    """The broker forgets a message as soon as it was read."""
    take = Ingress._take

    def taken(self: Ingress, message: Any) -> None:
        message.ack()
        take(self, message)

    patch.setattr(Ingress, "_take", taken)
    patch.setattr(workers.ingress, "_acknowledge", lambda connection, batch: None)


def _marked_before_told(patch: Patch) -> None:
    """Events are called told when they are taken, so that nobody tells one twice."""
    take = SqlOutbox.take

    def taken(self: SqlOutbox, limit: int, hold_ms: int) -> Any:
        events = take(self, limit, hold_ms)
        self.sent([event.event_id for event in events])
        return events

    patch.setattr(SqlOutbox, "take", taken)


def _deployments_believed(patch: Patch) -> None:
    """A deployment that was taken is one that has succeeded."""
    patch.setattr(Rollout, "_look", lambda self, task, event: Sighting(Progress.SUCCEEDED))


def _undone_is_planned_again(patch: Patch) -> None:
    """What was put back is to be done once more."""
    undo_many = SqlLedger.undo_many

    def again(self: SqlLedger, claim: Claim, replies: Any, lease_ms: int) -> None:
        undo_many(self, claim, replies, lease_ms)
        mine = (step.c.op_id == claim.operation.op_id, step.c.ordinal.in_(replies))
        with self._tx.write("intend") as connection:
            connection.execute(update(step).where(*mine).values(state=StepState.PENDING.value))

    patch.setattr(SqlLedger, "undo_many", again)


def _transaction_left_open(patch: Patch) -> None:
    """Whoever asks a region keeps what it reads from open meanwhile."""
    intend, kept = SqlLedger.intend, dict[str, Any]()

    def leaving(self: SqlLedger, *arguments: Any) -> None:
        intend(self, *arguments)
        kept["one"] = self._tx._engine.connect()

    patch.setattr(SqlLedger, "intend", leaving)


def _rolled_back_to_the_one_before(patch: Patch) -> None:
    """The way back leads to the oldest snapshot that an upgrade has taken, not to that of the one it takes back."""
    aims = domain.rolling_back._aims

    def older(context: Any, retreat: Any, records: Any) -> Any:
        found, gone, others = aims(context, retreat, records)
        oldest = {
            service.service_id: [one for one in context.records.history(service.service_id, "upgrade")
                                 if one.snapshot_id and one.status is Status.UPGRADED][-1]
            for service, _, _ in found
        }  # fmt: skip
        return [(s, str(oldest[s.service_id].snapshot_id), upgrade) for s, _, upgrade in found], gone, others

    patch.setattr(domain.rolling_back, "_aims", older)


def _items_forgotten(patch: Patch) -> None:
    """The last service of an upgrade gets its label and nothing else, and the end says that all is well."""

    def planned(service_id: str, installed: Configuration, target: Configuration, facts: Facts) -> ServicePlan:
        plan = plan_upgrade(service_id, installed, target, facts)
        return replace(plan, changes=()) if service_id == max(facts.siblings) else plan

    patch.setattr(domain.upgrading, "plan_upgrade", planned)


def _left_out_unasked(patch: Patch) -> None:
    """Whatever the last service of an upgrade would get is called left out, and the region was never asked."""
    call = Saga._call

    def silent(self: Saga, step: Step) -> None:
        if step.request["service"] != self.course.tasks[-1].service_id or self.course.purpose != "upgrade":
            return call(self, step)
        answer = Answer(Verdict.LEFT_OUT)
        return self._conclude(step, StepState.IGNORED, Said(answer, Reply(400), unknown=False))

    patch.setattr(Saga, "_call", silent)


class Mutant(NamedTuple):
    """`mode`, and `seeds` that may pass, in which it must be seen; `told`: what must be said of it."""

    mode: str
    seeds: range
    plant: Callable[[Patch], None]
    told: str


_AT_ITS_END = r"^when \S+ ended \w+: \w+ \w+: console"
#: The seal matters to few seeds in a thousand, because the next call usually carries the newer fence too: its seeds
#: begin near one of them, as do others that few seeds show.
MUTANTS: dict[str, Mutant] = {
    "journal-not-fenced": Mutant(
        "fenced", range(200), trespasses.journal_not_fenced, r"was written under fence \d+, not \d+"
    ),
    "no-seal": Mutant(
        "fenced", range(840, 1600), trespasses.no_seal, r"^deployment \w+ was started \d times|of the late: \w+"
    ),
    "no-intent": Mutant("fenced", range(200), _no_intent, "was sent without an intent"),
    "swallowed-400": Mutant("fenced", range(10, 100), _swallowed_400, _AT_ITS_END),
    "invalid-repeat-is-an-echo": Mutant("fenced", range(15, 300), _invalid_repeat_is_an_echo, _AT_ITS_END),
    "sent-again-without-an-intent": Mutant(
        "settle", range(300), _sent_again_without_an_intent, "is sent while the journal says that it was not"
    ),
    "rows-apart-from-the-end": Mutant(
        "fenced", range(70, 200), _rows_apart_from_the_end, "rows had changed outside of any end"
    ),
    "no-settle-wait": Mutant(
        "settle", range(400), _no_settle_wait, r"^when \S+ ended \w+: \S+ of \w+ is still under way"
    ),
    "said-once": Mutant("settle", range(30, 200), _said_once, _AT_ITS_END),
    "acknowledged-before-stored": Mutant(
        "fenced", range(10, 100), _acknowledged_before_stored, r"^message \w+ became 0 operations"
    ),
    "marked-before-told": Mutant("fenced", range(100), _marked_before_told, "was never told"),
    "deployments-believed": Mutant("fenced", range(200), _deployments_believed, r"though the deployment \w+ is"),
    "takeover-keeps-the-fence": Mutant(
        "fenced", range(300), trespasses.takeover_keeps_the_fence, r"was claimed under fence \d+, not beyond \d+"
    ),
    "undone-is-planned-again": Mutant("fenced", range(200), _undone_is_planned_again, "was UNDONE and is PENDING"),
    "transaction-left-open": Mutant("fenced", range(200), _transaction_left_open, "while a transaction is open"),
    "rolled-back-to-the-one-before": Mutant(
        "fenced", range(210, 400), _rolled_back_to_the_one_before, r"^rollback led \w+ to origin"
    ),
    "items-forgotten": Mutant("fenced", range(100), _items_forgotten, r"^upgrade-service led \w+ to image"),
    "siblings-ignored": Mutant("fenced", range(200), trespasses.siblings_ignored, r"is held by \d operations"),
    "group-not-reserved": Mutant(
        "fenced", range(3, 200), trespasses.group_not_reserved, r" while \S+ hold the service"
    ),
    "group-fenced-from-the-lowest": Mutant(
        "fenced", range(3, 200), trespasses.group_fenced_from_the_lowest, r"^the fence of \w+ went from \d+ down to \d+"
    ),
    "lower-fences-taken": Mutant(
        "fenced", range(200), trespasses.lower_fences_taken, r"^the region took \S+ of \w+ under fence \d+ after"
    ),
    "asked-for-anew-by-each-worker": Mutant(
        "fenced",
        range(200),
        trespasses.asked_for_anew_by_each_worker,
        r"^step deploy of \S+ was rewritten: call, event",
    ),
    "left-out-unasked": Mutant(
        "fenced", range(100), _left_out_unasked, r"^upgrade-service left out \S+, which the region has not refused"
    ),
}


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The product with that bug; as it is when `name` is empty."""
    with pytest.MonkeyPatch.context() as patch:
        if name:
            MUTANTS[name].plant(patch)
        yield
