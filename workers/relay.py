"""Telling: outbox rows become events on the broker, confirmed, at least once.

One thread. Rows are held, not locked, while they are published, so no transaction is open during a
remote call and several nodes may relay at once. The event's id is the row's, so listeners can drop repeats.
"""

from __future__ import annotations

import threading
from typing import Any

import structlog

from domain.contracts import Clock, Event, Outbox
from domain.errors import BrokerUnavailable, DatabaseUnavailable
from domain.failpoint import failpoint
from workers.border import Publisher
from workers.loop import Loop

log = structlog.get_logger("relay")

#: Events taken at a time, and milliseconds for which no other relay takes them.
BATCH, HOLD_MS = 100, 15_000
#: Seconds between looks when nobody has announced an event.
POLL_SECONDS = 1.0


class Relay:
    """`start()`, `wake()`, `stop()`."""

    def __init__(self, url: str, outbox: Outbox, *, clock: Clock, **transport_options: Any) -> None:
        self._publisher = Publisher(url, **transport_options)
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
        while self._tell():
            if stopping.is_set():
                break

    def _tell(self) -> int:
        """Publish one batch; how many events it had."""
        try:
            events = self._outbox.take(BATCH, HOLD_MS)
            told = [event.event_id for event in events if self._publish(event)]
            if told:
                self._outbox.sent(told)
                failpoint("relay.after-sent")
        except DatabaseUnavailable as error:
            log.warning("relay.database-unavailable", detail=str(error))
            return 0
        return len(told)

    def _publish(self, event: Event) -> bool:
        failpoint("relay.before-publish")
        try:
            for routing_key in filter(None, (event.topic, event.reply_to)):
                self._publisher.event(event.payload, routing_key)
        except BrokerUnavailable as error:
            # The row's hold ends by itself; then it is tried again.
            log.warning("relay.broker-unavailable", event=event.event_id, detail=str(error))
            return False
        failpoint("relay.after-publish")
        return True
