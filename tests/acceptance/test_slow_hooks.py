"""A service takes longer to wake than a lease lasts: the operation ends once, and the service is stopped once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.operation import State
from tests.acceptance.platform import Platform, code
from tests.waiting import eventually

LEASE = "8"
#: Seconds of it that are left when it is renewed: half, so that a machine may stand still for as long.
RENEWED_AT = 4.0
#: Seconds that waking takes: longer than the lease, and longer than until somebody else has it.
SLOW = 10


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """What the programs have said."""
    return tmp_path / "said"


@pytest.fixture
def platform(tmp_path: Path, said: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    monkeypatch.setattr("storage.sources.hooks.LEASE_LEFT", RENEWED_AT)
    monkeypatch.setattr("workers.attempt.PULSE_SECONDS", RENEWED_AT)
    hooks: dict[str, Any] = {}
    for what in ("snapshot", "restore"):
        hooks[f"before_{what}"] = ["sh", "-c", f"echo {what} >> {said}; while [ -e {said}.hold ]; do sleep 0.02; done"]
        hooks[f"after_{what}"] = ["sh", "-c", f"echo waking >> {said}; sleep {SLOW}; echo awake >> {said}"]
    made = Platform(tmp_path / "data", BACKSTAY_HOOKS=json.dumps(hooks), BACKSTAY_LEASE_SECONDS=LEASE)
    made.start("web-1")
    yield made
    made.close()


def test_whoever_wakes_a_service_keeps_its_operation(platform: Platform, said: Path) -> None:
    """I2, I7: another thread of the process looks for work all the time and would take it."""
    platform.service("web")
    message = platform.publish("create-snapshot", {}, service="web")
    taken = platform.outcome(message, seconds=60.0)
    assert taken.state is State.SUCCEEDED, taken.outcome
    assert said.read_text().split() == ["snapshot", "waking", "awake"]
    said.unlink()
    message = platform.publish("restore-snapshot", {"snapshot_id": taken.op_id}, service="web")
    done = platform.outcome(message, seconds=60.0)
    assert done.state is State.SUCCEEDED, done.outcome
    assert (taken.fence, done.fence) == (taken.fence, taken.fence + 1)
    assert said.read_text().split() == ["restore", "waking", "awake"]


def test_what_is_cancelled_ends_although_waking_takes_longer_than_the_lease(platform: Platform, said: Path) -> None:
    """I2."""
    platform.service("web")
    hold = said.with_suffix(".hold")
    hold.touch()
    message = platform.publish("create-snapshot", {}, service="web")
    eventually(said.exists, what="the service is being put to rest")
    operation = platform.find(message)
    assert operation is not None
    platform.run("cancel-operation", {"operation_id": operation.op_id}, service="web")
    assert code(platform.outcome(message, seconds=60.0)) == (State.CANCELLED, "cancelled")
    assert said.read_text().split() == ["snapshot", "waking", "awake"]
