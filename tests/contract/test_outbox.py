"""The port `Outbox`: every event is told at least once, each in its turn, by one relay at a time."""

from __future__ import annotations

import pytest
from sqlalchemy import insert, update

from domain.contracts import Event
from storage.sql.tables import outbox
from tests.contract.sql_bench import Bench


def _ended(bench: Bench, service: str) -> str:
    claim = bench.running(service, correlation_id="c-1", reply_to="me")
    bench.succeed(claim)
    return claim.operation.op_id


def test_the_event_of_an_ended_operation_is_a_cloud_event_that_names_it(bench: Bench) -> None:
    op_id = _ended(bench, "web")
    (event,) = bench.database.outbox.take(10, 1)
    assert (event.op_id, event.topic, event.reply_to) == (op_id, "create-snapshot.succeeded.acme", "me")
    assert event.payload["id"] == event.event_id
    assert event.payload["type"] == "backstay.create-snapshot.succeeded.v1"
    assert event.payload["correlationid"] == "c-1"
    assert event.payload["data"]["operation_id"] == op_id


def test_events_are_taken_oldest_first_and_up_to_the_limit(bench: Bench) -> None:
    ended = [_ended(bench, f"s{n}") for n in range(3)]
    assert [event.op_id for event in bench.database.outbox.take(2, 1000)] == ended[:2]


def test_a_held_event_is_not_given_to_a_second_relay(bench: Bench) -> None:
    _ended(bench, "web")
    assert len(bench.database.outbox.take(10, 1000)) == 1
    assert bench.database.outbox.take(10, 1000) == []


def test_an_event_whose_relay_died_is_given_out_again(bench: Bench) -> None:
    """The same event id, so that listeners can drop the repeat."""
    _ended(bench, "web")
    (first,) = bench.database.outbox.take(10, 1000)
    bench.now += 1001
    assert bench.database.outbox.take(10, 1000) == [first]


def test_a_sent_event_is_never_given_out_again(bench: Bench) -> None:
    _ended(bench, "web")
    (event,) = bench.database.outbox.take(10, 0)
    bench.database.outbox.sent([event.event_id])
    bench.database.outbox.sent([event.event_id])
    bench.now += 1
    assert bench.database.outbox.take(10, 0) == []


def test_what_is_passed_over_is_held_for_so_long_and_lets_those_behind_it_by(bench: Bench) -> None:
    outbox = bench.database.outbox
    for service in ("a", "b", "c"):
        _ended(bench, service)
    first, second = outbox.take(2, 15_000)
    outbox.pass_over({first.event_id: 60_000, second.event_id: 900_000})
    bench.now += 59_999
    assert len(outbox.take(2, 100_000)) == 1, "the third"
    bench.now += 1
    assert outbox.take(2, 15_000) == [first]
    outbox.sent([first.event_id])
    outbox.pass_over({first.event_id: 60_000})
    bench.now += 240_000
    assert second in outbox.take(3, 15_000), "never for longer than five minutes"


def _write(bench: Bench, *names: str, op_id: str = "") -> None:
    """Events of these ids, each of an operation of its own unless one is named."""
    row = {"reply_to": None, "payload": "{}", "created_at": bench.now}
    with bench.database._engine.begin() as connection:
        for name in names:
            connection.execute(insert(outbox).values(event_id=name, op_id=op_id or name, topic=name, **row))


def _ids(events: list[Event]) -> list[str]:
    return [event.event_id for event in events]


def _refuse(bench: Bench, *names: str) -> None:
    """New events that nobody takes: their holds have just ended, in this order."""
    _write(bench, *names)
    for number, event_id in enumerate(names):
        bench.database.outbox.take(1, 1)
        bench.database.outbox.pass_over({event_id: 1_000 + number})
    bench.now += 1_000 + len(names)


def test_new_events_and_those_whose_hold_is_over_are_taken_in_turn_however_many_there_are(bench: Bench) -> None:
    """A queue that refuses thousands must not keep what came later from the other queues."""
    taking = bench.database.outbox
    _refuse(bench, *(f"r{number}" for number in range(9)))
    _write(bench, *(f"n{number}" for number in range(9)))
    assert _ids(taking.take(4, 15_000)) == ["n0", "r0", "n1", "r1"]
    assert _ids(taking.take(14, 15_000)) == [f"{sort}{number}" for number in range(2, 9) for sort in "nr"]


@pytest.mark.parametrize(("refused", "new", "taken"), [
    (9, 1, ["n0", "r0", "r1", "r2"]),
    (1, 9, ["n0", "r0", "n1", "n2"]),
    (9, 0, ["r0", "r1", "r2", "r3"]),
])  # fmt: skip
def test_one_sort_leaves_to_the_other_what_it_does_not_need(
    bench: Bench, refused: int, new: int, taken: list[str]
) -> None:
    _refuse(bench, *(f"r{number}" for number in range(refused)))
    _write(bench, *(f"n{number}" for number in range(new)))
    assert _ids(bench.database.outbox.take(4, 15_000)) == taken


def test_of_those_whose_hold_is_over_each_has_its_turn(bench: Bench) -> None:
    """By age the oldest would come each time, and the others never."""
    names = [f"r{number}" for number in range(6)]
    _refuse(bench, *names)
    tried: list[str] = []
    for _ in range(3):
        tried += (taken := _ids(bench.database.outbox.take(2, 15_000)))
        bench.database.outbox.pass_over(dict.fromkeys(taken, 1))
        bench.now += 1
    assert tried == names


def test_nothing_of_an_operation_is_told_before_what_it_has_to_tell_first(bench: Bench) -> None:
    """Neither what is new, nor what was held for a shorter time."""
    taking = bench.database.outbox
    _write(bench, "stuck", op_id="op")
    assert _ids(taking.take(9, 1_000)) == ["stuck"]
    _write(bench, "ended", "again", op_id="op")
    bench.now += 1_000
    assert _ids(taking.take(9, 1_000)) == ["stuck"]
    taking.sent(["stuck"])
    assert _ids(taking.take(9, 1_000)) == ["ended", "again"]
    _write(bench, "first", "second", op_id="other")
    with bench.database._engine.begin() as connection:
        for event_id, ends in (("first", bench.now), ("second", bench.now - 1)):
            connection.execute(update(outbox).where(outbox.c.event_id == event_id).values(held_until=ends))
    assert _ids(taking.take(9, 1_000)) == ["first"]
    assert _ids(taking.take(9, 1_000)) == ["second"], "what is held keeps nothing waiting"


def test_an_event_that_is_passed_over_comes_again_when_the_clock_goes_back(bench: Bench) -> None:
    _ended(bench, "web")
    (event,) = bench.database.outbox.take(1, 15_000)
    bench.database.outbox.pass_over({event.event_id: 300_000})
    bench.now -= 86_400_000
    assert bench.database.outbox.take(1, 15_000) == [event]


def test_nothing_sent_changes_nothing(bench: Bench) -> None:
    bench.database.outbox.sent([])
    assert bench.database.outbox.waiting() == (0, 0)


def test_waiting_tells_how_many_and_how_old(bench: Bench) -> None:
    _ended(bench, "a")
    bench.now += 5_000
    _ended(bench, "b")
    assert bench.database.outbox.waiting() == (2, 5_000)
