"""What each way a handler can end means for its operation, on a real ledger.

The handlers here are synthetic; everything that decides and settles is the real thing on SQLite.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from domain.audit import Actor
from domain.breaker import Breakers
from domain.context import Context
from domain.contracts import Accepted, Claim
from domain.decoding import request_hash
from domain.errors import (
    Cancelled,
    Damaged,
    DatabaseUnavailable,
    KeyUnavailable,
    LeaseLost,
    Postponed,
    Refused,
    ShuttingDown,
    StoreUnavailable,
)
from domain.health import HookResult
from domain.identity import Subject
from domain.lease import Taken
from domain.message import Command
from domain.operation import Budget, Operation, State, Step, StepState
from domain.outcome import Change, Item, Outcome
from domain.source import HookSettings
from domain.subscription import Subscription
from handlers import Payload
from storage.places import NodePlaces
from storage.sealing import KeyRing
from storage.sources import open_hooks, open_sources
from storage.sql import Database, open_database
from storage.sql.tables import operation as operation_table
from storage.sql.tables import step as step_table
from tests.fakes.even_calendar import EvenCalendar
from workers.attempt import Ports
from workers.clock import SystemClock
from workers.executor import Executor

BUDGET = Budget(max_claims=3, max_attempts=3, max_bugs=2, max_undo_attempts=2, backoff_base=0.0)
SERVICE = "web"
OPS = Actor("ops@here", "cli")


class Nothing(Payload):
    """No fields."""


class Bench:
    """One database, one executor, one synthetic message type called `act`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.stopping = threading.Event()
        self.ends: list[str] = []
        self.counted: list[tuple[str, ...]] = []
        self.contexts: list[Context] = []
        self.handle: Callable[[Any, Context], Outcome] = lambda payload, context: Outcome.succeeded("did it")
        self.undo: Callable[[Any, Context], None] | None = None
        self.low_on_room = ""
        self.knows = True  # the message type
        self.more: dict[str, Any] = {}  # of its subscription

    def accept(self, message_id: str = "m1", **attributes: Any) -> str:
        command = Command("/test", message_id, "act", 1, Subject("acme", SERVICE), {}, **attributes)
        (receipt,) = self.database.inbox.accept([Accepted(command, request_hash(command), True, False)])
        assert receipt.op_id
        return receipt.op_id

    def claim(self) -> Claim | None:
        claims = self.database.ledger.claim("n1", "owner", 1, 60_000)
        return claims[0] if claims else None

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        self.counted.append((name, *labels.values()))

    def run_once(self) -> None:
        claim = self.claim()
        assert claim is not None, "nothing is ready"
        self.run(claim)

    def run(self, claim: Claim) -> None:
        def handle(payload: Any, context: Context) -> Outcome:
            self.contexts.append(context)
            return self.handle(payload, context)

        subscription = Subscription(
            Nothing, handle, undo=self.undo, local=lambda payload: bool(self.low_on_room), **self.more
        )
        database = self.database
        clock = SystemClock()
        ports = Ports(
            database.ledger, database.services, database.catalogue, None, None, clock,  # type: ignore[arg-type]
            None, Breakers(clock, random.Random(1)), database.versions, database.records,  # type: ignore[arg-type]
            health_hook=lambda service_id: HookResult(True), count=self.count,
            sources=open_sources({}, lambda service: "", ""), hooks=open_hooks(HookSettings(), lambda service: "", ""),
            places=NodePlaces({}), schedules=database.schedules, calendar=EvenCalendar(),
        )  # fmt: skip
        executor = Executor(
            ports,
            {"act": subscription} if self.knows else {},
            lambda subscription, data: subscription.model(**data),
            node="n1",
            lease_ms=60_000,
            budget=BUDGET,
            draw=random.Random(1),
            stopping=self.stopping,
            ended=lambda kind, how: self.ends.append(how),
            low_on_room=lambda: self.low_on_room,
        )
        executor.run(Taken(claim, clock.boottime(), clock.boottime()))

    def operation(self, op_id: str) -> Operation:
        found = self.database.ledger.get(op_id)
        assert found is not None
        return found

    def now_ready(self) -> None:
        """Whatever waits for a retry has waited."""
        with self.database._engine.begin() as connection:
            connection.execute(update(operation_table).values(next_attempt_at=0))

    def events(self) -> list[str]:
        return [event.topic for event in self.database.outbox.take(100, 0)]

    def letters(self) -> list[str]:
        return [letter.reason for letter in self.database.dead_letters.list(resolved=False, limit=100, before=None)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    keyring = KeyRing.parse(KeyRing.generate_text())
    database = open_database(f"sqlite:///{tmp_path}/backstay.db", keyring)
    database.migrate()
    yield Bench(database)
    database.close()


def _raises(error: Exception) -> Callable[[Any, Context], Outcome]:
    def handle(payload: Any, context: Context) -> Outcome:
        raise error

    return handle


def _touches_then(error: Exception) -> Callable[[Any, Context], Outcome]:
    def handle(payload: Any, context: Context) -> Outcome:
        context.journal.begin("effect", {"n": 1})
        raise error

    return handle


def test_a_handler_s_outcome_is_settled_with_one_event(bench: Bench) -> None:
    op_id = bench.accept()
    bench.run_once()
    operation = bench.operation(op_id)
    assert (operation.state, bench.events()) == (State.SUCCEEDED, ["act.succeeded.acme"])
    assert operation.outcome is not None and operation.outcome["sentence"] == "did it"


def test_a_refusal_fails_at_once_and_is_a_dead_letter(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _raises(Refused("no such thing", code="unknown-service"))
    bench.run_once()
    operation = bench.operation(op_id)
    assert (operation.state, operation.error_code) == (State.FAILED, "unknown-service")
    assert bench.letters() == ["unknown-service"]


def test_damage_fails_at_once(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _raises(Damaged("a pack is torn"))
    bench.run_once()
    assert bench.operation(op_id).error_code == "snapshot-damaged"


def test_weather_is_retried_and_the_operation_can_still_succeed(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _raises(StoreUnavailable("slow"))
    bench.run_once()
    waiting = bench.operation(op_id)
    assert (waiting.state, waiting.attempts, waiting.lease_until) == (State.RUNNING, 1, 0)
    bench.handle = lambda payload, context: Outcome.succeeded("at last")
    bench.run_once()
    assert bench.operation(op_id).state is State.SUCCEEDED


def test_weather_that_lasts_is_given_up_with_the_last_cause(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _raises(StoreUnavailable("the store is gone"))
    for _ in range(BUDGET.max_attempts):
        bench.run_once()
    operation = bench.operation(op_id)
    assert operation.state is State.FAILED
    assert operation.outcome is not None and "the store is gone" in operation.outcome["sentence"]


def test_a_bug_is_retried_a_few_times_and_then_a_dead_letter_with_its_traceback(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _raises(ZeroDivisionError("oops"))
    for _ in range(BUDGET.max_bugs):
        bench.run_once()
    (letter,) = bench.database.dead_letters.list(resolved=False, limit=10, before=None)
    whole = bench.database.dead_letters.get(letter.dead_letter_id)
    assert bench.operation(op_id).state is State.FAILED
    assert whole is not None and "ZeroDivisionError" in whole.traceback


def test_a_failure_after_an_effect_is_undone_before_it_is_told(bench: Bench) -> None:
    op_id = bench.accept()
    undone = []

    def undo(payload: Any, context: Context) -> None:
        step = context.journal.find("effect")
        assert step is not None
        context.journal.end(step, StepState.UNDONE)
        undone.append(step.request)

    bench.undo, bench.handle = undo, _touches_then(Refused("half-way"))
    bench.run_once()
    operation = bench.operation(op_id)
    assert (operation.state, undone) == (State.ROLLED_BACK, [{"n": 1}])
    assert bench.events() == ["act.rolled-back.acme"]


def test_undoing_that_fails_is_retried_and_then_stuck_and_the_service_stays_reserved(bench: Bench) -> None:
    op_id = bench.accept()

    def undo(payload: Any, context: Context) -> None:
        raise OSError("cannot")

    bench.undo, bench.handle = undo, _touches_then(Refused("half-way"))
    for _ in range(BUDGET.max_undo_attempts):
        bench.run_once()
    assert bench.operation(op_id).state is State.STUCK
    bench.accept("m2")
    assert bench.claim() is None


def test_an_effect_without_an_undo_is_never_called_failed(bench: Bench) -> None:
    """FAILED means that everything is as before; nobody can say so here."""
    op_id = bench.accept()
    bench.handle = _touches_then(Refused("half-way"))
    bench.run_once()
    assert bench.operation(op_id).state is State.STUCK


def _forward(payload: Any, context: Context) -> Outcome:
    """As delete-snapshot does it: a mark that nothing takes back, then what follows from it."""
    if context.journal.find("mark-deleting") is None:
        context.journal.begin("mark-deleting", {})
        raise LeaseLost("the worker is killed here")
    context.watch.check()
    return Outcome.succeeded("deleted")


def _killed_after_the_mark(bench: Bench, **attributes: Any) -> str:
    op_id = bench.accept(**attributes)
    bench.handle = _forward
    bench.run_once()
    assert bench.database.ledger.release_dead(lambda owner: True) == 1
    return op_id


def test_what_has_no_way_back_goes_on_although_it_was_cancelled_meanwhile(bench: Bench) -> None:
    op_id = _killed_after_the_mark(bench)
    assert bench.database.ledger.request_cancel(op_id) is State.RUNNING
    bench.run_once()
    assert (bench.operation(op_id).state, bench.ends[-1]) == (State.SUCCEEDED, "succeeded")


def test_what_has_no_way_back_goes_on_although_its_deadline_has_passed_meanwhile(bench: Bench) -> None:
    op_id = _killed_after_the_mark(bench)
    with bench.database._engine.begin() as connection:
        connection.execute(update(operation_table).values(deadline_at=1))
    bench.run_once()
    assert bench.operation(op_id).state is State.SUCCEEDED


def test_a_retry_of_what_has_no_way_back_finishes_it_and_does_not_say_that_it_is_put_back(bench: Bench) -> None:
    op_id = _killed_after_the_mark(bench)
    for _ in range(BUDGET.max_claims):
        assert bench.claim() is not None
        bench.database.ledger.release_dead(lambda owner: True)
    bench.run_once()
    assert (bench.operation(op_id).state, bench.operation(op_id).error_code) == (State.STUCK, "poison")
    assert bench.database.ledger.resolve_stuck(op_id, "retry", OPS, "") is State.COMPENSATING
    bench.run_once()
    operation = bench.operation(op_id)
    assert (operation.state, operation.error_code) == (State.SUCCEEDED, None)
    assert operation.outcome is not None and operation.outcome["sentence"] == "deleted"
    assert bench.events()[-1] == "act.succeeded.acme"


def test_what_has_no_way_back_and_cannot_be_finished_is_stuck_again_after_a_retry(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _touches_then(Refused("half-way", code="why"))
    bench.run_once()
    bench.database.ledger.resolve_stuck(op_id, "retry", OPS, "")
    bench.handle = _raises(StoreUnavailable("the store is gone"))
    for _ in range(BUDGET.max_attempts):
        bench.now_ready()
        bench.run_once()
    assert (bench.operation(op_id).state, bench.operation(op_id).error_code) == (State.STUCK, "store-unavailable")


def test_a_takeover_in_the_middle_of_undoing_goes_on_undoing(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _touches_then(LeaseLost("the first worker dies here"))
    claim = bench.claim()
    assert claim is not None
    bench.run(claim)
    bench.database.ledger.turn_back(claim, Outcome.failed(Refused("half-way", code="why")))
    bench.database.ledger.release(claim)
    bench.undo = lambda payload, context: None
    bench.run_once()
    operation = bench.operation(op_id)
    assert (operation.state, operation.error_code) == (State.ROLLED_BACK, "why")


def test_losing_the_lease_leaves_everything_to_the_new_holder(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _raises(LeaseLost("another worker"))
    bench.run_once()
    assert bench.operation(op_id).state is State.RUNNING
    assert (bench.ends, bench.events(), bench.letters()) == (["lease-lost"], [], [])


def test_a_stopping_process_gives_the_operation_back_at_no_cost(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _raises(ShuttingDown("stop"))
    bench.run_once()
    operation = bench.operation(op_id)
    assert (operation.attempts, operation.claims_no_progress, operation.lease_until) == (0, 0, 0)
    assert bench.claim() is not None


def test_a_cancelled_operation_that_touched_nothing_is_cancelled(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _raises(Cancelled("asked"))
    bench.run_once()
    assert (bench.operation(op_id).state, bench.events()) == (State.CANCELLED, ["act.cancelled.acme"])


def test_an_operation_past_its_deadline_is_never_started(bench: Bench) -> None:
    op_id = bench.accept(deadline_ms=1)
    bench.run_once()
    operation = bench.operation(op_id)
    assert (operation.state, operation.error_code) == (State.CANCELLED, "deadline-exceeded")
    assert bench.contexts == []


def test_a_command_that_kills_its_workers_is_given_up_as_poison(bench: Bench) -> None:
    op_id = bench.accept()
    for _ in range(BUDGET.max_claims):
        claim = bench.claim()
        assert claim is not None
        assert bench.database.ledger.release_dead(lambda owner: True) == 1
    bench.run_once()
    operation = bench.operation(op_id)
    assert (operation.state, operation.error_code) == (State.FAILED, "poison")
    assert bench.contexts == []
    assert bench.counted == [("operation_seconds", "act", "failed"), ("poison",)]


def test_what_kills_its_workers_whenever_they_begin_a_step_anew_is_poison_too(bench: Bench) -> None:
    """A step that stands already is no progress, however often it is begun."""
    op_id = bench.accept()
    bench.handle, bench.undo = _touches_then(LeaseLost("the worker is killed here")), lambda payload, context: None
    for _ in range(BUDGET.max_claims + 2):
        bench.run_once()
        bench.database.ledger.release_dead(lambda owner: True)
    assert (bench.operation(op_id).state, bench.operation(op_id).error_code) == (State.ROLLED_BACK, "poison")


def test_a_stale_worker_cannot_settle_what_another_has_taken_over(bench: Bench) -> None:
    """I7: a paused worker wakes after its lease; the new holder's outcome stands."""
    op_id = bench.accept()
    stale = bench.claim()
    assert stale is not None
    bench.database.ledger.release_dead(lambda owner: True)
    bench.handle = lambda payload, context: Outcome.succeeded("by the second")
    bench.run_once()
    bench.handle = lambda payload, context: Outcome.succeeded("by the first, too late")
    bench.run(stale)
    operation = bench.operation(op_id)
    assert operation.outcome is not None and operation.outcome["sentence"] == "by the second"
    assert (bench.ends, len(bench.events())) == (["succeeded", "lease-lost"], 1)


def test_an_outcome_whose_commit_was_not_answered_is_that_outcome_and_no_lost_lease(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection broke between COMMIT and its answer: it has happened, is measured, and is cleaned up after."""
    op_id, cleaned = bench.accept(), list[str]()
    ledger, settle = type(bench.database.ledger), bench.database.ledger.settle

    def unanswered(self: Any, claim: Claim, outcome: Outcome) -> None:
        settle(claim, outcome)
        monkeypatch.setattr(ledger, "settle", lambda self, claim, outcome: settle(claim, outcome))
        raise DatabaseUnavailable("the database did not answer")

    def handle(payload: Any, context: Context) -> Outcome:
        context.after_settle.append(lambda: cleaned.append("staging"))
        return Outcome.succeeded("did it")

    monkeypatch.setattr(ledger, "settle", unanswered)
    bench.handle = handle
    bench.run_once()
    assert (bench.operation(op_id).state, bench.ends, len(bench.events())) == (State.SUCCEEDED, ["succeeded"], 1)
    assert cleaned == ["staging"]
    assert [name for name, *_ in bench.counted] == ["operation_seconds"]


@pytest.mark.parametrize(
    "wish", [Postponed("later", code="deploying", delay=1.0), StoreUnavailable("the store is away")], ids=str
)
def test_what_a_worker_wants_after_it_was_taken_over_is_no_error_and_changes_nothing(
    bench: Bench, wish: Exception
) -> None:
    """I7: it was frozen for longer than its lease just before it wrote down that it waits."""
    op_id = bench.accept()
    first = bench.claim()
    assert first is not None

    def frozen_meanwhile(payload: Any, context: Context) -> Outcome:
        second = bench.database.ledger.claim("n2", "other", 1, 60_000)
        assert second and second[0].fence > first.fence
        raise wish

    bench.database.ledger.release(first)
    bench.handle = frozen_meanwhile
    bench.run(first)
    assert bench.ends == ["lease-lost"]
    assert bench.operation(op_id).owner == "other"


def test_a_retry_knows_that_it_is_one(bench: Bench) -> None:
    bench.accept()
    bench.handle = _raises(StoreUnavailable("slow"))
    bench.run_once()
    bench.handle = lambda payload, context: Outcome.succeeded("done")
    bench.run_once()
    assert [context.retried for context in bench.contexts] == [False, True]


def test_a_failure_that_the_handler_itself_reports_after_an_effect_is_undone_too(bench: Bench) -> None:
    """FAILED means that nothing changed, whoever says it."""
    op_id = bench.accept()

    def handle(payload: Any, context: Context) -> Outcome:
        context.journal.begin("effect", {})
        return Outcome.failed(Damaged("the manifest is gone"))

    def undo(payload: Any, context: Context) -> None:
        step = context.journal.find("effect")
        assert step is not None
        context.journal.end(step, StepState.UNDONE)

    bench.handle, bench.undo = handle, undo
    bench.run_once()
    assert bench.operation(op_id).state is State.ROLLED_BACK


def test_undoing_has_its_own_budget_after_a_long_outage(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _touches_then(StoreUnavailable("gone"))
    failures = iter([OSError("once"), None])

    def undo(payload: Any, context: Context) -> None:
        if error := next(failures):
            raise error

    bench.undo = undo
    for _ in range(BUDGET.max_attempts + 1):
        bench.run_once()
    assert bench.operation(op_id).state is State.ROLLED_BACK


def test_undoing_that_kills_its_workers_is_stuck_and_not_tried_for_ever(bench: Bench) -> None:
    op_id = bench.accept()
    claim = bench.claim()
    assert claim is not None
    bench.database.ledger.turn_back(claim, Outcome.failed(Refused("half-way", code="why")))
    bench.database.ledger.release_dead(lambda owner: True)
    for _ in range(BUDGET.max_claims):
        assert bench.claim() is not None
        bench.database.ledger.release_dead(lambda owner: True)
    bench.run_once()
    assert (bench.operation(op_id).state, bench.operation(op_id).error_code) == (State.STUCK, "poison")
    assert bench.counted == [("operation_seconds", "act", "stuck"), ("compensations", "act", "stuck"), ("poison",)]


@pytest.mark.parametrize("hindrance", ["undo-failed", "poison"])
def test_after_a_retry_the_outcome_tells_why_it_was_put_back_and_not_what_was_in_the_way(
    bench: Bench, hindrance: str
) -> None:
    """I5: one who reads only the end must not look for a failure that was mended."""
    op_id = bench.accept()
    item = Item("web/image", "refused", "412")
    refused = Outcome(State.FAILED, "no such image", code="deploy-refused", next_step="name another", items=(item,))

    def undo(payload: Any, context: Context) -> None:
        raise OSError("cannot") if hindrance == "undo-failed" else LeaseLost("the worker is killed here")

    def handle(payload: Any, context: Context) -> Outcome:
        context.journal.begin("effect", {})
        return refused

    bench.handle, bench.undo = handle, undo
    while bench.operation(op_id).state is not State.STUCK:
        bench.database.ledger.release_dead(lambda owner: True)
        bench.now_ready()
        bench.run_once()
    stuck = bench.operation(op_id).outcome
    assert stuck is not None and stuck["code"] == hindrance and "--retry" in stuck["next_step"]
    assert [(left["name"], left["code"]) for left in stuck["items"]] == [("/effect", "not-put-back")]
    reason = {"code": "deploy-refused", "sentence": "no such image", "next_step": "name another"}
    assert reason.items() <= stuck["figures"]["turned_back_for"].items()
    bench.database.ledger.resolve_stuck(op_id, "retry", OPS, "")
    bench.undo = lambda payload, context: None
    bench.run_once()
    ended = bench.operation(op_id)
    assert ended.outcome is not None and (ended.state, ended.error_code) == (State.ROLLED_BACK, "deploy-refused")
    assert reason.items() <= ended.outcome.items()
    assert (ended.outcome["items"], ended.outcome["figures"]) == (
        [{"name": "web/image", "code": "refused", "sentence": "412"}],
        {},
    )


def test_a_ledger_that_cannot_settle_is_retried_with_backoff_and_does_not_escape(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = lambda payload, context: Outcome(State.RUNNING, "no end at all")
    bench.run_once()
    assert (bench.operation(op_id).state, bench.operation(op_id).attempts) == (State.RUNNING, 1)


class Heard:
    """A log that remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __getattr__(self, level: str) -> Callable[..., None]:
        return lambda event, **fields: self.lines.append(f"{level} {event} {fields}")


def test_a_bug_s_message_is_sealed_in_the_letter_and_not_in_the_log(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I18: an exception's message may quote a secret value."""
    heard = Heard()
    for module in ("executor", "giving_up"):
        monkeypatch.setattr(f"workers.{module}.log", heard)
    bench.accept()
    bench.handle = _raises(KeyError("canary-77"))
    bench.run_once()
    assert any("operation.bug" in line and "KeyError" in line for line in heard.lines)
    assert not any("canary-77" in line for line in heard.lines)


# ---------------------------------------------------------------- room
def test_work_on_files_waits_for_room_says_so_and_costs_no_attempt(bench: Bench) -> None:
    op_id = bench.accept()
    bench.low_on_room = "/srv/apps has 0.10 GB free, and 1.00 GB have to stay free"
    bench.run_once()
    waiting = bench.operation(op_id)
    assert (bench.ends, bench.contexts, waiting.attempts) == (["postponed"], [], 0)
    assert "0.10 GB free" in bench.database.waits_for(waiting)


def test_what_has_touched_something_goes_on_without_room(bench: Bench) -> None:
    op_id = bench.accept()

    def begin_then_go_on(payload: Any, context: Context) -> Outcome:
        if not context.journal.steps():
            context.journal.begin("swap", {})
            raise StoreUnavailable("not now")
        return Outcome.succeeded("did it")

    bench.handle = begin_then_go_on
    bench.run_once()
    bench.low_on_room = "/srv/apps is full"
    bench.run_once()
    assert bench.operation(op_id).state is State.SUCCEEDED


def test_a_type_that_nobody_knows_fails_when_its_attempts_are_spent_and_nothing_was_begun(bench: Bench) -> None:
    bench.knows = False
    op_id = bench.accept()
    for _ in range(BUDGET.max_attempts):
        bench.now_ready()
        bench.run_once()
    operation = bench.operation(op_id)
    assert (operation.state, operation.error_code) == (State.FAILED, "unknown-type")


def test_a_type_that_is_not_known_any_more_is_never_given_up_once_somebody_has_begun_it(bench: Bench) -> None:
    """I2: FAILED says that nothing changed; who does not know the type cannot say that."""
    op_id = bench.accept()

    def begin(_: Any, context: Context) -> Outcome:
        context.journal.begin("swap", {})
        raise StoreUnavailable("away")

    bench.handle = begin
    bench.run_once()
    bench.knows = False
    for _ in range(BUDGET.max_attempts + 1):
        bench.now_ready()
        bench.run_once()
    operation = bench.operation(op_id)
    assert (operation.state, operation.error_code) == (State.RUNNING, "unknown-type")


# ---------------------------------------------------------------- before and after the handler
@pytest.mark.parametrize("part", ["closing", "abandon"])
def test_a_bug_in_what_belongs_to_an_end_does_not_keep_it_from_ending(bench: Bench, part: str) -> None:
    """I2: it ends without those rows."""

    def broken(*_: Any) -> tuple[Change, ...]:
        raise KeyError("x")

    op_id = bench.accept()
    bench.handle, bench.more = _raises(ZeroDivisionError()), {part: broken}
    for _ in range(BUDGET.max_bugs):
        bench.now_ready()
        bench.run_once()
    assert bench.operation(op_id).state is State.FAILED
    assert bench.events() == ["act.failed.acme"]


@pytest.mark.parametrize("error", [KeyError("x"), Damaged("a sealed value is torn"), Refused("no")])
def test_a_service_that_cannot_be_read_is_tried_as_often_as_a_bug_and_then_told(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """I2: no handler was asked."""

    def unreadable(service_id: str) -> None:
        raise error

    op_id = bench.accept()
    bench.low_on_room = "so that it is local"
    monkeypatch.setattr(bench.database.services, "get", unreadable)
    for _ in range(BUDGET.max_bugs):
        bench.now_ready()
        bench.run_once()
    assert bench.operation(op_id).state is State.FAILED
    assert (len(bench.letters()), bench.events()) == (1, ["act.failed.acme"])


def test_a_key_that_is_away_is_waited_for_until_somebody_cancels(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def unopened(service_id: str) -> None:
        raise KeyUnavailable("key k1 is not in the ring")

    op_id = bench.accept()
    bench.low_on_room = "so that it is local"
    with monkeypatch.context() as away:
        away.setattr(bench.database.services, "get", unopened)
        for _ in range(3 * BUDGET.max_bugs):
            bench.now_ready()
            bench.run_once()
    assert (bench.operation(op_id).state, bench.operation(op_id).attempts) == (State.RUNNING, 0)
    bench.database.ledger.request_cancel(op_id, OPS)
    bench.run_once()
    assert bench.operation(op_id).state is State.CANCELLED


def test_a_deadline_ends_nothing_that_was_begun_for_want_of_a_key(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever has the key can put it back: nodes get a new one at different times. A cancel is a person's word."""

    def unopened(op_id: str) -> list[Step]:
        raise KeyUnavailable("key k1 is not in the ring")

    op_id = bench.accept(deadline_ms=SystemClock().wall_ms() + 3_600_000)
    bench.handle = _touches_then(StoreUnavailable("away"))
    for _ in range(BUDGET.max_bugs):
        bench.run_once()
        bench.now_ready()
    with bench.database._engine.begin() as connection:
        connection.execute(update(operation_table).values(deadline_at=1))
    monkeypatch.setattr(bench.database.ledger, "steps", unopened)
    bench.run_once()
    assert (bench.operation(op_id).state, bench.ends[-1], bench.letters()) == (State.RUNNING, "postponed", [])
    bench.database.ledger.request_cancel(op_id, OPS)
    bench.now_ready()
    bench.run_once()
    assert (bench.operation(op_id).state, bench.events()) == (State.STUCK, ["act.stuck.acme"])


def test_a_journal_that_cannot_be_read_is_a_matter_for_a_person_in_the_end(bench: Bench) -> None:
    """I2: what it has begun is not known, so that nobody may say that nothing changed."""
    op_id = bench.accept()
    bench.handle = _touches_then(StoreUnavailable("away"))
    bench.run_once()
    with bench.database._engine.begin() as connection:
        connection.execute(update(step_table).values(request=b"garbage"))
    bench.now_ready()
    bench.run_once()
    assert bench.operation(op_id).state is State.STUCK
    assert bench.events() == ["act.stuck.acme"] and len(bench.letters()) == 1


@pytest.mark.parametrize(
    ("error", "how"), [(ShuttingDown("stop"), "released"), (Postponed("the region rests", delay=5), "postponed")]
)
def test_undoing_after_the_last_bug_is_interrupted_as_any_work_is(bench: Bench, error: Exception, how: str) -> None:
    op_id = bench.accept()
    bench.handle = _touches_then(ZeroDivisionError())

    def undo(payload: Any, context: Context) -> None:
        raise error

    bench.undo = undo
    for _ in range(BUDGET.max_bugs):
        bench.now_ready()
        bench.run_once()
    assert bench.ends[-1] == how
    operation = bench.operation(op_id)
    assert (operation.state, operation.lease_until) == (State.COMPENSATING, 0)


def test_a_bug_while_the_last_bug_is_undone_is_tried_again_as_undoing(bench: Bench) -> None:
    op_id = bench.accept()
    bench.handle = _touches_then(ZeroDivisionError())

    def undo(payload: Any, context: Context) -> None:
        raise KeyError("another")

    bench.undo = undo
    for _ in range(BUDGET.max_bugs):
        bench.now_ready()
        bench.run_once()
    assert bench.operation(op_id).state is State.COMPENSATING
    for _ in range(BUDGET.max_undo_attempts):
        if bench.operation(op_id).state is State.COMPENSATING:
            bench.now_ready()
            bench.run_once()
    assert (bench.operation(op_id).state, bench.operation(op_id).error_code) == (State.STUCK, "undo-failed")
