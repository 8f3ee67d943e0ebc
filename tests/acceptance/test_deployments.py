"""What comes after the configuration: unknown outcomes, deployments and their events, gates, groups, STUCK."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from domain.audit import Actor
from domain.operation import Budget, State
from domain.upgrade_record import Status
from tests.acceptance.shop import (
    MYSQL_SHARE,
    REGISTRY_PASSWORD,
    V1_IMAGE,
    V2_IMAGE,
    Names,
    group_template,
    template,
)
from tests.acceptance.stage import Stage
from tests.waiting import eventually
from workers.resolving import stated_rows

OPS = Actor("ops@here", "cli")


@pytest.fixture(scope="module", params=["plain", "fenced"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"), fenced=request.param == "fenced", **hook(tmp_path_factory))
    made.platform.start("web-1", budget=Budget(max_undo_attempts=3, backoff_base=0.01, backoff_cap=0.05))
    made.publish_version(template(), "v2.0")
    made.publish_version(group_template(), "g2")
    yield made
    made.close()


def hook(folder: pytest.TempPathFactory) -> dict[str, str]:
    """A health hook that is content with every service but those whose id ends in bbb."""
    program = folder.mktemp("hook") / "hook"
    program.write_text('#!/bin/sh\necho "looked at $1"\ncase "$1" in *bbb) exit 1;; esac\n')
    program.chmod(0o755)
    return {"BACKSTAY_HEALTH_HOOK": str(program)}


def final(stage: Stage, names: Names, service_id: str, **parts: Any) -> None:
    """How the region's next deployments of the service end."""
    alias = names.alias(service_id)
    stage.region.put_state({"tenants": {"acme": {alias: stage.region.state(alias) | parts}}})


# ---------------------------------------------------------------- unknown outcomes
@pytest.mark.parametrize("do", ["cut-before", "cut-after", "half-body", "504-applied", "empty-500"])
@pytest.mark.parametrize("path", ["/env$", "/volumes$", "/dependency$", "/depvolumes$", "/plugin$"])
def test_a_reply_that_is_lost_leaves_no_duplicate_and_no_gap(stage: Stage, names: Names, path: str, do: str) -> None:
    """Scenario 28."""
    stage.region.script(stage.fail("POST", path, do, nth=1))
    done = stage.upgrade(names.web)
    assert done.state is State.SUCCEEDED, done.outcome
    assert done.outcome is not None and done.outcome["items"] == []
    stage.agree(names, names.web)


def test_a_volume_created_without_an_answer_is_removed_by_the_compensation(stage: Stage, names: Names) -> None:
    """Scenario 28, its second half."""
    before = stage.held(names, names.web)
    stage.region.script(
        stage.fail("POST", "/volumes$", "cut-after", times=3),
        stage.fail("POST", "/plugin$", {"status": 404, "body": {"msg": "plugin unknown"}}),
    )
    done = stage.upgrade(names.web)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert stage.held(names, names.web) == before


@pytest.mark.parametrize("do", ["cut-before", "cut-after", "half-body"])
def test_a_build_whose_reply_is_lost_is_sent_once_in_all(stage: Stage, names: Names, do: str) -> None:
    """Scenario 30, for a lost reply: what the region has taken is not sent again."""
    stage.region.script(stage.fail("POST", "/build$", do, nth=1))
    done = stage.upgrade(names.web)
    assert done.state is State.SUCCEEDED, done.outcome
    taken = [line for line in stage.region.log() if str(line["path"]).endswith("/build") and line["applied"]]
    assert len(taken) == 1


# ---------------------------------------------------------------- deployments
BUSY_BEAN = {"bean": {"status": "failure", "err_message": "last event is running", "event_id": "x"}}


@pytest.mark.parametrize(
    "do",
    [{"status": 200, "body": BUSY_BEAN}, {"status": 200, "body": {"bean": {"status": "", "event_id": "x"}}},
     {"status": 409, "body": {"msg": "operation is running"}}],
)  # fmt: skip
def test_a_busy_region_is_asked_again_later(stage: Stage, names: Names, do: dict[str, Any]) -> None:
    """Scenario 31; B39."""
    stage.region.script(stage.fail("POST", "/build$", do, times=2))
    done = stage.upgrade(names.web)
    assert done.state is State.SUCCEEDED, done.outcome
    assert stage.calls(names, names.web).count("POST /build") == 3
    stage.agree(names, names.web)


