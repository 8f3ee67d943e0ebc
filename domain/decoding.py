"""From bytes to a command, without trusting a single one of them.

Structured mode (the whole CloudEvent is the body) and binary mode (attributes are headers with one of
the prefixes `cloudEvents:`, `cloudEvents_`, `ce-`, `ce_`; the body is `data`), both as JSON in UTF-8.
Every refusal names the field and never repeats a value of `data`; unknown attributes are ignored, as
CloudEvents demands. Whatever the bytes are, the answer is a command or InvalidMessage, in time linear in
their number: one message that made intake fail or hang would hold back all others for ever.
Sources: CloudEvents 1.0.2 core, JSON format, AMQP and HTTP protocol bindings.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from domain.contracts import Rejected
from domain.errors import InvalidMessage
from domain.identity import Subject
from domain.message import MAX_BYTES, Command, Envelope

#: Deeper nesting than any payload has; far below what would exhaust the parser's stack.
MAX_DEPTH = 32
_STRUCTURED = "application/cloudevents"
_PREFIXES = ("cloudevents:", "cloudevents_", "ce-", "ce_")
_TYPE = re.compile(r"backstay\.([a-z][a-z-]{0,62})\.v([1-9][0-9]{0,3})\Z")
_ROUTING_KEY = re.compile(r"[A-Za-z0-9._:/-]{1,128}\Z")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
#: A whole text (also one that never ends) or one bracket. Possessive: what it has read is never read again,
#: so that a text of a million escaped quotes takes no longer than any other.
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
#: Characters of a field's name that a sentence repeats, and headers that a dead letter keeps.
_PATH_CHARACTERS, _KEPT_HEADERS = 120, 64


def decode(envelope: Envelope, known: Mapping[str, frozenset[int]]) -> Command:
    """The command in `envelope`; InvalidMessage (code undecodable, too-large, unknown-type or invalid)
    when there is none. `known` maps each understood type to its versions."""
    attributes, data = _open(envelope)
    if attributes.get("specversion") != "1.0":
        raise InvalidMessage('specversion: must be "1.0"', field="specversion")
    source, message_id, type_name = (_text(attributes, name) for name in ("source", "id", "type"))
    kind, version = _kind(type_name, known)
    return Command(
        source=source,
        message_id=message_id,
        kind=kind,
        version=version,
        subject=Subject.parse(_text(attributes, "subject")),
        data=data,
        correlation_id=_optional(attributes, "correlationid"),
        causation_id=_optional(attributes, "causationid"),
        reply_to=_optional(attributes, "replyto", _ROUTING_KEY),
        traceparent=_optional(attributes, "traceparent", _TRACEPARENT),
        deadline_ms=_deadline(attributes),
        time=_optional(attributes, "time"),
    )


def request_hash(command: Command) -> str:
    """Hex SHA-256 over what a repeat of the message must have in common with the first one."""
    canonical = json.dumps(
        [command.kind, command.version, str(command.subject), command.data],
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def digest(envelope: Envelope) -> str:
    """Hex SHA-256 over what makes a message this one and no other: its bytes and, where there are any, the headers
    that are attributes, with the content type that says how to read them. Headers that a broker adds on the way do
    not count, so that a message has the same digest each time it is delivered."""
    attributes = _headers(envelope)
    if not attributes:
        return hashlib.sha256(envelope.body).hexdigest()
    named = json.dumps([envelope.content_type.lower(), sorted(attributes.items())]).encode("ascii")
    return hashlib.sha256(hashlib.sha256(named).digest() + envelope.body).hexdigest()


def reject(envelope: Envelope, error: InvalidMessage) -> Rejected:
    """The dead letter for a message that `decode` or the payload's model refused."""
    readable = _readable(envelope)
    type_name = _legible(readable, "type")
    found = _TYPE.match(type_name or "")
    return Rejected(
        raw=envelope.body,
        reason=error.code,
        sentence=str(error),
        source=_legible(readable, "source"),
        message_id=_legible(readable, "id"),
        kind=found[1] if found else None,
        subject=_legible(readable, "subject"),
        reply_to=_legible(readable, "replyto", _ROUTING_KEY),
        headers=_kept(envelope),
        digest=digest(envelope),
    )


def unjudged(envelope: Envelope, sentence: str) -> Rejected:
    """The dead letter of a message that must not be looked into any more, with what replaying it needs."""
    return Rejected(
        raw=envelope.body, reason="invalid", sentence=sentence, headers=_kept(envelope), digest=digest(envelope)
    )


# ---------------------------------------------------------------- the two modes
def _open(envelope: Envelope) -> tuple[dict[str, Any], dict[str, Any]]:
    """Attributes and data; every text in both can be stored."""
    if len(envelope.body) > MAX_BYTES:
        raise InvalidMessage(
            f"the message has {len(envelope.body)} bytes, at most {MAX_BYTES} are allowed", code="too-large"
        )
    body = _json(envelope.body)
    if _is_binary(envelope):
        data = _object(body)
        _check_texts(data, "data")
        return _headers(envelope), data
    whole = _object(body, "the body must be a JSON object", code="undecodable")
    _check_texts(whole, "")
    if "specversion" not in whole:
        raise InvalidMessage("specversion: missing; the message is not a CloudEvent", field="specversion")
    if "data_base64" in whole:
        raise InvalidMessage("data_base64: binary data is not understood; send data as JSON", field="data_base64")
    return whole, _object(whole.get("data", {}))


