"""The port `History`: only what has ended, is old enough and is of use to nobody is forgotten."""

from __future__ import annotations

from domain.contracts import Pruned
from domain.outcome import AddSnapshot
from tests.contract.sql_bench import ANN, LEASE, Bench, accepted, snapshot

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
