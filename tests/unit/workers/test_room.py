"""Which work waits for room on the node that has taken it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

import handlers
from domain.errors import Postponed
from workers.attempt import Attempt
from workers.room import check_room

ID = "0192f0c1-7c9a-7c3f-b7a5-d5e2c1a0b9f8"


def waits(kind: str, data: dict[str, Any], *, touched: bool = False, trouble: str = "the disk is full") -> bool:
    subscription = handlers.subscriptions()[kind]
    context = SimpleNamespace(journal=SimpleNamespace(touched=lambda: touched))
    payload = handlers.parse(subscription, data)
    attempt = SimpleNamespace(context=context, subscription=subscription, payload=payload)
    try:
        check_room(cast(Attempt, attempt), "n1", lambda: trouble)
    except Postponed as error:
        assert (error.code, "n1" in str(error)) == ("no-room", True)
        return True
    return False


@pytest.mark.parametrize(
    ("kind", "data", "answer"),
    [
        ("create-snapshot", {}, True),
        ("restore-snapshot", {"snapshot_id": ID}, True),
        ("restore-drill", {}, True),
        ("verify-snapshot", {"snapshot_id": ID, "level": "restore-test"}, True),
        ("verify-snapshot", {"snapshot_id": ID, "level": "hash"}, False),
        ("set-rpo", {}, False),
    ],
)
def test_what_writes_trees_waits_and_nothing_else(kind: str, data: dict[str, Any], answer: bool) -> None:
    assert waits(kind, data) is answer


def test_what_has_touched_something_goes_on_and_with_room_nothing_waits() -> None:
    assert not waits("restore-drill", {}, touched=True)
    assert not waits("restore-drill", {}, trouble="")
