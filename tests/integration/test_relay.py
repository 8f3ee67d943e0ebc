"""The relay: every event is told under its topic, again where the publisher asked, and survives every outage."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from kombu import Connection, Consumer, Queue
from sqlalchemy import select

from domain.contracts import Event
from domain.errors import BrokerUnavailable, DatabaseUnavailable, NotTaken
from domain.operation import Operation, State
from storage.sql.tables import outbox as outbox_table
from tests.contract.sql_bench import Bench
from tests.fakes.clock import FakeClock
from tests.waiting import eventually
from workers import loop, relay
from workers.border import EVENTS, connect
from workers.clock import SystemClock
from workers.progress import EVERY, ProgressBoard
from workers.relay import Relay


def event(event_id: str, reply_to: str | None = None) -> Event:
    return Event(event_id, "op", "create-snapshot.succeeded.acme", reply_to, {"id": event_id})


class FakeOutbox:
    """The port `Outbox`: a taken event is held, and comes again when `release` is called; outages on request."""

    def __init__(self, *events: Event) -> None:
        self.unsent = {one.event_id: one for one in events}
        self.held: set[str] = set()
        self.holds: list[dict[str, int]] = []
        self.outage = 0

    def take(self, limit: int, hold_ms: int) -> list[Event]:
        self._weather()
        taken = [one for one in self.unsent.values() if one.event_id not in self.held][:limit]
        self.held |= {one.event_id for one in taken}
        return taken

    def sent(self, event_ids: Any) -> None:
        self._weather()
        for event_id in event_ids:
            self.unsent.pop(event_id, None)

    def pass_over(self, holds: Any) -> None:
        self._weather()
        self.holds.append(dict(holds))

    def waiting(self) -> tuple[int, int]:
        return len(self.unsent), 0

    def release(self) -> None:
        self.held.clear()

    def _weather(self) -> None:
        if self.outage:
            self.outage -= 1
            raise DatabaseUnavailable("out")


class FakePublisher:
    """Takes events, but not while `broken`, and never those in `refused` or, without an answer, in `silent`."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.refused: set[str] = set()
        self.silent: set[str] = set()
        self.broken = False
        self.attempts = 0

    def event(self, payload: dict[str, Any], routing_key: str) -> None:
        self.attempts += 1
        if self.broken or payload["id"] in self.silent:
            raise BrokerUnavailable("no")
        if payload["id"] in self.refused:
            raise NotTaken("no")
        self.told.append((payload["id"], routing_key))

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture
def publisher(monkeypatch: pytest.MonkeyPatch) -> FakePublisher:
    made = FakePublisher()
    monkeypatch.setattr(relay, "Publisher", lambda *_, **__: made)
    monkeypatch.setattr(relay, "POLL_SECONDS", 0.01)
    monkeypatch.setattr(loop, "PAUSE_BASE", 0.01)
    return made


@pytest.fixture
def started() -> Iterator[list[Relay]]:
    relays: list[Relay] = []
    yield relays
    for one in relays:
        one.stop(timeout=60)


def start(started: list[Relay], outbox: FakeOutbox, url: str = "spool:///unused") -> Relay:
    made = Relay(url, outbox, clock=SystemClock())
    started.append(made)
    made.start()
    return made


def drain(connection: Connection, queue: Any, count: int) -> list[str]:
    heard: list[str] = []

    def hear(message: Any) -> None:
        heard.append(json.loads(message.body)["id"])
        message.ack()

    with Consumer(connection.default_channel, [queue], on_message=hear, auto_declare=False):
        while len(heard) < count:
            connection.drain_events(timeout=60)
    return heard


def test_events_reach_a_real_listener_in_order_and_the_one_who_asked(border_url: str, started: list[Relay]) -> None:
    with connect(border_url) as connection:
        channel = connection.default_channel
        EVENTS(channel).declare()
        everything = Queue("everything", EVENTS, routing_key="create-snapshot.#", durable=True)(channel)
        answers = Queue("answers", EVENTS, routing_key="evt.billing", durable=True)(channel)
        for queue in (everything, answers):
            queue.declare()
        outbox = FakeOutbox(event("e-1"), event("e-2", reply_to="evt.billing"), event("e-3"))
        start(started, outbox, border_url)
        assert drain(connection, everything, 3) == ["e-1", "e-2", "e-3"]
        assert drain(connection, answers, 1) == ["e-2"]
        eventually(lambda: not outbox.unsent, what="all are marked as sent")


