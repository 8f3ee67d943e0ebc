"""What an upgrade makes of rows that another kind, another port or an older document stands in the way of, and what
the region is told of rows that lack a column."""

from __future__ import annotations

from typing import Any

import pytest

from domain.changeset import Effect, ItemChange, ServicePlan, Verb
from domain.configuration import Configuration
from domain.deployment import deploy_call
from domain.formats import target_of
from domain.kind import Facts
from domain.kinds import KINDS
from domain.planning import plan_upgrade
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
