"""From bytes to a command, without trusting a single one of them.

Structured mode (the whole CloudEvent is the body) and binary mode (attributes are headers with one of
the prefixes `cloudEvents:`, `cloudEvents_`, `ce-`, `ce_`; the body is `data`), both as JSON in UTF-8.
Every refusal names the field and never repeats its value; unknown attributes are ignored, as CloudEvents
demands. Sources: CloudEvents 1.0.2 core, JSON format, AMQP and HTTP protocol bindings.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from domain.contracts import Rejected
from domain.errors import InvalidMessage
from domain.identity import Subject
from domain.message import MAX_BYTES, Command, Envelope

#: Deeper nesting than any payload has; far below what would exhaust the parser's stack.
MAX_DEPTH = 32
_PREFIXES = ("cloudevents:", "cloudevents_", "ce-", "ce_")
_TYPE = re.compile(r"backstay\.([a-z][a-z-]{0,62})\.v([1-9][0-9]{0,3})\Z")
_ROUTING_KEY = re.compile(r"[A-Za-z0-9._:/-]{1,128}\Z")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\Z")


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


def reject(envelope: Envelope, error: InvalidMessage) -> Rejected:
    """The dead letter for a message that `decode` or the payload's model refused."""
    try:
        readable, _ = _open(envelope)
    except InvalidMessage:
        readable = _headers(envelope)
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
        reply_to=_legible(readable, "replyto"),
        headers={name: str(value)[:255] for name, value in envelope.headers.items() if isinstance(value, str | int)},
    )


# ---------------------------------------------------------------- the two modes
def _open(envelope: Envelope) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(envelope.body) > MAX_BYTES:
        raise InvalidMessage(
            f"the message has {len(envelope.body)} bytes, at most {MAX_BYTES} are allowed", code="too-large"
        )
    headers = _headers(envelope)
    body = _json(envelope.body)
    if "specversion" in headers:
        return headers, _object(body)
    if "specversion" not in body:
        raise InvalidMessage("specversion: missing; the message is not a CloudEvent", field="specversion")
    if "data_base64" in body:
        raise InvalidMessage("data_base64: binary data is not understood; send data as JSON", field="data_base64")
    return body, _object(body.get("data", {}))


def _headers(envelope: Envelope) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in envelope.headers.items():
        lower = str(name).lower()
        prefix = next((p for p in _PREFIXES if lower.startswith(p)), None)
        if prefix:
            found[lower.removeprefix(prefix)] = value
    return found


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise InvalidMessage("data: must be a JSON object", field="data")
    return data


def _json(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidMessage(f"the body is not UTF-8 (byte {error.start})", code="undecodable") from None
    if _depth(text) > MAX_DEPTH:
        raise InvalidMessage(f"the body is nested more than {MAX_DEPTH} deep", code="undecodable")
    try:
        found = json.loads(text, object_pairs_hook=_pairs, parse_constant=_no_constant, parse_int=_whole)
    except InvalidMessage:
        raise
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidMessage(f"the body is not JSON{where}", code="undecodable") from None
    _check_texts(found, "")
    if not isinstance(found, dict):
        raise InvalidMessage("the body must be a JSON object", code="undecodable")
    return found


def _depth(text: str) -> int:
    """The deepest nesting; brackets inside strings do not count."""
    depth = deepest = 0
    for token in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', text):
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


def _check_texts(value: Any, path: str) -> None:
    """No text may hold what SQL or UTF-8 cannot: NUL and lone surrogates."""
    if isinstance(value, str):
        if _UNSTORABLE.search(value):
            raise InvalidMessage(f"{path or 'body'}: holds a NUL or half a surrogate pair", field=path)
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


def _legible(attributes: Mapping[str, Any], name: str) -> str | None:
    try:
        return _optional(attributes, name)
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
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise InvalidMessage("deadline: must be an RFC 3339 time with an offset", field="deadline")
    return round(moment.astimezone(UTC).timestamp() * 1000)
