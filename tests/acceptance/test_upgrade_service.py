"""upgrade-service through real messages, a real worker and the region's double."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from domain import failpoint
from domain.operation import State
from domain.upgrade_record import Status
from tests.acceptance.shop import (
    REDIS_SHARE,
    V2_IMAGE,
    Names,
    component_as_installed,
    details,
    env,
    port,
    template,
    volume,
)
from tests.acceptance.stage import Stage


@pytest.fixture(scope="module", params=["plain"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"), fenced=request.param == "fenced")
    made.platform.start("web-1")
    made.publish_version(template(), "v2.0")
    yield made
    made.close()


FORWARD = [
    "POST /env", "POST /env", "POST /ports", "PUT /ports", "POST /env", "POST /env", "POST /volumes", "PUT /volumes",
    "PUT /probe", "POST /dependency", "POST /depvolumes", "POST /plugin",
]  # fmt: skip


def test_an_upgrade_tells_the_region_each_change_in_order_and_builds_once(stage: Stage, names: Names) -> None:
    """Scenario 1; B24, B25, B31."""
    done = stage.upgrade(names.web)
    assert (done.state, done.error_code) == (State.SUCCEEDED, None), done.outcome
    assert stage.calls(names, names.web) == [*FORWARD, "POST /build"]
    added = [body["env_name"] for body in stage.bodies(names, names.web, "/env")]
    assert added == ["CACHE_URL", "WEB_ADMIN_PASS", "GRA7755B9090_HOST", "GRA7755B9090_PORT"]
    assert stage.bodies(names, names.web, "/env")[1]["env_value"] == names.web[:8]
    build = stage.bodies(names, names.web, "/build")[0]
    assert build["image_info"]["image_url"] == V2_IMAGE
    assert build["image_info"]["cmd"] == "start web --workers 4"
    stage.agree(names, names.web)
    record = stage.platform.system.database.records.of(done.op_id)[0]
    assert (record.status, record.old_version, record.new_version) == (Status.UPGRADED, "v1.0", "v2.0")
    assert record.snapshot_id is not None


def test_a_message_that_is_delivered_twice_upgrades_once(stage: Stage, names: Names) -> None:
    """Scenario 2."""
    for _ in range(2):
        message = stage.platform.publish(
            "upgrade-service", {"version": "v2.0"}, service=names.web, id=f"twice-{names.web}"
        )
    done = stage.platform.outcome(message)
    assert done.state is State.SUCCEEDED
    assert stage.calls(names, names.web) == [*FORWARD, "POST /build"]
    assert len(stage.platform.listed(names.web)) == 1


def publish(stage: Stage, version: str, **changes: Any) -> str:
    """A version whose web component is as installed, but for `changes`."""
    stage.publish_version(template(version, component_as_installed(**changes)), version)
    return version


def test_a_version_that_is_as_installed_makes_no_call_and_is_noted(stage: Stage, names: Names) -> None:
    """Scenario 3; B43."""
    done = stage.upgrade(names.web, publish(stage, "same"))
    assert done.state is State.SUCCEEDED, done.outcome
    assert stage.region.log() == []
    assert done.outcome is not None and done.outcome["figures"]["actions"] == {names.web: "nothing"}
    assert stage.configuration(names.web).origin["version"] == "same"
    assert stage.platform.system.database.records.of(done.op_id)[0].status is Status.UPGRADED


def test_new_variables_alone_are_an_update_and_with_another_image_one_build(stage: Stage, names: Names) -> None:
    """Scenario 4."""
    fresh = [env("NEW", "1")]
    done = stage.upgrade(names.web, publish(stage, "env", service_env_map_list=fresh))
    assert done.state is State.SUCCEEDED, done.outcome
    assert stage.calls(names, names.web) == ["POST /env", "POST /upgrade"]
    stage.region.script()
    more = [env("NEWER", "1")]
    done = stage.upgrade(names.web, publish(stage, "both", service_env_map_list=more, deploy_version="20200101000000"))
    assert done.state is State.SUCCEEDED, done.outcome
    assert stage.calls(names, names.web)[2:] == ["POST /env", "POST /build"]


def test_what_the_user_has_set_is_kept(stage: Stage, names: Names) -> None:
    """Scenarios 5, 6 and 7; B26, B32."""
    opened = [port(80, inner=True, outer=True)]
    own = [env("LOG_LEVEL", "my own"), env("WEB_ADMIN", "admin", scope="outer", change=False)]
    stage.install(names, web={"service_ports": opened, "service_env_vars": own}, services="web")
    changes = {"port_map_list": [port(80, inner=True, outer=False)], "deploy_version": "20210101000000"}
    done = stage.upgrade(names.web, publish(stage, "users", **changes))
    assert done.state is State.SUCCEEDED, done.outcome
    after = stage.configuration(names.web)
    assert after.of("env")["LOG_LEVEL"]["attr_value"] == "my own"
    assert after.of("port")["80"]["is_outer_service"] is True
    assert after.of("resources")["min_memory"] == {"value": 512}
    stage.agree(names, names.web)


@pytest.mark.parametrize(
    ("version", "change"),
    [("tag", {"share_image": "nginx:1.21"}), ("older", {"deploy_version": "20100101000000"})],
)
def test_another_image_or_an_older_build_is_a_build(
    stage: Stage, names: Names, version: str, change: dict[str, Any]
) -> None:
    """Scenario 8; B40, B42."""
    done = stage.upgrade(names.web, publish(stage, version, **change))
    assert done.state is State.SUCCEEDED, done.outcome
    assert stage.calls(names, names.web) == ["POST /build"]


@pytest.mark.parametrize("delete", [True, False])
def test_only_dependencies_within_the_application_are_removed_and_only_when_asked(
    stage: Stage, names: Names, delete: bool
) -> None:
    """Scenario 9."""
    relations = [{"ID": n, "dep_service_id": d, "dep_service_type": "application", "dep_order": 0}
                 for n, d in enumerate((names.mysql, names.stranger), 1)]  # fmt: skip
    stage.install(names, web={"service_relation": relations}, services="web")
    done = stage.upgrade(names.web, publish(stage, f"less-{delete}", deploy_version="2022"), delete=delete)
    assert done.state is State.SUCCEEDED, done.outcome
    left = {names.stranger} if delete else {names.stranger, names.mysql}
    assert set(stage.configuration(names.web).of("dependency")) == left
    stage.agree(names, names.web)


def test_a_volume_whose_name_is_taken_is_created_under_another(stage: Stage, names: Names) -> None:
    """Scenario 10."""
    done = stage.upgrade(names.web, publish(stage, "clash", service_volume_map_list=[volume("data", "/elsewhere")]))
    assert done.state is State.SUCCEEDED, done.outcome
    name = stage.configuration(names.web).of("volume")["/elsewhere"]["volume_name"]
    assert name.startswith("data-") and len(name) == len("data-") + 6
    assert stage.bodies(names, names.web, "/volumes")[0]["volume_name"] == name
    stage.agree(names, names.web)


# ---------------------------------------------------------------- 400
def test_a_variable_that_exists_already_gets_our_value_and_is_noted(stage: Stage, names: Names) -> None:
    """Scenario 11; B29."""
    state = stage.region.state(names.alias(names.web))
    state["envs"].append({"env_name": "CACHE_URL", "env_value": "somebody's", "scope": "inner", "name": "CACHE_URL"})
    stage.region.put_state({"tenants": {"acme": {names.alias(names.web): state}}})
    done = stage.upgrade(names.web)
    assert done.state is State.SUCCEEDED, done.outcome
    assert done.outcome is not None and done.outcome["complete"] is True
    assert [(i["name"], i["code"]) for i in done.outcome["items"]] == [(f"{names.web}/env/CACHE_URL", "exists")]
    held = {row["env_name"]: row["env_value"] for row in stage.region.state(names.alias(names.web))["envs"]}
    assert held["CACHE_URL"] == "redis://127.0.0.1:6379"


def test_what_existed_before_us_survives_a_compensation(stage: Stage, names: Names) -> None:
    """Scenario 11, its second half."""
    state = stage.region.state(names.alias(names.web))
    foreign = {"env_name": "CACHE_URL", "env_value": "somebody's", "scope": "inner", "name": "CACHE_URL"}
    state["envs"].append(foreign)
    stage.region.put_state({"tenants": {"acme": {names.alias(names.web): state}}})
    before = stage.held(names, names.web)
    stage.region.script(stage.fail("POST", "/depvolumes$", {"status": 422, "body": {"msg": "no"}}))
    done = stage.upgrade(names.web)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert stage.held(names, names.web) == before


def an_empty_file_that_exists(stage: Stage, names: Names, version: str) -> str:
    """A version with one more config file, which is empty, where the region has a file of that name already."""
    state = stage.region.state(names.alias(names.web))
    state["volumes"].append(
        {"volume_name": "flags", "volume_path": "/etc/web/flags", "volume_type": "config-file",
         "file_content": "somebody's"}
    )  # fmt: skip
    stage.region.put_state({"tenants": {"acme": {names.alias(names.web): state}}})
    flags = {**volume("flags", "/etc/web/flags", "config-file"), "file_content": ""}
    return publish(stage, version, service_volume_map_list=[flags])


def test_what_existed_gets_our_value_also_when_that_takes_two_calls(stage: Stage, names: Names) -> None:
    """An empty file is removed and made anew; with the removal alone the region would be without it."""
    done = stage.upgrade(names.web, an_empty_file_that_exists(stage, names, "flags"))
    assert done.state is State.SUCCEEDED and done.outcome is not None, done.outcome
    assert (done.outcome["complete"], [i["code"] for i in done.outcome["items"]]) == (True, ["exists"])
    assert stage.calls(names, names.web)[:3] == ["POST /volumes", "DELETE /volumes/flags", "POST /volumes"]
    stage.agree(names, names.web)


@pytest.mark.parametrize("stage", ["fenced"], indirect=True)
def test_what_is_made_anew_on_the_way_forward_has_a_higher_fence_than_its_removal(stage: Stage, names: Names) -> None:
    """I10: a removal that the network repeats must not land after what takes its place, be it foreign or ours."""
    filled = {**volume("flags", "/etc/web/flags", "config-file"), "file_content": "on"}
    assert stage.upgrade(names.web, an_empty_file_that_exists(stage, names, "empty")).state is State.SUCCEEDED
    assert stage.upgrade(names.web, publish(stage, "filled", service_volume_map_list=[filled])).state is State.SUCCEEDED
    assert stage.rollback(names.web).state is State.SUCCEEDED
    volumes = f"/services/{names.alias(names.web)}/volumes"
    calls = [line for line in stage.region.log() if volumes in line["path"]]
    removals = [number for number, line in enumerate(calls) if line["method"] == "DELETE"]
    assert len(removals) == 2, calls
    for number in removals:
        removed, made = calls[number : number + 2]
        assert made["method"] == "POST" and int(removed["fence"]) < int(made["fence"]), calls
    stage.agree(names, names.web)


def test_what_takes_the_place_of_a_removal_waits_until_no_try_of_that_can_land(
    stage: Stage, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I19: where no fence holds a lost try off, it would take away what was made anew."""
    filled = {**volume("flags", "/etc/web/flags", "config-file"), "file_content": "on"}
    assert stage.upgrade(names.web, an_empty_file_that_exists(stage, names, "none")).state is State.SUCCEEDED
    assert stage.upgrade(names.web, publish(stage, "some", service_volume_map_list=[filled])).state is State.SUCCEEDED
    stage.region.script(stage.fail("DELETE", "/volumes/flags$", "cut-after", times=1))
    waits: list[list[str]] = []

    def look(point: str) -> None:
        if point == "settle-wait.before":
            waits.append(stage.calls(names, names.web)[-2:])

    monkeypatch.setattr(failpoint, "hook", look)
    assert stage.rollback(names.web).state is State.SUCCEEDED
    assert waits[0] == ["DELETE /volumes/flags", "DELETE /volumes/flags"], waits
    stage.agree(names, names.web)


