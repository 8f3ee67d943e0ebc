"""What an upgrade makes of rows that another kind, another port or an older document stands in the way of, and what
the region is told of rows that lack a column."""

from __future__ import annotations

from typing import Any

import pytest

from domain.changeset import Effect, ItemChange, ServicePlan, Verb
from domain.configuration import Configuration
from domain.deployment import deploy_call
from domain.formats import configuration_from, target_of
from domain.kind import Facts
from domain.kinds import KINDS
from domain.planning import effect_of, plan_exact, plan_upgrade
from domain.region import Place

SELF = "5" * 32
PLACE = Place("r", "acme", SELF, "gr5")


def planned(old: Configuration, new: Configuration, **facts: Any) -> tuple[ServicePlan, Configuration]:
    """The plan, and what the service is by it."""
    plan = plan_upgrade(SELF, old, new, Facts(SELF, "gr5", **facts))
    return plan, Configuration.load(plan.after)


def wanted(**component: Any) -> Configuration:
    """What a template's component makes of the service."""
    template = {
        "apps": [{"service_share_uuid": "u+1", **component}, {"service_share_uuid": "u+2", "service_id": "pub"}]
    }
    return target_of(template, {"share_uuid": "u+1"})


def told(change: ItemChange) -> list[tuple[str, Any]]:
    return [(call.name, call.body) for call in KINDS[change.kind].calls(change, PLACE)]


def built(configuration: Configuration) -> dict[str, Any]:
    call = deploy_call(Effect.BUILD, configuration, PLACE, "e" * 32)
    assert isinstance(call.body, dict)
    return call.body


# ---------------------------------------------------------------- slugs and images
SLUG = Configuration(
    {
        "slug": {"slug_path": {"value": "/grdata/old.tgz"}, "registry": {"ftp_host": "ftp.example"}},
        "image": {"image": {"value": "runner"}, "deploy_version": {"value": "1"}},
    }
)


@pytest.mark.parametrize("image", ["acme/web:2", "runner"])
def test_a_slug_goes_when_the_version_has_an_image_in_its_place(image: str) -> None:
    plan, after = planned(SLUG, wanted(share_image=image))
    assert after.of("slug") == {} and effect_of(plan) is Effect.BUILD
    assert built(after)["kind"] == "build_from_market_image" and built(after)["image_info"]["image_url"] == image
    back = plan_exact(SELF, after, SLUG, Facts(SELF, "gr5"))
    assert Configuration.load(back.after) == SLUG and effect_of(back) is Effect.BUILD


def test_a_slug_stays_when_the_version_names_neither_slug_nor_image() -> None:
    _, after = planned(SLUG, wanted(cmd="start"))
    assert after.of("slug") == SLUG.of("slug")


def test_a_slug_is_built_where_there_was_an_image() -> None:
    installed = Configuration({"image": {"image": {"value": "acme/web:1"}}})
    _, after = planned(installed, wanted(share_slug_path="/grdata/new.tgz"))
    assert built(after)["slug_info"]["slug_path"] == "/grdata/new.tgz"


def test_an_empty_slug_is_none() -> None:
    emptied = {"slug_path": {"value": ""}}
    assert built(Configuration({**SLUG.items, "slug": emptied}))["image_info"]["image_url"] == "runner"


def test_a_build_variable_without_a_value_is_an_empty_one() -> None:
    row = {"attr_name": "BUILD_X", "scope": "build"}
    found = configuration_from({"service_base": {"image": "a:1"}, "service_env_vars": [row]})
    assert built(found)["envs"] == {"BUILD_X": ""}


# ---------------------------------------------------------------- names that are taken
def port(number: int, alias: str) -> dict[str, Any]:
    return {str(number): {"container_port": number, "port_alias": alias, "is_inner_service": True}}


