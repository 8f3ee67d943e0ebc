"""Telling: outbox rows become events on the broker, confirmed, at least once.

One thread. Rows are held, not locked, while they are published, so no transaction is open during a
remote call and several nodes may relay at once. The event's id is the row's, so listeners can drop repeats. An event
that the broker does not take is held ever longer and keeps no other waiting; only a connection that is not to be had,
and the end of the holds, end a batch. One that gets no answer comes again behind those that were not tried.
"""

from __future__ import annotations

import threading
import uuid
from typing import Any

import structlog

from domain.contracts import Clock, Event, Outbox
from domain.errors import BrokerUnavailable, DatabaseUnavailable, NotTaken
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
#: The hold of an event that got no answer: longer than of those behind it, which so come before it. It may be one queue
#: that is silent, or one event that breaks connections.
SILENT_MS = HOLD_MS + 1_000
#: The longest hold of an event that the broker does not take; each is twice the one before.
LONGEST_HOLD_MS = 300_000
#: Connections in a row that were lost or not to be had, after which the next attempt waits: one may just be old.
OUTAGE = 2
#: Most events of which is remembered how often the broker did not take them; and seconds after which one that has not
#: come again is forgotten for another, because some other relay has told it.
REMEMBERED, FORGOTTEN_SECONDS = 10_000, 900.0


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
        self._not_taken: dict[str, tuple[int, float]] = {}  # how often, and when last, by event id; the latest last
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
        """Publish one batch; how many events were tried. BrokerUnavailable, after noting what became of them, in an
        outage."""
        try:
            told, holds, outage = self._publish_all(self._outbox.take(BATCH, HOLD_MS), stopping)
            if told:
                failpoint("relay.before-sent")
                self._outbox.sent(told)
                failpoint("relay.after-sent")
            self._outbox.pass_over(holds)
        except DatabaseUnavailable as error:
            log.warning("relay.database-unavailable", detail=str(error))
            return 0
        if outage:
            raise outage
        return len(told) + len(holds)

    def _publish_all(
        self, events: list[Event], stopping: threading.Event
    ) -> tuple[list[str], dict[str, int], BrokerUnavailable | None]:
        """Ids of the events told; those that were tried in vain, with milliseconds to hold them; the outage."""
        told: list[str] = []
        holds: dict[str, int] = {}
        failures, began = 0, self._clock.boottime()
        for event in events:
            if (told or holds) and self._clock.boottime() - began >= HOLD_MS / 1000:
                break  # the others are held no longer, and may be told by another relay
            try:
                self._publish(event)
            except NotTaken as error:
                holds[event.event_id] = self._pass_over(event, error)
                failures = 0
            except BrokerUnavailable as error:
                holds[event.event_id] = SILENT_MS
                log.warning("relay.broker-unavailable", event_id=event.event_id, detail=str(error))
                failures += 1
                if failures == OUTAGE or stopping.is_set():
                    return told, holds, error
            else:
                told.append(event.event_id)
                self._not_taken.pop(event.event_id, None)
                failures = 0
        return told, holds, None

    def _pass_over(self, event: Event, error: NotTaken) -> int:
        """Milliseconds for which it is held. The first time says so, as long as there is room to remember that."""
        now = self._clock.boottime()
        if event.event_id not in self._not_taken and not self._has_room(now):
            return LONGEST_HOLD_MS
        times = self._not_taken.pop(event.event_id, (0, now))[0] + 1
        if times == 1:
            log.warning("relay.not-taken", event_id=event.event_id, topic=event.topic, detail=str(error))
        self._not_taken[event.event_id] = (times, now)
        return min(LONGEST_HOLD_MS, HOLD_MS * (1 << min(times - 1, 16)))

    def _has_room(self, now: float) -> bool:
        """To remember one more. What is due again soon is not forgotten for it: each would be a first one for ever."""
        if len(self._not_taken) < REMEMBERED:
            return True
        oldest, (_, last) = next(iter(self._not_taken.items()))
        if now - last < FORGOTTEN_SECONDS:
            return False
        del self._not_taken[oldest]
        return True

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
        refusals: list[NotTaken] = []
        for routing_key in filter(None, (event.topic, event.reply_to)):
            try:
                self._publisher.event(event.payload, routing_key)
            except NotTaken as error:  # of one listener; the other one hears it
                refusals.append(error)
        if refusals:
            raise refusals[0]
        failpoint("relay.after-publish")
