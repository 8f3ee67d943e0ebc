"""What a region must hold of one service that has something of everything, written down by hand.

Apart from the mirror, which finds it with the product's own calls: a wrong call would be mirrored.
"""

from __future__ import annotations

from typing import Any

from domain.formats import configuration_from
from domain.service import Service
from tests.simulation.mirror import told

WEB, DB = "a" * 32, "d" * 32
PLAIN: dict[str, Any] = {
    "image": "registry/web:v1", "cmd": "start --fast", "build": "b1", "memory": 512,
    "envs": [
        {"name": "MODE", "value": "prod", "title": "Mode"},
        {"name": "KEY", "value": "s3cret", "secret": True, "scope": "both", "changeable": False},
    ],
    "connection_info": [{"name": "WEB_HOST", "value": "127.0.0.1"}],
    "ports": [
        {"port": 80, "inner": True, "outer": True, "alias": "WEB"},
        {"port": 5353, "protocol": "udp", "alias": "DNS"},
    ],
    "volumes": [{"name": "cache", "path": "/var/cache", "type": "memoryfs"}],
    "config_files": [{"name": "conf", "path": "/etc/web.conf", "content": "a=1\n"}],
    "probes": [
        {"mode": "readiness", "scheme": "http", "path": "/ready", "http_header": "Host=web", "probe_id": "1" * 32,
         "timeout_second": 7},
        {"mode": "liveness", "port": 81, "cmd": "true", "probe_id": "2" * 32, "is_used": False},
    ],
    "dependencies": [DB],
    "mounts": [{"service": DB, "volume": "data", "path": "/mnt/db"}],
    "plugins": [
        {"id": "p1", "key": "perf", "build": "20240101", "settings": [
            {"injection": "auto", "service_meta_type": "upstream_port", "container_port": 80, "protocol": "http",
             "attrs": {"LIMIT": "10"}},
            {"injection": "env", "service_meta_type": "un_define", "attrs": {"LEVEL": "3"}},
        ]},
    ],
}  # fmt: skip
PROVIDER: dict[str, Any] = {
    "image": "registry/db:v1",
    "ports": [{"port": 5432, "protocol": "tcp", "inner": True, "alias": "DB"}],
    "volumes": [{"name": "data", "path": "/data"}],
}
HELD: dict[str, Any] = {
    "service_id": "a" * 32, "alias": "gra", "image": "registry/web:v1",
    "envs": [
        {"env_name": "MODE", "env_value": "prod", "name": "Mode", "scope": "inner", "is_change": True,
         "container_port": 0},
        {"env_name": "KEY", "env_value": "s3cret", "name": "KEY", "scope": "both", "is_change": False,
         "container_port": 0},
        {"env_name": "WEB_HOST", "env_value": "127.0.0.1", "name": "WEB_HOST", "scope": "outer", "is_change": True,
         "container_port": 0},
    ],
    "ports": [
        {"container_port": 80, "mapping_port": 80, "protocol": "http", "port_alias": "WEB",
         "is_inner_service": True, "is_outer_service": True},
        {"container_port": 5353, "mapping_port": 5353, "protocol": "udp", "port_alias": "DNS",
         "is_inner_service": False, "is_outer_service": False},
    ],
    "volumes": [
        {"volume_name": "cache", "volume_path": "/var/cache", "volume_type": "memoryfs", "category": "",
         "file_content": ""},
        {"volume_name": "conf", "volume_path": "/etc/web.conf", "volume_type": "config-file", "category": "",
         "file_content": "a=1\n"},
    ],
    "probes": [
        {"probe_id": "11111111111111111111111111111111", "service_id": "a" * 32, "mode": "readiness",
         "scheme": "http", "path": "/ready", "cmd": "", "http_header": "Host=web", "port": 80,
         "initial_delay_second": 1, "period_second": 3, "timeout_second": 7, "failure_threshold": 3,
         "success_threshold": 1, "is_used": 1},
        {"probe_id": "22222222222222222222222222222222", "service_id": "a" * 32, "mode": "liveness",
         "scheme": "tcp", "path": "", "cmd": "true", "http_header": "", "port": 81,
         "initial_delay_second": 1, "period_second": 3, "timeout_second": 30, "failure_threshold": 3,
         "success_threshold": 1, "is_used": 0},
    ],
    "deps": [{"dep_service_id": "d" * 32, "dep_service_type": "application"}],
    "depvolumes": [
        {"depend_service_id": "d" * 32, "volume_name": "data", "volume_path": "/mnt/db", "volume_type": "share-file"},
    ],
    "plugins": [
        {"plugin_id": "p1", "version_id": "20240101", "switch": True, "plugin_cpu": 0, "plugin_memory": 0,
         "config_envs": {
             "normal_envs": [{"env_name": "LEVEL", "env_value": "3"}],
             "complex_envs": {
                 "base_ports": [{"service_id": "a" * 32, "service_alias": "gra", "port": 80, "protocol": "http",
                                 "options": {"LIMIT": "10"}}],
                 "base_services": [],
                 "base_normal": {"options": {}},
             },
         }},
    ],
}  # fmt: skip


def test_a_region_is_told_everything_in_its_own_words() -> None:
    """I19: the columns and values of docs/region.md, as no code of the product has put them together."""
    services = [_service(WEB, "gra", PLAIN), _service(DB, "grd", PROVIDER)]
    held = told(services).root["tenants"]["acme"]["gra"]
    assert {name: held[name] for name in HELD} == HELD


def _service(service_id: str, alias: str, plain: dict[str, Any]) -> Service:
    document = configuration_from(plain).document()
    return Service(service_id, "acme", alias, alias, region="eu-1", group_id="g1", document=document)