@pytest.mark.parametrize(("kind", "scope"), [("env", "inner"), ("connect_info", "outer")])
def test_a_variable_that_a_port_would_bring_along_stays_as_the_service_has_it(kind: str, scope: str) -> None:
    row = {"attr_name": "WEB_HOST", "attr_value": "10.9.8.7", "scope": scope, "container_port": 0}
    plan, after = planned(Configuration({kind: {"WEB_HOST": row}}), Configuration({"port": port(80, "WEB")}))
    assert after.of(kind)["WEB_HOST"] == row and set(after.of("connect_info")) <= {"WEB_HOST", "WEB_PORT"}
    assert {(c.verb, c.kind, c.key) for c in plan.changes} == {
        (Verb.ADD, "port", "80"), (Verb.ADD, "connect_info", "WEB_PORT"),
    }  # fmt: skip
    assert [(kept.key, bool(kept.note)) for kept in plan.kept] == [("WEB_HOST", True)]


def test_a_variable_that_a_port_has_brought_along_already_is_not_worth_a_note() -> None:
    _, installed = planned(Configuration(), Configuration({"port": port(80, "WEB")}))
    closed = {"80": installed.of("port")["80"] | {"is_inner_service": False}}
    installed = Configuration({**installed.items, "port": closed})
    plan, _ = planned(installed, Configuration({"port": port(80, "WEB")}))
    assert [(change.kind, change.verb) for change in plan.changes] == [("port", Verb.UPDATE)] and plan.kept == ()


def test_of_two_ports_with_one_alias_the_second_is_said_to_get_no_variables() -> None:
    plan, after = planned(Configuration(), Configuration({"port": port(80, "WEB") | port(8080, "web")}))
    assert after.of("connect_info")["WEB_PORT"]["attr_value"] == "80"
    assert [(kept.key, "port/8080" in kept.note) for kept in plan.kept] == [("WEB_HOST", True), ("WEB_PORT", True)]


def test_what_two_lists_of_a_version_have_is_added_by_the_first_and_noted() -> None:
    twice = [{"attr_name": "A", "attr_value": value} for value in "12"]
    version = wanted(service_env_map_list=twice[:1], service_connect_info_map_list=twice[1:])
    plan, after = planned(Configuration(), version)
    assert after.of("env")["A"]["attr_value"] == "1" and "connect_info" not in after.items
    assert [(kept.kind, kept.key) for kept in plan.kept] == [("connect_info", "A")]


def test_a_volume_and_a_config_file_of_one_version_never_get_the_same_name() -> None:
    rows = [
        {"volume_name": "n", "volume_path": "/d", "volume_type": "share-file"},
        {"volume_name": "n", "volume_path": "/e", "volume_type": "config-file", "file_content": "c"},
    ]
    _, after = planned(Configuration(), wanted(service_volume_map_list=rows))
    names = [row["volume_name"] for kind in ("volume", "config_file") for row in after.of(kind).values()]
    assert names[0] == "n" and names[1].startswith("n-")


# ---------------------------------------------------------------- rows that lack a column
@pytest.mark.parametrize(("kind", "usual"), [("volume", "share-file"), ("config_file", "config-file")])
def test_a_volume_of_a_provider_that_names_no_type_can_be_mounted(kind: str, usual: str) -> None:
    provider = Configuration({kind: {"/d": {"volume_name": "d", "volume_path": "/d"}}})
    target = Configuration({"mount": {"p/d": {"dep_service_id": "p", "mnt_name": "d", "mnt_dir": "/m"}}})
    _, after = planned(Configuration(), target, providers={"p": provider})
    assert after.of("mount")["p/d"]["volume_type"] == usual


@pytest.mark.parametrize("row", [{}, {"plugin_status": None}])
def test_a_plugin_is_switched_on_unless_the_version_says_otherwise(row: dict[str, Any]) -> None:
    for given, switch in ((row, True), ({"plugin_status": False}, False)):
        version = wanted(service_related_plugin_config=[{"plugin_key": "k", **given}])
        plan, after = planned(Configuration(), version, plugins={"k": "p"})
        assert after.of("plugin")["p"]["plugin_status"] is switch
        assert [body["switch"] for _, body in told(plan.changes[-1])] == [switch]
    imported = ItemChange("plugin", "p", Verb.ADD, None, {"plugin_id": "p", **row})
    assert [body["switch"] for _, body in told(imported)] == [True]


