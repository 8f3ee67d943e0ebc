"""From bytes to a command: both CloudEvents modes, and a refusal that names the field for everything else."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.contracts import Rejected
from domain.decoding import MAX_DEPTH, decode, digest, reject, request_hash
from domain.errors import InvalidMessage
from domain.message import MAX_BYTES, Command, Envelope

KNOWN = {"create-snapshot": frozenset({1}), "rollback": frozenset({1, 2})}


def event(**changes: Any) -> dict[str, Any]:
    """A valid command; a change to None removes the attribute."""
    whole = {
        "specversion": "1.0",
        "id": "m-1",
        "source": "/console/eu-1",
        "type": "backstay.create-snapshot.v1",
        "subject": "tenant/acme/service/web",
        "data": {"labels": ["owner:42"]},
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


def structured(whole: dict[str, Any]) -> Envelope:
    return Envelope(json.dumps(whole).encode(), {}, "application/cloudevents+json")


def refusal(envelope: Envelope) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as refused:
        decode(envelope, KNOWN)
    return refused.value


def test_a_structured_event_becomes_a_command() -> None:
    command = decode(structured(event(correlationid="c", causationid="d", replyto="evt.billing", time="t")), KNOWN)
    assert (command.source, command.message_id, command.kind, command.version) == (
        "/console/eu-1",
        "m-1",
        "create-snapshot",
        1,
    )
    assert str(command.subject) == "tenant/acme/service/web"
    assert command.data == {"labels": ["owner:42"]}
    assert (command.correlation_id, command.causation_id, command.reply_to) == ("c", "d", "evt.billing")


@pytest.mark.parametrize("prefix", ["ce-", "ce_", "cloudEvents:", "cloudEvents_", "CE-"])
def test_a_binary_event_becomes_the_same_command(prefix: str) -> None:
    whole = event()
    data = whole.pop("data")
    envelope = Envelope(json.dumps(data).encode(), {prefix + name: value for name, value in whole.items()})
    assert decode(envelope, KNOWN) == decode(structured(event()), KNOWN)


def test_an_event_without_data_has_an_empty_payload() -> None:
    assert decode(structured(event(data=None)), KNOWN).data == {}


def test_unknown_attributes_are_ignored() -> None:
    assert decode(structured(event(partitionkey="x", dataschema="https://s")), KNOWN).message_id == "m-1"


def test_the_deadline_is_read_with_its_offset() -> None:
    assert decode(structured(event(deadline="2026-11-20T10:00:00+01:00")), KNOWN).deadline_ms == 1_795_165_200_000


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"specversion": None}, "specversion"),
        ({"specversion": "0.3"}, "specversion"),
        ({"id": None}, "id"),
        ({"id": ""}, "id"),
        ({"id": 7}, "id"),
        ({"id": "x" * 256}, "id"),
        ({"source": "a\nb"}, "source"),
        ({"type": None}, "type"),
        ({"subject": None}, "subject"),
        ({"subject": "web"}, "subject"),
        ({"subject": "tenant/acme/service/../../etc"}, "subject"),
        ({"data": [1]}, "data"),
        ({"data": "text"}, "data"),
        ({"data": None, "data_base64": "AAAA"}, "data_base64"),
        ({"replyto": "spaces are no routing key"}, "replyto"),
        ({"traceparent": "nonsense"}, "traceparent"),
        ({"deadline": "tomorrow"}, "deadline"),
        ({"deadline": "2026-11-20T10:00:00"}, "deadline"),
        ({"deadline": "2026-W47-5T10:00:00Z"}, "deadline"),
        ({"deadline": "2026-02-30T10:00:00Z"}, "deadline"),
        ({"deadline": "0001-01-01T00:00:00+23:00"}, "deadline"),
        ({"deadline": "9999-12-31T23:59:59-23:00"}, "deadline"),
        ({"data": {"note": "a\0b"}}, "data.note"),
        ({"data": {"note": "\ud800"}}, "data.note"),
    ],
)
def test_a_faulty_attribute_is_refused_by_its_name(changes: dict[str, Any], field: str) -> None:
    error = refusal(structured(event(**changes)))
    assert (error.field, error.code) == (field, "invalid")


@pytest.mark.parametrize("name", ["backstay.unknown.v1", "backstay.create-snapshot.v2", "create-snapshot", "x.y.z"])
def test_an_unknown_type_or_a_newer_version_is_told_apart(name: str) -> None:
    error = refusal(structured(event(type=name)))
    assert error.code == "unknown-type"
    assert "backstay.create-snapshot.v1" in str(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"{",
        b"[]",
        b"null",
        b'{"a": NaN}',
        b'{"a": 1e999}',
        b'{"a": -1e999}',
        b'{"a": 1, "a": 2}',
        b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_bytes_that_are_no_json_object_are_undecodable(body: bytes) -> None:
    assert refusal(Envelope(body)).code == "undecodable"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("unit", [b'\\"', b"[", b"[]", b'"', b"\\", b'"\\\n', b'{"":'])
def test_a_mebibyte_of_anything_is_refused_in_no_time(unit: bytes) -> None:
    """Reading that took time quadratic in the length would let one message hold back all others for hours."""
    body = b'"' + unit * ((MAX_BYTES - 1) // len(unit))
    assert refusal(Envelope(body)).code == "undecodable"


def test_a_message_of_more_than_a_mebibyte_is_refused_before_it_is_parsed() -> None:
    assert refusal(Envelope(b" " * (MAX_BYTES + 1))).code == "too-large"


def test_brackets_inside_texts_are_not_nesting() -> None:
    assert decode(structured(event(data={"note": "[" * MAX_DEPTH * 2 + '\\"{'})), KNOWN)


def test_the_hash_ignores_the_order_of_keys_and_nothing_else() -> None:
    def of(**changes: Any) -> str:
        return request_hash(decode(structured(event(**changes)), KNOWN))

    assert of(data={"a": 1, "b": 2}) == of(data={"b": 2, "a": 1})
    different = [
        of(),
        of(data={"labels": ["owner:43"]}),
        of(subject="tenant/acme/service/db"),
        of(type="backstay.rollback.v1"),
    ]
    assert len(set(different)) == 4


def rejected(envelope: Envelope) -> Rejected:
    return reject(envelope, refusal(envelope))


@pytest.mark.parametrize("changes", [{"data": {"note": "a\0b"}}, {"subject": "nonsense"}, {"replyto": "a b"}])
def test_a_rejected_message_keeps_its_bytes_and_whatever_could_be_read(changes: dict[str, Any]) -> None:
    envelope = structured(event(**changes))
    letter = rejected(envelope)
    assert letter.raw == envelope.body
    assert (letter.reason, letter.source, letter.message_id) == ("invalid", "/console/eu-1", "m-1")
    assert letter.kind == "create-snapshot"


def test_only_a_routing_key_is_kept_to_answer_a_rejected_message() -> None:
    """The answer is published under it; one that no broker takes would be tried for ever."""
    assert rejected(structured(event(subject="x", replyto="evt.billing"))).reply_to == "evt.billing"
    assert rejected(structured(event(subject="x", replyto="é" * 200))).reply_to is None


def test_an_unreadable_binary_message_is_known_by_its_headers() -> None:
    headers = {f"ce-{name}": value for name, value in event().items() if name != "data"}
    letter = rejected(Envelope(b"\xff", headers, "application/json"))
    assert (letter.message_id, letter.subject) == ("m-1", "tenant/acme/service/web")


def test_what_a_broker_adds_to_a_message_does_not_make_it_another_one() -> None:
    whole = structured(event())
    moved = Envelope(whole.body, {"x-delivery-count": "3"}, "application/cloudevents+json")
    assert digest(moved) == digest(whole) == hashlib.sha256(whole.body).hexdigest(), "as letters of release 0.1 have it"
    one, other = (Envelope(b"{}", {"CE-Id": name, "x-death": name}) for name in ("m-1", "m-2"))
    assert digest(one) == digest(Envelope(b"{}", {"ce-id": "m-1"})) != digest(other)


def test_a_dead_letter_keeps_a_bounded_part_of_the_headers() -> None:
    letter = rejected(Envelope(b"", {f"h{n}": "x" * 1000 for n in range(500)} | {"t": {"nested": "table"}}))
    assert 0 < len(letter.headers) <= 64
    assert max(map(len, letter.headers.values())) <= 255


def test_the_content_type_decides_between_the_two_modes() -> None:
    """A broker or gateway may add attribute headers to a structured message."""
    envelope = Envelope(json.dumps(event()).encode(), {"ce-specversion": "1.0"}, "application/cloudevents+json")
    assert decode(envelope, KNOWN).message_id == "m-1"


def test_headers_of_other_types_than_text_are_read_or_ignored() -> None:
    headers: dict[str, Any] = {f"ce-{name}": value for name, value in event().items() if name != "data"}
    headers |= {"ce-time": datetime(2026, 11, 20, 10, 0, 0), "ce-blob": b"\xff", "x": {"a": [1]}}
    assert decode(Envelope(b"{}", headers), KNOWN).time == "2026-11-20T10:00:00"


def test_a_field_s_name_is_cut_before_it_is_repeated() -> None:
    error = refusal(structured(event(data={"k" * 5000: "\0"})))
    assert len(str(error)) < 300


def test_a_refusal_never_repeats_a_value() -> None:
    error = refusal(structured(event(data={"pass": "pa55word\0"})))
    assert "pa55word" not in str(error)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_a_command_or_a_refusal_and_never_anything_else(body: bytes) -> None:
    try:
        assert isinstance(decode(Envelope(body), KNOWN), Command)
    except InvalidMessage as error:
        assert reject(Envelope(body), error).raw == body


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_arbitrary_json_is_a_command_or_a_refusal(value: Any) -> None:
    envelope = Envelope(json.dumps(event(data=value)).encode())
    try:
        assert decode(envelope, KNOWN).data == ({} if value is None else value)
    except InvalidMessage as error:
        assert error.code in ("invalid", "undecodable")
