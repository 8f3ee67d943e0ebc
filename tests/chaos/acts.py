"""Every act that is one transaction, arranged so that it has something to change: of people, of nodes, of loops.

Apart from the test that kills them because here is what there is to do, and there what must come of it. The names are
those of the transactions. An act takes a database of its own, because it is done in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable

import handlers
from domain.contracts import Accepted, Owed
from domain.operation import State
from domain.outcome import (
    AddSnapshot,
    MarkDeleting,
    Outcome,
    RemoveSnapshot,
    SaveExport,
    SaveService,
)
from domain.replay import ReplayState
from domain.schedule import Firing, Schedule
from domain.service import Service
from domain.snapshot import Export
from storage.sql import Database
from tests.contract.diary import HOUR, NOON, hourly, register, saved, set_up
from tests.contract.sql_bench import ANN, LEASE, Bench, accepted, pack_key, snapshot
from workers.judge import judge_with
from workers.replaying import Replaying

DAY = 86_400_000
HOLD = 600_000

Act = Callable[[Database], object]


# ---------------------------------------------------------------- of whoever holds a claim
def renew(bench: Bench) -> Act:
    claim = bench.running()
    return lambda database: database.ledger.renew(claim, 2 * LEASE, {"files": 7})


def retry_later(bench: Bench) -> Act:
    claim = bench.running()
    return lambda database: database.ledger.retry_later(claim, 5_000, "region-failed", "it answers 503")


def reroute(bench: Bench) -> Act:
    claim = bench.running()
    return lambda database: database.ledger.reroute(claim, "n2")


def release(bench: Bench) -> Act:
    claim = bench.running()
    return lambda database: database.ledger.release(claim)


def release_dead(bench: Bench) -> Act:
    bench.running()
    return lambda database: database.ledger.release_dead(lambda owner: True)


def reserve(bench: Bench) -> Act:
    claim = bench.running()
    return lambda database: database.ledger.reserve(claim, ["db", "cache"], LEASE)


def bump(bench: Bench) -> Act:
    claim = bench.running()
    return lambda database: database.ledger.bump(claim, LEASE)


def settle(bench: Bench) -> Act:
    claim = bench.running()
    outcome = Outcome.succeeded("taken", changes=(AddSnapshot(snapshot("s1", (pack_key("s1", "0"),))),))
    return lambda database: database.ledger.settle(claim, outcome)


# ---------------------------------------------------------------- of people
def undrain(bench: Bench) -> Act:
    bench.database.nodes.beat("n1", "boot", "1.0")
    bench.database.nodes.drain("n1", ANN, "new disk")
    return lambda database: database.nodes.undrain("n1", ANN, "it is in")


def cancel(bench: Bench) -> Act:
    op_id = bench.accept_one()
    return lambda database: database.ledger.request_cancel(op_id, ANN)


def resolve(bench: Bench) -> Act:
    claim = bench.running()
    bench.database.ledger.turn_back(claim, Outcome(State.FAILED, "refused", code="refused"))
    stuck = Outcome(State.STUCK, "the region refuses the old image", code="undo-failed")
    bench.database.ledger.settle(claim, stuck)
    return lambda database: database.ledger.resolve_stuck(claim.operation.op_id, "accept", ANN, "looked at it")


def discard(bench: Bench) -> Act:
    letter = _letter(bench)
    return lambda database: database.dead_letters.discard(letter, ANN, "known")


def replay_operation(bench: Bench) -> Act:
    letter = _letter(bench)
    return lambda database: database.dead_letters.replay_operation(letter, ANN)


def replay_edited(bench: Bench) -> Act:
    letter, item = _letter(bench), accepted("edited")
    return lambda database: database.dead_letters.replay_edited(letter, ANN, item, "its label was too long")


def replay_stop(bench: Bench) -> Act:
    known = handlers.subscriptions()
    replaying = Replaying(bench.database, judge_with(known), known)
    begun = replaying.begin(ANN, [_letter(bench)], canary=0, per_minute=1, reason="", chosen_by={})
    assert begun.state is ReplayState.RUNNING
    return lambda database: database.replays.stop(begun.replay_id, ANN, "not now")


def token(bench: Bench) -> Act:
    return lambda database: database.tokens.create("ci", "digest", {"acme": "operator"}, ANN, 60)


def session(bench: Bench) -> Act:
    made = _token(bench)
    bench.database.tokens.begin_session("session", made, 60)
    return lambda database: database.tokens.end_session("session")


def token_used(bench: Bench) -> Act:
    _token(bench)
    return lambda database: database.tokens.find("digest")


def audit(bench: Bench) -> Act:
    return lambda database: database.audit.record(ANN.entry("keys.rotate", "keys", reason="yearly"))


def _letter(bench: Bench) -> str:
    bench.fail(bench.running())
    return bench.database.dead_letters.list(resolved=False, limit=1, before=None)[0].dead_letter_id


def _token(bench: Bench) -> str:
    return bench.database.tokens.create("ci", "digest", {"acme": "operator"}, ANN, None).token_id


# ---------------------------------------------------------------- of the loops of every node
def beat(bench: Bench) -> Act:
    return lambda database: database.nodes.beat("n1", "boot", "1.0")


def accept(bench: Bench) -> Act:
    items: list[Accepted] = [accepted("m1"), accepted("m2", "db")]
    return lambda database: database.inbox.accept(items)


def expire(bench: Bench) -> Act:
    bench.accept_one(deadline_ms=bench.now + 1)
    bench.now += 2
    return lambda database: database.ledger.expire()


def outbox_pass_over(bench: Bench) -> Act:
    bench.succeed(bench.running())
    (event,) = bench.database.outbox.take(9, LEASE)
    return lambda database: database.outbox.pass_over({event.event_id: 9_000})


def prune_history(bench: Bench) -> Act:
    claim = bench.running()
    bench.database.ledger.intend_many(claim, 0, [("one", {}), ("two", {})], LEASE)
    bench.succeed(claim)
    _told(bench)
    bench.now += 2 * DAY
    return lambda database: database.history.prune(DAY, 100)


def prune_events(bench: Bench) -> Act:
    bench.make(SaveService(Service("web", "acme", "Web", "web", rpo_seconds=1, rpo_since=bench.now - DAY)))
    assert bench.database.recovery_points.tell() == (1, 0)
    _told(bench)
    bench.now += 2 * DAY
    return lambda database: database.history.prune_events(DAY, 100)


def rpo_tell(bench: Bench) -> Act:
    bench.now = NOON
    register(bench, "web", rpo_seconds=60, rpo_since=NOON - HOUR)
    return lambda database: database.recovery_points.tell()


def expire_exports(bench: Bench) -> Act:
    bench.make(AddSnapshot(snapshot("s1")), SaveExport(Export("s1", "acme", "exports/a", 9, "ab", bench.now + 1)))
    bench.now += 2
    return lambda database: database.catalogue.expire_exports()


def forget_garbage(bench: Bench) -> Act:
    bench.make(AddSnapshot(snapshot("s1", (pack_key("s1", "0"),))))
    bench.make(MarkDeleting("s1"), RemoveSnapshot("s1"))
    bench.now += DAY
    keys = [row.key for row in bench.database.catalogue.garbage(9)]
    assert pack_key("s1", "0") in keys
    return lambda database: database.catalogue.forget_garbage(keys)


def recover(bench: Bench) -> Act:
    record = snapshot("s1", (pack_key("s1", "0"),))
    return lambda database: database.catalogue.recover(record)


def _told(bench: Bench) -> None:
    bench.database.outbox.sent([event.event_id for event in bench.database.outbox.take(100, 1_000)])


# ---------------------------------------------------------------- of the scheduler
def schedule_lead(bench: Bench) -> Act:
    return lambda database: database.schedules.lead("n1", HOUR, lambda owner: False)


def schedule_step_down(bench: Bench) -> Act:
    bench.database.schedules.lead("n1", HOUR, lambda owner: False)
    return lambda database: database.schedules.step_down("n1")


def schedule_put_right(bench: Bench) -> Act:
    bench.database.schedules.lead("n1", HOUR, lambda owner: False)
    bench.now -= DAY
    return lambda database: database.schedules.put_right("n1", bench.now)


def schedule_plan(bench: Bench) -> Act:
    seen, firing = _hourly(bench)
    return lambda database: database.schedules.plan(seen, NOON + 2 * HOUR, [firing], decided_at=bench.now)


def schedule_ask(bench: Bench) -> Act:
    seen, firing = _hourly(bench)
    bench.database.schedules.plan(seen, NOON + 2 * HOUR, [firing], decided_at=bench.now)
    return lambda database: database.schedules.ask(firing, [accepted("m1")], coalesce=True)


def schedule_go_back(bench: Bench) -> Act:
    seen, firing = _hourly(bench)
    bench.database.schedules.plan(seen, NOON + 9 * HOUR, [firing], decided_at=bench.now)
    ahead = bench.database.schedules.get("acme", "hourly")
    assert ahead is not None
    return lambda database: database.schedules.go_back(ahead, NOON + HOUR)


def schedule_prune(bench: Bench) -> Act:
    seen, firing = _hourly(bench)
    bench.database.schedules.plan(seen, NOON + 2 * HOUR, [firing], decided_at=bench.now)
    bench.database.schedules.ask(firing, [], coalesce=True, why="no reason")
    return lambda database: database.schedules.prune(NOON + 1)


def _hourly(bench: Bench) -> tuple[Schedule, Firing]:
    set_up(bench, hourly())
    seen = bench.database.schedules.get("acme", "hourly")
    assert seen is not None
    return seen, Firing(seen.schedule_id, "acme", "hourly", "web", NOON + HOUR, NOON + HOUR)


# ---------------------------------------------------------------- of whoever copies to a replica
def take_copy(bench: Bench) -> Act:
    saved(bench, "s1")
    return lambda database: database.copies.take("b", HOLD)


def hold_copy(bench: Bench) -> Act:
    owed = _owed(bench)
    return lambda database: database.copies.hold(owed, "b", 2 * HOLD)


def copied(bench: Bench) -> Act:
    owed = _owed(bench)
    return lambda database: database.copies.done(owed, "b")


def copy_failed(bench: Bench) -> Act:
    owed = _owed(bench)
    return lambda database: database.copies.failed(owed, "b", "the replica is away")


def copy_left(bench: Bench) -> Act:
    owed = _owed(bench)
    return lambda database: database.copies.let_go(owed, "b")


def _owed(bench: Bench) -> Owed:
    saved(bench, "s1")
    owed = bench.database.copies.take("b", HOLD)
    assert owed is not None
    return owed


def forget_copies(bench: Bench) -> Act:
    saved(bench, "s1")
    assert bench.database.copies.take("former", HOLD) is not None
    bench.make(MarkDeleting("s1"), RemoveSnapshot("s1"))
    bench.now += HOLD
    return lambda database: database.copies.take("b", HOLD)


ACTS: dict[str, Callable[[Bench], Act]] = {
    "renew": renew, "retry-later": retry_later, "reroute": reroute, "release": release, "release-dead": release_dead,
    "reserve": reserve, "bump": bump, "settle": settle, "undrain": undrain, "cancel": cancel, "resolve": resolve,
    "discard": discard, "replay-operation": replay_operation, "replay-edited": replay_edited,
    "replay-stop": replay_stop, "token": token, "session": session, "token-used": token_used, "audit": audit,
    "beat": beat, "accept": accept, "expire": expire, "outbox-pass-over": outbox_pass_over,
    "prune-history": prune_history, "prune-events": prune_events, "rpo-tell": rpo_tell,
    "expire-exports": expire_exports, "forget-garbage": forget_garbage, "recover": recover,
    "schedule-lead": schedule_lead, "schedule-step-down": schedule_step_down,
    "schedule-put-right": schedule_put_right, "schedule-plan": schedule_plan, "schedule-ask": schedule_ask,
    "schedule-go-back": schedule_go_back, "schedule-prune": schedule_prune, "take-copy": take_copy,
    "hold-copy": hold_copy, "copied": copied, "copy-failed": copy_failed, "copy-left": copy_left,
    "forget-copies": forget_copies,
}  # fmt: skip