def test_a_deployment_beyond_the_quota_is_put_back_and_recorded_with_its_reason(stage: Stage, names: Names) -> None:
    """Scenario 31, its last part."""
    before = stage.held(names, names.web)
    stage.region.script(stage.fail("POST", "/build$", {"status": 412, "body": {"msg": "memory quota exceeded"}}))
    done = stage.upgrade(names.web)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert stage.held(names, names.web) == before
    record = stage.platform.system.database.records.of(done.op_id)[0]
    assert record.status is Status.DEPLOY_FAILED and "memory quota exceeded" in record.reason
    assert stage.calls(names, names.web).count("POST /build") == 1


def test_a_build_that_fails_is_put_back_and_the_old_state_deployed(stage: Stage, names: Names) -> None:
    """A failed event is definite; the evidence is gathered before anything is undone."""
    before, console = stage.held(names, names.web), stage.configuration(names.web)
    stage.region.put_state({"broken_images": [V2_IMAGE]})
    done = stage.upgrade(names.web)
    assert (done.state, done.error_code) == (State.ROLLED_BACK, "deploy-failed"), done.outcome
    assert stage.held(names, names.web) == before and stage.configuration(names.web) == console
    builds = stage.bodies(names, names.web, "/build")
    assert builds[-1]["image_info"]["image_url"] == V1_IMAGE
    assert done.outcome is not None and done.outcome["figures"]["evidence"]["event"]


def test_an_event_that_timed_out_is_no_success(stage: Stage, names: Names) -> None:
    """Scenario 44; B58: it stays pending until something definite, or the deadline."""
    final(stage, names, names.web, final="timeout")
    message = stage.platform.publish("upgrade-service", {"version": "v2.0"}, service=names.web)
    eventually(lambda: stage.builds(names, names.web) >= 1, what="the build was sent")

    def waits() -> bool:
        found = stage.platform.find(message)
        return found is not None and found.error_code == "deploying"

    eventually(waits, what="the operation waits for a definite result")
    assert stage.configuration(names.web).origin["version"] == "v1.0"
    stage.end_events("success")
    done = stage.platform.outcome(message)
    assert done.state is State.SUCCEEDED, done.outcome


def test_an_event_without_a_result_is_put_back_at_the_deadline(stage: Stage, names: Names) -> None:
    """Scenario 44, its end."""
    before = stage.held(names, names.web)
    stage.region.put_state({"silent_images": [V2_IMAGE]})
    done = stage.upgrade(names.web, deploy_seconds=1)
    assert (done.state, done.error_code) == (State.ROLLED_BACK, "deploy-unknown"), done.outcome
    assert stage.held(names, names.web) == before


# ---------------------------------------------------------------- health
def test_a_service_that_does_not_come_up_is_put_back_with_the_evidence(stage: Stage, names: Names) -> None:
    """The gate after the deployment."""
    before = stage.held(names, names.web)
    final(stage, names, names.web, status="abnormal")
    done = stage.upgrade(names.web, health={"status": "running", "within_seconds": 1})
    assert (done.state, done.error_code) == (State.ROLLED_BACK, "unhealthy"), done.outcome
    assert stage.held(names, names.web) == before
    assert done.outcome is not None and done.outcome["figures"]["evidence"]["status"] == "abnormal"


def test_a_region_that_does_not_say_how_a_service_is_condemns_nobody(stage: Stage, names: Names) -> None:
    """No answer is no status: it is asked again, for longer than a service would have to come up."""
    denied = {"status": 401, "body": {"msg": "who is it?"}, "delay_ms": 600}
    stage.region.script(stage.fail("GET", r"/status\?", denied, times=2))
    done = stage.upgrade(names.web, health={"status": "running", "within_seconds": 1})
    assert done.state is State.SUCCEEDED, done.outcome
    assert sum("/status?" in str(line["path"]) for line in stage.region.log()) > 2