def test_an_event_is_told_twice_rather_than_never_when_the_database_goes_away_in_between(
    publisher: FakePublisher, started: list[Relay]
) -> None:
    outbox = FakeOutbox(event("e-1"))
    start(started, outbox)
    eventually(lambda: not outbox.unsent, what="the first is told")
    publisher.told.clear()
    taking, outbox.take = outbox.take, lambda *a: _break_after(outbox, taking(*a))  # type: ignore[method-assign]
    outbox.unsent["e-2"] = event("e-2")
    eventually(lambda: publisher.told, what="it is told")
    eventually(lambda: outbox.outage == 0, what="marking it failed")
    outbox.take = taking  # type: ignore[method-assign]
    outbox.release()
    eventually(lambda: not outbox.unsent, what="it is marked in the end")
    assert {told for told, _ in publisher.told} == {"e-2"} and len(publisher.told) >= 2


def _break_after(outbox: FakeOutbox, taken: list[Event]) -> list[Event]:
    outbox.outage = 1 if taken else 0
    return taken


def test_nothing_is_marked_as_sent_while_the_broker_is_away_and_everything_is_told_afterwards(
    publisher: FakePublisher, started: list[Relay]
) -> None:
    outbox = FakeOutbox(*(event(f"e-{number}") for number in range(50)))
    publisher.broken = True
    start(started, outbox)
    eventually(lambda: publisher.attempts >= relay.OUTAGE, what="the relay has tried")
    assert len(outbox.unsent) == 50
    publisher.broken = False
    outbox.release()
    eventually(lambda: not outbox.unsent, what="all are told")


def test_an_outage_is_noticed_after_a_few_events_and_not_after_all(
    publisher: FakePublisher, started: list[Relay]
) -> None:
    """A hundred attempts of five seconds each would keep a stopping worker for minutes."""
    outbox = FakeOutbox(*(event(f"e-{number}") for number in range(50)))
    publisher.broken = True
    start(started, outbox)
    eventually(lambda: len(outbox.held) == 50 and publisher.attempts == relay.OUTAGE, what="the batch is given up")
    started.pop().stop(timeout=60)
    assert publisher.attempts == relay.OUTAGE


def test_one_event_that_the_broker_refuses_does_not_hold_back_the_others(
    publisher: FakePublisher, started: list[Relay]
) -> None:
    outbox = FakeOutbox(event("e-1"), event("refused"), event("e-3"))
    publisher.refused = {"refused"}
    start(started, outbox)
    eventually(lambda: [*outbox.unsent] == ["refused"], what="the others are told")


