"""Upgrades and rollbacks of services whose data is partly in a database: it goes with the directory, both ways."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.operation import State
from domain.snapshot import SnapshotState
from tests.acceptance.platform import digest, grow
from tests.acceptance.shop import V1_IMAGE, V2_IMAGE, Names, details, template
from tests.acceptance.stage import Stage
from tests.acceptance.test_sources import TAKES_ALL


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    home = tmp_path_factory.mktemp("stage")
    database = f"{home}/{{service}}.db"
    source = {"kind": "command", "save": ["cat", database], "restore": ["sh", "-c", TAKES_ALL, "-", database]}
    made = Stage(home, fenced=True, BACKSTAY_SOURCES=json.dumps({"db": source}))
    made.platform.start("web-1")
    made.publish_version(template(), "v2.0")
    yield made
    made.close()


@pytest.fixture
def names(stage: Stage) -> Names:
    stage.region.reset()
    found = Names()
    database_of(stage, found).write_bytes(b"first")
    stage.install(found)
    stage.register(found, found.web, details(found, found.web), sources=["db"])
    stage.tell_region(found)
    grow(stage.platform.apps("web-1") / found.web, seed=5)
    return found


def database_of(stage: Stage, names: Names) -> Path:
    return stage.platform.home / f"{names.web}.db"


def state(stage: Stage, names: Names) -> tuple[str, bytes]:
    return digest(stage.platform.apps("web-1") / names.web), database_of(stage, names).read_bytes()


def migrate(stage: Stage, names: Names) -> None:
    (stage.platform.apps("web-1") / names.web / "migrated.txt").write_text("the new version was here")
    database_of(stage, names).write_bytes(b"migrated")


def test_a_rollback_with_data_brings_the_database_back_too_and_can_itself_be_taken_back(
    stage: Stage, names: Names
) -> None:
    before = state(stage, names)
    assert stage.upgrade(names.web, include_data=True).state is State.SUCCEEDED
    migrate(stage, names)
    meanwhile = state(stage, names)
    done = stage.rollback(names.web, data=True)
    assert done.state is State.SUCCEEDED and done.outcome is not None, done.outcome
    assert state(stage, names) == before
    safety = done.outcome["figures"]["snapshots"][names.web]
    assert stage.rollback(names.web, snapshot_id=safety, data=True).state is State.SUCCEEDED
    assert state(stage, names) == meanwhile


def test_a_failed_deployment_takes_the_database_back_with_it(
    stage: Stage, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = state(stage, names)
    ran: list[tuple[str, bytes]] = []

    def run() -> None:
        migrate(stage, names)
        ran.append(state(stage, names))

    stage.when_deployed(monkeypatch, V2_IMAGE, run)
    stage.region.put_state({"silent_images": [V2_IMAGE]})
    done = stage.upgrade(names.web, include_data=True, deploy_seconds=1)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert [database for _, database in ran] == [b"migrated"]
    assert state(stage, names) == before


def test_a_rollback_that_fails_leaves_the_database_as_it_found_it(
    stage: Stage, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stage.upgrade(names.web, include_data=True).state is State.SUCCEEDED
    migrate(stage, names)
    meanwhile, found = state(stage, names), list[bytes]()
    stage.when_deployed(monkeypatch, V1_IMAGE, lambda: found.append(database_of(stage, names).read_bytes()))
    stage.region.put_state({"silent_images": [V1_IMAGE]})
    done = stage.rollback(names.web, data=True, deploy_seconds=1)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert found == [b"first"], "the database was not rolled back before the old version was deployed"
    assert state(stage, names) == meanwhile


def test_a_rollback_that_fails_gives_back_a_database_that_the_service_does_not_list_any_more(
    stage: Stage, names: Names
) -> None:
    """It is in the snapshot, so it is replaced; what it held must be somewhere."""
    upgraded = stage.upgrade(names.web, include_data=True)
    assert upgraded.state is State.SUCCEEDED and upgraded.outcome is not None, upgraded.outcome
    taken = upgraded.outcome["figures"]["snapshots"][names.web]
    stage.register(names, names.web, details(names, names.web))
    stage.tell_region(names)
    migrate(stage, names)
    meanwhile = state(stage, names)
    stage.region.script(stage.fail("POST", "/(build|upgrade)$", {"status": 412, "body": {"msg": "quota"}}, times=1))
    done = stage.rollback(names.web, snapshot_id=taken, data=True)
    stage.region.script()
    assert done.state is State.ROLLED_BACK, done.outcome
    steps = stage.platform.system.database.ledger.steps(done.op_id)
    assert any(step.kind == f"source:{names.web}:{taken}:db" for step in steps), "the database was not replaced"
    assert state(stage, names) == meanwhile


def test_a_restore_that_fails_after_the_configuration_and_the_database_gives_both_back(
    stage: Stage, names: Names
) -> None:
    taken = stage.platform.snapshot(names.web)
    old = stage.configuration(names.web).of("image")["image"]["value"]
    assert stage.upgrade(names.web).state is State.SUCCEEDED
    migrate(stage, names)
    meanwhile, configuration = state(stage, names), stage.configuration(names.web)
    stage.region.put_state({"broken_images": [old]})
    done = stage.platform.run("restore-snapshot", {"snapshot_id": taken.snapshot_id}, service=names.web)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert state(stage, names) == meanwhile and stage.configuration(names.web) == configuration
    stage.agree(names, names.web)


@pytest.mark.parametrize(
    ("part", "end"), [("pack", State.ROLLED_BACK), ("manifest", State.FAILED)], ids=["pack", "manifest"]
)
def test_a_snapshot_that_a_rollback_finds_damaged_is_called_so(
    stage: Stage, names: Names, part: str, end: State
) -> None:
    """I13: the next one must not be offered it, nor find its damage in the middle of an operation."""
    upgraded = stage.upgrade(names.web, include_data=True)
    assert upgraded.state is State.SUCCEEDED and upgraded.outcome is not None, upgraded.outcome
    catalogue = stage.platform.system.database.catalogue
    taken = catalogue.get(upgraded.outcome["figures"]["snapshots"][names.web])
    assert taken is not None
    migrate(stage, names)
    before = state(stage, names)
    lost = [taken.manifest_key] if part == "manifest" else [pack for pack in taken.packs if taken.snapshot_id in pack]
    for key in lost:
        (stage.platform.home / "store" / key).unlink()
    done = stage.rollback(names.web, data=True)
    assert done.state is end and done.outcome is not None, done.outcome
    assert taken.snapshot_id in done.outcome["sentence"] and "snapshots list" in done.outcome["next_step"]
    found = catalogue.get(taken.snapshot_id)
    assert found is not None and found.state is SnapshotState.CORRUPT
    assert state(stage, names) == before


def test_a_restore_of_everything_saves_what_the_database_was(stage: Stage, names: Names) -> None:
    taken, before = stage.platform.snapshot(names.web), state(stage, names)
    assert stage.upgrade(names.web).state is State.SUCCEEDED
    migrate(stage, names)
    done = stage.platform.run("restore-snapshot", {"snapshot_id": taken.snapshot_id}, service=names.web)
    assert done.state is State.SUCCEEDED and done.outcome is not None, done.outcome
    assert state(stage, names) == before
    data = {"snapshot_id": done.outcome["figures"]["safety_snapshot"], "include": ["sources"]}
    assert stage.platform.run("restore-snapshot", data, service=names.web).state is State.SUCCEEDED
    assert database_of(stage, names).read_bytes() == b"migrated"