def test_the_health_hook_decides_and_its_output_is_kept(stage: Stage, names: Names) -> None:
    """The hook of this module is not content with redis."""
    good = stage.upgrade(names.web, health={"status": "running", "hook": True, "within_seconds": 1})
    assert good.state is State.SUCCEEDED, good.outcome
    bad = stage.upgrade(names.redis, "g2", health={"status": "running", "hook": True, "within_seconds": 1})
    assert (bad.state, bad.error_code) == (State.ROLLED_BACK, "unhealthy"), bad.outcome
    assert bad.outcome is not None and "looked at" in bad.outcome["figures"]["evidence"]["hook_output"]


# ---------------------------------------------------------------- groups
def test_a_group_is_upgraded_as_one_operation(stage: Stage, names: Names) -> None:
    """Three services, one operation, dependent kinds of any after ordinary kinds of all."""
    done = stage.upgrade(names.web, "g2", group=True)
    assert done.state is State.SUCCEEDED, done.outcome
    for service in (names.web, names.redis, names.mysql):
        assert stage.calls(names, service) == ["POST /build"]
        assert stage.configuration(service).origin["version"] == "g2"
    assert {r.status for r in stage.platform.system.database.records.of(done.op_id)} == {Status.UPGRADED}


def test_a_failing_service_of_a_group_puts_all_back_and_leaves_the_untouched_alone(stage: Stage, names: Names) -> None:
    """Scenario 33; B13, B22, B23: redis comes later than what fails and hears nothing."""
    stage.publish_version(group_with_env(), "g3")
    before = {service: stage.held(names, service) for service in (names.web, names.redis, names.mysql)}
    alias = names.alias(names.redis)
    stage.region.script(
        {"match": {"method": "POST", "path": f"/services/{alias}/env$"}, "do": {"status": 404, "body": {"msg": "no"}}}
    )
    done = stage.upgrade(names.web, "g3", group=True)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert {service: stage.held(names, service) for service in before} == before
    assert stage.calls(names, names.mysql) == []
    assert stage.builds(names, names.web) == 0


def group_with_env() -> dict[str, Any]:
    """Each of the three gets one more variable."""
    document = group_template()
    for app in document["apps"]:
        app["service_env_map_list"] = [{"name": "MORE", "attr_name": "MORE", "attr_value": "1"}]
    return document


def test_one_failed_build_of_a_group_leaves_the_others_upgraded(stage: Stage, names: Names) -> None:
    """Scenario 41; B38."""
    before = stage.held(names, names.mysql)
    mysql = next(app["share_image"] for app in group_template()["apps"] if app["service_share_uuid"] == MYSQL_SHARE)
    stage.region.put_state({"broken_images": [mysql]})
    done = stage.upgrade(names.web, "g2", group=True)
    assert done.state is State.SUCCEEDED, done.outcome
    assert done.outcome is not None
    assert done.outcome["complete"] is False
    assert done.outcome["figures"]["status"] == Status.PARTIAL_UPGRADED.name
    assert stage.configuration(names.mysql).origin["version"] == "v1.0"
    assert stage.held(names, names.mysql) == before
    assert stage.configuration(names.web).origin["version"] == "g2"


def test_two_upgrades_at_once_never_interleave(stage: Stage, names: Names) -> None:
    """Scenario 34; B46: the second waits for the first, of the service and of its group."""
    stage.region.script(stage.fail("POST", "/env$", {"action": "apply", "delay_ms": 50}))
    first = stage.platform.publish("upgrade-service", {"version": "v2.0"}, service=names.web)
    second = stage.platform.publish("upgrade-service", {"version": "g2", "group": True}, service=names.redis)
    assert stage.platform.outcome(first).state is State.SUCCEEDED
    assert stage.platform.outcome(second).state is State.SUCCEEDED
    assert stage.calls(names, names.web) == [*stage.calls(names, names.web)[:12], "POST /build", "POST /build"]
    stage.agree(names, names.web)