@pytest.mark.parametrize("status", [422, 400])
def test_what_was_removed_and_could_not_be_made_anew_is_put_back(stage: Stage, names: Names, status: int) -> None:
    """I20: a file that was to become empty is not there any more, and no region changes what is not there. Of any other
    addition a 400 says that there is such an item already; this one was left out, and gone."""
    filled = {**volume("flags", "/etc/web/flags", "config-file"), "file_content": "on"}
    assert stage.upgrade(names.web, an_empty_file_that_exists(stage, names, "bare")).state is State.SUCCEEDED
    assert stage.upgrade(names.web, publish(stage, "full", service_volume_map_list=[filled])).state is State.SUCCEEDED
    refusal = {"status": status, "body": {"msg": "no more volumes"}}
    stage.region.script(stage.fail("POST", "/volumes$", refusal, times=1))
    assert stage.rollback(names.web).state is State.ROLLED_BACK
    stage.agree(names, names.web)


def test_what_existed_and_did_not_take_our_value_is_named(stage: Stage, names: Names) -> None:
    version = an_empty_file_that_exists(stage, names, "refused-flags")
    refusal = {"status": 400, "body": {"msg": "volumes are frozen"}}
    stage.region.script(stage.fail("DELETE", "/volumes/flags$", refusal))
    done = stage.upgrade(names.web, version)
    assert done.state is State.SUCCEEDED and done.outcome is not None, done.outcome
    items = {item["code"]: item for item in done.outcome["items"]}
    assert done.outcome["complete"] is False and set(items) == {"exists", "not-converged"}
    assert items["not-converged"]["name"] == f"{names.web}/config_file//etc/web/flags"
    assert "volumes are frozen" in items["not-converged"]["sentence"]
    assert stage.calls(names, names.web)[:2] == ["POST /volumes", "DELETE /volumes/flags"]


