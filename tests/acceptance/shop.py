"""The worked example: a web service installed as v1 in a group with redis and mysql, and its version v2.

Rows are as a platform's console exports them; the region is told the same before a test begins.
"""

from __future__ import annotations

import copy
import itertools
from typing import Any

_numbers = itertools.count(1)

REDIS_SHARE = "280d3a0fc5954745a9f70b7e15a517d5+1994d780485842a189441ed3eaa78d3b"
MYSQL_SHARE = "1b3d3a0fc5954745a9f70b7e15a517d5+2994d780485842a189441ed3eaa78d3b"
WEB_SHARE = "2669c2cec6bc7bf5aab29a0ea2703d66+017756fa46214e03a7fa6f5082a7755b"
GROUP_KEY = "7c27bc7c69994ba99de15a99f3001fa8"
V1_IMAGE, V2_IMAGE = "goodrain.me/acme/web:20190423101731_v1.0", "goodrain.me/acme/web:20190516112845_v2.0"
REGISTRY_PASSWORD = "registry-canary-91c4"


class Names:
    """Ids of one test's services, 32 hex digits as platforms give out."""

    def __init__(self) -> None:
        number = next(_numbers)
        self.web, self.redis, self.mysql, self.stranger = (f"{number:08x}{kind * 24}" for kind in "abcd")
        self.group = f"shop-{number}"

    def alias(self, service_id: str) -> str:
        return f"gr{service_id[:8]}{service_id[-1]}"


def env(name: str, value: str, *, scope: str = "inner", port: int = 0, change: bool = True) -> dict[str, Any]:
    return {
        "name": name, "attr_name": name, "attr_value": value, "is_change": change, "scope": scope,
        "container_port": port,
    }  # fmt: skip


def port(number: int, *, inner: bool, outer: bool, alias: str = "WEB") -> dict[str, Any]:
    return {
        "container_port": number, "mapping_port": number, "protocol": "http", "port_alias": f"{alias}{number}",
        "is_inner_service": inner, "is_outer_service": outer,
    }  # fmt: skip


def volume(name: str, path: str, kind: str = "share-file") -> dict[str, Any]:
    return {"volume_name": name, "volume_path": path, "volume_type": kind, "category": "app_publish"}


PROBE = {
    "probe_id": "256417287767497e96a9f76f08a4eec1", "mode": "readiness", "scheme": "tcp", "path": "", "port": 80,
    "cmd": "", "http_header": "", "initial_delay_second": 2, "period_second": 3, "timeout_second": 30,
    "failure_threshold": 3, "success_threshold": 1, "is_used": True,
}  # fmt: skip


def details(names: Names, service_id: str, **changes: Any) -> dict[str, Any]:
    """Service details as a console exports them; `changes` replace sections."""
    share = {names.web: WEB_SHARE, names.redis: REDIS_SHARE, names.mysql: MYSQL_SHARE}[service_id]
    web = service_id == names.web
    found: dict[str, Any] = {
        "service_base": {
            "service_id": service_id, "tenant_id": "acme", "service_key": share.partition("+")[0],
            "service_alias": names.alias(service_id), "service_cname": "web" if web else "provider",
            "version": "1.0.0", "image": V1_IMAGE if web else "goodrain.me/acme/provider:1", "cmd": "start web",
            "deploy_version": "20190423101731", "min_memory": 512, "min_node": 1, "min_cpu": 80,
            "extend_method": "stateless", "service_source": "market", "tenant_service_group_id": 7,
        },
        "service_source": {
            "service": service_id, "group_key": GROUP_KEY, "version": "v1.0", "service_share_uuid": share,
            "extend_info": '{"source_deploy_version": "20190423101731"}',
        },
        "service_env_vars": [env("LOG_LEVEL", "debug"), env("WEB_ADMIN", "admin", scope="outer", change=False)],
        "service_ports": [port(80, inner=True, outer=False)]
        if web
        else [port(6379, inner=True, outer=False, alias="DB")],
        "service_volumes": [
            {"ID": 1, "service_id": service_id, **volume("data", "/var/lib/web")},
            {"ID": 2, "service_id": service_id, **volume("appconf", "/etc/web/app.conf", "config-file")},
        ] if web else [{"ID": 1, "service_id": service_id, **volume("redisdata", "/data")}],
        "service_config_file": [{"ID": 1, "service_id": service_id, "volume_id": 2, "file_content": "mode=prod\n"}]
        if web else [],
        "service_probes": [{"ID": 1, "service_id": service_id, **PROBE}] if web else [],
        "service_relation": [
            {"ID": 1, "service_id": service_id, "dep_service_id": names.mysql, "dep_service_type": "application",
             "dep_order": 0}
        ] if web else [],
        "service_mnts": [],
        "service_plugin_relation": [
            {"service_id": service_id, "plugin_id": "old_net_plugin_id", "build_version": "20190101000000",
             "service_meta_type": "upstream_port", "plugin_status": True}
        ] if web else [],
        "service_plugin_config": [],
    }  # fmt: skip
    return found | changes