# ---------------------------------------------------------------- compensation that fails
def test_a_compensation_that_fails_is_a_state_of_its_own_and_is_finished_later(stage: Stage, names: Names) -> None:
    """Scenario 32; B12."""
    before = stage.held(names, names.web)
    stage.region.script(
        stage.fail("POST", "/app-restore/envs$", {"status": 400, "body": {"msg": "no"}}),
        stage.fail("POST", "/plugin$", {"status": 404, "body": {"msg": "plugin unknown"}}),
    )
    done = stage.upgrade(names.web)
    assert done.state is State.STUCK, done.outcome
    assert done.outcome is not None
    assert any("env/CACHE_URL" in item["name"] for item in done.outcome["items"])
    assert stage.platform.system.database.records.of(done.op_id)[0].status is Status.COMPENSATION_FAILED
    blocked = stage.platform.publish("create-snapshot", {"include": ["configuration"]}, service=names.web)
    stage.region.script()
    database = stage.platform.system.database
    assert database.ledger.resolve_stuck(done.op_id, "retry", OPS, "the region is mended") is State.COMPENSATING
    message = done.message_id

    def rolled_back() -> bool:
        found = stage.platform.find(message)
        return found is not None and found.state is State.ROLLED_BACK

    eventually(rolled_back, what="the compensation was finished")
    assert stage.held(names, names.web) == before
    ended = stage.platform.outcome(message).outcome
    assert ended is not None and (ended["code"], ended["items"]) == ("region-unknown-item", []), ended
    assert stage.platform.outcome(blocked).state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("how", "state", "status"),
    [
        ("accept", State.ROLLED_BACK, Status.UPGRADE_FAILED),
        ("force", State.SUCCEEDED, Status.UPGRADED),
    ],
)
def test_a_person_can_say_how_it_stands(stage: Stage, names: Names, how: str, state: State, status: Status) -> None:
    """What a program cannot decide is decided once, with a name to it."""
    stage.region.script(
        stage.fail("POST", "/app-restore/envs$", {"status": 400, "body": {"msg": "no"}}),
        stage.fail("POST", "/plugin$", {"status": 404, "body": {"msg": "plugin unknown"}}),
    )
    done = stage.upgrade(names.web)
    assert done.state is State.STUCK, done.outcome
    database = stage.platform.system.database
    assert stated_rows(database, done.op_id, "retry") == ()
    rows = stated_rows(database, done.op_id, how)
    with database._engine.begin() as connection:  # as if no worker had brought it so far: its node was lost
        connection.execute(text("DELETE FROM upgrade_record WHERE op_id = :op_id"), {"op_id": done.op_id})
    assert stated_rows(database, done.op_id, how) == rows
    assert database.ledger.resolve_stuck(done.op_id, how, OPS, "looked at it", rows) is state
    assert database.ledger.resolve_stuck(done.op_id, how, OPS, "again", rows) is None
    assert [record.status for record in database.records.of(done.op_id)] == [status]
    assert stage.configuration(names.web).origin["version"] == ("v2.0" if how == "force" else "v1.0")
    ended = stage.platform.find(done.message_id)
    assert ended is not None and ended.outcome is not None
    assert "ops@here" in ended.outcome["sentence"]
    stage.region.script()
    assert (
        stage.platform.run("create-snapshot", {"include": ["configuration"]}, service=names.web).state
        is State.SUCCEEDED
    )


# ---------------------------------------------------------------- secrets
def test_no_secret_of_a_template_is_readable_anywhere(stage: Stage, names: Names) -> None:
    """Scenario 45; B55."""
    done = stage.upgrade(names.web)
    assert done.state is State.SUCCEEDED
    assert done.outcome is not None and REGISTRY_PASSWORD not in json.dumps(done.outcome)
    for path in stage.platform.home.rglob("*"):
        # The region is told the password; it is not ours to keep it there.
        if path.is_file() and not path.is_symlink() and path.name != "region.json":
            assert REGISTRY_PASSWORD.encode() not in path.read_bytes(), path


def test_a_dead_region_delays_and_fails_nothing(stage: Stage, names: Names) -> None:
    """A region that cannot be reached: the operation waits in its row and goes on when it is back."""
    before = stage.held(names, names.web)
    stage.region.stop()
    message = stage.platform.publish("upgrade-service", {"version": "v2.0"}, service=names.web)

    def waits() -> bool:
        found = stage.platform.find(message)
        return found is not None and found.attempts > 0 and found.state is State.RUNNING

    eventually(waits, what="it waits for the region")
    stage.region.start()
    done = stage.platform.outcome(message)
    assert done.state is State.SUCCEEDED, (done.outcome, before)
    stage.agree(names, names.web)