def test_what_existed_and_was_removed_but_not_taken_again_ends_the_upgrade(stage: Stage, names: Names) -> None:
    """I20: the rows would name a file that is gone."""
    version = an_empty_file_that_exists(stage, names, "lost-flags")
    refusal = {"status": 400, "body": {"msg": "no more volumes"}}
    stage.region.script(stage.fail("POST", "/volumes$", refusal, nth=2))
    done = stage.upgrade(names.web, version)
    assert done.state is State.ROLLED_BACK and done.outcome is not None, done.outcome
    (item,) = done.outcome["items"]
    assert (item["name"], item["code"]) == (f"{names.web}/config_file//etc/web/flags", "overwritten")
    assert "was removed to be made anew, and that was refused" in item["sentence"]
    stage.agree(names, names.web)


def test_what_may_be_ours_and_is_made_anew_is_not_lost_when_that_is_refused(stage: Stage, names: Names) -> None:
    """I20: the reply to its addition was lost, so it may have been there before, and is given its value once more."""
    empty = volume("flags", "/etc/web/flags", "config-file")
    version = publish(stage, "cut-flags", service_volume_map_list=[empty])
    refusal = {"status": 400, "body": {"msg": "no more volumes"}}
    stage.region.script(
        stage.fail("POST", "/volumes$", "cut-after", nth=1), stage.fail("POST", "/volumes$", refusal, nth=3)
    )
    done = stage.upgrade(names.web, version)
    assert done.state is State.ROLLED_BACK, done.outcome
    stage.agree(names, names.web)


