"""A console's export is read into items and written out again: every table, every column, every row."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from domain.changeset import ItemChange, Verb
from domain.configuration import Configuration
from domain.errors import InvalidMessage
from domain.formats import configuration_from, details_from, target_of

GOLDEN = Path(__file__).parents[3] / "golden"
TENANT, SERVICE = "b7584c080ad24fafaa812a7739174b50", "017756fa46214e03a7fa6f5082a7755b"


def golden(name: str) -> Any:
    return json.loads((GOLDEN / f"rainbond-{name}.json").read_text())


@pytest.fixture
def details() -> dict[str, Any]:
    found: dict[str, Any] = golden("details")
    return found


def again(document: Any) -> dict[str, Any]:
    return details_from(configuration_from(document), TENANT, SERVICE)


# ---------------------------------------------------------------- round trips
def test_every_table_column_and_row_comes_back_in_its_order(details: dict[str, Any]) -> None:
    assert again(details) == details


def test_they_come_back_also_after_the_document_was_kept_as_json(details: dict[str, Any]) -> None:
    kept = json.loads(json.dumps(configuration_from(details).document()))
    assert details_from(Configuration.load(kept), TENANT, SERVICE) == details


def test_a_backup_that_was_stored_as_a_list_is_its_first_item() -> None:
    service, ids = golden("backup-list")
    assert configuration_from([service, ids]) == configuration_from(service)
    assert again([service, ids]) == service


def test_reading_and_writing_change_nothing_that_they_are_given(details: dict[str, Any]) -> None:
    """B7: restores used to work on the backup's own rows."""
    given = copy.deepcopy(details)
    configuration = configuration_from(given)
    first = configuration.document()
    kept = copy.deepcopy(first)
    details_from(configuration, TENANT, SERVICE)["service_volumes"][0]["ID"] = "changed"
    details_from(configuration, TENANT, SERVICE)["service_labels"].clear()
    assert given == details and configuration.document() == kept
    configuration.rest["document"]["service_labels"].clear()
    assert given == details


@pytest.mark.parametrize("section", ["service_env_vars", "service_mnts", "service_source", "service_labels"])
@pytest.mark.parametrize("absent", [True, False])
def test_a_section_that_is_absent_or_null_stays_so(details: dict[str, Any], section: str, absent: bool) -> None:
    if absent:
        del details[section]
    else:
        details[section] = None
    assert again(details) == details


@pytest.mark.parametrize("column", ["image", "cmd", "deploy_version", "min_memory", "min_cpu"])
def test_a_column_of_the_service_that_is_null_comes_back_as_null(details: dict[str, Any], column: str) -> None:
    details["service_base"][column] = None
    assert column not in {**configuration_from(details).of("image"), **configuration_from(details).of("resources")}
    assert again(details) == details


def test_a_row_whose_place_is_taken_is_kept_but_is_no_item(details: dict[str, Any]) -> None:
    """Only a console's code keeps names unique; of two rows the region has the first."""
    second = details["service_env_vars"][1] | {"ID": 999, "attr_value": "second", "scope": "outer"}
    details["service_env_vars"].append(second)
    configuration = configuration_from(details)
    assert configuration.of("env")["LOG_LEVEL"]["attr_value"] == "debug"
    assert "LOG_LEVEL" not in configuration.of("connect_info")
    assert details_from(configuration, TENANT, SERVICE) == details


def test_a_content_that_is_null_comes_back_as_null(details: dict[str, Any]) -> None:
    details["service_config_file"][0]["file_content"] = None
    assert configuration_from(details).of("config_file")["/etc/web/tls.pem"]["file_content"] == ""
    assert again(details) == details


# ---------------------------------------------------------------- what is read
def test_contents_find_their_files_by_the_id_of_the_volume(details: dict[str, Any]) -> None:
    files = configuration_from(details).of("config_file")
    assert {path: row["file_content"] for path, row in files.items()} == {
        "/etc/web/app.conf": "mode=prod\n",
        "/etc/web/tls.pem": "golden-file-secret\n",
    }


def test_settings_belong_to_their_plugin_and_lost_ones_to_none(details: dict[str, Any]) -> None:
    plugins = configuration_from(details).of("plugin")
    assert {key: [row["ID"] for row in plugin["config"]] for key, plugin in plugins.items()} == {
        "5390411df0624309a2c64630194cda73": [1, 3],
        "0a1b2c3d4e5f60718293a4b5c6d7e8f9": [2],
    }


def test_a_variable_keeps_its_scope_and_whether_it_may_be_changed(details: dict[str, Any]) -> None:
    """B11."""
    configuration = configuration_from(details)
    found = {**configuration.of("env"), **configuration.of("connect_info")}
    assert {name: (row["scope"], row["is_change"]) for name, row in found.items()} == {
        "LOG_LEVEL": ("inner", True),
        "BUILD_PROCFILE": ("build", True),
        "SHOP_TOKEN": ("both", True),
        "WEB_ADMIN": ("outer", False),
        "WEB_HOST": ("outer", False),
    }