@pytest.mark.parametrize(("aliases", "alias"), [({"mine": "grmine"}, "grmine"), ({}, "")])
def test_a_setting_for_another_service_never_has_the_alias_that_it_has_at_the_publishers(
    aliases: dict[str, str], alias: str
) -> None:
    setting = {"service_meta_type": "downstream_port", "dest_service_id": "pub", "dest_service_alias": "grpublisher"}
    version = wanted(service_related_plugin_config=[{"plugin_key": "k", "attr": [setting]}])
    plan, _ = planned(Configuration(), version, plugins={"k": "p"}, installed={"u+2": "mine"}, aliases=aliases)
    ((_, body),) = told(plan.changes[-1])
    (service,) = body["config_envs"]["complex_envs"]["base_services"]
    assert (service["depend_service_id"], service["depend_service_alias"]) == ("mine", alias)


def test_a_setting_for_a_service_of_another_group_keeps_the_alias_that_was_given() -> None:
    setting = {"service_meta_type": "downstream_port", "dest_service_id": "other", "dest_service_alias": "grother"}
    target = Configuration({"plugin": {"p": {"plugin_id": "p", "config": [setting]}}})
    _, after = planned(Configuration(), target)
    assert after.of("plugin")["p"]["config"][0]["dest_service_alias"] == "grother"


# ---------------------------------------------------------------- probes whose id is not known
BARE = Configuration({"probe": {"readiness": {"mode": "readiness", "port": 80, "scheme": "tcp", "is_used": True}}})


def test_a_probe_without_an_id_is_told_under_the_same_one_in_every_direction() -> None:
    plan, after = planned(BARE, Configuration({"probe": {"readiness": {"mode": "readiness", "port": 81}}}))
    (change,) = plan.changes
    kind = KINDS["probe"]
    assert kind.restore is not None
    calls = [*kind.calls(change, PLACE), *kind.undo(change, PLACE), *kind.restore(BARE, PLACE, [change])]
    assert [call.name for call in calls] == ["set-probe", "remove-probe", "remove-probe", "add-probe", "restore-probe"]
    own = after.of("probe")["readiness"]["probe_id"]
    assert len(own) == 32 and {dict(call.body)["probe_id"] for call in calls if isinstance(call.body, dict)} == {own}


def test_a_probe_without_an_id_is_not_removed_by_an_upgrade() -> None:
    plan, after = planned(BARE, Configuration({"probe": {"liveness": {"mode": "liveness", "port": 80}}}))
    assert set(after.of("probe")) == {"readiness", "liveness"}
    assert [(kept.key, "id" in kept.note) for kept in plan.kept] == [("readiness", True)]


# ---------------------------------------------------------------- config files
@pytest.mark.parametrize("content", ["x", ""])
def test_a_config_file_of_another_category_is_made_anew(content: str) -> None:
    row = {"volume_name": "n", "volume_path": "/e", "volume_type": "config-file", "file_content": content}
    before, after = row | {"category": "app_publish"}, row | {"category": "other"}
    change = ItemChange("config_file", "/e", Verb.UPDATE, before, after)
    assert [name for name, _ in told(change)] == ["remove-volume", "add-volume"]
    assert [call.name for call in KINDS["config_file"].undo(change, PLACE)][-2:] == ["remove-volume", "add-volume"]


def test_a_config_file_whose_row_has_no_type_is_told_as_one() -> None:
    row = {"volume_name": "n", "volume_path": "/e", "file_content": "c"}
    ((_, body),) = told(ItemChange("config_file", "/e", Verb.ADD, None, row))
    assert body["volume_type"] == "config-file"