def test_many_events_that_the_broker_refuses_hold_back_nothing_and_are_tried_ever_less_often(
    publisher: FakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full queue of one listener refuses for as long as nobody looks at it."""
    refused = [f"a{number}" for number in range(2 * relay.BATCH)]
    outbox = FakeOutbox(*map(event, refused), event("b1"), event("b2"))
    publisher.refused = set(refused)
    made, stopping, holds = Relay("spool:///unused", outbox, clock=SystemClock()), threading.Event(), []
    for _ in range(8):
        outbox.release()
        while made._tell(stopping):
            pass
        holds.append(outbox.holds[0]["a0"])
        outbox.holds.clear()
    assert [told for told, _ in publisher.told] == ["b1", "b2"]
    assert holds == [15_000, 30_000, 60_000, 120_000, 240_000, 300_000, 300_000, 300_000]
    publisher.refused.clear()
    outbox.release()
    while made._tell(stopping):
        pass
    assert not outbox.unsent


def test_an_event_that_is_not_taken_is_told_of_once(publisher: FakePublisher) -> None:
    outbox = FakeOutbox(event("a1"))
    publisher.refused = {"a1"}
    made = Relay("spool:///unused", outbox, clock=SystemClock())
    with structlog.testing.capture_logs() as said:
        for _ in range(3):
            outbox.release()
            made._tell(threading.Event())
    assert [line["event"] for line in said] == ["relay.not-taken"]


def test_more_than_can_be_remembered_is_tried_as_seldom_as_can_be_and_nothing_is_said_twice(
    publisher: FakePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is due again soon is not forgotten for another: all would be tried as often as if it were the first time."""
    monkeypatch.setattr(relay, "REMEMBERED", 2)
    outbox, clock = FakeOutbox(event("a1"), event("a2"), event("a3")), FakeClock()
    publisher.refused = {"a1", "a2", "a3", "a4"}
    made = Relay("spool:///unused", outbox, clock=clock)
    with structlog.testing.capture_logs() as said:
        for _ in range(2):
            outbox.release()
            made._tell(threading.Event())
        assert outbox.holds == [
            {"a1": 15_000, "a2": 15_000, "a3": 300_000}, {"a1": 30_000, "a2": 30_000, "a3": 300_000},
        ]  # fmt: skip
        outbox.unsent = {"a4": event("a4")}  # another relay has told the others
        clock.pass_seconds(relay.FORGOTTEN_SECONDS)
        made._tell(threading.Event())
    assert outbox.holds[-1] == {"a4": 15_000}
    assert [line["event_id"] for line in said] == ["a1", "a2", "a4"]


def test_what_gets_no_answer_comes_again_behind_what_was_not_tried(publisher: FakePublisher, tmp_path: Path) -> None:
    """A queue without a majority confirms nothing; two such events must not end each batch before the others' turn."""
    with Bench.opened(f"sqlite:///{tmp_path}/backstay.db") as bench:
        for service in ("a", "b", "c", "d"):
            bench.succeed(bench.running(service))
        with bench.database._engine.connect() as connection:
            ids = connection.scalars(select(outbox_table.c.event_id).order_by(outbox_table.c.seq)).all()
        publisher.silent = set(ids[:2])
        made = Relay("spool:///unused", bench.database.outbox, clock=FakeClock())
        for _ in range(3):
            with contextlib.suppress(BrokerUnavailable):
                made._tell(threading.Event())
            bench.now += relay.SILENT_MS
        assert [told for told, _ in publisher.told] == ids[2:]


def test_a_batch_ends_with_its_holds(publisher: FakePublisher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another relay may tell what is left of it; here it would be told late, and once more."""
    clock = FakeClock()
    outbox = FakeOutbox(*(event(f"e-{number}") for number in range(5)))
    made = Relay("spool:///unused", outbox, clock=clock)
    publish = publisher.event

    def slow(payload: dict[str, Any], routing_key: str) -> None:
        clock.pass_seconds(relay.HOLD_MS / 2_000)
        publish(payload, routing_key)

    monkeypatch.setattr(publisher, "event", slow)
    assert made._tell(threading.Event()) == 2
    assert [*outbox.unsent] == ["e-2", "e-3", "e-4"]


def test_two_listeners_that_take_nothing_keep_no_other_from_hearing_anything(
    tmp_path: Path, started: list[Relay]
) -> None:
    """Their folders are gone, their bindings are not: neither events behind theirs nor who hears the same may wait."""
    url = f"spool://{tmp_path}/spool"
    with connect(url) as connection:
        channel = connection.default_channel
        for name in ("gone", "there", "told-too"):
            Queue(name, EVENTS, routing_key="create-snapshot.#", durable=True)(channel).declare()
        Queue("answers", EVENTS, routing_key="evt.billing", durable=True)(channel).declare()
        shutil.rmtree(tmp_path / "spool" / "gone")
        outbox = FakeOutbox(*(event(f"e-{number}", reply_to="evt.billing") for number in range(3)))
        start(started, outbox, url)
        eventually(lambda: outbox.holds, what="they are passed over")
        assert set(outbox.holds[0]) == set(outbox.unsent) == {"e-0", "e-1", "e-2"}
        for listener in ("there", "told-too", "answers"):
            assert drain(connection, Queue(listener)(channel), 3) == ["e-0", "e-1", "e-2"]


def test_the_relay_outlives_an_outage_of_the_database(publisher: FakePublisher, started: list[Relay]) -> None:
    outbox = FakeOutbox(event("e-1"))
    outbox.outage = 5
    start(started, outbox)
    eventually(lambda: not outbox.unsent, what="the event is told")


def test_stopping_tells_what_is_waiting(
    publisher: FakePublisher, started: list[Relay], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "POLL_SECONDS", 60.0)
    outbox = FakeOutbox()
    made = start(started, outbox)
    outbox.unsent["last"] = event("last")
    made.stop(timeout=60)
    assert not outbox.unsent
    assert publisher.told == [("last", "create-snapshot.succeeded.acme")]


def test_work_that_lasts_is_told_of_beside_the_outbox(publisher: FakePublisher, started: list[Relay]) -> None:
    clock = FakeClock()
    board = ProgressBoard(clock)
    operation = Operation(
        1, "op-9", "/s", "m", "create-snapshot", "acme", "web", State.RUNNING, {}, reply_to="evt.billing"
    )
    board.note(operation, {"bytes_done": 0})
    clock.pass_seconds(EVERY)
    board.note(operation, {"bytes_done": 500})
    made = Relay("spool:///unused", FakeOutbox(event("e-1")), clock=clock, progress=board)
    started.append(made)
    made.start()
    eventually(lambda: len(publisher.told) == 3, what="outcome and progress are told")
    assert publisher.told[0] == ("e-1", "create-snapshot.succeeded.acme"), "what was promised comes first"
    assert [key for _, key in publisher.told[1:]] == ["operation.progress.acme", "evt.billing"]


def test_progress_that_the_broker_does_not_take_is_forgotten(publisher: FakePublisher, started: list[Relay]) -> None:
    clock = FakeClock()
    board = ProgressBoard(clock)
    operation = Operation(1, "op-9", "/s", "m", "create-snapshot", "acme", "web", State.RUNNING, {})
    publisher.broken = True
    board.note(operation, {"bytes_done": 1})
    clock.pass_seconds(EVERY)
    made = Relay("spool:///unused", FakeOutbox(), clock=clock, progress=board)
    started.append(made)
    made.start()
    eventually(lambda: publisher.attempts == 1, what="it was tried")
    publisher.broken = False
    made.stop(timeout=60)
    assert publisher.told == []