def test_there_is_one_probe_for_each_mode(details: dict[str, Any]) -> None:
    assert set(configuration_from(details).of("probe")) == {"readiness", "liveness"}


def test_where_it_came_from_is_told(details: dict[str, Any]) -> None:
    origin = configuration_from(details).origin
    assert origin["group_key"] == details["service_source"]["group_key"]
    assert (origin["version"], origin["group"], origin["cloud"]) == ("v1.0", "12", False)
    assert origin["share_uuid"] == details["service_source"]["service_share_uuid"]
    assert origin["service_key"] == details["service_base"]["service_key"]


def test_registries_are_read_from_the_text_column() -> None:
    image, slug = configuration_from(golden("details")), configuration_from(golden("backup-list"))
    assert image.of("image")["registry"]["hub_user"] == "robot" and not image.of("slug")
    assert slug.of("slug")["registry"]["ftp_host"] == "ftp.example" and "registry" not in slug.of("image")
    assert slug.of("slug")["slug_path"]["value"].endswith("worker_20190423101731_v1.0.tgz")
    assert slug.origin["cloud"] is True and slug.origin["group"] is None


@pytest.mark.parametrize(
    "told",
    [
        {"perf": "5390411df0624309a2c64630194cda73"},
        [{"plugin_id": "5390411df0624309a2c64630194cda73", "origin_share_id": "perf"}],
        [{"plugin_id": "5390411df0624309a2c64630194cda73", "plugin_key": "perf"}],
    ],
)
@pytest.mark.parametrize("beside", [True, False])
def test_keys_of_plugins_are_told_inside_or_beside_the_export(details: dict[str, Any], told: Any, beside: bool) -> None:
    configuration = configuration_from([details, told] if beside else details | {"plugins": told})
    assert configuration.origin["plugins"] == {"perf": "5390411df0624309a2c64630194cda73"}
    assert [row["plugin_key"] for row in configuration.of("plugin").values()] == ["perf", ""]


def test_ids_of_plugins_alone_tell_no_keys(details: dict[str, Any]) -> None:
    assert configuration_from([details, ["5390411df0624309a2c64630194cda73"]]).origin["plugins"] == {}


# ---------------------------------------------------------------- what is written after changes
def change(kind: str, key: str, after: dict[str, Any] | None, before: dict[str, Any] | None = None) -> ItemChange:
    return ItemChange(kind, key, Verb.DELETE if after is None else Verb.UPDATE if before else Verb.ADD, before, after)


def test_a_changed_content_is_written_to_the_row_that_it_came_from(details: dict[str, Any]) -> None:
    configuration = configuration_from(details)
    row = configuration.of("config_file")["/etc/web/app.conf"]
    changed = configuration.changed(
        [change("config_file", "/etc/web/app.conf", row | {"file_content": "mode=test\n"}, row)]
    )
    details["service_config_file"][1]["file_content"] = "mode=test\n"
    assert details_from(changed, TENANT, SERVICE) == details


def test_a_file_that_an_upgrade_added_keeps_its_content_through_another_export(details: dict[str, Any]) -> None:
    """B7: the content finds its volume by an id, so a new volume needs one."""
    row = {"volume_name": "more", "volume_path": "/etc/more", "volume_type": "config-file", "file_content": "more\n"}
    changed = configuration_from(details).changed([change("config_file", "/etc/more", row)])
    exported = details_from(changed, TENANT, SERVICE)
    volume = exported["service_volumes"][-1]
    assert (volume["volume_path"], volume["service_id"]) == ("/etc/more", SERVICE) and volume["ID"] < 0
    assert configuration_from(exported).of("config_file")["/etc/more"]["file_content"] == "more\n"


def test_an_item_that_is_gone_leaves_no_row(details: dict[str, Any]) -> None:
    plugin_id = "5390411df0624309a2c64630194cda73"
    exported = details_from(configuration_from(details).changed([change("plugin", plugin_id, None)]), TENANT, SERVICE)
    assert [row["ID"] for row in exported["service_plugin_relation"]] == [2]
    assert [row["ID"] for row in exported["service_plugin_config"]] == [2, 7]


def test_a_new_row_belongs_to_the_tenant_and_the_service_and_has_only_columns(details: dict[str, Any]) -> None:
    mount = {"dep_service_id": "d" * 32, "mnt_name": "m", "mnt_dir": "/m", "volume_type": "local", "file_content": ""}
    changed = configuration_from(details).changed([change("mount", f"{'d' * 32}/m", mount)])
    assert details_from(changed, TENANT, SERVICE)["service_mnts"][-1] == {
        "tenant_id": TENANT, "service_id": SERVICE, "dep_service_id": "d" * 32, "mnt_name": "m", "mnt_dir": "/m",
    }  # fmt: skip


