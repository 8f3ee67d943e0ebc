"""The border: names, durability and arguments of everything on a broker, and publishing with proof.

The only place that knows the topology. A publish returns when the broker has confirmed the message, or
raises BrokerUnavailable (NotTaken when the broker is there and does not take it); a message that no
queue would take is an error, never a silent loss.
"""

from __future__ import annotations

import contextlib
import json
import threading
from typing import Any
from urllib.parse import urlsplit

from kombu import Connection, Exchange, Producer, Queue
from kombu.exceptions import KombuError, OperationalError

from domain.errors import BrokerUnavailable, NotTaken, Refused
from domain.retry import within_call
from workers import transports
from workers.tracing import NO_TRACING, Hop, Tracer, trace_of_id
from workers.transports.rabbit import NACKED, forgiving

COMMANDS = Exchange("backstay", "topic", durable=True)
EVENTS = Exchange("backstay.events", "topic", durable=True)
INBOX = "backstay.inbox"
CONTENT_TYPE = "application/cloudevents+json"

#: Quorum queues drop a message after some deliveries without an acknowledgement: 20 by default in
#: RabbitMQ 4, and -1 means one on 3.10. A worker that crashes in a loop must not empty the queue.
_QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
#: Seconds for the broker to confirm one publish, and in total with retries.
CONFIRM_SECONDS = 5.0
PUBLISH_SECONDS = 15.0
#: Seconds; a RabbitMQ that hears nothing for twice as long gives a consumer's messages to another.
HEARTBEAT_SECONDS = 30


def connect(url: str, heartbeat: int = HEARTBEAT_SECONDS, **transport_options: Any) -> Connection:
    """A kombu connection, not yet opened. TLS by scheme: amqps://, redisstreams://; the certificate and its
    name are checked. Refused when the URL cannot be read."""
    transports.register()
    address, options = url, dict[str, Any](transport_options=transport_options)
    if url.startswith("amqp"):
        defaults = {"confirm_publish": True, "read_timeout": 30, "write_timeout": 10, "frame_handler": forgiving}
        options["transport_options"] = defaults | transport_options
    if url.startswith("amqps://"):
        # True alone would accept a certificate that is valid for any other host; None would ask for 127.0.0.1
        # where the URL says localhost.
        address, options["ssl"] = "amqp" + url.removeprefix("amqps"), {"server_hostname": urlsplit(url).hostname}
    try:
        connection = Connection(address, heartbeat=heartbeat, connect_timeout=5, **options)
        if url.startswith("redisstream"):
            int((connection.virtual_host or "0").strip("/") or 0)
        return connection
    except ValueError:  # its text may hold a part of the password
        raise Refused(
            "BROKER_URL cannot be read",
            code="broker-url",
            next_step="write it as scheme://user:password@host:port/name, with special characters percent-encoded",
        ) from None


def is_amqp(connection: Connection) -> bool:
    """Whether the broker speaks AMQP itself, with acknowledgement of many and publisher confirms."""
    return bool(connection.transport.driver_type == "amqp")


def inbox(connection: Connection) -> Queue:
    """The queue of commands, with the arguments that every side must declare alike."""
    arguments = _QUORUM if is_amqp(connection) else None
    return Queue(INBOX, COMMANDS, routing_key="#", durable=True, queue_arguments=arguments)


def queue_state(connection: Connection) -> tuple[int, int | None] | None:
    """Messages and consumers of the queue of commands, without declaring it; None when it does not exist. Only a
    broker that speaks AMQP knows its consumers."""
    channel = connection.channel()
    try:
        found = inbox(connection)(channel).queue_declare(passive=True)
    except connection.channel_errors:
        return None
    return found.message_count, found.consumer_count if is_amqp(connection) else None


def forgets(channel: Any) -> list[str]:
    """Why the broker of this channel may lose what it has confirmed, a sentence each; nothing of one that keeps it,
    as the quorum queue of an AMQP broker and the spool do."""
    return list(channel.forgets()) if hasattr(channel, "forgets") else []


def driver_errors(connection: Connection) -> tuple[type[BaseException], ...]:
    """Everything that a broken connection, or a broker that does not take a message, may raise."""
    return (
        *connection.connection_errors,
        *connection.channel_errors,
        KombuError,
        OperationalError,
        OSError,
        NACKED,  # a quorum queue that changes its leader, or that is full, refuses; the message may be tried again
    )


