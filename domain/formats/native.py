"""Our own plain form: what people write by hand in JSON, TOML or a message.

Apart from the foreign forms because here unknown fields are refused: a misspelt one that did nothing would
make the configuration a lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from domain.configuration import Configuration
from domain.errors import InvalidMessage, NotFound

Row = dict[str, Any]

_ORIGIN = ("group", "group_key", "version", "share_uuid", "service_key")
_VALUES = {"image": "image", "cmd": "cmd", "build": "deploy_version"}
_RESOURCES = {"memory": "min_memory", "nodes": "min_node", "cpu": "min_cpu"}
_REGISTRY = {"url": "hub_url", "user": "hub_user", "password": "hub_password", "namespace": "namespace"}


def read(document: Mapping[str, Any], path: str = "configuration") -> Configuration:
    """The items of a plain document; InvalidMessage names the path of the first fault."""
    items: dict[str, dict[str, Row]] = {}
    origin: dict[str, Any] = {}
    for name, value in document.items():
        where = f"{path}.{name}"
        if name in _ORIGIN:
            origin[name] = str(_scalar(value, where))
        elif name in _VALUES:
            items.setdefault("image", {})[_VALUES[name]] = {"value": str(_scalar(value, where))}
        elif name in _RESOURCES:
            items.setdefault("resources", {})[_RESOURCES[name]] = {"value": _scalar(value, where)}
        elif name == "slug":
            items.setdefault("slug", {})["slug_path"] = {"value": str(_scalar(value, where))}
        elif name == "registry":
            row = _fields(value, where, required=(), optional=tuple(_REGISTRY))
            items.setdefault("image", {})["registry"] = {_REGISTRY[key]: text for key, text in row.items()}
        elif name == "team_plugins":
            origin["plugins"] = dict(_object(value, where))
        elif name in _LISTS:
            _LISTS[name](items, value, where)
        else:
            known = ", ".join(sorted({*_ORIGIN, *_VALUES, *_RESOURCES, *_LISTS, "slug", "registry", "team_plugins"}))
            raise InvalidMessage(f"{where} is no field here; a configuration has {known}", field=where)
    if "version" in origin:
        items.setdefault("image", {})["version"] = {"value": origin["version"]}
    return Configuration(items, origin)


def target(services: Mapping[str, Any], origin: Mapping[str, Any]) -> Configuration:
    """What a version in the plain form wants of the service: found by share key, service key, alias or id."""
    for name in ("share_uuid", "service_key", "alias", "service_id"):
        found = services.get(str(origin.get(name) or ""))
        if found is not None:
            read_ = read(found)
            wanted = {key: origin[key] for key in ("group_key", "version") if origin.get(key)}
            items = {kind: dict(rows) for kind, rows in read_.items.items()}
            if "version" in wanted:
                items.setdefault("image", {}).setdefault("version", {"value": wanted["version"]})
            return Configuration(items, wanted)
    raise NotFound("the version has no service of this name", code="component-not-in-version")


# ---------------------------------------------------------------- lists
def _envs(scope: str, kind: str) -> Callable[[dict[str, dict[str, Row]], Any, str], None]:
    def take(items: dict[str, dict[str, Row]], value: Any, path: str) -> None:
        for where, entry in _entries(value, path):
            row = _fields(entry, where, ("name",), ("value", "secret", "scope", "changeable", "title"))
            own = str(row.get("scope") or scope)
            if own not in ((scope,) if scope == "outer" else ("inner", "both", "build")):
                raise InvalidMessage(f"{where}.scope cannot be {own!r} here", field=f"{where}.scope")
            kept: Row = {
                "name": str(row.get("title") or row["name"]), "attr_name": str(row["name"]),
                "attr_value": str(row.get("value") if row.get("value") is not None else ""),
                "is_change": bool(row.get("changeable", True)), "scope": own, "container_port": 0,
            }  # fmt: skip
            items.setdefault(kind, {})[kept["attr_name"]] = kept | ({"secret": True} if row.get("secret") else {})

    return take


def _ports(items: dict[str, dict[str, Row]], value: Any, path: str) -> None:
    for where, entry in _entries(value, path):
        row = _fields(entry, where, ("port",), ("protocol", "inner", "outer", "alias"))
        number = row["port"]
        if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= 65535:
            raise InvalidMessage(f"{where}.port must be a number from 1 to 65535", field=f"{where}.port")
        items.setdefault("port", {})[str(number)] = {
            "container_port": number, "mapping_port": number, "protocol": str(row.get("protocol") or "http"),
            "port_alias": str(row.get("alias") or ""), "is_inner_service": bool(row.get("inner")),
            "is_outer_service": bool(row.get("outer")),
        }  # fmt: skip


def _volumes(items: dict[str, dict[str, Row]], value: Any, path: str) -> None:
    for where, entry in _entries(value, path):
        row = _fields(entry, where, ("name", "path"), ("type",))
        items.setdefault("volume", {})[_absolute(row["path"], where)] = {
            "volume_name": str(row["name"]), "volume_path": row["path"],
            "volume_type": str(row.get("type") or "share-file"), "category": "",
        }  # fmt: skip


def _config_files(items: dict[str, dict[str, Row]], value: Any, path: str) -> None:
    for where, entry in _entries(value, path):
        row = _fields(entry, where, ("name", "path"), ("content",))
        items.setdefault("config_file", {})[_absolute(row["path"], where)] = {
            "volume_name": str(row["name"]), "volume_path": row["path"], "volume_type": "config-file", "category": "",
            "file_content": str(row.get("content") or ""),
        }  # fmt: skip


def _probes(items: dict[str, dict[str, Row]], value: Any, path: str) -> None:
    names = (
        "mode", "scheme", "path", "port", "cmd", "http_header", "initial_delay_second", "period_second",
        "timeout_second", "failure_threshold", "success_threshold", "is_used", "probe_id",
    )  # fmt: skip
    usual = {
        "mode": "readiness", "scheme": "tcp", "path": "", "port": 80, "cmd": "", "http_header": "",
        "initial_delay_second": 1, "period_second": 3, "timeout_second": 30, "failure_threshold": 3,
        "success_threshold": 1, "is_used": True,
    }  # fmt: skip
    for where, entry in _entries(value, path):
        row = usual | _fields(entry, where, (), names)
        items.setdefault("probe", {})[str(row["mode"])] = row


def _dependencies(items: dict[str, dict[str, Row]], value: Any, path: str) -> None:
    for where, entry in _entries(value, path):
        row = _fields({"service": entry} if isinstance(entry, str) else entry, where, ("service",), ("type",))
        items.setdefault("dependency", {})[str(row["service"])] = {
            "dep_service_id": str(row["service"]), "dep_service_type": str(row.get("type") or "application"),
            "dep_order": 0,
        }  # fmt: skip


def _mounts(items: dict[str, dict[str, Row]], value: Any, path: str) -> None:
    for where, entry in _entries(value, path):
        row = _fields(entry, where, ("service", "volume", "path"), ())
        items.setdefault("mount", {})[f"{row['service']}/{row['volume']}"] = {
            "dep_service_id": str(row["service"]), "mnt_name": str(row["volume"]),
            "mnt_dir": _absolute(row["path"], where),
        }  # fmt: skip


def _plugins(items: dict[str, dict[str, Row]], value: Any, path: str) -> None:
    for where, entry in _entries(value, path):
        row = _fields(entry, where, ("id",), ("key", "build", "enabled", "settings"))
        items.setdefault("plugin", {})[str(row["id"])] = {
            "plugin_id": str(row["id"]), "plugin_key": str(row.get("key") or ""),
            "build_version": str(row.get("build") or ""), "service_meta_type": "",
            "plugin_status": bool(row.get("enabled", True)), "config": list(row.get("settings") or ()),
        }  # fmt: skip


_LISTS: dict[str, Callable[[dict[str, dict[str, Row]], Any, str], None]] = {
    "envs": _envs("inner", "env"),
    "connection_info": _envs("outer", "connect_info"),
    "ports": _ports,
    "volumes": _volumes,
    "config_files": _config_files,
    "probes": _probes,
    "dependencies": _dependencies,
    "mounts": _mounts,
    "plugins": _plugins,
}


# ---------------------------------------------------------------- checks
def _entries(value: Any, path: str) -> list[tuple[str, Any]]:
    if not isinstance(value, list):
        raise InvalidMessage(f"{path} must be a list", field=path)
    return [(f"{path}.{number}", entry) for number, entry in enumerate(value)]


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidMessage(f"{path} must be an object", field=path)
    return value


def _fields(value: Any, path: str, required: tuple[str, ...], optional: tuple[str, ...]) -> Row:
    row = _object(value, path)
    for name in row:
        if name not in (*required, *optional):
            known = ", ".join((*required, *optional))
            raise InvalidMessage(f"{path}.{name} is no field here; it has {known}", field=f"{path}.{name}")
    for name in required:
        if row.get(name) in (None, ""):
            raise InvalidMessage(f"{path}.{name} is missing", field=f"{path}.{name}")
    return dict(row)


def _scalar(value: Any, path: str) -> Any:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise InvalidMessage(f"{path} must be a text or a number", field=path)
    return value


def _absolute(value: Any, path: str) -> str:
    if not isinstance(value, str) or not value.startswith("/"):
        raise InvalidMessage(f"{path}.path must be an absolute path", field=f"{path}.path")
    return value
