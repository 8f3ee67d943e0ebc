"""Intake when something else is broken: the judge, the database, the order to stop. Nothing lost, nobody held back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import handlers
from domain.contracts import Accepted, Rejected
from domain.message import Envelope
from tests.fakes.door import FakeDoor
from tests.integration.commands import command
from tests.waiting import eventually
from workers import ingress, loop
from workers.border import Publisher
from workers.clock import SystemClock
from workers.ingress import CRASHES, Ingress
from workers.judge import judge_with

Judge = Callable[[Envelope], Accepted | Rejected]
JUDGE = judge_with(handlers.subscriptions())


class Desk:
    """One spool, one publisher, and intakes on it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.publisher = Publisher(url)
        self.intakes: list[Ingress] = []
        self.reports: list[tuple[int, int, int]] = []

    def intake(self, door: FakeDoor, judge: Judge = JUDGE) -> Ingress:
        def report(*counts: int) -> None:
            self.reports.append((counts[0], counts[1], counts[2]))

        made = Ingress(self._url, door, judge, on_accepted=report, backlog_limit=1000, clock=SystemClock())
        self.intakes.append(made)
        made.start()
        return made

    def close(self) -> None:
        for made in self.intakes:
            made.stop(timeout=60)
        self.publisher.close()


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr(loop, "PAUSE_BASE", 0.01)
    monkeypatch.setattr(ingress, "DATABASE_PAUSE", 0.01)
    made = Desk(f"spool://{tmp_path}/spool")
    yield made
    made.close()


def test_a_message_that_breaks_the_judge_becomes_a_dead_letter_and_its_neighbours_are_accepted(desk: Desk) -> None:
    calls: list[int] = []

    def judge(envelope: Envelope) -> Accepted | Rejected:
        if b"cursed" in envelope.body:
            calls.append(1)
            raise ZeroDivisionError
        return JUDGE(envelope)

    for message_id in ("before", "cursed", "after"):
        desk.publisher.command(command(message_id))
    door = FakeDoor()
    desk.intake(door, judge)
    eventually(lambda: len(door.items()) == 3, what="all three arrive")
    assert door.ids() == ["before", "after"]
    (letter,) = [item for item in door.items() if isinstance(item, Rejected)]
    assert b"cursed" in letter.raw and letter.reason == "invalid"
    assert len(calls) == CRASHES


def test_a_message_that_breaks_the_judge_costs_no_other_that_differs_in_its_headers_only(desk: Desk) -> None:
    """In binary mode the same body may be any command."""
    calls: list[int] = []

    def judge(envelope: Envelope) -> Accepted | Rejected:
        if "cursed" in envelope.headers.values():
            calls.append(1)
            raise ZeroDivisionError
        return JUDGE(envelope)

    for message_id in ("cursed", "well"):
        headers = {f"ce-{name}": str(value) for name, value in command(message_id).items() if name != "data"}
        desk.publisher.raw(b"{}", headers, "application/json")
    door = FakeDoor()
    desk.intake(door, judge)
    eventually(lambda: len(door.items()) == 2, what="both arrive")
    assert door.ids() == ["well"]
    (letter,) = [item for item in door.items() if isinstance(item, Rejected)]
    assert letter.headers["ce-id"] == "cursed", "it can be replayed"
    assert len(calls) == CRASHES


def test_a_judge_that_recovers_is_asked_again(desk: Desk) -> None:
    """A bug that comes and goes must not cost a good message."""
    failures = [1] * (CRASHES - 1)

    def judge(envelope: Envelope) -> Accepted | Rejected:
        if failures:
            failures.pop()
            raise ZeroDivisionError
        return JUDGE(envelope)

    desk.publisher.command(command("good"))
    door = FakeDoor()
    desk.intake(door, judge)
    eventually(lambda: door.ids() == ["good"], what="the message is accepted")


def test_a_long_outage_of_the_database_neither_ends_intake_nor_reconnects(desk: Desk) -> None:
    door = FakeDoor()
    door.outage = 1_000_000  # until the test ends it
    for number in range(5):
        desk.publisher.command(command(f"m-{number}"))
    made = desk.intake(door)
    eventually(lambda: door.outage < 1_000_000 - 25, what="intake has tried many times")
    turned = made._turned_at
    eventually(lambda: made._turned_at > turned, what="its loop goes round while the database is away")
    assert made.connected()
    door.outage = 0
    eventually(lambda: len(door.ids()) == 5, what="everything is accepted once the database is back")
    assert door.ids() == [f"m-{number}" for number in range(5)], "once, and in order"
    eventually(lambda: sum(report[0] for report in desk.reports) == 5, what="everything is reported once")


def test_repeats_within_a_batch_and_across_batches_are_reported_as_duplicates(desk: Desk) -> None:
    door = FakeDoor()
    for _ in range(3):
        desk.publisher.command(command("same"))
    desk.intake(door)
    eventually(lambda: sum(sum(report) for report in desk.reports) == 3, what="all three are answered")
    desk.publisher.command(command("same"))
    eventually(lambda: sum(sum(report) for report in desk.reports) == 4, what="the fourth is answered")
    assert sum(report[0] for report in desk.reports) == 1
    assert sum(report[1] for report in desk.reports) == 3


def test_stopping_accepts_what_is_in_hand(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A graceful stop leaves nothing for the next process to find out about."""
    monkeypatch.setattr(ingress, "LINGER", 60.0)
    door = FakeDoor()
    made = desk.intake(door)
    eventually(made.connected, what="intake is connected")
    desk.publisher.command(command("late"))
    eventually(lambda: len(made._buffer) == 1, what="the message is in hand")
    assert door.ids() == []
    monkeypatch.setattr(ingress, "LINGER", 0.001)
    desk.publisher.command(command("wakes the wait"))
    made.stop(timeout=60)
    assert "late" in door.ids()


def test_stopping_an_intake_that_never_reached_its_broker_is_quick() -> None:
    made = Ingress(
        "amqp://guest:guest@127.0.0.1:1//",
        FakeDoor(),
        JUDGE,
        on_accepted=lambda *_: None,
        backlog_limit=1,
        clock=SystemClock(),
    )
    made.start()
    made.stop(timeout=60)
    assert not made.connected()
