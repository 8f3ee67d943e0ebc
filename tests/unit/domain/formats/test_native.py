"""The plain form: what each field becomes, what is left out, and that nothing misspelt gets through."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from domain.errors import InvalidMessage
from domain.formats import configuration_from

WHOLE: dict[str, Any] = {
    "image": "shop:1.4", "cmd": "serve", "version": "1.4", "build": "20260101000000", "slug": "/slugs/shop.tgz",
    "registry": {"url": "hub.example", "user": "robot", "password": "canary"},
    "group": "shop", "group_key": "g1", "share_uuid": "k+s", "service_key": "k",
    "memory": 512, "cpu": 80, "nodes": 2, "team_plugins": {"perf": "p1"},
    "envs": [{"name": "DB_PASSWORD", "value": "canary", "secret": True},
             {"name": "WORKERS", "value": 4, "scope": "both"}],
    "connection_info": [{"name": "ADMIN", "value": "root", "changeable": False}],
    "ports": [{"port": 80, "protocol": "http", "inner": True, "outer": False, "alias": "WEB"}, {"port": 9000}],
    "volumes": [{"name": "data", "path": "/data", "type": "local"}],
    "config_files": [{"name": "conf", "path": "/etc/conf", "content": "canary"}],
    "probe": {"scheme": "http", "path": "/healthz"},
    "dependencies": [{"service": "redis"}, "mysql"],
    "mounts": [{"service": "redis", "volume": "data", "path": "/mnt"}],
    "plugins": [{"id": "p1", "key": "perf", "settings": [{"attrs": "{}"}]}],
}  # fmt: skip


def test_every_field_becomes_an_item_or_a_part_of_the_origin() -> None:
    found = configuration_from(WHOLE)
    assert {kind: sorted(rows) for kind, rows in found.items.items()} == {
        "image": ["cmd", "deploy_version", "image", "registry", "version"],
        "slug": ["slug_path"],
        "resources": ["min_cpu", "min_memory", "min_node"],
        "env": ["DB_PASSWORD", "WORKERS"],
        "connect_info": ["ADMIN"],
        "port": ["80", "9000"],
        "volume": ["/data"],
        "config_file": ["/etc/conf"],
        "probe": ["readiness"],
        "dependency": ["mysql", "redis"],
        "mount": ["redis/data"],
        "plugin": ["p1"],
    }
    assert found.origin == {
        "version": "1.4", "group": "shop", "group_key": "g1", "share_uuid": "k+s", "service_key": "k",
        "plugins": {"perf": "p1"},
    }  # fmt: skip


def test_a_variable_has_the_columns_of_a_console_and_says_whether_it_is_secret() -> None:
    envs = configuration_from(WHOLE).of("env")
    assert envs["DB_PASSWORD"] == {
        "name": "DB_PASSWORD", "attr_name": "DB_PASSWORD", "attr_value": "canary", "is_change": True,
        "scope": "inner", "container_port": 0, "secret": True,
    }  # fmt: skip
    assert (envs["WORKERS"]["attr_value"], envs["WORKERS"]["scope"]) == ("4", "both") and "secret" not in envs[
        "WORKERS"
    ]


def test_a_port_that_says_nothing_is_closed() -> None:
    assert configuration_from(WHOLE).of("port")["9000"] == {
        "container_port": 9000, "mapping_port": 9000, "protocol": "http", "port_alias": "",
        "is_inner_service": False, "is_outer_service": False,
    }  # fmt: skip


def test_one_probe_or_a_list_of_them_is_the_same() -> None:
    one = configuration_from({"probe": {"port": 81}})
    assert one == configuration_from({"probes": [{"port": 81}]})
    assert one.of("probe")["readiness"]["timeout_second"] == 30


def test_an_empty_document_is_an_empty_configuration() -> None:
    assert configuration_from({}).items == {}


def test_reading_changes_nothing_that_it_is_given() -> None:
    given = copy.deepcopy(WHOLE)
    configuration_from(given).of("plugin")["p1"]["config"][0]["attrs"] = "changed"
    assert given == WHOLE


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"password": "canary"}, "password"),
    ({"image": ["canary"]}, "image"),
    ({"image": True}, "image"),
    ({"memory": "canary"}, "memory"),
    ({"memory": -1}, "memory"),
    ({"nodes": True}, "nodes"),
    ({"group": {"name": "canary"}}, "group"),
    ({"registry": {"token": "canary"}}, "registry.token"),
    ({"registry": {"password": ["canary"]}}, "registry.password"),
    ({"team_plugins": {"perf": 1}}, "team_plugins.perf"),
    ({"envs": {"A": "canary"}}, "envs"),
    ({"envs": ["canary"]}, "envs.0"),
    ({"envs": [{"value": "canary"}]}, "envs.0.name"),
    ({"envs": [{"name": ["canary"]}]}, "envs.0.name"),
    ({"envs": [{"name": "A", "value": {"x": "canary"}}]}, "envs.0.value"),
    ({"envs": [{"name": "A", "value": "canary", "scope": "outer"}]}, "envs.0.scope"),
    ({"envs": [{"name": "A", "value": "canary", "scope": ["x"]}]}, "envs.0.scope"),
    ({"envs": [{"name": "A", "secret": "canary"}]}, "envs.0.secret"),
    ({"envs": [{"name": "A"}, {"name": "A"}]}, "envs.1.name"),
    ({"envs": [{"name": "A"}], "connection_info": [{"name": "A"}]}, "connection_info.0.name"),
    ({"connection_info": [{"name": "A", "scope": "inner"}]}, "connection_info.0.scope"),
    ({"ports": [{"port": "80"}]}, "ports.0.port"),
    ({"ports": [{"port": 0}]}, "ports.0.port"),
    ({"ports": [{"port": 80}, {"port": 80}]}, "ports.1.port"),
    ({"ports": [{"port": 80, "outer": "no"}]}, "ports.0.outer"),
    ({"volumes": [{"name": "a", "path": "data"}]}, "volumes.0.path"),
    ({"volumes": [{"name": "a", "path": "/a", "type": "config-file"}]}, "volumes.0.type"),
    ({"volumes": [{"name": "a", "path": "/a"}, {"name": "a", "path": "/b"}]}, "volumes.1.name"),
    ({"volumes": [{"name": "a", "path": "/a"}], "config_files": [{"name": "b", "path": "/a"}]}, "config_files.0.path"),
    ({"probe": {"port": "canary"}}, "probe.port"),
    ({"probe": {"period_second": "canary"}}, "probe.period_second"),
    ({"probe": {}, "probes": [{}]}, "probes.0.mode"),
    ({"dependencies": [{"service": "a"}, "a"]}, "dependencies.1.service"),
    ({"mounts": [{"service": "a", "volume": "v", "path": "mnt"}]}, "mounts.0.path"),
    ({"plugins": [{"id": "p", "settings": ["canary"]}]}, "plugins.0.settings.0"),
]


@pytest.mark.parametrize(("document", "field"), FAULTS)
def test_a_faulty_field_is_named_and_its_value_is_not(document: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        configuration_from(document)
    assert refusal.value.field == f"configuration.{field}"
    assert str(refusal.value).startswith(f"configuration.{field} ") and "canary" not in str(refusal.value)


def test_an_unknown_field_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(InvalidMessage, match="is no field here; a configuration has build, cmd, config_files"):
        configuration_from({"evns": []})


def test_a_name_of_any_length_is_cut_in_the_answer() -> None:
    with pytest.raises(InvalidMessage) as refusal:
        configuration_from({"x" * 10_000: 1})
    assert len(str(refusal.value)) < 500
