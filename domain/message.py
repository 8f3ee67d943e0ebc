"""The message contract: what a command looks like after decoding, whatever wire form it had.

CloudEvents 1.0 (https://github.com/cloudevents/spec), structured JSON or binary mode. The idempotency
key is (`source`, `id`), as that specification demands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from domain.identity import Subject

#: A message is refused beyond this many bytes.
MAX_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Command:
    """A well-formed message that asks for something. `data` may hold secrets: never print it."""

    source: str
    message_id: str
    kind: str  # "create-snapshot" from the type "backstay.create-snapshot.v1"
    version: int
    subject: Subject
    data: dict[str, Any] = field(repr=False)
    correlation_id: str | None = None
    causation_id: str | None = None
    reply_to: str | None = None
    traceparent: str | None = None
    deadline_ms: int | None = None  # absolute, UTC milliseconds
    time: str | None = None


@dataclass(frozen=True, slots=True)
class Envelope:
    """A message as the broker handed it over: bytes and transport headers, nothing interpreted."""

    body: bytes = field(repr=False)
    headers: dict[str, Any] = field(default_factory=dict, repr=False)
    content_type: str = ""
