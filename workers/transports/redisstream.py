"""`redisstream://host:port/db`: one Redis stream per queue, one consumer group.

`XREADGROUP` leases atomically, so there is no moment in which a message is nowhere; `XAUTOCLAIM` takes
over what a dead consumer had leased; acknowledging is `XACK` and `XDEL`. Any language publishes with
`XADD backstay.inbox * ce '<CloudEvent as JSON>'`; other fields become headers (binary mode). Needs Redis
6.2 or newer. Bindings live in Redis, so that publishers in other processes find the queues.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from queue import Empty
from typing import Any

import redis
from kombu.transport import virtual

from domain.failpoint import failpoint
from workers.transports import body_of, payload

GROUP = "backstay"
BODY = b"ce"
#: Messages leased at a time.
BATCH = 200
#: Seconds after which a lease of a silent consumer is taken over.
TAKE_OVER_SECONDS = 60.0


class StreamChannel(virtual.Channel):  # type: ignore[misc]  # kombu has no types
    """One consumer or publisher. Not shared between threads, like any kombu channel."""

    do_restore = False
    supports_fanout = True
    from_transport_options = (*virtual.Channel.from_transport_options, "take_over_seconds", "client_factory")
    take_over_seconds = TAKE_OVER_SECONDS
    client_factory: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        address = self.connection.client
        make = self.client_factory or redis.Redis
        self._redis = make(
            host=address.hostname or "127.0.0.1",
            port=address.port or 6379,
            db=int((address.virtual_host or "0").strip("/") or 0),
            username=address.userid,
            password=address.password,
            ssl=self.connection.tls,
        )
        self._name = f"{os.uname().nodename}:{os.getpid()}:{os.urandom(4).hex()}"
        self._buffer: list[tuple[bytes, dict[bytes, bytes]]] = []
        self._claimed_at = float("-inf")

    # ------------------------------------------------------------ what kombu asks of a channel
    def _new_queue(self, queue: str, **_: Any) -> None:
        try:
            self._redis.xgroup_create(queue, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return bool(self._redis.exists(queue))

    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        failpoint("redisstream.before-add")
        fields: dict[Any, Any] = {str(k): str(v) for k, v in (message.get("headers") or {}).items()}
        self._redis.xadd(queue, fields | {BODY: body_of(message)})
        failpoint("redisstream.after-add")

    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        if not self._buffer:
            self._buffer = self._lease(queue)
        if not self._buffer:
            raise Empty
        number, fields = self._buffer.pop(0)
        headers = {k.decode("utf-8", "replace"): v.decode("utf-8", "replace") for k, v in fields.items() if k != BODY}
        return payload(fields.get(BODY, b""), headers, queue, f"{queue}|{number.decode()}")

    def _lease(self, queue: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        if time.monotonic() - self._claimed_at > min(5.0, self.take_over_seconds / 2):
            self._claimed_at = time.monotonic()
            idle = round(self.take_over_seconds * 1000)
            taken = self._redis.xautoclaim(queue, GROUP, self._name, idle, "0-0", count=BATCH)[1]
            # A message that was acknowledged and deleted meanwhile has no fields any more.
            if left := [(number, fields) for number, fields in taken if fields]:
                return left
        answer: Any = self._redis.xreadgroup(GROUP, self._name, {queue: ">"}, count=BATCH)
        return list(answer[0][1]) if answer else []

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """The message is done with."""
        self.ack_all([delivery_tag])

    def ack_all(self, tags: Iterable[str]) -> None:
        """The same for many, in one round trip."""
        pipeline = self._redis.pipeline(transaction=False)
        for tag in (tags := list(tags)):
            queue, _, number = tag.rpartition("|")
            pipeline.xack(queue, GROUP, number)
            pipeline.xdel(queue, number)
        pipeline.execute()
        for tag in tags:
            super().basic_ack(tag)

    def _size(self, queue: str) -> int:
        return int(self._redis.xlen(queue))

    def _purge(self, queue: str) -> int:
        count = self._size(queue)
        self._redis.xtrim(queue, maxlen=0)
        return count

    def _delete(self, queue: str, *_: Any, **__: Any) -> None:
        self._redis.delete(queue)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        self._redis.sadd(f"{exchange}.bindings", json.dumps([routing_key, pattern, queue]))

    def get_table(self, exchange: str) -> list[tuple[str, str, str]]:
        """Bindings of an exchange: routing key, pattern, queue."""
        return [tuple(json.loads(row)) for row in self._redis.smembers(f"{exchange}.bindings")]

    def close(self) -> None:
        """Make what was leased and not acknowledged look long idle, so that anybody takes it over at once."""
        if not self.closed:
            with contextlib.suppress(redis.RedisError):
                for tag in [*self.qos._delivered, *self._unread()]:
                    queue, _, number = tag.rpartition("|")
                    idle = round(self.take_over_seconds * 1000) + 1
                    self._redis.xclaim(queue, GROUP, self._name, 0, [number], idle=idle, justid=True)
        super().close()
        with contextlib.suppress(redis.RedisError):
            self._redis.close()

    def _unread(self) -> list[str]:
        return [f"{self._active_queues[0]}|{number.decode()}" for number, _ in self._buffer if self._active_queues]


class StreamTransport(virtual.Transport):  # type: ignore[misc]
    """Registered as redisstream://."""

    Channel = StreamChannel
    tls = False
    driver_type = "redisstream"
    driver_name = "redis"
    default_port = 6379
    polling_interval = 0.02
    connection_errors = (
        *virtual.Transport.connection_errors,
        redis.ConnectionError,
        redis.TimeoutError,
        redis.ReadOnlyError,
    )
    channel_errors = (*virtual.Transport.channel_errors, redis.ResponseError)

    def driver_version(self) -> str:
        """redis-py's."""
        return str(redis.__version__)


class TlsStreamTransport(StreamTransport):
    """Registered as redisstreams://: the same over TLS."""

    tls = True
