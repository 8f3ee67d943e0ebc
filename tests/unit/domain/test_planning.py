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
