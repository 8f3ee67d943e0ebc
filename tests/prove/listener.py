"""Somebody who listens to events with a durable queue, as a platform does; and what never came.

Apart from the outbox, which knows what was told: here is what has arrived, whatever became of the broker meanwhile.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict

from kombu import Connection, Message, Queue

from workers.border import EVENTS, connect, driver_errors

QUEUE = "proof.heard"
#: Ends of a topic that say how an operation has ended.
ENDS = ("succeeded", "rolled-back", "failed", "cancelled", "stuck")
#: Seconds for which an event may be under way, and between looks.
PATIENCE, LOOK_EVERY = 20.0, 0.2


class Listener:
    """Listens from now on; what arrives while nobody looks waits in the queue."""

    def __init__(self, url: str, queue: str = QUEUE) -> None:
        self._url, self._name = url, queue
        self._ended: defaultdict[str, dict[str, str]] = defaultdict(dict)  # operation -> event -> how
        self._lost: set[str] = set()
        self._forgotten = False
        self.listen()

    def listen(self) -> None:
        """Declare the queue; once more after a broker that has forgotten it. Hear what has arrived."""
        with connect(self._url) as connection:
            over: tuple[type[BaseException], ...] = (TimeoutError, *driver_errors(connection))
            try:
                self._hear(connection)
            except over:
                return  # the broker is only just coming back

    def misses(self, operations: set[str]) -> set[str]:
        """Those of which no end has been told within `PATIENCE`. A broker that has forgotten the queue has forgotten
        what was in it too: what is asked for when that shows is not missed."""
        until, self._forgotten = time.monotonic() + PATIENCE, False
        self.listen()
        while (missed := operations - self._ended.keys() - self._lost) and not self._forgotten:
            if time.monotonic() > until:
                return missed
            time.sleep(LOOK_EVERY)
            self.listen()
        self._lost |= missed
        return set()

    def ends(self, operation: str) -> list[str]:
        """How each of its events has told its end; one that came several times is one."""
        return list(self._ended[operation].values()) if operation in self._ended else []

    def lost(self, operation: str) -> bool:
        """Whether a broker that forgets may have had its event."""
        return operation in self._lost

    def _hear(self, connection: Connection) -> None:
        queue = Queue(self._name, EVENTS, routing_key="#", durable=True)
        try:
            queue(connection.channel()).queue_declare(passive=True)
        except connection.channel_errors:
            self._forgotten = True
        queue = queue(connection.channel())
        queue.declare()
        while (message := queue.get()) is not None:
            self._heard(message)

    def _heard(self, message: Message) -> None:
        body = message.body if isinstance(message.body, str | bytes) else bytes(message.body)
        event = json.loads(body)
        how = event["type"].split(".")[-2]
        if how in ENDS:
            self._ended[str(event["data"]["operation_id"])][event["id"]] = how
        message.ack()
