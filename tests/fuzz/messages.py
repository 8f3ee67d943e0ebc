"""What comes from a broker: envelopes in both modes, payloads of every command, documents in them, and spool files.

Apart from the other targets because nothing here may raise at all: the judge answers with a command or with a dead
letter, or intake would stand still before that message for ever.
"""

from __future__ import annotations

import importlib
import json
from contextlib import suppress
from typing import Any

import handlers
from domain.contracts import Accepted, Rejected
from domain.errors import BackstayError, InvalidMessage
from domain.formats import check_template, configuration_from, details_from
from domain.identity import Subject
from domain.message import Envelope
from domain.snapshot import Label
from tests.fuzz.target import Target, spread
from workers.judge import judge_with
from workers.transports import spool

_ID = "0192f0c1-0000-7000-8000-000000000001"
_KINDS = handlers.subscriptions()
_judge = judge_with(_KINDS)


def _judged(envelope: Envelope) -> None:
    answer = _judge(envelope)
    if isinstance(answer, Rejected):
        assert answer.raw == envelope.body and len(answer.sentence) < 4000
    else:
        assert isinstance(answer, Accepted)
        json.dumps(answer.command.data).encode()  # what is accepted can be stored


def _structured(data: bytes) -> None:
    _judged(Envelope(data, {}, "application/cloudevents+json"))


def _binary(data: bytes) -> None:
    """Lines before an empty one are headers."""
    head, _, body = data.partition(b"\n\n")
    pairs = (line.decode("utf-8", "replace").partition(":") for line in head.split(b"\n"))
    _judged(Envelope(body, {name: value for name, _, value in pairs}, "application/json"))


def _payload(data: bytes) -> None:
    """The first byte chooses the command; the rest is its data."""
    kind = sorted(_KINDS)[data[0] % len(_KINDS)] if data else "rollback"
    _structured(json.dumps(_event(kind, {}))[:-3].encode() + data[1:] + b"}")


def _document(data: bytes) -> None:
    """A service's configuration in any of its forms, or a version's template; as intake has decoded it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return
    with suppress(BackstayError):
        json.dumps(details_from(configuration_from(found), "acme", "web"))
    with suppress(BackstayError):
        check_template(found)


def _spooled(data: bytes) -> None:
    body, headers = spool._parse(data)
    _judged(Envelope(body, dict(headers), headers.get("content-type", "")))


def _names(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    for read in (Label.parse, Subject.parse):
        try:
            assert str(read(text)) == text
        except InvalidMessage:
            continue


def _event(kind: str, data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": "m", "source": "/x", "type": f"backstay.{kind}.v1",
        "deadline": "2030-01-01T00:00:00Z", "subject": "tenant/acme/service/web", "replyto": "evt.a", "data": data,
    }  # fmt: skip


def _example(kind: str) -> Any:
    text = importlib.import_module(f"handlers.{kind.replace('-', '_')}").__doc__ or ""
    return json.loads(text[text.index("{") : text.rindex("}") + 1].replace("0192f0c1-…", _ID))


def _seeds() -> list[bytes]:
    """The example of every command, the golden documents, and one of each other form."""
    from tests.fuzz.stored import GOLDEN

    made = [b"\0" + json.dumps(_event(kind, _example(kind))).encode() for kind in _KINDS]
    made += [bytes((2, number)) + json.dumps(_example(kind)).encode() for number, kind in enumerate(sorted(_KINDS))]
    made += [b"\3" + path.read_bytes() for path in sorted(GOLDEN.glob("*.json"))]
    binary = "\n".join(f"ce-{name}:{value}" for name, value in _event("rollback", "").items() if name != "data")
    spooled = "content-type: application/cloudevents+json\n\n" + json.dumps(_event("rollback", {}))
    return [
        *made,
        b"\1" + f"{binary}\n\n{{}}".encode(),
        b"\4" + spooled.encode(),
        b"\5owner:42",
        b"\5tenant/a/service/b",
    ]


TARGET = Target("messages", spread(_structured, _binary, _payload, _document, _spooled, _names), _seeds)
