"""What the spool and the Redis stream have in common as kombu transports that ask for messages.

kombu's virtual transport drops what no queue would take, knows bindings of its own process only and
sleeps a fixed time between polls. Here a mandatory message without a queue is an error, bindings live
where the messages live, and waiting ends with the time allowed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from queue import Empty
from typing import Any

from amqp.exceptions import ChannelError  # type: ignore[import-untyped]
from kombu.transport import virtual

#: Seconds between looks while there is nothing: the first pause and the longest. A pause is a quarter longer than
#: the one before, so that a message waits for a quarter of the silence before it, or 100 ms: a wake-up costs
#: more CPU than the look.
FIRST_PAUSE, LONGEST_PAUSE, LONGER = 0.005, 0.1, 1.25


class PolledChannel(virtual.Channel):  # type: ignore[misc]  # kombu has no types
    """One consumer or publisher. Not shared between threads, like any kombu channel."""

    do_restore = False  # kombu's own way puts copies back; ours give back the originals
    supports_fanout = True  # so that bindings are told to `_queue_bind`

    def basic_publish(
        self, message: dict[str, Any], exchange: str, routing_key: str, mandatory: bool = False, **_: Any
    ) -> None:
        """Put the message into every queue that wants it; ChannelError when it is mandatory and none does. A queue
        that does not take it keeps it from no other, and is told of behind them."""
        queues = self._lookup(exchange, routing_key)
        if mandatory and not queues:
            raise ChannelError(f"NO_ROUTE: no queue is bound to {exchange!r}", (60, 40), "Basic.publish", 312)
        self._inplace_augment_message(message, exchange, routing_key)
        refusals: list[Exception] = []
        for queue in queues:
            try:
                self._put(queue, message)
            except self.connection.channel_errors as error:
                if isinstance(error, self.connection.connection_errors):
                    raise
                refusals.append(error)
        if refusals:
            raise refusals[0]

    def queue_unbind(self, queue: str, exchange: str = "", routing_key: str = "", *_: Any, **__: Any) -> None:
        """Take a binding back, for every process."""
        self.state.binding_delete(queue, exchange, routing_key)
        self._queue_unbind(exchange, *self.typeof(exchange).prepare_bind(queue, exchange, routing_key, None))

    def _queue_unbind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        raise KeyError(exchange)

    def ack_all(self, tags: Iterable[str]) -> None:
        """Acknowledge many messages; one round trip where the broker has one."""
        for tag in tags:
            self.basic_ack(tag)

    def forgets(self) -> list[str]:
        """Why a message that was confirmed may be lost nevertheless; a sentence each."""
        return []

    def keep(self) -> None:
        """Called now and then, with and without messages: say that what is in hand is being worked on."""


class PolledTransport(virtual.Transport):  # type: ignore[misc]
    """A transport whose channels are asked; `patience` is how long, in seconds, one of them may wait for an answer."""

    Channel = PolledChannel
    patience = 0.0
    _pause = FIRST_PAUSE

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Deliver one message, or raise TimeoutError after `timeout` seconds without any."""
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while True:
            self.patience = max(0.0, deadline - time.monotonic())
            for channel in self.channels:
                channel.keep()
            try:
                self.cycle.get(self._deliver, timeout=timeout)
                self._pause = FIRST_PAUSE
                return
            except Empty:
                left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            time.sleep(min(self._pause, left))
            self._pause = min(LONGER * self._pause, LONGEST_PAUSE)
