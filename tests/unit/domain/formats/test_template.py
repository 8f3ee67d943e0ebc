"""What a version wants a service to be: found by its share key, without anything of the publisher's own."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from domain.errors import InvalidMessage, NotFound
from domain.formats import check_template, target_of

GOLDEN = Path(__file__).parents[3] / "golden"
REDIS = "280d3a0fc5954745a9f70b7e15a517d5+1994d780485842a189441ed3eaa78d3b"
WEB = "2669c2cec6bc7bf5aab29a0ea2703d66+9d1b2c6a5e0f4b7f8c3a2e1d0f9b8c7d"
WORKER = "application+c0ffee11c0ffee11c0ffee11c0ffee11"


@pytest.fixture
def template() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / "rainbond-template.json").read_text())
    return found


@pytest.fixture
def old() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GOLDEN / "rainbond-template-old.json").read_text())
    return found


# ---------------------------------------------------------------- which component
def test_a_component_is_found_by_the_share_key_of_the_service(template: dict[str, Any]) -> None:
    assert set(target_of(template, {"share_uuid": REDIS}).of("port")) == {"6379"}


def test_in_an_old_template_it_is_found_by_the_service_key(old: dict[str, Any]) -> None:
    """Components from before share keys."""
    check_template(old)
    found = target_of(old, {"share_uuid": WEB, "service_key": WEB.partition("+")[0], "version": "v0.9"})
    assert found.of("image")["image"]["value"] == "goodrain.me/acme/web:20180901080000_v0.9"
    assert found.origin == {"version": "v0.9", "share_uuid": WEB.partition("+")[0]}


def test_a_service_that_was_installed_from_an_old_template_has_the_key_for_a_share_key(old: dict[str, Any]) -> None:
    assert target_of(old, {"share_uuid": WEB.partition("+")[0]}).of("env")


def test_a_service_key_never_decides_between_components_with_share_keys_of_their_own(template: dict[str, Any]) -> None:
    """Two components can come from one service key: the wrong one would be a wrong upgrade."""
    other = {"share_uuid": f"{WEB.partition('+')[0]}+{'0' * 32}", "service_key": WEB.partition("+")[0]}
    with pytest.raises(NotFound) as refusal:
        target_of(template, other)
    assert refusal.value.code == "component-not-in-version"


@pytest.mark.parametrize("origin", [{}, {"share_uuid": None, "service_key": ""}, {"share_uuid": "unknown"}])
def test_a_service_that_the_version_does_not_have_is_refused(template: dict[str, Any], origin: dict[str, Any]) -> None:
    with pytest.raises(NotFound) as refusal:
        target_of(template, origin)
    assert refusal.value.code == "component-not-in-version" and refusal.value.next_step


# ---------------------------------------------------------------- what it wants
def test_every_part_of_the_component_becomes_items(template: dict[str, Any]) -> None:
    found = target_of(template, {"share_uuid": WEB, "group_key": "g", "version": "v2.0"})
    assert {kind: sorted(rows) for kind, rows in found.items.items()} == {
        "image": ["cmd", "deploy_version", "image", "registry", "version"],
        "resources": ["min_memory", "min_node"],
        "env": ["CACHE_URL", "LOG_LEVEL"],
        "connect_info": ["WEB_ADMIN", "WEB_ADMIN_PASS"],
        "port": ["80", "9090"],
        "volume": ["/var/cache/web", "/var/lib/web"],
        "config_file": ["/etc/web/app.conf"],
        "probe": ["readiness"],
        "dependency": [REDIS],
        "mount": [f"{REDIS}/redisdata"],
        "plugin": ["perf_analyze_plugin"],
    }
    assert found.origin == {"group_key": "g", "version": "v2.0", "share_uuid": WEB}


def test_no_id_of_the_publisher_gets_in(template: dict[str, Any]) -> None:
    found = target_of(template, {"share_uuid": WEB})
    text = json.dumps(found.document())
    component = template["apps"][0]
    foreign = (component["port_map_list"][0]["tenant_id"], component["probes"][0]["probe_id"])
    assert not [name for name in foreign if name in text]
    for name in ("ID", "service_id", "tenant_id", "probe_id", "plugin_id"):
        assert f'"{name}"' not in text


def test_settings_of_plugins_name_other_services_by_their_share_key(template: dict[str, Any]) -> None:
    plugin = target_of(template, {"share_uuid": WEB}).of("plugin")["perf_analyze_plugin"]
    assert plugin["plugin_alias"] == "perf analysis"
    assert [row.get("dest_service_key") for row in plugin["attr"]] == [None, REDIS]


def test_registries_come_with_the_image_or_the_slug(template: dict[str, Any]) -> None:
    image, slug = target_of(template, {"share_uuid": WEB}), target_of(template, {"share_uuid": WORKER})
    assert image.of("image")["registry"]["hub_password"] == "golden-registry-secret" and not image.of("slug")
    assert slug.of("slug")["registry"]["ftp_password"] == "golden-slug-secret"
    assert "registry" not in slug.of("image") and "image" not in slug.of("image")


@pytest.mark.parametrize("absent", [True, False])
def test_a_component_may_lack_everything_but_its_name(template: dict[str, Any], absent: bool) -> None:
    component = template["apps"][1]
    for name in list(component):
        if name not in ("service_share_uuid", "service_key"):
            if absent:
                del component[name]
            else:
                component[name] = None
    del template["template_version"], template["plugins"]
    check_template(template)
    assert set(target_of(template, {"share_uuid": REDIS}).items) <= {"image"}


def test_of_two_rows_with_one_key_the_first_counts(template: dict[str, Any]) -> None:
    envs = template["apps"][0]["service_env_map_list"]
    envs.append(envs[0] | {"attr_value": "second"})
    assert target_of(template, {"share_uuid": WEB}).of("env")["LOG_LEVEL"]["attr_value"] == "warn"


def test_a_template_is_never_changed(template: dict[str, Any]) -> None:
    """B45."""
    template["apps"][0]["port_map_list"][0]["labels"] = {"deep": "inside"}
    before = copy.deepcopy(template)
    check_template(template)
    for share in (WEB, REDIS, WORKER):
        found = target_of(template, {"share_uuid": share})
        found.of("port").get("80", {}).get("labels", {}).clear()
        for rows in found.items.values():
            for row in rows.values():
                row.clear()
    assert template == before


# ---------------------------------------------------------------- what is refused
FAULTS: list[tuple[tuple[Any, ...], Any, str]] = [
    (("template_version",), "v1", "template.template_version"),
    (("apps",), {}, "template.apps"),
    (("apps", 1), "canary", "template.apps.1"),
    (("plugins",), "canary", "template.plugins"),
    (("apps", 0, "service_share_uuid"), ["canary"], "template.apps.0.service_share_uuid"),
    (("apps", 0, "share_image"), {}, "template.apps.0.share_image"),
    (("apps", 0, "service_image"), "canary", "template.apps.0.service_image"),
    (("apps", 2, "service_slug"), ["canary"], "template.apps.2.service_slug"),
    (("apps", 0, "extend_method_map"), [1], "template.apps.0.extend_method_map"),
    (("apps", 0, "extend_method_map", "min_memory"), "canary", "template.apps.0.extend_method_map.min_memory"),
    (("apps", 0, "service_env_map_list"), "canary", "template.apps.0.service_env_map_list"),
    (("apps", 0, "service_env_map_list", 1, "attr_name"), "", "template.apps.0.service_env_map_list.1.attr_name"),
    (
        ("apps", 0, "service_env_map_list", 1, "attr_value"),
        ["canary"],
        "template.apps.0.service_env_map_list.1.attr_value",
    ),
    (
        ("apps", 0, "service_connect_info_map_list", 0, "container_port"),
        "canary",
        "template.apps.0.service_connect_info_map_list.0.container_port",
    ),
    (("apps", 0, "port_map_list", 1, "container_port"), True, "template.apps.0.port_map_list.1.container_port"),
    (
        ("apps", 0, "service_volume_map_list", 2, "volume_path"),
        None,
        "template.apps.0.service_volume_map_list.2.volume_path",
    ),
    (("apps", 0, "probes", 0), 1, "template.apps.0.probes.0"),
    (
        ("apps", 0, "service_related_plugin_config", 0, "attr"),
        {},
        "template.apps.0.service_related_plugin_config.0.attr",
    ),
]


@pytest.mark.parametrize(("where", "value", "field"), FAULTS)
def test_a_corrupt_template_is_refused_with_the_path_of_the_fault(
    template: dict[str, Any], where: tuple[Any, ...], value: Any, field: str
) -> None:
    *parents, last = where
    place: Any = template
    for name in parents:
        place = place[name]
    place[last] = value
    with pytest.raises(InvalidMessage) as refusal:
        check_template(template)
    assert refusal.value.field == field and "canary" not in str(refusal.value)


def test_a_component_without_any_name_is_refused(template: dict[str, Any]) -> None:
    template["apps"][1] |= {"service_share_uuid": None, "service_key": ""}
    with pytest.raises(InvalidMessage, match=r"template\.apps\.1 has neither service_share_uuid nor service_key"):
        check_template(template)


# ---------------------------------------------------------------- the plain form
PLAIN: dict[str, Any] = {
    "services": {"web": {"image": "shop:2.0", "envs": [{"name": "A", "value": "b"}]}, "db": {"image": "db:1"}}
}


@pytest.mark.parametrize("name", ["share_uuid", "service_key", "alias", "service_id"])
def test_a_plain_version_names_services_as_they_are_known(name: str) -> None:
    check_template(PLAIN)
    found = target_of(PLAIN, {name: "web", "version": "2.0", "group_key": "g"})
    assert found.of("image") == {"image": {"value": "shop:2.0"}, "version": {"value": "2.0"}}
    assert found.origin == {"group_key": "g", "version": "2.0"}


def test_a_plain_version_without_the_service_is_refused() -> None:
    with pytest.raises(NotFound) as refusal:
        target_of(PLAIN, {"alias": "cache"})
    assert refusal.value.code == "component-not-in-version"


def test_a_misspelt_field_of_a_plain_version_is_named() -> None:
    with pytest.raises(InvalidMessage) as refusal:
        check_template({"services": {"web": {"imgae": "canary"}}})
    assert refusal.value.field == "template.services.web.imgae" and "canary" not in str(refusal.value)
