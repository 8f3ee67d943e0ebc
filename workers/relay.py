"""Telling: outbox rows become events on the broker, confirmed, at least once.

One thread. Rows are held, not locked, while they are published, so no transaction is open during a
remote call and several nodes may relay at once. The event's id is the row's, so listeners can drop repeats.
"""

from __future__ import annotations

import threading
import uuid
from typing import Any

import structlog

from domain.contracts import Clock, Event, Outbox
from domain.errors import BrokerUnavailable, DatabaseUnavailable
from domain.event import progress_event, topic
from domain.failpoint import failpoint
from workers.border import Publisher
from workers.loop import Loop
from workers.progress import ProgressBoard
from workers.tracing import NO_TRACING, Tracer

log = structlog.get_logger("relay")

#: Events taken at a time, and milliseconds for which no other relay takes them.
BATCH, HOLD_MS = 100, 15_000
#: Seconds between looks when nobody has announced an event.
POLL_SECONDS = 2.0
#: Failures in a row after which it is the broker and not the event; the next attempt then waits.
OUTAGE = 2


class Relay:
    """`start()`, `wake()`, `stop()`."""

    def __init__(
        self,
        url: str,
        outbox: Outbox,
        *,
        clock: Clock,
        progress: ProgressBoard | None = None,
        tracer: Tracer = NO_TRACING,
        **transport_options: Any,
    ) -> None:
        """`progress`: of the work in this process, told beside the outbox and without its promise."""
        self._progress = progress
        # This loop is the one that tries again.
        self._publisher = Publisher(url, seconds=0, tracer=tracer, **transport_options)
        self._outbox, self._clock = outbox, clock
        self._woken = threading.Event()
        self._loop = Loop("relay", self._relay)

    def start(self) -> None:
        """Begin to tell."""
        self._loop.start()

    def wake(self) -> None:
        """There may be something to tell."""
        self._woken.set()

    def stop(self, timeout: float) -> None:
        """Tell what is waiting, then end."""
        self._woken.set()
        self._loop.stop(timeout)
        self._publisher.close()

    def _relay(self, stopping: threading.Event) -> None:
        self._woken.wait(POLL_SECONDS)
        self._woken.clear()
        while self._tell(stopping):
            if stopping.is_set():
                break
        self._tell_progress()

    def _tell(self, stopping: threading.Event) -> int:
        """Publish one batch; how many events were told. BrokerUnavailable, after noting those, in an outage."""
        try:
            told, outage = self._publish_all(self._outbox.take(BATCH, HOLD_MS), stopping)
            if told:
                failpoint("relay.before-sent")
                self._outbox.sent(told)
                failpoint("relay.after-sent")
        except DatabaseUnavailable as error:
            log.warning("relay.database-unavailable", detail=str(error))
            return 0
        if outage:
            raise outage
        return len(told)

    def _publish_all(
        self, events: list[Event], stopping: threading.Event
    ) -> tuple[list[str], BrokerUnavailable | None]:
        """Ids of the events told. One that the broker does not take is passed over; several mean an outage."""
        told: list[str] = []
        failures = 0
        for event in events:
            try:
                self._publish(event)
            except BrokerUnavailable as error:
                # The row's hold ends by itself; then it is tried again.
                log.warning("relay.broker-unavailable", event_id=event.event_id, detail=str(error))
                failures += 1
                if failures == OUTAGE or stopping.is_set():
                    return told, error
            else:
                told.append(event.event_id)
                failures = 0
        return told, None

    def _tell_progress(self) -> None:
        for operation, figures in self._progress.due() if self._progress else ():
            event = progress_event(operation, figures.document(), str(uuid.uuid4()), self._clock.wall_ms())
            for routing_key in filter(None, (topic("operation", "progress", operation.tenant_id), operation.reply_to)):
                try:
                    self._publisher.event(event, routing_key)
                except BrokerUnavailable as error:
                    log.info("relay.progress-not-told", operation=operation.op_id, detail=str(error))
                    return

    def _publish(self, event: Event) -> None:
        failpoint("relay.before-publish")
        for routing_key in filter(None, (event.topic, event.reply_to)):
            self._publisher.event(event.payload, routing_key)
        failpoint("relay.after-publish")
