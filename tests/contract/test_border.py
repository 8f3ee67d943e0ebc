"""One suite for every border: what is published arrives, is acknowledged after it is durable, and is never lost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kombu import Consumer, Exchange, Producer, Queue

import handlers
from domain.contracts import Accepted, Rejected
from domain.errors import BrokerUnavailable, NotTaken
from tests.dying import killed
from tests.fakes.door import FakeDoor
from tests.servers.redis import RedisServer
from tests.waiting import eventually
from workers.border import COMMANDS, EVENTS, Publisher, connect, driver_errors, inbox, is_amqp
from workers.clock import SystemClock
from workers.ingress import BATCH, Ingress
from workers.judge import judge_with

JUDGE = judge_with(handlers.subscriptions())


def command(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"m-{number}",
        "source": "/test",
        "type": "backstay.create-snapshot.v1",
        "subject": "tenant/acme/service/web",
        "data": {},
    } | changes


class Border:
    """A border under test: one publisher, and as many intakes as a test starts."""

    def __init__(self, url: str, **options: Any) -> None:
        self.url, self.options = url, options
        self.publisher = Publisher(url, **options)
        self.intakes: list[Ingress] = []
        self.reports: list[tuple[int, int, int]] = []

    def intake(self, door: FakeDoor, backlog_limit: int = 10_000) -> Ingress:
        started = Ingress(
            self.url,
            door,
            JUDGE,
            on_accepted=lambda *counts: self.reports.append(counts),
            backlog_limit=backlog_limit,
            clock=SystemClock(),
            **self.options,
        )
        started.start()
        self.intakes.append(started)
        return started

    def close(self) -> None:
        for intake in self.intakes:
            intake.stop(timeout=60)
        self.publisher.close()


@pytest.fixture
def border(border_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Border]:
    """Where no answer is late, however slow the machine: what is published once arrives once."""
    monkeypatch.setattr("workers.border.CONFIRM_SECONDS", 60.0)
    monkeypatch.setattr("workers.transports.redisstream.SILENT_SECONDS", 60.0)
    under_test = Border(border_url)
    yield under_test
    under_test.close()


@pytest.fixture
def fake_border() -> Iterator[Border]:
    """Redis streams without a server."""
    import fakeredis

    server = fakeredis.FakeServer()

    def client(**_: Any) -> Any:
        return fakeredis.FakeRedis(server=server)

    under_test = Border("redisstream://127.0.0.1/0", client_factory=client)
    yield under_test
    under_test.close()


def test_what_is_published_is_accepted_in_order(border: Border) -> None:
    door = FakeDoor()
    for number in range(30):
        border.publisher.command(command(number))
    border.intake(door)
    eventually(lambda: len(door.ids()) == 30, what="all messages are accepted")
    assert door.ids() == [f"m-{number}" for number in range(30)]


def test_redis_streams_work_the_same_on_a_fake_server(fake_border: Border) -> None:
    door = FakeDoor()
    for number in range(5):
        fake_border.publisher.command(command(number))
    fake_border.intake(door)
    eventually(lambda: door.ids() == [f"m-{number}" for number in range(5)], what="all messages are accepted")


def test_messages_published_while_nobody_listens_wait(border: Border) -> None:
    border.publisher.command(command(1))
    border.publisher.close()
    door = FakeDoor()
    border.intake(door)
    eventually(lambda: door.ids() == ["m-1"], what="the message is accepted")


def test_an_acknowledged_message_does_not_come_again(border: Border) -> None:
    first, second = FakeDoor(), FakeDoor()
    border.publisher.command(command(1))
    intake = border.intake(first)
    eventually(lambda: first.ids() == ["m-1"] and border.reports == [(1, 0, 0)], what="the message is acknowledged")
    intake.stop(timeout=60)
    border.intake(second)
    border.publisher.command(command(2))
    eventually(lambda: "m-2" in second.ids(), what="the later message is accepted")
    assert second.ids() == ["m-2"]


def test_many_messages_are_accepted_in_few_batches(border: Border) -> None:
    door = FakeDoor()
    for number in range(2 * BATCH + 50):
        border.publisher.command(command(number))
    border.intake(door)
    eventually(lambda: len(door.ids()) == 2 * BATCH + 50, what="all messages are accepted")
    assert max(map(len, door.batches)) <= BATCH
    assert len(door.batches) < 2 * BATCH


def test_a_foreign_or_broken_message_becomes_a_dead_letter_and_disturbs_nobody(border: Border) -> None:
    door = FakeDoor()
    border.publisher.command(command(1))
    for body in (b"not json", b"\xff\xfe\x00", b"{}", b'{"specversion":"1.0"}'):
        border.publisher.raw(body, {})
    border.publisher.command(command(2))
    border.intake(door)
    eventually(lambda: len(door.items()) == 6, what="all six arrive")
    assert door.ids() == ["m-1", "m-2"]
    rejected = [item for item in door.items() if isinstance(item, Rejected)]
    assert {item.raw for item in rejected} == {b"not json", b"\xff\xfe\x00", b"{}", b'{"specversion":"1.0"}'}
    assert all(item.sentence for item in rejected)


def test_binary_mode_arrives_with_its_attributes(border: Border) -> None:
    door = FakeDoor()
    headers = {f"ce-{name}": str(value) for name, value in command(7).items() if name != "data"}
    border.publisher.raw(b'{"labels": ["owner:42"]}', headers, content_type="application/json")
    border.intake(door)
    eventually(lambda: door.ids() == ["m-7"], what="the message is accepted")
    (item,) = door.items()
    assert isinstance(item, Accepted) and item.command.data == {"labels": ["owner:42"]}


def test_nothing_is_acknowledged_while_the_database_is_away(border: Border) -> None:
    door = FakeDoor()
    door.outage = 2
    border.publisher.command(command(1))
    border.intake(door)
    eventually(lambda: door.ids() == ["m-1"], what="the message is accepted after the outage")
    eventually(lambda: border.reports == [(1, 0, 0)], what="it is reported once")
    assert door.outage == 0


def test_a_full_backlog_pauses_intake_until_there_is_room(border: Border) -> None:
    door = FakeDoor()
    door.queued = 100
    border.intake(door, backlog_limit=100)
    eventually(lambda: border.intakes[0].paused(), what="intake pauses")
    for number in range(3):
        border.publisher.command(command(number))
    door.queued = 10
    eventually(lambda: len(door.ids()) == 3, what="intake resumes")


def test_what_a_killed_consumer_had_taken_is_delivered_again(border: Border) -> None:
    """SIGKILL between delivery and acknowledgement loses nothing."""
    for number in range(5):
        border.publisher.command(command(number))
    consumer = subprocess.Popen(
        [sys.executable, "-m", "tests.contract.consumer", border.url, "5"],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert consumer.stdout is not None and consumer.stdout.readline() == b"taken\n"
    consumer.kill()
    consumer.wait()
    consumer.stdout.close()
    door = FakeDoor()
    if border.url.startswith("redisstream"):
        border.options = {"take_over_seconds": 1.0}
    border.intake(door)
    eventually(lambda: len(set(door.ids())) == 5, what="all five are delivered again")


@pytest.mark.parametrize(("point", "there"), [("redisstream.before-add", 0), ("redisstream.after-add", 1)])
def test_a_publisher_that_dies_has_published_or_not_and_repeats_it(
    redis_server: RedisServer, point: str, there: int
) -> None:
    """Who has heard nothing publishes it again, under the same key; the inbox knows that."""
    redis_server.start()
    redis_server.empty()
    border = Border(f"redisstream{redis_server.url.removeprefix('redis')}")
    killed(point, lambda: border.publisher.command(command(1)))
    border.publisher.command(command(1))
    door = FakeDoor()
    border.intake(door)
    eventually(lambda: len(door.ids()) == 1 + there, what="all that was published has come")
    assert set(door.ids()) == {"m-1"}
    border.close()


def test_an_intake_that_stops_gives_back_what_it_has_not_accepted(border: Border) -> None:
    stuck, healthy = FakeDoor(), FakeDoor()
    stuck.outage = 10_000
    border.publisher.command(command(1))
    first = border.intake(stuck)
    eventually(lambda: stuck.outage < 10_000, what="the first intake has the message in hand")
    first.stop(timeout=60)
    border.intake(healthy)
    eventually(lambda: healthy.ids() == ["m-1"], what="the second intake gets it")


def test_events_reach_a_listener_by_routing_key(border: Border) -> None:
    heard: list[dict[str, Any]] = []
    with connect(border.url, **border.options) as connection:
        channel = connection.channel()
        queue = Queue("listener", EVENTS, routing_key="create-snapshot.#", durable=True, auto_delete=False)(channel)
        queue.declare()
        border.publisher.event({"id": "e-1"}, "restore-snapshot.succeeded.acme")
        border.publisher.event({"id": "e-2"}, "create-snapshot.succeeded.acme")

        def hear(message: Any) -> None:
            heard.append(json.loads(message.body))
            message.ack()

        with Consumer(channel, [queue], on_message=hear, auto_declare=False):
            connection.drain_events(timeout=60)
        queue.delete()
    assert heard == [{"id": "e-2"}]


def test_what_one_consumer_had_leased_and_not_yet_looked_at_goes_to_the_next(border: Border) -> None:
    """A consumer that asks for one message may have been given more by its broker."""
    for number in range(5):
        border.publisher.command(command(number))
    in_hand: list[Any] = []
    with connect(border.url) as connection:
        channel = connection.channel()
        queue = inbox(connection)(channel)
        consumer = Consumer(channel, [queue], on_message=in_hand.append, prefetch_count=1, auto_declare=False)
        consumer.consume()
        connection.drain_events(timeout=60)
        consumer.cancel()
    door = FakeDoor()
    border.intake(door)
    eventually(lambda: len(door.ids()) == 5, what="all five arrive")
    assert len(in_hand) == 1
    assert sorted(door.ids()) == [f"m-{number}" for number in range(5)]


def test_a_mandatory_message_that_no_queue_takes_is_an_error(border: Border) -> None:
    with connect(border.url) as connection:
        channel = connection.channel()
        Exchange("lonely", "topic", durable=True)(channel).declare()
        with pytest.raises(driver_errors(connection), match="NO_ROUTE"):
            Producer(channel).publish(b"{}", exchange="lonely", routing_key="x", mandatory=True)


def test_a_message_that_the_broker_refuses_is_an_error_of_the_broker_and_may_be_tried_again(border: Border) -> None:
    """A quorum queue refuses while its leader changes; a queue that is full refuses in the same way."""
    with connect(border.url) as connection:
        if not is_amqp(connection):
            pytest.skip("only AMQP has negative confirms")
        full = Queue(
            "full",
            COMMANDS,
            routing_key="#",
            queue_arguments={"x-max-length": 1, "x-overflow": "reject-publish"},
        )(connection.channel())
        border.publisher.command(command(0))  # makes the exchange
        full.declare()
        publisher = Publisher(border.url, seconds=0)
        publisher.command(command(1))
        used = publisher._connection
        for _ in range(2):
            with pytest.raises(NotTaken, match="MessageNacked"):
                publisher.command(command(2))
        full.delete()
        publisher.command(command(3))
        assert publisher._connection is used, "a refusal breaks nothing, and a new connection for each would cost much"
        publisher.close()
    door = FakeDoor()
    border.intake(door)
    eventually(lambda: "m-3" in door.ids(), what="what was sent after the refusal is accepted")


def test_a_publisher_whose_queue_was_removed_makes_it_again_and_loses_nothing(border: Border) -> None:
    border.publisher.command(command(1))
    with connect(border.url) as connection:
        channel = connection.channel()
        inbox(connection)(channel).declare()
        channel.queue_delete("backstay.inbox")
    border.publisher.command(command(2))
    door = FakeDoor()
    border.intake(door)
    eventually(lambda: door.ids() == ["m-2"], what="the second is accepted")


def test_several_publishers_keep_their_own_order(border: Border) -> None:
    def publish(name: str) -> None:
        publisher = Publisher(border.url)
        for number in range(40):
            publisher.command(command(number, source=name))
        publisher.close()

    names = [f"/publisher/{number}" for number in range(3)]
    threads = [threading.Thread(target=publish, args=(name,)) for name in names]
    door = FakeDoor()
    border.intake(door)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    eventually(lambda: len(door.ids()) == 120, what="all are accepted")
    for name in names:
        mine = [i.command.message_id for i in door.items() if isinstance(i, Accepted) and i.command.source == name]
        assert mine == [f"m-{number}" for number in range(40)]


def test_a_broker_that_is_not_there_is_an_error_that_says_so() -> None:
    publisher = Publisher("amqp://guest:guest@127.0.0.1:1//")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("workers.border.PUBLISH_SECONDS", 0.2)
        with pytest.raises(BrokerUnavailable, match="cannot be reached") as away:
            publisher.command(command(1))
    assert not isinstance(away.value, NotTaken)