def _is_binary(envelope: Envelope) -> bool:
    return not envelope.content_type.lower().startswith(_STRUCTURED) and "specversion" in _headers(envelope)


def _readable(envelope: Envelope) -> dict[str, Any]:
    """The attributes of a message that was refused, as far as there are any."""
    if len(envelope.body) > MAX_BYTES or _is_binary(envelope):
        return _headers(envelope)
    try:
        return _object(_json(envelope.body))
    except InvalidMessage:
        return _headers(envelope)


def _headers(envelope: Envelope) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in _texts(envelope):
        lower = name.lower()
        prefix = next((p for p in _PREFIXES if lower.startswith(p)), None)
        if prefix:
            found[lower.removeprefix(prefix)] = value
    return found


def _kept(envelope: Envelope) -> dict[str, str]:
    return {name[:255]: value[:255] for name, value in islice(_texts(envelope), _KEPT_HEADERS)}


def _texts(envelope: Envelope) -> Iterator[tuple[str, str]]:
    """Headers that are texts; transports may hand over times (CloudEvents allows it), numbers, tables and bytes."""
    for name, value in envelope.headers.items():
        if isinstance(name, str) and isinstance(value, str | int | datetime):
            yield name, value.isoformat() if isinstance(value, datetime) else str(value)


def _object(value: Any, sentence: str = "data: must be a JSON object", code: str | None = None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidMessage(sentence, field="" if code else "data", code=code)
    return value


def _json(body: bytes) -> Any:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidMessage(f"the body is not UTF-8 (byte {error.start})", code="undecodable") from None
    if _depth(text) > MAX_DEPTH:
        raise InvalidMessage(f"the body is nested more than {MAX_DEPTH} deep", code="undecodable")
    try:
        return json.loads(
            text, object_pairs_hook=_pairs, parse_constant=_no_constant, parse_int=_whole, parse_float=_finite
        )
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidMessage(f"the body is not JSON{where}", code="undecodable") from None


def _depth(text: str) -> int:
    """The deepest nesting; brackets inside texts do not count."""
    depth = deepest = 0
    for token in _TOKEN.finditer(text):
        if token[0] in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token[0] in "]}":
            depth -= 1
    return deepest


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # Two readers would see two different messages.
        raise InvalidMessage("an object in the body names a key twice", code="undecodable")
    return found


def _no_constant(name: str) -> Any:
    raise InvalidMessage(f"{name} is not JSON", code="undecodable")


def _whole(digits: str) -> int:
    if len(digits) > 40:
        raise InvalidMessage("a number in the body has more than 40 digits", code="undecodable")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidMessage("a number in the body is too large", code="undecodable")
    return number


def _check_texts(value: Any, path: str) -> None:
    """No text may hold what SQL or UTF-8 cannot: NUL and lone surrogates."""
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            field = path[:_PATH_CHARACTERS]
            raise InvalidMessage(f"{field or 'a key'}: holds a NUL or half a surrogate pair", field=field)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_texts(key, path)
            _check_texts(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _check_texts(item, f"{path}.{index}")


# ---------------------------------------------------------------- attributes
def _text(attributes: Mapping[str, Any], name: str) -> str:
    value = attributes.get(name)
    if not isinstance(value, str) or not value or len(value) > 255 or not value.isprintable():
        raise InvalidMessage(f"{name}: must be a text of 1 to 255 printable characters", field=name)
    return value


def _optional(attributes: Mapping[str, Any], name: str, form: re.Pattern[str] | None = None) -> str | None:
    if attributes.get(name) is None:
        return None
    value = _text(attributes, name)
    if form and not form.match(value):
        raise InvalidMessage(f"{name}: must match {form.pattern.removesuffix(chr(92) + 'Z')}", field=name)
    return value


def _legible(attributes: Mapping[str, Any], name: str, form: re.Pattern[str] | None = None) -> str | None:
    try:
        return _optional(attributes, name, form)
    except InvalidMessage:
        return None


def _kind(type_name: str, known: Mapping[str, frozenset[int]]) -> tuple[str, int]:
    found = _TYPE.match(type_name)
    kind, version = (found[1], int(found[2])) if found else ("", 0)
    if version not in known.get(kind, frozenset()):
        names = ", ".join(f"backstay.{name}.v{max(versions)}" for name, versions in sorted(known.items()))
        raise InvalidMessage(f"type: is none of {names}", field="type", code="unknown-type")
    return kind, version


def _deadline(attributes: Mapping[str, Any]) -> int | None:
    text = _optional(attributes, "deadline")
    if text is None:
        return None
    try:
        if not _RFC3339.match(text):
            raise ValueError
        return round(datetime.fromisoformat(text.upper()).astimezone(UTC).timestamp() * 1000)
    except (ValueError, OverflowError):  # a day that is none, or a time before the year 1 once it is UTC
        raise InvalidMessage("deadline: must be an RFC 3339 time with an offset", field="deadline") from None
