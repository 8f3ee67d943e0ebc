"""Somebody who listens to events with a durable queue, as a platform does; and what never came.

Apart from the outbox, which knows what was told: here is what has arrived, whatever became of the broker meanwhile.
"""

from __future__ import annotations

import json
import time

from kombu import Consumer, Message, Queue

from tests.prove.bench import ENDS
from workers.border import EVENTS, connect, driver_errors

QUEUE = "proof.heard"
#: Seconds for which an event may be under way.
PATIENCE = 20.0


class Listener:
    """Listens from now on; what arrives while nobody looks waits in the queue."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended: set[str] = set()
        self.listen()

    def listen(self) -> None:
        """Declare the queue; once more after a broker that has forgotten it."""
        self._listen(0.0)

    def misses(self, operations: set[str]) -> set[str]:
        """Those of which no end has been told within `PATIENCE`."""
        until = time.monotonic() + PATIENCE
        while (missed := operations - self._ended) and time.monotonic() < until:
            self._listen(0.2)
        return missed

    def _listen(self, seconds: float) -> None:
        with connect(self._url) as connection:
            over: tuple[type[BaseException], ...] = (TimeoutError, *driver_errors(connection))
            try:
                queue = Queue(QUEUE, EVENTS, routing_key="#", durable=True)(connection.channel())
                queue.declare()
                with Consumer(queue.channel, [queue], on_message=self._heard, auto_declare=False):
                    while seconds:
                        connection.drain_events(timeout=seconds)
            except over:
                return  # nothing more now; or the broker is only just coming back

    def _heard(self, message: Message) -> None:
        body = message.body if isinstance(message.body, str | bytes) else bytes(message.body)
        event = json.loads(body)
        if event["type"].split(".")[-2] in ENDS:
            self._ended.add(str(event["data"]["operation_id"]))
        message.ack()
