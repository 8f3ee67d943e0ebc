"""From options to a published command: build the CloudEvent, judge it here, hand it to the broker.

Apart from following because publishing needs the broker and nothing else. The message is judged by the
very judge that intake uses, so what is refused here would have been a dead letter there.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from domain.errors import BrokerUnavailable, InvalidMessage
from workers.cli.session import operator

if TYPE_CHECKING:
    from domain.message import Command
    from workers.config import Settings


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that the broker has confirmed."""

    command: Command

    @property
    def key(self) -> tuple[str, str]:
        """(source, message id): what the operation is found by."""
        return self.command.source, self.command.message_id


def type_name(text: str) -> str:
    """`create-snapshot` and `backstay.create-snapshot.v1` both mean the latter."""
    return text if text.startswith("backstay.") else f"backstay.{text}.v1"


def read_data(text: str) -> dict[str, Any]:
    """The payload from an option: JSON, @FILE, or - for standard input. InvalidMessage when it is no object."""
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            with open(text[1:], encoding="utf-8") as file:
                text = file.read()
        found = json.loads(text, object_pairs_hook=named_once)
    except OSError as error:
        raise InvalidMessage(f"data: cannot read {error.filename}: {error.strerror}", field="data") from None
    except ValueError as error:
        where = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "not UTF-8"
        raise InvalidMessage(f"data: is not JSON ({where})", field="data") from None
    except RecursionError:
        raise InvalidMessage("data: is nested too deep", field="data") from None
    if not isinstance(found, dict):
        raise InvalidMessage("data: must be a JSON object", field="data")
    return found


def named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For json.loads: an object that names a key twice is refused here as intake would, before one value is lost."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidMessage("data: an object names a key twice", field="data")
    return found


def cloud_event(
    kind: str, subject: str, data: dict[str, Any], message_id: str | None, source: str | None
) -> dict[str, Any]:
    """The command as it goes on the wire."""
    return {
        "specversion": "1.0",
        "id": uuid7() if message_id is None else message_id,
        "source": f"/cli/{operator()}" if source is None else source,
        "type": type_name(kind),
        "subject": subject,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": data,
    }


def judged(event: dict[str, Any]) -> Command:
    """The command in `event`; InvalidMessage, naming the field, if intake would refuse it."""
    import handlers
    from domain.contracts import Rejected
    from domain.message import Envelope
    from workers.judge import judge_with

    verdict = judge_with(handlers.subscriptions())(Envelope(json.dumps(event).encode()))
    if isinstance(verdict, Rejected):
        raise InvalidMessage(verdict.sentence, code=verdict.reason)
    return verdict.command


def publish(settings: Settings, event: dict[str, Any]) -> Sent:
    """Judge and publish; durable at the broker on return. BrokerUnavailable says what to do."""
    from workers.border import Publisher

    command = judged(event)
    publisher = Publisher(settings.broker_url)
    try:
        publisher.command(event)
    except BrokerUnavailable as error:
        # It may have arrived: only the same key makes a repeat harmless, and nobody else has seen it yet.
        repeat = f"with --id {event['id']} --source {event['source']} a repeat is the same message"
        raise BrokerUnavailable(str(error), next_step=f"{error.next_step}; {repeat}") from error
    finally:
        publisher.close()
    return Sent(command)


def uuid7() -> str:
    """A fresh UUIDv7 (RFC 9562): 48 bits of milliseconds, then random, so that ids sort by age."""
    stamp = time.time_ns() // 1_000_000
    number = stamp << 80 | int.from_bytes(os.urandom(10))
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
