"""Reading a region's reply: bytes become a `Reply`, however odd they are.

Apart from the client because it needs no connection. The region answers with nothing, with one JSON document,
with two back to back, or with a proxy's page; all of them are replies. None of our own values survives in a message.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from domain.region import Reply, Trouble

BODY_LIMIT = 8 << 20  # bytes
_MESSAGE = 500  # characters
#: The region's own words, on which decisions rest: they stay although a value of ours may read the same.
_OWN_WORDS = re.compile(
    r"record already exist|already (exist|linked|installed)|\bis exist|same (kind|category)"
    r"|cant find (tenant|service)|last event is running|too frequent",
    re.I,
)


def parse_reply(
    status: int, headers: Mapping[str, str], raw: bytes, *, ours: Iterable[Any] = (), now: float = 0.0, took_ms: int = 0
) -> Reply:
    """The reply that `raw` is. `ours`: what we sent, of which nothing may be quoted. `now`: UTC seconds."""
    text = raw.decode("utf-8", "replace").lstrip()
    document, whole = _first_document(text)
    if not whole and 200 <= status < 300:
        return Reply(message="half a reply arrived", trouble=Trouble.CUT, took_ms=took_ms)
    fields = document if isinstance(document, dict) else {}
    items = fields.get("list")
    return Reply(
        status=status,
        bean=fields.get("bean"),
        items=items if isinstance(items, list) else None,
        message=redact(_message(fields) if fields else text, ours)[:_MESSAGE],
        fenced=status == 412 and "X-Backstay-Fenced" in headers,
        retry_after=_seconds(headers.get("Retry-After"), now),
        took_ms=took_ms,
    )


def redact(message: str, ours: Iterable[Any]) -> str:
    """`message` with every text of `ours` (4 characters and more) replaced by ***."""
    hidden = [False] * len(message)
    for value in {form for text in _texts(ours) for form in (text, json.dumps(text)[1:-1], repr(text)[1:-1])}:
        at = message.find(value)
        while at >= 0:
            hidden[at : at + len(value)] = [True] * len(value)
            at = message.find(value, at + 1)
    for words in _OWN_WORDS.finditer(message):
        hidden[words.start() : words.end()] = [False] * (words.end() - words.start())
    shown = "".join(
        "\0" if secret else letter for letter, secret in zip(message.replace("\0", " "), hidden, strict=True)
    )
    return re.sub("\0+", "***", shown)


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        if len(value) >= 4:
            yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Iterable):
        for item in value:
            yield from _texts(item)


def _first_document(text: str) -> tuple[Any, bool]:
    """The first JSON document, None if there is none; False when one begins and does not end."""
    try:
        return json.JSONDecoder().raw_decode(text)[0], True
    except (ValueError, RecursionError):
        return None, not text.startswith(("{", "["))


def _message(fields: Mapping[str, Any]) -> str:
    wrong = fields.get("validation_error")
    if wrong:
        return "validation_error: " + "; ".join(_flat(wrong))
    said = fields.get("msg")
    return said if isinstance(said, str) else ""


def _flat(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [f"{name}: {text}" for name, inner in value.items() for text in _flat(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _flat(inner)]
    return [str(value)]


def _seconds(given: str | None, now: float) -> float | None:
    """`Retry-After` in seconds from now, as a number or as a date; None when absent or unreadable."""
    if given is None:
        return None
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(given).timestamp() - now
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def skew_of(headers: Mapping[str, str], now: float) -> float | None:
    """How many seconds `now` is ahead of the clock of whoever answered; None when he did not say."""
    try:
        return now - parsedate_to_datetime(headers.get("Date", "")).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