COMPONENT: dict[str, Any] = {
    "service_key": "2669c2cec6bc7bf5aab29a0ea2703d66", "service_share_uuid": WEB_SHARE,
    "service_id": "017756fa46214e03a7fa6f5082a7755b", "service_cname": "web", "extend_method": "stateless",
    "share_type": "image", "version": "2.0.0", "deploy_version": "20190516112845",
    "image": "hub.example/acme/web:2.0.0", "share_image": V2_IMAGE,
    "service_image": {"hub_url": "goodrain.me", "hub_user": "robot", "hub_password": REGISTRY_PASSWORD,
                      "namespace": "acme", "is_trust": False},
    "cmd": "start web --workers 4",
    "extend_method_map": {"min_node": 2, "max_node": 20, "step_node": 1, "min_memory": 1024, "max_memory": 65536,
                          "step_memory": 128, "is_restart": 0},
    "service_env_map_list": [
        {"name": "LOG_LEVEL", "attr_name": "LOG_LEVEL", "attr_value": "warn", "is_change": True},
        {"name": "CACHE_URL", "attr_name": "CACHE_URL", "attr_value": "redis://127.0.0.1:6379", "is_change": True},
    ],
    "service_connect_info_map_list": [
        {"name": "admin user", "attr_name": "WEB_ADMIN", "attr_value": "admin", "is_change": False,
         "container_port": 0},
        {"name": "admin password", "attr_name": "WEB_ADMIN_PASS", "attr_value": "**None**", "is_change": False,
         "container_port": 0},
    ],
    "port_map_list": [
        {"container_port": 80, "protocol": "http", "port_alias": "GRA7755B80", "is_inner_service": True,
         "is_outer_service": True},
        {"container_port": 9090, "protocol": "http", "port_alias": "GRA7755B9090", "is_inner_service": True,
         "is_outer_service": False},
    ],
    "service_volume_map_list": [
        {**volume("data", "/var/lib/web"), "file_content": ""},
        {**volume("cache", "/var/cache/web"), "file_content": ""},
        {**volume("appconf", "/etc/web/app.conf", "config-file"), "file_content": "mode=prod\ncache=on\n"},
    ],
    "probes": [{**PROBE, "ID": 1, "service_id": "017756fa46214e03a7fa6f5082a7755b", "scheme": "http",
                "path": "/healthz", "timeout_second": 20}],
    "dep_service_map_list": [{"dep_service_key": REDIS_SHARE}],
    "mnt_relation_list": [{"service_share_uuid": REDIS_SHARE, "mnt_name": "redisdata", "mnt_dir": "/mnt/redis"}],
    "service_related_plugin_config": [
        {"plugin_key": "perf_analyze_plugin", "plugin_status": True, "build_version": "20190423235343",
         "service_meta_type": "",
         "attr": [{"service_meta_type": "upstream_port", "injection": "auto", "container_port": 80, "protocol": "http",
                   "dest_service_id": "", "dest_service_alias": "", "attrs": '{"OPEN": "YES"}'}]}
    ],
}  # fmt: skip


def template(version: str = "v2.0", *components: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Version template v2 with the web component (or other ones); `changes` replace its fields."""
    apps = list(components) or [copy.deepcopy(COMPONENT) | changes]
    return {
        "template_version": "v2", "group_key": GROUP_KEY, "group_name": "shop", "group_version": version,
        "plugins": [{"plugin_key": "perf_analyze_plugin", "plugin_alias": "perf analysis",
                     "plugin_id": "5390411df0624309a2c64630194cda73", "build_version": "20190423235343"}],
        "apps": apps,
    }  # fmt: skip


def group_template() -> dict[str, Any]:
    """A version of all three services: another build of each."""
    builds = []
    for share in (WEB_SHARE, REDIS_SHARE, MYSQL_SHARE):
        bare = {"service_share_uuid": share, "service_key": share.partition("+")[0], "version": "2.0.0"}
        builds.append(bare | {"deploy_version": "20200202000000", "share_image": f"goodrain.me/acme/{share[:4]}:2"})
    return template("g2", *builds)


def component_as_installed(**changes: Any) -> dict[str, Any]:
    """The web component exactly as v1 installed it: upgrading to it changes nothing."""
    same = copy.deepcopy(COMPONENT) | {
        "version": "1.0.0", "deploy_version": "20190423101731", "share_image": V1_IMAGE, "cmd": "start web",
        "service_image": {},
        "service_env_map_list": [{"name": "LOG_LEVEL", "attr_name": "LOG_LEVEL", "attr_value": "debug"}],
        "service_connect_info_map_list": [], "port_map_list": [port(80, inner=True, outer=False)],
        "service_volume_map_list": [], "probes": [dict(PROBE)], "dep_service_map_list": [], "mnt_relation_list": [],
        "service_related_plugin_config": [],
    }  # fmt: skip
    return same | changes