def _does_not_take(connection: Connection, error: BaseException) -> bool:
    """Whether the broker has answered that it does not take the message; else the connection is lost."""
    if isinstance(error, NACKED):
        return True
    return isinstance(error, connection.channel_errors) and not isinstance(error, connection.connection_errors)


class Publisher:
    """Publishes over one connection, which it opens again when it breaks. Safe to share between threads."""

    def __init__(
        self, url: str, *, seconds: float | None = None, tracer: Tracer = NO_TRACING, **transport_options: Any
    ) -> None:
        """`seconds` bounds all attempts at one message together; 0 means one attempt."""
        self._url, self._seconds, self._options, self._tracer = url, seconds, transport_options, tracer
        self._mutex = threading.Lock()
        self._connection: Connection | None = None
        self._producer: Producer | None = None

    def command(self, event: dict[str, Any]) -> None:
        """Publish a command (a CloudEvent in structured form); durable at the broker on return."""
        kind = str(event.get("type", "")).removeprefix("backstay.").rpartition(".v")[0] or "unknown"
        fields = {"message": str(event.get("id")), "destination": COMMANDS.name}
        with self._tracer.span(f"publish {kind}", Hop.SEND, event.get("traceparent"), **fields) as span:
            traced = event if span.traceparent is None else event | {"traceparent": span.traceparent}
            self._publish(json.dumps(traced).encode(), COMMANDS, kind, mandatory=True)

    def event(self, event: dict[str, Any], routing_key: str) -> None:
        """Tell an event to whoever listens; nobody need."""
        parent = event.get("traceparent") or trace_of_id(str(event.get("data", {}).get("operation_id")))
        fields = {"message": str(event.get("id")), "destination": EVENTS.name}
        with self._tracer.span(f"tell {event.get('type')}", Hop.SEND, parent, **fields):
            self._publish(json.dumps(event).encode(), EVENTS, routing_key, mandatory=False)

    def raw(self, body: bytes, headers: dict[str, str], content_type: str = CONTENT_TYPE) -> None:
        """Publish bytes as they are to the inbox; for tests and tools."""
        self._publish(body, COMMANDS, "raw", mandatory=True, headers=headers, content_type=content_type)

    def close(self) -> None:
        """Close the connection."""
        with self._mutex:
            self._drop()

    def _publish(
        self,
        body: bytes,
        exchange: Exchange,
        routing_key: str,
        *,
        mandatory: bool,
        headers: dict[str, str] | None = None,
        content_type: str = CONTENT_TYPE,
    ) -> None:
        for attempt in within_call(seconds=PUBLISH_SECONDS if self._seconds is None else self._seconds):
            with attempt, self._mutex:
                connection, producer = self._open()
                confirm = {"confirm_timeout": CONFIRM_SECONDS} if is_amqp(connection) else {}
                try:
                    producer.publish(
                        body,
                        exchange=exchange.name,
                        routing_key=routing_key,
                        content_type=content_type,
                        content_encoding="binary",
                        headers=headers,
                        delivery_mode=2,
                        mandatory=mandatory,
                        **confirm,
                    )
                except driver_errors(connection) as error:
                    if not isinstance(error, NACKED):  # that answer was all that was still to come on this channel
                        self._drop()
                    kind = NotTaken if _does_not_take(connection, error) else BrokerUnavailable
                    raise kind(
                        f"the broker did not take the message ({type(error).__name__}: {error})",
                        next_step="check BROKER_URL and the broker, then publish again with the same id",
                    ) from error

    def _open(self) -> tuple[Connection, Producer]:
        if self._connection is not None and self._producer is not None:
            return self._connection, self._producer
        # No heartbeat: between two messages nobody would send it. A dead connection shows when no confirm comes.
        connection = connect(self._url, heartbeat=0, **self._options)
        try:
            connection.connect()
            channel = connection.channel()
            inbox(connection)(channel).declare()
            EVENTS(channel).declare()
        except driver_errors(connection) as error:
            connection.release()
            raise BrokerUnavailable(
                f"the broker cannot be reached or refuses the queue ({type(error).__name__}: {error})",
                next_step="check BROKER_URL, the user's permissions and, on RabbitMQ, the arguments of an existing "
                f"queue {INBOX}",
            ) from error
        self._connection, self._producer = connection, Producer(channel)
        return self._connection, self._producer

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(KombuError, OSError):  # it was broken already
                self._connection.release()
        self._connection = self._producer = None
