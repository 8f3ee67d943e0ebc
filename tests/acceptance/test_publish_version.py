"""publish-version: seen by its tenant, or by all; replaced by publishing again; sealed like configurations."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from domain.operation import State
from tests.acceptance.platform import Platform

TEMPLATE: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "rainbond-template.json").read_text("utf-8")
)
PLAIN = {"services": {"web": {"image": "shop:2.0"}}}


def publish(platform: Platform, group_key: str, template: dict[str, Any], tenant: str = "acme") -> None:
    data = {"group_key": group_key, "version": "v2.0", "template": template}
    done = platform.run("publish-version", data, service="shop", tenant=tenant)
    assert done.state is State.SUCCEEDED, done.outcome


def seen(platform: Platform, tenant: str, group_key: str, version: str = "v2.0") -> dict[str, Any] | None:
    return platform.system.database.versions.get(tenant, group_key, version)


@pytest.mark.parametrize(("group_key", "template"), [("pv-template", TEMPLATE), ("pv-plain", PLAIN)])
def test_a_published_version_is_kept_as_it_came(platform: Platform, group_key: str, template: dict[str, Any]) -> None:
    publish(platform, group_key, template)
    assert seen(platform, "acme", group_key) == template


def test_a_version_is_seen_by_no_other_tenant(platform: Platform) -> None:
    publish(platform, "pv-mine", PLAIN)
    assert seen(platform, "acme", "pv-mine") is not None and seen(platform, "other", "pv-mine") is None
    assert seen(platform, "acme", "pv-mine", "v3.0") is None


def test_what_the_public_tenant_publishes_is_seen_by_all(platform: Platform) -> None:
    publish(platform, "pv-public", PLAIN, tenant="public")
    assert seen(platform, "acme", "pv-public") == seen(platform, "other", "pv-public") == PLAIN


@pytest.mark.parametrize("order", [("acme", "public"), ("public", "acme")])
def test_a_tenant_s_own_version_comes_before_the_public_one(platform: Platform, order: tuple[str, str]) -> None:
    group_key = f"pv-both-{order[0]}"
    for tenant in order:
        publish(platform, group_key, {"services": {"web": {"image": f"of-{tenant}:2"}}}, tenant=tenant)
    assert seen(platform, "acme", group_key) == {"services": {"web": {"image": "of-acme:2"}}}
    assert seen(platform, "other", group_key) == {"services": {"web": {"image": "of-public:2"}}}


def test_publishing_it_again_replaces_it(platform: Platform) -> None:
    publish(platform, "pv-again", PLAIN)
    publish(platform, "pv-again", TEMPLATE)
    assert seen(platform, "acme", "pv-again") == TEMPLATE


def test_a_service_of_another_tenant_s_name_is_no_hindrance(platform: Platform) -> None:
    """A version belongs to the tenant: the subject's service is any name."""
    platform.run("register-service", {}, service="pv-theirs", tenant="other")
    data = {"group_key": "pv-name", "version": "v2.0", "template": PLAIN}
    assert platform.run("publish-version", data, service="pv-theirs").state is State.SUCCEEDED


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (("apps", 0, "port_map_list", 0, "container_port"), "canary-31", "apps.0.port_map_list.0.container_port"),
        (("apps", 0, "service_image"), "canary-31", "template.apps.0.service_image must be an object"),
        (("apps",), {"canary-31": 1}, "template.apps must be a list"),
        (("template_version",), "canary-31", "template.template_version must be v2"),
    ],
)
def test_a_corrupt_template_is_refused_at_the_door_by_its_path(
    platform: Platform, place: tuple[Any, ...], value: Any, reason: str
) -> None:
    template: Any = copy.deepcopy(TEMPLATE)
    inner = template
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    data = {"group_key": "pv-corrupt", "version": "v2.0", "template": template}
    letter = platform.letter_reason(platform.publish("publish-version", data, service="shop"))
    assert reason in letter and "canary" not in letter and "golden" not in letter
    assert seen(platform, "acme", "pv-corrupt") is None


def test_passwords_of_registries_are_in_no_outcome_and_not_readable_in_the_database(platform: Platform) -> None:
    """B55."""
    data = {"group_key": "pv-secret", "version": "v2.0", "template": TEMPLATE}
    operation = platform.run("publish-version", data, service="shop")
    assert operation.state is State.SUCCEEDED
    assert "golden-registry-secret" not in json.dumps(operation.outcome) and "golden" not in repr(operation)
    files = [path for path in platform.home.glob("*.db*") if path.is_file()]
    assert files and not [path for path in files if b"golden-registry-secret" in path.read_bytes()]
