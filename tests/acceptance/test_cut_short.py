"""A worker is killed in the middle and the operation cancelled before the next one comes: what is begun is ended."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.operation import State
from tests.acceptance.platform import Platform
from tests.acceptance.shop import Names, template
from tests.acceptance.stage import Stage
from tests.chaos.victim import Death, run_node
from workers.config import load


def killed_and_cancelled(platform: Platform, message: str, death: Death, **environment: str) -> Platform:
    """The platform, which has no node, after one has died at that point; `message` is cancelled, no node runs yet."""
    home = platform.home
    platform.close()
    node = {"BACKSTAY_DATA_DIR": str(home), "BACKSTAY_NODE": "web-1", "BACKSTAY_LOG_LEVEL": "error"}
    settings = load(environment | node | {"BACKSTAY_APPS_ROOT": str(platform.apps("web-1"))})
    assert run_node(settings, lambda system: False, home / "trace", death).killed
    opened = Platform(home, **environment)
    operation = opened.find(message)
    assert operation is not None
    assert opened.system.database.ledger.request_cancel(operation.op_id) is State.RUNNING
    return opened


def test_a_deletion_whose_snapshot_is_marked_goes_on_to_its_end(tmp_path: Path) -> None:
    """RS-10: from the mark on there is only forward."""
    platform = Platform(tmp_path, BACKSTAY_READER_GRACE_SECONDS="0")
    try:
        platform.start("web-1")
        platform.service("web")
        taken = platform.snapshot("web")
        platform.stop("web-1")
        message = platform.publish("delete-snapshot", {"snapshot_id": taken.snapshot_id}, service="web")
        death = Death("sweep.before-manifests", 1)
        platform = killed_and_cancelled(platform, message, death, BACKSTAY_READER_GRACE_SECONDS="0")
        platform.start("web-1")
        done = platform.outcome(message)
        assert done.state is State.SUCCEEDED, done.outcome
        assert platform.system.database.catalogue.get(taken.snapshot_id) is None
        assert platform.system.store.size(taken.manifest_key) is None
    finally:
        platform.close()


@pytest.fixture
def said(tmp_path: Path) -> Path:
    return tmp_path / "said"


@pytest.fixture
def stage(tmp_path: Path, said: Path) -> Iterator[Stage]:
    hooks = {when: ["sh", "-c", f"echo {when} >> {said}"] for when in ("before_snapshot", "after_snapshot")}
    made = Stage(tmp_path / "stage", fenced=True, BACKSTAY_HOOKS=json.dumps(hooks))
    made.platform.start("web-1")
    made.publish_version(template(), "v2.0")
    yield made
    made.close()


def test_a_service_that_was_put_to_rest_for_an_upgrade_that_is_cancelled_is_woken(stage: Stage, said: Path) -> None:
    names = Names()
    stage.install(names)
    (stage.platform.apps("web-1") / names.web).mkdir(parents=True)
    stage.platform.stop("web-1")
    wish = {"version": "v2.0", "include_data": True}
    message = stage.platform.publish("upgrade-service", wish, service=names.web)
    death = Death("archive.before-publish", 1)
    stage.platform = killed_and_cancelled(stage.platform, message, death, **stage.platform._environment)
    assert said.read_text().split() == ["before_snapshot"]
    stage.platform.start("web-1")
    done = stage.platform.outcome(message)
    assert done.state is State.CANCELLED, done.outcome
    assert said.read_text().split() == ["before_snapshot", "after_snapshot"]


def test_waking_a_service_may_take_longer_than_the_lease_also_at_the_end_of_what_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I2. It is renewed when half of it is left, so that a machine may stand still for as long."""
    monkeypatch.setattr("storage.sources.hooks.LEASE_LEFT", 4.0)
    monkeypatch.setattr("workers.attempt.PULSE_SECONDS", 4.0)
    said = tmp_path / "said"
    hooks = {
        "before_snapshot": ["sh", "-c", f"echo before >> {said}"],
        "after_snapshot": ["sh", "-c", f"echo waking >> {said}; sleep 10; echo awake >> {said}"],
    }
    environment = {"BACKSTAY_HOOKS": json.dumps(hooks), "BACKSTAY_LEASE_SECONDS": "8"}
    platform = Platform(tmp_path, **environment)
    try:
        platform.start("web-1")
        platform.service("web")
        platform.stop("web-1")
        message = platform.publish("create-snapshot", {}, service="web")
        platform = killed_and_cancelled(platform, message, Death("archive.before-publish", 1), **environment)
        platform.start("web-1")
        done = platform.outcome(message, seconds=60.0)
        assert done.state is State.CANCELLED, done.outcome
        assert said.read_text().split() == ["before", "waking", "awake"]
    finally:
        platform.close()
