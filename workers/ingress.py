"""Intake: from the broker into the inbox, in batches, acknowledged only after the commit.

One thread. Messages are taken raw (kombu's own decoding drops what it cannot read), judged, made durable
in one transaction, then acknowledged. When the database is away nothing is acknowledged and the batch
waits in memory; when the backlog is full consumption pauses and the broker keeps the rest. No single
message can hold back the others: one that makes the judge fail again and again is a dead letter.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog
from kombu import Connection, Consumer, Message

from domain.contracts import Accepted, Clock, Inbox, Receipt, Rejected
from domain.decoding import digest, unjudged
from domain.errors import DatabaseUnavailable
from domain.failpoint import failpoint
from domain.message import Envelope
from workers.border import EVENTS, connect, forgets, inbox, is_amqp
from workers.loop import Loop
from workers.tracing import NO_TRACING, Tracer, accept_traced

log = structlog.get_logger("ingress")

#: Messages accepted in one transaction, and seconds that the first one waits for company.
BATCH, LINGER = 200, 0.005
#: Seconds between looks at the backlog, and the share of the limit at which intake resumes.
BACKLOG_SECONDS, RESUME_AT = 1.0, 0.8
#: Seconds between attempts while the database is away.
DATABASE_PAUSE = 1.0
#: Seconds that one wait for messages lasts when there are none.
IDLE_WAIT = 0.4
#: How often judging a message may end in an error of our own before the message is refused unjudged.
CRASHES = 3


class Ingress:
    """`start()`, `stop()`; `idle_seconds()` tells health when the loop last went round."""

    def __init__(
        self,
        url: str,
        door: Inbox,
        judge: Callable[[Envelope], Accepted | Rejected],
        *,
        on_accepted: Callable[[int, int, int], None],
        backlog_limit: int,
        clock: Clock,
        tracer: Tracer = NO_TRACING,
        **transport_options: Any,
    ) -> None:
        """`on_accepted(accepted, duplicates, rejected)` is called after each batch."""
        self._url, self._door, self._judge, self._options = url, door, judge, transport_options
        self._on_accepted, self._limit, self._clock = on_accepted, backlog_limit, clock
        self._tracer = tracer
        self._loop = Loop("ingress", self._consume)
        self._buffer: list[Message] = []
        self._first_at = self._try_at = self._look_at = 0.0
        self._paused = self._connected = False
        self._turned_at = clock.boottime()
        self._judging: Envelope | None = None
        self._crashes: Counter[str] = Counter()

    def start(self) -> None:
        """Begin to take messages."""
        self._loop.start()

    def stop(self, timeout: float) -> None:
        """Accept what is in hand, acknowledge it, and end."""
        self._loop.stop(timeout)

    def idle_seconds(self) -> float:
        """Seconds since the loop last went round, connected or not."""
        return self._clock.boottime() - self._turned_at

    def connected(self) -> bool:
        """Whether messages are being taken from the broker."""
        return self._connected

    def paused(self) -> bool:
        """Whether a full backlog holds intake back."""
        return self._paused

    # ------------------------------------------------------------ one connection's life
    def _consume(self, stopping: threading.Event) -> None:
        self._turned_at = self._clock.boottime()
        self._buffer.clear()  # whatever an earlier connection had delivered will be delivered again
        if self._judging is not None:  # that is where the loop was interrupted
            self._crashes[digest(self._judging)] += 1
            self._judging = None
        with connect(self._url, **self._options) as connection:
            channel = connection.channel()
            channel.auto_decode = False  # py-amqp would decode bodies by whatever encoding a publisher names
            EVENTS(channel).declare()
            queue = inbox(connection)(channel)
            queue.declare()
            consumer = Consumer(channel, [queue], on_message=self._take, prefetch_count=2 * BATCH, auto_declare=False)
            consumer.consume()
            for why in forgets(channel):
                log.warning("ingress.broker-forgets", detail=why)
            self._paused, self._connected = False, True
            log.info("ingress.connected", broker=connection.transport.driver_type)
            try:
                while not stopping.is_set():
                    self._turn(connection, consumer)
            finally:
                self._connected = False
            consumer.cancel()
            while self._flush(connection):
                pass

    def _turn(self, connection: Connection, consumer: Consumer) -> None:
        self._turned_at = now = self._clock.boottime()
        if now >= self._look_at:
            self._look_at = now + BACKLOG_SECONDS
            self._mind_backlog(consumer)
        try:
            # While the database is away there is no hurry, and a full hand takes nothing more.
            connection.drain_events(timeout=max(LINGER, self._try_at - now) if self._buffer else IDLE_WAIT)
        except TimeoutError:
            self._loop.well()
            if is_amqp(connection):
                connection.heartbeat_check()
        due = len(self._buffer) >= BATCH or self._clock.boottime() - self._first_at >= LINGER
        if self._buffer and due and self._clock.boottime() >= self._try_at:
            self._flush(connection)

    def _take(self, message: Message) -> None:
        if not self._buffer:
            self._first_at = self._clock.boottime()
        self._buffer.append(message)

    def _mind_backlog(self, consumer: Consumer) -> None:
        try:
            waiting = self._door.backlog()
        except DatabaseUnavailable:
            return
        if not self._paused and waiting >= self._limit:
            consumer.cancel()
            self._paused = True
            log.warning("ingress.paused", queued=waiting, limit=self._limit)
        elif self._paused and waiting < self._limit * RESUME_AT:
            consumer.consume()
            self._paused = False
            log.info("ingress.resumed", queued=waiting)

    # ------------------------------------------------------------ one batch
    def _flush(self, connection: Connection) -> bool:
        """Accept and acknowledge one batch; False when there was none, or the database is away."""
        batch, rest = self._buffer[:BATCH], self._buffer[BATCH:]
        if not batch:
            return False
        items = [self._decide(_envelope(message)) for message in batch]
        failpoint("ingress.before-accept")
        try:
            receipts = accept_traced(self._tracer, self._door, items)
        except DatabaseUnavailable as error:
            self._try_at = self._clock.boottime() + DATABASE_PAUSE
            log.warning("ingress.database-unavailable", waiting=len(self._buffer), detail=str(error))
            return False
        failpoint("ingress.after-accept")
        _acknowledge(connection, batch)
        self._buffer = rest
        failpoint("ingress.after-acknowledge")
        self._loop.well()
        self._report(items, receipts)
        return True

    def _decide(self, envelope: Envelope) -> Accepted | Rejected:
        if self._crashes and self._crashes[digest(envelope)] >= CRASHES:
            sentence = f"judging the message failed {CRASHES} times with an error of Backstay itself; see its log"
            return unjudged(envelope, sentence)
        self._judging = envelope
        item = self._judge(envelope)
        self._judging = None
        return item

    def _report(self, items: list[Accepted | Rejected], receipts: list[Receipt]) -> None:
        counts = {"accepted": 0, "duplicate": 0, "rejected": 0, "key-reused": 0}
        for item, receipt in zip(items, receipts, strict=True):
            counts[receipt.status] += 1
            if isinstance(item, Rejected):
                log.warning("message.rejected", reason=item.reason, detail=item.sentence, letter=receipt.dead_letter_id)
        self._on_accepted(counts["accepted"], counts["duplicate"], counts["rejected"] + counts["key-reused"])


def _envelope(message: Message) -> Envelope:
    body = message.body
    raw = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body or b"")
    return Envelope(raw, dict(message.headers or {}), message.content_type or "")


def _acknowledge(connection: Connection, batch: list[Message]) -> None:
    channel = batch[-1].channel
    if is_amqp(connection):
        batch[-1].ack(multiple=True)
    elif hasattr(channel, "ack_all"):
        channel.ack_all([message.delivery_tag for message in batch])
    else:
        for message in batch:
            message.ack()
