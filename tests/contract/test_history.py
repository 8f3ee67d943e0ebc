"""The port `History`: only what has ended, is old enough and is of use to nobody is forgotten."""

from __future__ import annotations

from sqlalchemy import select

from domain.contracts import Pruned
from domain.outcome import AddSnapshot, SaveService
from domain.service import Service
from storage.sql.tables import outbox
from tests.contract.sql_bench import ANN, LEASE, Bench, accepted, rejected, snapshot

DAY = 86_400_000


def _ended(bench: Bench, service: str, message_id: str = "") -> str:
    """An operation with two steps that succeeded, and whose event was sent."""
    claim = bench.running(service, message_id=message_id)
    bench.database.ledger.intend_many(claim, 0, [("one", {}), ("two", {})], LEASE)
    bench.succeed(claim)
    _sent(bench)
    return claim.operation.op_id


def _sent(bench: Bench) -> None:
    events = bench.database.outbox.take(100, 1000)
    bench.database.outbox.sent([event.event_id for event in events])


def _known(bench: Bench) -> list[str]:
    return [operation.op_id for operation in bench.database.list_operations()][::-1]


def test_what_ended_long_ago_is_forgotten_with_its_steps_and_events_and_nothing_else(bench: Bench) -> None:
    old = _ended(bench, "web")
    bench.now += 10 * DAY
    young = _ended(bench, "web")
    bench.now += DAY
    assert bench.database.history.prune(10 * DAY, 100, dry_run=True) == Pruned(1, 2, 1)
    assert _known(bench) == [old, young]
    assert bench.database.history.prune(10 * DAY, 100) == Pruned(1, 2, 1)
    assert _known(bench) == [young]
    assert bench.database.ledger.steps(old) == []
    assert bench.database.history.prune(10 * DAY, 100) == Pruned()


def test_the_oldest_go_first_and_no_more_than_were_asked_for(bench: Bench) -> None:
    ended = [_ended(bench, f"s{number}") for number in range(4)]
    bench.now += 10 * DAY
    assert bench.database.history.prune(DAY, 3).operations == 3
    assert _known(bench) == ended[3:]


def test_what_has_not_ended_is_kept_however_old(bench: Bench) -> None:
    running, queued = bench.running("web").operation.op_id, bench.accept_one(service="other")
    bench.now += 1000 * DAY
    assert bench.database.history.prune(DAY, 100) == Pruned()
    assert set(_known(bench)) == {running, queued}


def test_whoever_has_an_event_that_was_not_sent_is_kept(bench: Bench) -> None:
    """I9: each outcome is told."""
    bench.succeed(bench.running("web"))
    bench.now += 1000 * DAY
    assert bench.database.history.prune(DAY, 100) == Pruned()
    _sent(bench)
    assert bench.database.history.prune(DAY, 100).operations == 1


def test_what_a_dead_letter_is_about_or_has_become_is_kept(bench: Bench) -> None:
    failed = bench.running("web")
    bench.fail(failed)
    (letter,) = bench.database.dead_letters.list(resolved=False, limit=10, before=None)
    _sent(bench)
    bench.now += 1000 * DAY
    assert bench.database.history.prune(DAY, 100) == Pruned()
    made = bench.database.dead_letters.replay_operation(letter.dead_letter_id, ANN)
    assert made is not None
    bench.succeed(bench.claim_one())
    _sent(bench)
    bench.now += 1000 * DAY
    assert bench.database.history.prune(DAY, 100) == Pruned()
    assert set(_known(bench)) == {failed.operation.op_id, made}


def test_what_took_a_snapshot_is_kept_for_as_long_as_the_snapshot(bench: Bench) -> None:
    claim = bench.running("web")
    bench.succeed(claim, AddSnapshot(snapshot(claim.operation.op_id)))
    _sent(bench)
    bench.now += 1000 * DAY
    assert bench.database.history.prune(DAY, 100) == Pruned()


def test_a_message_that_was_forgotten_is_new_when_it_comes_again(bench: Bench) -> None:
    """Why nothing younger than a week may be forgotten."""
    _ended(bench, "web", "m-1")
    bench.now += 10 * DAY
    bench.database.history.prune(DAY, 100)
    (receipt,) = bench.accept(accepted("m-1"))
    assert receipt.status == "accepted"


def test_each_batch_goes_on_behind_the_one_before_and_not_at_what_is_kept(bench: Bench) -> None:
    _ended(bench, "web")
    kept = bench.running("other")
    _ended(bench, "web")
    bench.now += 10 * DAY
    history = bench.database.history
    gone = history.prune(DAY, 1)
    assert (gone, gone.after) == (Pruned(1, 2, 1), kept.operation.seq - 1)
    gone = history.prune(DAY, 1, after=gone.after)
    assert gone.operations == 1
    gone = history.prune(DAY, 1, after=gone.after)
    assert (gone, gone.after) == (Pruned(), 0)
    assert _known(bench) == [kept.operation.op_id]


def test_events_about_no_operation_are_forgotten_once_they_were_sent(bench: Bench) -> None:
    """Recovery points that were missed, and refused messages whose letters were resolved."""
    bench.make(SaveService(Service("web", "acme", "Web", "web", rpo_seconds=1, rpo_since=bench.now - DAY)))
    assert bench.database.recovery_points.tell() == (1, 0)
    named = {"source": "/console", "kind": "create-snapshot", "subject": "tenant/acme/service/web"}
    open_, resolved = bench.accept(rejected(b"1", message_id="1", **named), rejected(b"2", message_id="2", **named))
    bench.database.dead_letters.discard(resolved.dead_letter_id or "", ANN, "seen")
    history = bench.database.history
    bench.now += 10 * DAY
    assert history.prune_events(DAY, 100) == Pruned(), "each outcome is told: I9"
    _sent(bench)
    assert history.prune_events(DAY, 100) == Pruned(), "that was a moment ago"
    bench.now += 2 * DAY
    assert history.prune_events(DAY, 100, dry_run=True) == Pruned(events=2)
    first = history.prune_events(DAY, 1)
    assert (first, first.after > 0) == (Pruned(events=1), True)
    assert history.prune_events(DAY, 100, after=first.after) == Pruned(events=1)
    with bench.database._engine.connect() as connection:
        about = set(connection.scalars(select(outbox.c.op_id))) - set(_known(bench))
    assert about == {open_.dead_letter_id}, "a person has to look at it"
