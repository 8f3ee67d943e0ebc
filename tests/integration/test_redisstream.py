"""What only Redis can bring: entries of any shape, leases that run out, a server that freezes or restarts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from kombu import Consumer, Queue

import handlers
from domain.contracts import Rejected
from domain.errors import BrokerUnavailable, NotTaken
from tests.fakes.door import FakeDoor
from tests.integration.commands import command
from tests.servers.redis import RedisServer
from tests.waiting import eventually
from workers.border import EVENTS, Publisher, connect, inbox
from workers.clock import SystemClock
from workers.ingress import Ingress
from workers.judge import judge_with
from workers.transports import redisstream

STREAM, GROUP = "backstay.inbox", redisstream.GROUP


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[Any]:
    """An empty server, seen without kombu."""
    redis_server.start()
    redis_server.empty()
    with redis.Redis.from_url(redis_server.url) as made:
        yield made


@pytest.fixture
def url(redis_server: RedisServer) -> str:
    return f"redisstream{redis_server.url.removeprefix('redis')}"


@pytest.fixture
def door() -> FakeDoor:
    return FakeDoor()


@pytest.fixture
def intake(url: str, client: Any, door: FakeDoor) -> Iterator[Ingress]:
    judge = judge_with(handlers.subscriptions())
    made = Ingress(
        url,
        door,
        judge,
        on_accepted=lambda *_: None,
        backlog_limit=1000,
        clock=SystemClock(),
    )
    made.start()
    eventually(made.connected, what="intake is connected")
    yield made
    made.stop(timeout=60)


def test_an_entry_without_the_agreed_field_is_kept_whole_as_a_dead_letter(
    client: Any, intake: Ingress, door: FakeDoor
) -> None:
    client.xadd(STREAM, {"event": b"caf\xc3\xa9", "more": "x" * 1000})
    client.xadd(STREAM, {"ce": json.dumps(command("after"))})
    eventually(lambda: len(door.items()) == 2, what="both arrive")
    (letter,) = [item for item in door.items() if isinstance(item, Rejected)]
    assert json.loads(letter.raw) == {"event": "café", "more": "x" * 1000}
    assert door.ids() == ["after"]


def test_nothing_of_an_accepted_message_stays_in_redis(client: Any, intake: Ingress, door: FakeDoor) -> None:
    client.xadd(STREAM, {"ce": json.dumps(command("m-1"))})
    eventually(lambda: door.ids() == ["m-1"], what="it is accepted")
    eventually(lambda: client.xlen(STREAM) == 0, what="it is deleted")
    assert client.xpending(STREAM, GROUP)["pending"] == 0


def test_a_consumer_that_waits_for_its_database_keeps_its_leases(
    client: Any, intake: Ingress, door: FakeDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise every node would take the batch from every other for as long as the database is away.

    The consumer's time passes fifty times as fast, so that it renews often; Redis counts the lease in real time, and
    no load of the machine lets it run out."""
    monkeypatch.setattr(redisstream, "time", SimpleNamespace(monotonic=lambda: time.monotonic() * 50))
    door.outage = 1_000_000
    client.xadd(STREAM, {"ce": json.dumps(command("m-1"))})

    def idle() -> int | None:
        pending = client.xpending_range(STREAM, GROUP, "-", "+", 10)
        return int(pending[0]["time_since_delivered"]) if pending else None

    eventually(lambda: (idle() or 0) > 100, what="the lease grows old")
    eventually(lambda: (idle() or 999) < 100, what="it is renewed")
    (lease,) = client.xpending_range(STREAM, GROUP, "-", "+", 10)
    assert lease["times_delivered"] == 1, "renewing is not taking over"
    door.outage = 0
    eventually(lambda: door.ids() == ["m-1"], what="it is accepted, once")


def test_leases_of_the_dead_are_found_behind_many_leases_of_the_living(client: Any, url: str, door: FakeDoor) -> None:
    """XAUTOCLAIM looks at some thousands of leases at a time, from where it is told to."""
    with connect(url) as connection:
        inbox(connection)(connection.channel()).declare()
    count = 2500
    pipeline = client.pipeline()
    for number in range(count):
        pipeline.xadd(STREAM, {"ce": json.dumps(command(f"m-{number}"))})
    pipeline.execute()
    client.xreadgroup(GROUP, "living", {STREAM: ">"}, count=count - 1)
    client.xreadgroup(GROUP, "dead", {STREAM: ">"}, count=1)
    (last,) = client.xpending_range(STREAM, GROUP, "-", "+", 10, consumername="dead")
    client.xclaim(STREAM, GROUP, "dead", 0, [last["message_id"]], idle=600_000, justid=True)
    heard: list[Any] = []
    with connect(url, take_over_seconds=60.0) as connection:
        queue = inbox(connection)(connection.channel())
        with Consumer(queue.channel, [queue], on_message=heard.append, auto_declare=False):
            connection.drain_events(timeout=60)
    assert [json.loads(message.body)["id"] for message in heard] == [f"m-{count - 1}"]


def test_a_listener_whose_key_is_no_stream_keeps_no_other_from_hearing(client: Any, url: str) -> None:
    publisher = Publisher(url, seconds=0)
    with connect(url) as connection:
        channel = connection.channel()
        listeners = [f"listener-{number}" for number in range(4)]
        for name in listeners:
            Queue(name, EVENTS, routing_key="#")(channel).declare()
        client.delete(listeners[1])
        client.set(listeners[1], "no stream")
        with pytest.raises(NotTaken, match="WRONGTYPE"):
            publisher.event({"id": "e-1"}, "create-snapshot.succeeded.acme")
        assert [client.xlen(name) for name in (listeners[0], *listeners[2:])] == [1, 1, 1]
    publisher.close()


def test_a_redis_that_answers_nothing_is_an_error_within_seconds(
    client: Any, url: str, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the command that is not answered is tried once."""
    monkeypatch.setattr(redisstream, "SILENT_SECONDS", 0.5)
    publisher = Publisher(url, seconds=60)
    publisher.command(command("m-1"))
    monkeypatch.setattr(publisher, "_seconds", 0)
    redis_server.pause()
    try:
        with pytest.raises(BrokerUnavailable):
            publisher.command(command("m-2"))
    finally:
        redis_server.resume()
    monkeypatch.setattr(publisher, "_seconds", 60)
    publisher.command(command("m-3"))
    publisher.close()


def test_intake_finds_a_redis_again_that_was_killed_and_started(
    client: Any, url: str, intake: Ingress, door: FakeDoor, redis_server: RedisServer
) -> None:
    redis_server.kill()
    eventually(lambda: not intake.connected(), what="intake notices")
    redis_server.start()
    publisher = Publisher(url)
    publisher.command(command("after"))
    publisher.close()
    eventually(lambda: door.ids() == ["after"], what="intake is back")
