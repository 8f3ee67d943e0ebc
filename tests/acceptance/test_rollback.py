"""rollback and the restoring of configurations, through real messages, a real worker and the region's double."""

from __future__ import annotations

import dataclasses
import itertools
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from domain.configuration import Configuration
from domain.operation import Operation, State
from domain.upgrade_record import Status
from tests.acceptance.platform import digest, grow
from tests.acceptance.shop import V1_IMAGE, V2_IMAGE, Names, env, group_template, template
from tests.acceptance.stage import Stage


@pytest.fixture(scope="module", params=["fenced"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"), fenced=request.param == "fenced")
    made.platform.start("web-1")
    made.publish_version(template(), "v2.0")
    made.publish_version(
        template("v3.0", deploy_version="20300101000000", service_env_map_list=[env("THREE", "3")]), "v3.0"
    )
    made.publish_version(group_template(), "g2")
    yield made
    made.close()


def succeeded(operation: Operation) -> Operation:
    assert operation.state is State.SUCCEEDED, operation.outcome
    return operation


def status(stage: Stage, operation: Operation) -> dict[str, Status]:
    return {record.service_id: record.status for record in stage.platform.system.database.records.of(operation.op_id)}


def same(one: Configuration, other: Configuration) -> None:
    """Every item and the origin; what was imported beside them too."""
    assert one.items == other.items
    assert one.origin == other.origin
    assert one.rest == other.rest


# ---------------------------------------------------------------- the way back
def test_a_rollback_brings_back_every_row_and_builds_the_old_image(stage: Stage, names: Names) -> None:
    """Scenario 36; B1, B2, B7, B10, B11, B18."""
    before, region = stage.configuration(names.web), stage.held(names, names.web)
    upgraded = succeeded(stage.upgrade(names.web))
    done = succeeded(stage.rollback(names.web))
    same(stage.configuration(names.web), before)
    assert stage.held(names, names.web) == region
    build = stage.bodies(names, names.web, "/build")[-1]
    assert build["image_info"]["image_url"] == V1_IMAGE and build["image_info"]["cmd"] == "start web"
    assert status(stage, done) == {names.web: Status.ROLLBACK}
    record = stage.platform.system.database.records.of(done.op_id)[0]
    assert (record.parent_id, record.old_version, record.new_version) == (upgraded.op_id, "v2.0", "v1.0")
    assert status(stage, upgraded) == {names.web: Status.UPGRADED}


def test_a_rollback_goes_to_the_snapshot_of_its_upgrade_and_not_to_the_newest(stage: Stage, names: Names) -> None:
    """Scenario 37; B14, B15."""
    before = stage.configuration(names.web)
    succeeded(stage.upgrade(names.web))
    stage.region.script(stage.fail("POST", "/build$", {"status": 412, "body": {"msg": "quota"}}))
    assert stage.upgrade(names.web, "v3.0").state is State.ROLLED_BACK
    stage.region.script()
    succeeded(stage.rollback(names.web))
    same(stage.configuration(names.web), before)
    stage.agree(names, names.web)


def test_a_rollback_can_be_undone_to_a_given_snapshot(stage: Stage, names: Names) -> None:
    """Scenario 38, its first half: the safety snapshot of the rollback leads back to the upgraded state."""
    succeeded(stage.upgrade(names.web))
    upgraded = stage.configuration(names.web)
    done = succeeded(stage.rollback(names.web))
    assert done.outcome is not None
    safety = done.outcome["figures"]["snapshots"][names.web]
    succeeded(stage.rollback(names.web, snapshot_id=safety))
    same(stage.configuration(names.web), upgraded)
    stage.agree(names, names.web)


def test_a_snapshot_of_another_service_or_tenant_is_refused_without_a_change(stage: Stage, names: Names) -> None:
    """Scenario 38, its second half."""
    other = stage.platform.snapshot(names.redis, include=["configuration"])
    before = stage.configuration(names.web)
    refused = stage.rollback(names.web, snapshot_id=other.snapshot_id)
    assert (refused.state, refused.error_code) == (State.FAILED, "snapshot-of-another-service")
    foreign = stage.platform.run("rollback", {"snapshot_id": other.snapshot_id}, service=names.web, tenant="evil")
    assert (foreign.state, foreign.error_code) == (State.FAILED, "wrong-tenant")
    assert stage.configuration(names.web) == before
    assert stage.region.log() == []


def test_without_an_upgrade_there_is_nothing_to_roll_back(stage: Stage, names: Names) -> None:
    """Scenario 39; B16."""
    done = stage.rollback(names.web)
    assert (done.state, done.error_code) == (State.FAILED, "nothing-to-roll-back")
    assert stage.region.log() == []


def test_a_snapshot_of_a_newer_schema_is_refused_before_the_first_write(stage: Stage, names: Names) -> None:
    """Scenario 39; B17."""
    database = stage.platform.system.database
    service = database.services.get(names.web)
    assert service is not None
    own = service.document
    rewrite(stage, dataclasses.replace(service, document=own | {"schema": 99}))
    newer = stage.platform.snapshot(names.web, include=["configuration"])
    rewrite(stage, service)
    done = stage.rollback(names.web, snapshot_id=newer.snapshot_id)
    assert (done.state, done.error_code) == (State.FAILED, "configuration-too-new"), done.outcome
    assert stage.region.log() == []


def rewrite(stage: Stage, service: Any) -> None:
    """Write a service's row as a later program might have."""
    from storage.sql.rows import service_values
    from storage.sql.sealed import Vault

    values = service_values(service, 1, Vault(stage.platform.system.keyring))
    engine = create_engine(stage.platform.system.settings.database_url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE service SET document = :document WHERE service_id = :service_id"),
            {"document": values["document"], "service_id": service.service_id},
        )
    engine.dispose()


def test_a_probe_that_was_not_there_at_the_time_is_removed(stage: Stage, names: Names) -> None:
    """Scenario 40; B8."""
    stage.install(names, web={"service_probes": []}, services="web")
    succeeded(stage.upgrade(names.web))
    assert stage.held(names, names.web)["probes"] != []
    succeeded(stage.rollback(names.web))
    assert stage.held(names, names.web)["probes"] == []
    stage.agree(names, names.web)


# ---------------------------------------------------------------- groups
def test_services_of_a_group_go_back_one_by_one_or_together(stage: Stage, names: Names) -> None:
    """Scenario 41: partial, then all; every set of statuses has a final one."""
    before = {service: stage.configuration(service) for service in (names.web, names.redis, names.mysql)}
    upgraded = succeeded(stage.upgrade(names.web, "g2", group=True))
    partial = succeeded(stage.rollback(names.web, services=[names.web]))
    assert partial.outcome is not None and partial.outcome["figures"]["status"] == Status.PARTIAL_ROLLBACK.name
    same(stage.configuration(names.web), before[names.web])
    assert stage.configuration(names.redis).origin["version"] == "g2"
    rest = succeeded(stage.rollback(names.redis, upgrade=upgraded.op_id))
    assert rest.outcome is not None and rest.outcome["figures"]["status"] == Status.ROLLBACK.name
    for service, configuration in before.items():
        same(stage.configuration(service), configuration)
    again = stage.rollback(names.web, upgrade=upgraded.op_id)
    assert (again.state, again.error_code) == (State.FAILED, "nothing-to-roll-back")


def test_a_rollback_of_no_service_is_refused_at_the_door(stage: Stage, names: Names) -> None:
    """Scenario 41: none selected."""
    message = stage.platform.publish("rollback", {"services": []}, service=names.web)
    assert "services" in stage.platform.letter_reason(message)


def test_an_upgrade_that_changed_nothing_has_nothing_to_roll_back(stage: Stage, names: Names) -> None:
    """Scenario 42: refused early, nothing hangs."""
    succeeded(stage.upgrade(names.web))
    again = succeeded(stage.upgrade(names.web))
    done = stage.rollback(names.web, upgrade=again.op_id)
    assert (done.state, done.error_code) == (State.FAILED, "nothing-to-roll-back")


def test_a_service_that_is_gone_does_not_keep_the_others_from_going_back(stage: Stage, names: Names) -> None:
    """Scenario 43."""
    before = stage.configuration(names.web)
    succeeded(stage.upgrade(names.web, "g2", group=True))
    engine = create_engine(stage.platform.system.settings.database_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM service WHERE service_id = :gone"), {"gone": names.mysql})
    engine.dispose()
    done = succeeded(stage.rollback(names.web))
    assert done.outcome is not None and done.outcome["complete"] is False
    assert [(item["name"], item["code"]) for item in done.outcome["items"]] == [(names.mysql, "service-gone")]
    same(stage.configuration(names.web), before)


# ---------------------------------------------------------------- holding
def test_the_version_that_was_left_is_held_until_it_is_released(stage: Stage, names: Names) -> None:
    """Nobody upgrades again to what was rolled back by accident."""
    succeeded(stage.upgrade(names.web))
    succeeded(stage.rollback(names.web, reason="broke the login"))
    held = stage.upgrade(names.web)
    assert (held.state, held.error_code) == (State.FAILED, "version-held")
    assert held.outcome is not None and "broke the login" in held.outcome["sentence"]
    succeeded(stage.platform.run("hold-version", {"version": "v2.0", "hold": False}, service=names.web))
    succeeded(stage.upgrade(names.web))


# ---------------------------------------------------------------- data
def test_data_goes_back_when_it_is_asked_for(stage: Stage, names: Names) -> None:
    """The upgrade's own snapshot has it; the rollback's safety snapshot has what was there meanwhile."""
    tree = stage.platform.apps("web-1") / names.web
    grow(tree, seed=5)
    before = digest(tree)
    succeeded(stage.upgrade(names.web, include_data=True))
    (tree / "migrated.txt").write_text("the new version was here")
    meanwhile = digest(tree)
    done = succeeded(stage.rollback(names.web, data=True))
    assert digest(tree) == before
    assert done.outcome is not None
    succeeded(stage.rollback(names.web, snapshot_id=done.outcome["figures"]["snapshots"][names.web], data=True))
    assert digest(tree) == meanwhile
    assert stage.platform.system.trees.staged_operations() == []


@pytest.mark.parametrize(
    ("state", "data", "ends"),
    [
        ("corrupt", False, None),
        ("corrupt", True, "snapshot-corrupt"),
        ("deleting", False, "snapshot-not-found"),
        ("deleting", True, "snapshot-not-found"),
    ],
)
def test_a_rollback_asks_in_which_state_its_snapshot_is_before_anybody_is_told(
    stage: Stage, names: Names, state: str, data: bool, ends: str | None
) -> None:
    """CN-20: damage must not be found half-way; the configuration alone is whole or does not open."""
    tree = stage.platform.apps("web-1") / names.web
    grow(tree, seed=5)
    upgraded = succeeded(stage.upgrade(names.web, include_data=True))
    record = stage.platform.system.database.records.of(upgraded.op_id)[0]
    engine = create_engine(stage.platform.system.settings.database_url)
    with engine.begin() as connection:
        connection.execute(
            text("UPDATE snapshot SET state = :state WHERE snapshot_id = :id"),
            {"state": state, "id": record.snapshot_id},
        )
    engine.dispose()
    (tree / "meanwhile").write_text("the new version was here")
    before, calls = digest(tree), stage.calls(names, names.web)
    done = stage.rollback(names.web, data=data)
    if ends is None:
        succeeded(done)
        return
    assert (done.state, done.error_code) == (State.FAILED, ends)
    assert (digest(tree), stage.calls(names, names.web)) == (before, calls)


def test_a_failed_deployment_takes_its_data_back_with_it(
    stage: Stage, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new version ran on the data, so both go back."""
    tree = stage.platform.apps("web-1") / names.web
    grow(tree, seed=6)
    before = digest(tree)
    migrated: list[str] = []

    def migrate() -> None:
        (tree / "migrated.txt").write_text("the new version was here")
        migrated.append(digest(tree))

    stage.when_deployed(monkeypatch, V2_IMAGE, migrate)
    stage.region.put_state({"silent_images": [V2_IMAGE]})
    done = stage.upgrade(names.web, include_data=True, deploy_seconds=1)
    assert migrated and migrated != [before]
    assert (done.state, done.error_code) == (State.ROLLED_BACK, "deploy-unknown"), done.outcome
    assert digest(tree) == before


# ---------------------------------------------------------------- restore-snapshot
def test_restoring_what_is_there_already_writes_nothing(stage: Stage, names: Names) -> None:
    """Scenario 35."""
    taken = stage.platform.snapshot(names.web, include=["configuration"])
    before = stage.configuration(names.web)
    done = stage.platform.run("restore-snapshot", {"snapshot_id": taken.snapshot_id}, service=names.web)
    succeeded(done)
    assert stage.region.log() == []
    assert stage.configuration(names.web) == before


def test_a_restored_configuration_reaches_the_region(stage: Stage, names: Names) -> None:
    """What differs is told to the region first, and the console's rows change with the outcome."""
    taken = stage.platform.snapshot(names.web, include=["configuration"])
    before = stage.configuration(names.web)
    succeeded(stage.upgrade(names.web))
    done = stage.platform.run("restore-snapshot", {"snapshot_id": taken.snapshot_id}, service=names.web)
    succeeded(done)
    same(stage.configuration(names.web), before)
    stage.agree(names, names.web)


def test_a_rollback_that_fails_leaves_the_upgraded_state(stage: Stage, names: Names) -> None:
    """A way back that cannot be taken to its end is not taken at all."""
    succeeded(stage.upgrade(names.web))
    upgraded, region = stage.configuration(names.web), stage.held(names, names.web)
    stage.region.script(stage.fail("DELETE", "/plugin/perf_id$", {"status": 403, "body": {"msg": "denied"}}))
    done = stage.rollback(names.web)
    assert done.state is State.ROLLED_BACK, done.outcome
    same(stage.configuration(names.web), upgraded)
    assert stage.held(names, names.web) == region
    assert status(stage, done) == {names.web: Status.ROLLBACK_FAILED}


def test_data_that_cannot_be_protected_whole_is_not_upgraded_and_nobody_is_told_anything(
    stage: Stage, names: Names
) -> None:
    """There would be no way back; what the snapshot has stored by then goes again."""
    tree = stage.platform.apps("web-1") / names.web
    grow(tree)
    os.mkfifo(tree / "pipe")
    before = stage.configuration(names.web)
    operation = stage.upgrade(names.web, include_data=True)
    assert (operation.state, operation.error_code) == (State.FAILED, "snapshot-partial")
    assert "pipe" in str(operation.outcome)
    assert stage.calls(names, names.web) == []
    same(stage.configuration(names.web), before)
    found = stage.platform.system.database.catalogue.find(None, [names.web], (), 10, None)
    assert found == []
    (tree / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(tree, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{here}/app.sock")  # no part of what a service has to lose
        os.close(here)
    succeeded(stage.upgrade(names.web, include_data=True))


def test_what_is_made_anew_has_a_higher_fence_than_its_removal(stage: Stage, names: Names) -> None:
    """I10: a removal that the network repeats must not land after the volume that takes its place."""
    assert stage.upgrade(names.web).state is State.SUCCEEDED
    seen = len(stage.region.log())
    stage.region.script(stage.fail("POST", "/build$|/upgrade$", {"status": 412, "body": {"msg": "quota exceeded"}}))
    done = stage.rollback(names.web)
    stage.region.script()
    assert done.state is State.ROLLED_BACK, done.outcome
    calls = [line for line in stage.region.log()[seen:] if "/volumes" in line["path"] and line["method"] != "GET"]
    anew = [pair for pair in itertools.pairwise(calls) if [one["method"] for one in pair] == ["DELETE", "POST"]]
    assert anew, calls
    assert all(int(removed["fence"]) < int(made["fence"]) for removed, made in anew), anew
    stage.agree(names, names.web)


@pytest.mark.parametrize(("first", "then"), [("inner", "outer"), ("outer", "inner")])
def test_a_variable_that_has_moved_to_another_scope_moves_back(
    stage: Stage, names: Names, first: str, then: str
) -> None:
    """A variable exists once in a service, in whatever scope: made before it is removed it would be found to be there
    already, and then be gone. I10: its removal, repeated by the network, must not land last."""
    stage.install(names, web={"service_env_vars": [env("MODE", "prod", scope=first)]}, services="web")
    taken = stage.platform.snapshot(names.web, include=["configuration"])
    before = stage.configuration(names.web)
    stage.install(names, web={"service_env_vars": [env("MODE", "test", scope=then)]}, services="web")
    seen = len(stage.region.log())
    done = stage.platform.run("restore-snapshot", {"snapshot_id": taken.snapshot_id}, service=names.web)
    assert done.state is State.SUCCEEDED and done.outcome is not None and done.outcome["complete"], done.outcome
    same(stage.configuration(names.web), before)
    stage.agree(names, names.web)
    calls = [line for line in stage.region.log()[seen:] if line["path"].endswith("/env")]
    assert [line["method"] for line in calls] == ["DELETE", "POST"]
    assert int(calls[0]["fence"]) < int(calls[1]["fence"])


def test_a_variable_that_could_not_move_back_stays_where_it_was(stage: Stage, names: Names) -> None:
    """I20: of any other addition a 400 says that there is such an item already; this one would be gone."""
    stage.install(names, web={"service_env_vars": [env("MODE", "prod", scope="inner")]}, services="web")
    taken = stage.platform.snapshot(names.web, include=["configuration"])
    stage.install(names, web={"service_env_vars": [env("MODE", "test", scope="outer")]}, services="web")
    before = stage.configuration(names.web)
    refusal = {"status": 400, "body": {"msg": "no more variables"}}
    stage.region.script(stage.fail("POST", "/env$", refusal, times=1))
    done = stage.platform.run("restore-snapshot", {"snapshot_id": taken.snapshot_id}, service=names.web)
    assert done.state is State.ROLLED_BACK, done.outcome
    same(stage.configuration(names.web), before)
    stage.agree(names, names.web)


def mount(provider: str, where: str) -> dict[str, Any]:
    return {"dep_service_id": provider, "mnt_name": "redisdata", "mnt_dir": where}


def test_a_mount_that_goes_takes_none_of_the_same_name_along(stage: Stage, names: Names) -> None:
    """Older regions remove by name alone, whichever service the volume is of."""
    stage.install(names, web={"service_mnts": [mount(names.mysql, "/mnt/mysql")]})
    before = stage.configuration(names.web)
    succeeded(stage.upgrade(names.web))
    assert len(stage.held(names, names.web)["depvolumes"]) == 2
    done = succeeded(stage.rollback(names.web))
    assert done.outcome is not None and (done.outcome["complete"], done.outcome["items"]) == (True, []), done.outcome
    same(stage.configuration(names.web), before)
    stage.agree(names, names.web)


def test_a_mount_that_takes_the_place_of_another_of_its_name_comes_after_it_has_gone(
    stage: Stage, names: Names
) -> None:
    stage.install(names, web={"service_mnts": [mount(names.mysql, "/mnt/mysql")]})
    succeeded(stage.upgrade(names.web, delete=True))
    assert [row["mnt_dir"] for row in stage.configuration(names.web).of("mount").values()] == ["/mnt/redis"]
    stage.agree(names, names.web)
    assert [call for call in stage.calls(names, names.web) if "depvol" in call] == [
        "DELETE /depvolumes",
        "POST /depvolumes",
    ]


def test_a_mount_that_stays_in_a_newer_region_is_said_again_without_a_word(stage: Stage, names: Names) -> None:
    """These remove one mount, and say of the other that it exists; nothing was ignored by that."""
    stage.install(names, web={"service_mnts": [mount(names.mysql, "/mnt/mysql")]})
    before = stage.configuration(names.web)
    succeeded(stage.upgrade(names.web))
    stage.region.script(stage.fail("POST", "/depvolumes$", {"status": 500, "body": {"msg": "record already exist"}}))
    done = succeeded(stage.rollback(names.web))
    stage.region.script()
    assert done.outcome is not None and (done.outcome["complete"], done.outcome["items"]) == (True, []), done.outcome
    same(stage.configuration(names.web), before)
