"""`redisstream://host:port/db`: one Redis stream per queue, one consumer group.

`XREADGROUP` leases atomically, so there is no moment in which a message is nowhere; `XAUTOCLAIM` takes
over what a dead consumer had leased, and a living one renews; acknowledging is `XACK` and `XDEL` in one
transaction. Any language publishes with `XADD backstay.inbox * ce '<CloudEvent as JSON>'`; other fields
become headers (binary mode). Needs Redis 6.2 or newer. Bindings live in Redis, so that publishers in
other processes find the queues.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections import deque
from collections.abc import Iterable
from queue import Empty
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from domain.failpoint import failpoint
from workers.transports import body_of, headers_of, payload
from workers.transports.polled import PolledChannel, PolledTransport

GROUP = "backstay"
BODY = b"ce"
#: Messages leased at a time.
BATCH = 200
#: Seconds after which a lease of a silent consumer is taken over, and between looks for such leases.
TAKE_OVER_SECONDS, LOOK_SECONDS = 60.0, 5.0
#: Seconds that Redis may be asked to wait for a message: it looks at its own clock ten times a second only.
SHORTEST_WAIT, LONGEST_WAIT = 0.2, 1.0
#: Seconds after which a Redis that does not answer is given up.
SILENT_SECONDS = 5.0


class StreamChannel(PolledChannel):
    """One consumer or publisher."""

    from_transport_options = (*PolledChannel.from_transport_options, "take_over_seconds", "client_factory")
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
            socket_timeout=SILENT_SECONDS,
            socket_connect_timeout=SILENT_SECONDS,
            retry=Retry(NoBackoff(), 0),  # who uses the channel knows how long to try
        )
        self._name = f"{os.uname().nodename}:{os.getpid()}:{os.urandom(4).hex()}"
        self._leased: deque[tuple[bytes, dict[bytes, bytes]]] = deque()
        self._held: dict[str, set[bytes]] = {}  # leased and not acknowledged, delivered or not
        self._looked_at = self._renewed_at = float("-inf")
        self._cursor: Any = "0-0"

    # ------------------------------------------------------------ publishing
    def _put(self, queue: str, message: dict[str, Any], **_: Any) -> None:
        failpoint("redisstream.before-add")
        fields: dict[Any, Any] = {**headers_of(message), BODY: body_of(message)}
        self._redis.xadd(queue, fields)
        failpoint("redisstream.after-add")

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        self._redis.sadd(f"{exchange}.bindings", json.dumps([routing_key, pattern, queue]))

    def _queue_unbind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        self._redis.srem(f"{exchange}.bindings", json.dumps([routing_key, pattern, queue]))

    def get_table(self, exchange: str) -> list[tuple[str, str | None, str]]:
        """Bindings of an exchange: routing key, pattern, queue."""
        return [tuple(json.loads(row)) for row in self._redis.smembers(f"{exchange}.bindings")]

    # ------------------------------------------------------------ what else kombu asks of a channel
    def _new_queue(self, queue: str, **_: Any) -> None:
        try:
            self._redis.xgroup_create(queue, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _has_queue(self, queue: str, **_: Any) -> bool:
        return bool(self._redis.exists(queue))

    def _size(self, queue: str) -> int:
        return int(self._redis.xlen(queue))

    def _purge(self, queue: str) -> int:
        return int(self._redis.xtrim(queue, maxlen=0, approximate=False))

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str | None, *_: Any, **__: Any) -> None:
        self._queue_unbind(exchange, routing_key, pattern, queue)
        self._redis.delete(queue)

    def basic_ack(self, delivery_tag: str, multiple: bool = False) -> None:
        """The message is done with."""
        self.ack_all([delivery_tag])

    def ack_all(self, tags: Iterable[str]) -> None:
        """The same for many, in one round trip; a message is never gone from the group and left in the stream."""
        numbers: dict[str, list[bytes]] = {}
        for tag in (tags := list(tags)):
            queue, _, number = tag.rpartition("|")
            numbers.setdefault(queue, []).append(number.encode())
        pipeline = self._redis.pipeline(transaction=True)
        for queue, done in numbers.items():
            pipeline.xack(queue, GROUP, *done)
            pipeline.xdel(queue, *done)
        pipeline.execute()
        for queue, done in numbers.items():
            self._held[queue].difference_update(done)
        for tag in tags:
            super().basic_ack(tag)

    def keep(self) -> None:
        """Renew the leases of what is in hand, so that nobody takes it over while the database is away."""
        if time.monotonic() - self._renewed_at > self.take_over_seconds / 4:
            self._renewed_at = time.monotonic()
            self._hold(idle_ms=0)

    def close(self) -> None:
        """Make what was leased and not acknowledged look long idle, so that anybody takes it over at once."""
        if not self.closed:
            with contextlib.suppress(redis.RedisError):
                self._hold(idle_ms=round(self.take_over_seconds * 1000) + 1)
        super().close()
        with contextlib.suppress(redis.RedisError):
            self._redis.close()

    def _hold(self, idle_ms: int) -> None:
        for queue, numbers in self._held.items():
            if numbers:
                self._redis.xclaim(queue, GROUP, self._name, 0, [*numbers], idle=idle_ms, justid=True)

    def forgets(self) -> list[str]:
        """Why what this server has confirmed may be gone when it dies or is full; nothing when it keeps it."""
        try:
            info: dict[str, Any] = self._redis.info()
        except redis.ResponseError:
            return ["it does not say whether it keeps what it has confirmed: INFO is refused"]
        found = []
        if not info.get("aof_enabled"):
            found.append("it writes no append-only file: when it dies, messages that no node has accepted are lost")
        elif info.get("aof_last_write_status", "ok") != "ok":
            found.append("it cannot write its append-only file")
        if info.get("maxmemory") and str(info.get("maxmemory_policy", "")).startswith("allkeys"):
            found.append(f"when its memory is full it drops whole queues ({info['maxmemory_policy']})")
        return found

    # ------------------------------------------------------------ taking
    def _get(self, queue: str, timeout: float | None = None) -> dict[str, Any]:
        if not self._leased:
            self._leased.extend(self._abandoned(queue) or self._fresh(queue))
            self._held.setdefault(queue, set()).update(number for number, _ in self._leased)
        if not self._leased:
            raise Empty
        number, fields = self._leased.popleft()
        texts = {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in fields.items()}
        tag = f"{queue}|{number.decode()}"
        if BODY not in fields:  # not as agreed: kept whole, so that the dead letter shows what was sent
            return payload(json.dumps(texts).encode(), {}, queue, tag)
        del texts[BODY.decode()]
        return payload(fields[BODY], texts, queue, tag)

    def _abandoned(self, queue: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """What silent consumers had leased; looked for now and then, one part of the leases at a time."""
        if self._cursor in ("0-0", b"0-0"):
            if time.monotonic() - self._looked_at <= min(LOOK_SECONDS, self.take_over_seconds / 2):
                return []
            self._looked_at = time.monotonic()
        idle = round(self.take_over_seconds * 1000)
        self._cursor, taken, *_ = self._redis.xautoclaim(queue, GROUP, self._name, idle, self._cursor, count=BATCH)
        # A message that was acknowledged and deleted meanwhile has no fields any more.
        return [(number, fields) for number, fields in taken if fields]

    def _fresh(self, queue: str) -> list[tuple[bytes, dict[bytes, bytes]]]:
        patience = min(self.connection.patience, LONGEST_WAIT)
        block = round(1000 * patience) if patience >= SHORTEST_WAIT else None
        answer: Any = self._redis.xreadgroup(GROUP, self._name, {queue: ">"}, count=BATCH, block=block)
        return list(answer[0][1]) if answer else []


class StreamTransport(PolledTransport):
    """Registered as redisstream://."""

    Channel = StreamChannel
    tls = False
    driver_type = "redisstream"
    driver_name = "redis"
    default_port = 6379
    connection_errors = (
        *PolledTransport.connection_errors,
        redis.ConnectionError,
        redis.TimeoutError,
        redis.ReadOnlyError,
    )
    channel_errors = (*PolledTransport.channel_errors, redis.ResponseError)

    def driver_version(self) -> str:
        """redis-py's."""
        return str(redis.__version__)


class TlsStreamTransport(StreamTransport):
    """Registered as redisstreams://: the same over TLS, with the certificate and its name checked."""

    tls = True
