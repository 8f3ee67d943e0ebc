"""From a wish to a CloudEvent, and from that to a command that intake would accept.

Apart from the ways of giving it, which are the command line, the HTTP API and the console: all of them are judged by
the very judge that intake uses, so what is refused here would have been a dead letter there.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from domain.errors import InvalidMessage

if TYPE_CHECKING:
    from domain.contracts import Accepted
    from domain.subscription import Subscription

#: How a refusal begins that is about one field.
_FIELD = re.compile(r"([A-Za-z_][\w.-]*): ")


def type_name(text: str) -> str:
    """`create-snapshot` and `backstay.create-snapshot.v1` both mean the latter."""
    return text if text.startswith("backstay.") else f"backstay.{text}.v1"


def cloud_event(kind: str, subject: str, data: dict[str, Any], message_id: str, source: str) -> dict[str, Any]:
    """The command as it goes on the wire."""
    return {
        "specversion": "1.0",
        "id": message_id,
        "source": source,
        "type": type_name(kind),
        "subject": subject,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": "application/json",
        "data": data,
    }


def judge_event(event: dict[str, Any], subscriptions: Mapping[str, Subscription]) -> Accepted:
    """The command in `event`, fit for the inbox; InvalidMessage, naming the field, if intake would refuse it."""
    from domain.contracts import Rejected
    from domain.message import Envelope
    from workers.judge import judge_with

    verdict = judge_with(subscriptions)(Envelope(json.dumps(event).encode()))
    if isinstance(verdict, Rejected):
        named = _FIELD.match(verdict.sentence)
        raise InvalidMessage(verdict.sentence, field=named[1] if named else "", code=verdict.reason)
    return verdict


def uuid7() -> str:
    """A fresh UUIDv7 (RFC 9562): 48 bits of milliseconds, then random, so that ids sort by age."""
    stamp = time.time_ns() // 1_000_000
    number = stamp << 80 | int.from_bytes(os.urandom(10))
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
