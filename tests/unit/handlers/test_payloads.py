"""Payloads: what is refused at the door, by field, before anything has been touched."""

from __future__ import annotations

from typing import Any

import pydantic
import pytest

import handlers
from domain import letters
from domain.errors import InvalidMessage

KNOWN = handlers.subscriptions()
ID = "0192f0c1-7c9a-7c3f-b7a5-d5e2c1a0b9f8"

BAD = [
    ("create-snapshot", {"labels": ["nocolon"]}, "data.labels.0"),
    ("create-snapshot", {"labels": ["size:1"]}, "data.labels.0"),
    ("create-snapshot", {"labels": ["ok:1", "sys.x:1"]}, "data.labels.1"),
    ("create-snapshot", {"labels": "owner:42"}, "data.labels"),
    ("create-snapshot", {"include": []}, "data.include"),
    ("create-snapshot", {"include": ["everything"]}, "data.include.0"),
    ("create-snapshot", {"exclude": [""]}, "data.exclude.0"),
    ("create-snapshot", {"lables": ["owner:42"]}, "data.lables"),
    ("restore-snapshot", {}, "data"),
    ("restore-snapshot", {"snapshot_id": "../../etc"}, "data.snapshot_id"),
    ("restore-snapshot", {"snapshot_id": ID, "mode": "overwrite"}, "data.mode"),
    ("restore-snapshot", {"snapshot_id": ID, "target": {"directory": "../x"}}, "data.target.directory"),
    ("restore-snapshot", {"snapshot_id": ID, "target": {"directory": "/etc"}}, "data.target.directory"),
    ("restore-snapshot", {"snapshot_id": ID, "target": {"node": "a/b"}}, "data.target.node"),
    ("register-service", {"directory": "../../etc"}, "data.directory"),
    ("register-service", {"directory": ""}, "data.directory"),
    ("register-service", {"directory": "x" * 2000}, "data.directory"),
    ("register-service", {"node": "No Spaces"}, "data.node"),
    ("register-service", {"configuration": ["a list"]}, "data.configuration"),
    ("delete-snapshot", {"snapshot_id": 7}, "data.snapshot_id"),
    ("import-record", {"record": ""}, "data.record"),
    ("import-record", {"record": "x" * 16_385}, "data.record"),
    ("set-schedule", {"kind": "upgrade-service", "cron": "@daily"}, "data.kind"),
    ("set-schedule", {"kind": "create-snapshot"}, "data.cron"),
    ("set-schedule", {"kind": "create-snapshot", "cron": "@daily", "service": "*"}, "data.service"),
    ("set-schedule", {"kind": "create-snapshot", "cron": "@daily", "jitter_seconds": 86_401}, "data.jitter_seconds"),
    ("set-schedule", {"kind": "create-snapshot", "cron": "@daily", "catch_up": "some"}, "data.catch_up"),
    ("set-schedule", {"kind": "create-snapshot", "cron": "@daily", "data": {"lables": []}}, "data"),
    ("set-schedule", {"kind": "verify-snapshot", "cron": "@daily", "data": {"percent": 0}}, "data"),
    ("set-schedule", {"kind": "apply-retention", "cron": "@daily", "data": {"policy": {"last": 0}}}, "data"),
    ("pause-schedule", {}, "data"),
    ("pause-schedule", {"reason": " "}, "data"),
    ("pause-schedule", {"reason": "a move", "until": "tomorrow"}, "data"),
    ("pause-schedule", {"reason": "a move", "until": "2026-11-23T06:00:00"}, "data"),
    ("pause-schedule", {"paused": False, "until": "2026-11-23T06:00:00Z"}, "data"),
    ("pause-schedule", {"reason": "a move", "skip_missed": True}, "data"),
    ("set-rpo", {"goal_seconds": 59}, "data.goal_seconds"),
    ("restore-drill", {"snapshot_id": "newest"}, "data.snapshot_id"),
    ("restore-drill", {"node": "a/b"}, "data.node"),
    ("cancel-operation", {"operation_id": ""}, "data.operation_id"),
]


@pytest.mark.parametrize(("kind", "data", "field"), BAD)
def test_a_faulty_payload_is_refused_by_its_field(kind: str, data: dict[str, Any], field: str) -> None:
    """RS-03, RS-19."""
    with pytest.raises(InvalidMessage) as refusal:
        handlers.parse(KNOWN[kind], data)
    assert refusal.value.field == field


def test_a_refusal_never_repeats_a_secret_value() -> None:
    with pytest.raises(InvalidMessage) as refusal:
        handlers.parse(KNOWN["register-service"], {"configuration": "pa55word"})
    assert "pa55word" not in str(refusal.value)


def test_a_payload_does_not_print_its_configuration() -> None:
    payload = handlers.parse(
        KNOWN["register-service"], {"configuration": {"envs": [{"name": "A", "value": "pa55word"}]}}
    )
    assert "pa55word" not in repr(payload)


def test_an_empty_create_snapshot_takes_everything() -> None:
    payload = handlers.parse(KNOWN["create-snapshot"], {})
    assert payload.include == ("configuration", "data", "sources")


def test_the_folder_is_the_list_of_commands() -> None:
    assert set(KNOWN) == {
        "apply-retention",
        "cancel-operation",
        "create-snapshot",
        "delete-snapshot",
        "export-record",
        "export-snapshot",
        "hold-version",
        "import-record",
        "import-snapshot",
        "pause-schedule",
        "pin-snapshot",
        "publish-version",
        "register-service",
        "remove-schedule",
        "repack-service",
        "restore-drill",
        "restore-snapshot",
        "rollback",
        "set-retention",
        "set-rpo",
        "set-schedule",
        "upgrade-service",
        "verify-snapshot",
    }


@pytest.mark.parametrize("kind", sorted(KNOWN))
def test_every_command_shows_an_example_payload_that_is_valid_json_in_form(kind: str) -> None:
    """The docstring's example is documentation that other teams copy."""
    import importlib
    import json

    text = importlib.import_module(f"handlers.{kind.replace('-', '_')}").__doc__ or ""
    example = text[text.index("{") : text.rindex("}") + 1]
    data = json.loads(example.replace("0192f0c1-…", ID))
    assert handlers.parse(KNOWN[kind], data)


def test_the_plan_of_dead_letters_knows_types_that_exist() -> None:
    assert set(KNOWN) >= letters.SHAPING | letters.SETTING | letters.TURNING_BACK


LISTS = [
    (kind, name)
    for kind, subscription in KNOWN.items()
    for name, field in subscription.model.model_fields.items()
    if "tuple[" in str(field.annotation)
]


@pytest.mark.parametrize(("kind", "name"), LISTS)
def test_of_a_list_that_is_wrong_throughout_one_item_is_told(kind: str, name: str) -> None:
    """A message of a megabyte made 300 000 errors, and hundreds of megabytes of them."""
    with pytest.raises(pydantic.ValidationError) as refused:
        KNOWN[kind].model.model_validate({name: [0] * 1000})
    assert [error["loc"] for error in refused.value.errors() if len(error["loc"]) > 1] == [(name, 0)]
