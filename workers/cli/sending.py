"""From options to a published command: build the CloudEvent, judge it here, hand it to the broker.

Apart from following because publishing needs the broker and nothing else. The message is judged by the
very judge that intake uses, so what is refused here would have been a dead letter there.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from domain.errors import BrokerUnavailable, InvalidMessage
from workers import command_event
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


def read_data(text: str) -> dict[str, Any]:
    """The payload from an option: JSON, @FILE, or - for standard input. InvalidMessage when it is no object."""
    try:
        return object_of(read_text(text))
    except UnicodeDecodeError:
        raise InvalidMessage("data: is not JSON (not UTF-8)", field="data") from None


def object_of(text: str, field: str = "data") -> dict[str, Any]:
    """The object that the JSON says; InvalidMessage, naming the field, when it says none. Opens no file."""
    try:
        found = json.loads(text, object_pairs_hook=named_once)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidMessage(f"{field}: is not JSON ({where})", field=field) from None
    except ValueError:  # a number with thousands of digits
        raise InvalidMessage(f"{field}: is not JSON that can be read", field=field) from None
    except RecursionError:
        raise InvalidMessage(f"{field}: is nested too deep", field=field) from None
    if not isinstance(found, dict):
        raise InvalidMessage(f"{field}: must be a JSON object", field=field)
    return found


def read_text(text: str) -> str:
    """From an option: the text itself, @FILE, or - for standard input."""
    try:
        if text == "-":
            return sys.stdin.read()
        if text.startswith("@"):
            with open(text[1:], encoding="utf-8") as file:
                return file.read()
    except OSError as error:
        raise InvalidMessage(f"data: cannot read {error.filename}: {error.strerror}", field="data") from None
    return text


def named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For json.loads: an object that names a key twice is refused here as intake would, before one value is lost."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidMessage("data: an object names a key twice", field="data")
    return found


def cloud_event(
    kind: str, subject: str, data: dict[str, Any], message_id: str | None, source: str | None
) -> dict[str, Any]:
    """The command as it goes on the wire, from whoever types unless another source is named."""
    return command_event.cloud_event(
        kind,
        subject,
        data,
        command_event.uuid7() if message_id is None else message_id,
        operator().source() if source is None else source,
    )


def judged(event: dict[str, Any]) -> Command:
    """The command in `event`; InvalidMessage, naming the field, if intake would refuse it."""
    import handlers

    return command_event.judge_event(event, handlers.subscriptions()).command


def publish(settings: Settings, event: dict[str, Any]) -> Sent:
    """Judge and publish; durable at the broker on return. BrokerUnavailable says what to do."""
    from workers.bootstrap import System
    from workers.border import Publisher

    command = judged(event)
    system = System(settings)
    publisher = Publisher(settings.broker_url, tracer=system.tracer)
    try:
        publisher.command(event)
    except BrokerUnavailable as error:
        # It may have arrived: only the same key makes a repeat harmless, and nobody else has seen it yet.
        repeat = f"with --id {event['id']} --source {event['source']} a repeat is the same message"
        raise BrokerUnavailable(str(error), next_step=f"{error.next_step}; {repeat}") from error
    finally:
        publisher.close()
        system.close()
    return Sent(command)
