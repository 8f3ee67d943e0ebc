"""The port `Outbox`: every event is told at least once, in order, by one relay at a time."""

from __future__ import annotations

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