@pytest.mark.parametrize("landed", [True, False])
def test_what_was_made_anew_without_an_answer_is_looked_for(stage: Stage, names: Names, landed: bool) -> None:
    """I20: a 400 to the next try is the echo of the first one, or a refusal."""
    version = an_empty_file_that_exists(stage, names, f"echoed-{landed}")
    refusal = {"status": 400, "body": {"msg": "no more volumes"}}
    stage.region.script(
        stage.fail("POST", "/volumes$", "cut-after" if landed else "cut-before", nth=2),
        *([] if landed else [stage.fail("POST", "/volumes$", refusal, nth=3)]),
    )
    done = stage.upgrade(names.web, version)
    assert done.state is (State.SUCCEEDED if landed else State.ROLLED_BACK), done.outcome
    stage.agree(names, names.web)


INVALID = {"status": 400, "body": {"validation_error": {"env_value": ["The env_value field is required"]}}}


def test_an_item_that_is_invalid_for_the_region_is_left_out_everywhere_and_named(stage: Stage, names: Names) -> None:
    """Scenario 12 in the default mode; B28."""
    stage.region.script(stage.fail("POST", "/env$", INVALID, nth=1))
    done = stage.upgrade(names.web)
    assert done.state is State.SUCCEEDED, done.outcome
    assert done.outcome is not None and done.outcome["complete"] is False
    item = done.outcome["items"][0]
    assert (item["name"], item["code"]) == (f"{names.web}/env/CACHE_URL", "left-out")
    assert "env_value" in item["sentence"]
    assert "CACHE_URL" not in stage.configuration(names.web).of("env")
    stage.agree(names, names.web)


