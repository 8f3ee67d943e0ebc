"""From options to a CloudEvent that intake will accept."""

from __future__ import annotations

import io
import re
import uuid
from pathlib import Path

import pytest

from domain.errors import InvalidMessage
from workers.cli.sending import cloud_event, judged, read_data
from workers.command_event import type_name, uuid7

SUBJECT = "tenant/acme/service/web"


def test_a_type_may_be_given_short_or_whole() -> None:
    assert type_name("create-snapshot") == type_name("backstay.create-snapshot.v1") == "backstay.create-snapshot.v1"


def test_the_payload_is_json_a_file_or_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data.json").write_text('{"a": 2}')
    monkeypatch.setattr("sys.stdin", io.StringIO('{"a": 3}'))
    assert read_data('{"a": 1}') == {"a": 1}
    assert read_data(f"@{tmp_path}/data.json") == {"a": 2}
    assert read_data("-") == {"a": 3}


@pytest.mark.parametrize("text", ["{", "[]", "null", "@/nowhere/at/all"])
def test_a_payload_that_is_no_object_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidMessage, match=r"^data: ") as refused:
        read_data(text)
    assert refused.value.field == "data"


@pytest.mark.parametrize("text", ['{"labels": ["a:1"], "labels": []}', '{"target": {"node": "a", "node": "b"}}'])
def test_a_payload_that_names_a_key_twice_is_refused_and_not_halved(text: str) -> None:
    """Intake refuses it too; a parser that keeps the last value would send what nobody has written."""
    with pytest.raises(InvalidMessage, match="names a key twice"):
        read_data(text)


def test_id_and_source_have_defaults_that_identify_the_sender() -> None:
    event = cloud_event("create-snapshot", SUBJECT, {}, None, None)
    assert uuid.UUID(event["id"]).version == 7
    assert re.match(r"/backstay/cli/[^@]+@.+", event["source"])


def test_ids_sort_by_age_and_are_of_version_7() -> None:
    made = [uuid7() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert [text[:13] for text in made] == sorted(text[:13] for text in made)
    assert {(uuid.UUID(text).version, uuid.UUID(text).variant) for text in made} == {(7, uuid.RFC_4122)}


def test_what_is_built_here_is_what_intake_accepts() -> None:
    command = judged(cloud_event("create-snapshot", SUBJECT, {"labels": ["owner:1"]}, "m1", "/s"))
    assert (command.source, command.message_id, command.kind, str(command.subject)) == (
        "/s", "m1", "create-snapshot", SUBJECT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "subject", "data", "field"),
    [
        ("create-snapshot", SUBJECT, {"labels": ["no colon"]}, "data.labels.0"),
        ("create-snapshot", SUBJECT, {"label": []}, "data.label"),
        ("create-snapshot", "web", {}, "subject"),
        ("creat-snapshot", SUBJECT, {}, "type"),
    ],
)
def test_a_mistake_is_refused_by_the_name_of_its_field(
    kind: str, subject: str, data: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidMessage, match=f"^{re.escape(field)}"):
        judged(cloud_event(kind, subject, data, None, None))