def test_after_an_upgrade_the_source_names_the_version_and_where_it_was_pulled_from(details: dict[str, Any]) -> None:
    installed = configuration_from(details)
    target = target_of(golden("template"), dict(installed.origin) | {"version": "v2.0"})
    changes = [change("image", key, row, installed.of("image").get(key)) for key, row in target.of("image").items()]
    upgraded = Configuration(installed.changed(changes).items, {**installed.origin, **target.origin}, installed.rest)
    exported = details_from(upgraded, TENANT, SERVICE)
    info = json.loads(exported["service_source"]["extend_info"])
    assert exported["service_source"]["version"] == "v2.0"
    assert exported["service_base"]["image"] == "goodrain.me/acme/web:20190516112845_v2.0"
    assert (info["source_deploy_version"], info["hub_url"]) == ("20190516112845", "goodrain.me")
    assert configuration_from(exported).of("image") == upgraded.of("image")


def test_a_service_of_the_plain_form_can_be_exported() -> None:
    plain = {
        "image": "shop:1.4", "memory": 512, "version": "1.4", "group_key": "g" * 32, "share_uuid": "k+s",
        "envs": [{"name": "A", "value": "b", "secret": True}], "registry": {"url": "hub.example", "user": "u"},
        "config_files": [{"name": "c", "path": "/c", "content": "x"}, {"name": "d", "path": "/d", "content": "y"}],
        "plugins": [{"id": "p", "settings": [{"injection": "env", "attrs": "{}"}]}],
    }  # fmt: skip
    configuration = configuration_from(plain)
    exported = details_from(configuration, TENANT, SERVICE)
    assert exported["service_base"]["service_id"] == SERVICE and "secret" not in exported["service_env_vars"][0]
    read = configuration_from(exported)
    for kind in ("image", "resources", "port", "volume"):
        assert read.of(kind) == configuration.of(kind)
    assert [row["file_content"] for row in read.of("config_file").values()] == ["x", "y"]
    assert len(read.of("plugin")["p"]["config"]) == 1
    assert (read.origin["version"], read.origin["share_uuid"]) == ("1.4", "k+s")


# ---------------------------------------------------------------- what is refused
FAULTS: list[tuple[tuple[Any, ...], Any, str]] = [
    (("service_base",), None, "configuration.service_base"),
    (("service_base",), [], "configuration.service_base"),
    (("service_base", "service_key"), {}, "configuration.service_base.service_key"),
    (("service_source",), "golden", "configuration.service_source"),
    (("service_source", "extend_info"), "{canary", "configuration.service_source.extend_info"),
    (("service_source", "extend_info"), "[1]", "configuration.service_source.extend_info"),
    (("service_source", "extend_info"), "[" * 100_000, "configuration.service_source.extend_info"),
    (("service_env_vars",), {}, "configuration.service_env_vars"),
    (("service_env_vars", 1), "canary", "configuration.service_env_vars.1"),
    (("service_env_vars", 1, "attr_name"), None, "configuration.service_env_vars.1.attr_name"),
    (("service_env_vars", 1, "attr_name"), 7, "configuration.service_env_vars.1.attr_name"),
    (("service_ports", 0, "container_port"), "80", "configuration.service_ports.0.container_port"),
    (("service_ports", 0, "container_port"), 70_000, "configuration.service_ports.0.container_port"),
    (("service_volumes", 2, "volume_path"), "", "configuration.service_volumes.2.volume_path"),
    (("service_volumes", 2, "volume_name"), None, "configuration.service_volumes.2.volume_name"),
    (("service_probes", 0, "mode"), ["canary"], "configuration.service_probes.0.mode"),
    (("service_relation", 0, "dep_service_id"), None, "configuration.service_relation.0.dep_service_id"),
    (("service_mnts", 0, "mnt_dir"), None, "configuration.service_mnts.0.mnt_dir"),
    (("service_plugin_relation", 0, "plugin_id"), 5, "configuration.service_plugin_relation.0.plugin_id"),
    (("plugins",), {"perf": ["canary"]}, "configuration.plugins.perf"),
]


@pytest.mark.parametrize(("where", "value", "field"), FAULTS)
def test_a_corrupt_export_is_refused_with_the_path_of_the_fault(
    details: dict[str, Any], where: tuple[Any, ...], value: Any, field: str
) -> None:
    *parents, last = where
    place: Any = details
    for name in parents:
        place = place[name]
    place[last] = value
    with pytest.raises(InvalidMessage) as refusal:
        configuration_from(details)
    assert refusal.value.field == field and field in str(refusal.value)
    assert "canary" not in str(refusal.value) and "golden" not in str(refusal.value)


def test_sections_without_the_service_are_told_what_is_missing() -> None:
    with pytest.raises(InvalidMessage, match=r"configuration\.service_base is missing"):
        configuration_from({"service_env_vars": []})