def test_an_item_that_is_invalid_turns_a_strict_upgrade_back(stage: Stage, names: Names) -> None:
    """Scenario 12."""
    before, console = stage.held(names, names.web), stage.configuration(names.web)
    stage.region.script(stage.fail("POST", "/volumes$", INVALID))
    done = stage.upgrade(names.web, strict=True)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert stage.calls(names, names.web)[:7] == FORWARD[:7]
    assert "PUT /volumes" not in stage.calls(names, names.web)
    assert stage.held(names, names.web) == before
    assert stage.configuration(names.web) == console


def test_a_port_that_is_there_after_an_unknown_outcome_counts_as_done(stage: Stage, names: Names) -> None:
    """Scenario 13."""
    stage.region.script(stage.fail("POST", "/ports$", "cut-after", nth=1))
    done = stage.upgrade(names.web)
    assert done.state is State.SUCCEEDED, done.outcome
    assert done.outcome is not None and done.outcome["items"] == []
    stage.agree(names, names.web)


def test_a_port_left_out_takes_its_variables_with_it(stage: Stage, names: Names) -> None:
    """Derived rows belong to the item that they come from."""
    stage.region.script(stage.fail("POST", "/ports$", {"status": 400, "body": {"msg": "bad port"}}))
    done = stage.upgrade(names.web)
    assert done.state is State.SUCCEEDED, done.outcome
    after = stage.configuration(names.web)
    assert "9090" not in after.of("port")
    assert not [name for name in after.of("connect_info") if "9090" in name]
    stage.agree(names, names.web)


# ---------------------------------------------------------------- failure at each call
FAIL_500 = {"status": 500, "body": {"msg": "database is away"}}
NOT_FOUND = {"status": 404, "body": {"msg": "not found"}}
RESTORES = {
    14: ["POST /app-restore/envs"],
    15: ["POST /app-restore/envs"],
    17: ["POST /app-restore/ports", "POST /app-restore/envs", "POST /app-restore/envs"],
}


@pytest.mark.parametrize(
    ("number", "method", "path", "nth", "do"),
    [
        (14, "POST", "/env$", 1, FAIL_500),
        (15, "POST", "/env$", 2, FAIL_500),
        (16, "POST", "/env$", 2, {"status": 503, "body": ""}),
        (17, "POST", "/ports$", 1, FAIL_500),
        (18, "PUT", "/ports$", 1, FAIL_500),
        (19, "POST", "/env$", 3, FAIL_500),
        (20, "POST", "/volumes$", 1, FAIL_500),
        (21, "PUT", "/volumes$", 1, {"status": 500, "body": '{"msg": "record not found"}{"bean": "success"}'}),
        (22, "PUT", "/probe$", 1, NOT_FOUND),
        (23, "POST", "/dependency$", 1, FAIL_500),
        (24, "POST", "/depvolumes$", 1, NOT_FOUND),
        (25, "POST", "/plugin$", 1, NOT_FOUND),
    ],
)
def test_a_failing_call_puts_everything_back(
    stage: Stage, names: Names, number: int, method: str, path: str, nth: int, do: Any
) -> None:
    """Scenarios 14 to 25: console and region equal before, no build, restores newest first; B3 to B6, B9, B13, B22."""
    before, console = stage.held(names, names.web), stage.configuration(names.web)
    others = {name: stage.held(names, name) for name in (names.redis, names.mysql)}
    # From its n-th on, the call always fails: a second try must not turn out well by chance.
    rules = [stage.fail(method, path, {"action": "apply"}, nth=n) for n in range(1, nth)]
    # Three tries are all that one attempt makes; putting a config file back needs the call that failed.
    stage.region.script(*rules, stage.fail(method, path, do, times=3))
    done = stage.upgrade(names.web)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert stage.held(names, names.web) == before
    assert stage.configuration(names.web) == console
    calls = stage.calls(names, names.web)
    assert stage.builds(names, names.web) == 0
    assert "POST /app-restore/volumes" not in calls
    assert {name: stage.held(names, name) for name in others} == others
    assert stage.calls(names, names.redis) == stage.calls(names, names.mysql) == []
    if number in RESTORES:
        assert [call for call in calls if "app-restore" in call][: len(RESTORES[number])] == RESTORES[number]
    record = stage.platform.system.database.records.of(done.op_id)[0]
    assert record.status is Status.UPGRADE_FAILED
    assert done.outcome is not None
    assert done.outcome["figures"]["evidence"]["call"] and record.reason == done.outcome["sentence"]


def test_a_probe_that_was_not_there_is_gone_again(stage: Stage, names: Names) -> None:
    """Scenario 22, its first half; B8."""
    stage.install(names, web={"service_probes": []}, services="web")
    stage.region.script(stage.fail("POST", "/plugin$", NOT_FOUND))
    done = stage.upgrade(names.web)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert stage.held(names, names.web)["probes"] == []
    assert stage.bodies(names, names.web, "/app-restore/probe")[0] in ("", None)


def test_a_removed_plugin_comes_back_with_its_settings(stage: Stage, names: Names) -> None:
    """Scenario 26; B10."""
    settings = [{
        "plugin_id": "old_net_plugin_id", "build_version": "20190101000000", "service_meta_type": "upstream_port",
        "injection": "auto", "dest_service_id": "", "dest_service_alias": "", "container_port": 80,
        "attrs": '{"LIMIT": "20"}', "protocol": "http",
    }]  # fmt: skip
    stage.install(names, web={"service_plugin_config": settings}, services="web")
    before = stage.held(names, names.web)
    stage.region.script(stage.fail("POST", "/build$", {"status": 412, "body": {"msg": "quota"}}))
    done = stage.upgrade(names.web, publish(stage, "no-plugin", deploy_version="2023"), delete=True)
    assert done.state is State.ROLLED_BACK, done.outcome
    assert "DELETE /plugin/old_net_plugin_id" in stage.calls(names, names.web)
    assert stage.held(names, names.web) == before


def test_where_a_version_has_an_image_in_place_of_a_slug_that_is_built_and_the_way_back_builds_the_slug(
    stage: Stage, names: Names
) -> None:
    source = details(names, names.web)["service_source"]
    info = {"slug_path": "/grdata/web.tgz", "ftp_host": "ftp.example"}
    stage.install(names, web={"service_source": source | {"extend_info": json.dumps(info)}}, services="web")
    console = stage.configuration(names.web)
    assert stage.upgrade(names.web).state is State.SUCCEEDED
    assert stage.configuration(names.web).of("slug") == {}
    assert stage.rollback(names.web).state is State.SUCCEEDED
    assert stage.configuration(names.web).items == console.items
    there, back = stage.bodies(names, names.web, "/build")
    assert (there["kind"], there["image_info"]["image_url"]) == ("build_from_market_image", V2_IMAGE)
    assert (back["kind"], back["slug_info"]["slug_path"]) == ("build_from_market_slug", "/grdata/web.tgz")


def test_a_plugins_setting_for_another_service_has_that_ones_id_and_alias(stage: Stage, names: Names) -> None:
    redis = component_as_installed(service_share_uuid=REDIS_SHARE, service_id="publishers")
    setting = {
        "service_meta_type": "downstream_port", "injection": "auto", "container_port": 6379, "protocol": "tcp",
        "dest_service_id": "publishers", "dest_service_alias": "grpublisher", "attrs": "{}",
    }  # fmt: skip
    plugin = {"plugin_key": "perf_analyze_plugin", "build_version": "1", "attr": [setting]}
    web = component_as_installed(service_related_plugin_config=[plugin])
    stage.publish_version(template("settings", web, redis), "settings")
    assert stage.upgrade(names.web, "settings").state is State.SUCCEEDED
    (body,) = stage.bodies(names, names.web, "/plugin")
    (found,) = body["config_envs"]["complex_envs"]["base_services"]
    assert body["switch"] is True
    assert (found["depend_service_id"], found["depend_service_alias"]) == (names.redis, names.alias(names.redis))


def test_a_service_that_the_region_does_not_know_fails_at_once(stage: Stage, names: Names) -> None:
    """Scenario 27."""
    stage.region.script(stage.fail("POST", "/env$", {"status": 404, "body": {"msg": "cant find service"}}))
    done = stage.upgrade(names.web)
    assert (done.state, done.error_code) == (State.FAILED, "region-unknown-service"), done.outcome
    assert stage.calls(names, names.web) == ["POST /env"]
