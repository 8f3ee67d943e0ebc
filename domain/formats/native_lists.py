"""The lists of the plain form: variables, ports, volumes, files, probes, relations and plugins.

Apart from its single fields because each list is a table of its own, with columns that a console names
otherwise. What is left out gets the value that a console would give it.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from domain.formats.shapes import (
    LONGEST_NAME,
    Row,
    entries,
    fault,
    mapping,
    optional_text,
    port,
    rows,
    text,
    whole,
    without,
)

Items = dict[str, dict[str, Row]]

_SCOPES = ("inner", "both", "build")
#: Columns of a probe -> what they are when nothing is said.
_PROBE_TEXTS = {"scheme": "tcp", "path": "", "cmd": "", "http_header": "", "probe_id": ""}
_PROBE_NUMBERS = {
    "initial_delay_second": 1, "period_second": 3, "timeout_second": 30, "failure_threshold": 3,
    "success_threshold": 1,
}  # fmt: skip


def fields(value: Any, path: str, required: tuple[str, ...], optional: tuple[str, ...]) -> Mapping[str, Any]:
    """An object with these fields and no other."""
    row = mapping(value, path)
    for name in row:
        if name not in (*required, *optional):
            known = ", ".join((*required, *optional))
            raise fault(f"{path}.{name[:LONGEST_NAME]}", f"is no field here; it has {known}")
    for name in required:
        if row.get(name) in (None, ""):
            raise fault(f"{path}.{name}", "is missing")
    return row


def put(items: Items, kind: str, key: str, row: Row, path: str) -> None:
    """An item; InvalidMessage if there is one of its key."""
    if key in items.setdefault(kind, {}):
        raise fault(path, "is there twice")
    items[kind][key] = row


# ---------------------------------------------------------------- readers
def _envs(items: Items, value: Any, path: str) -> None:
    for where, entry in entries(value, path):
        row = fields(entry, where, ("name",), ("value", "secret", "scope", "changeable", "title"))
        scope = row.get("scope", "inner")
        if scope not in _SCOPES:
            raise fault(f"{where}.scope", f"must be one of {', '.join(_SCOPES)}")
        _variable(items, "env", scope, row, where)


def _connection_info(items: Items, value: Any, path: str) -> None:
    for where, entry in entries(value, path):
        row = fields(entry, where, ("name",), ("value", "secret", "changeable", "title"))
        _variable(items, "connect_info", "outer", row, where)


def _variable(items: Items, kind: str, scope: str, row: Mapping[str, Any], path: str) -> None:
    """A name exists once in a service, in whatever scope."""
    name = text(row, "name", path)
    if name in items.get("env", {}) or name in items.get("connect_info", {}):
        raise fault(f"{path}.name", "is there twice")
    kept: Row = {
        "name": optional_text(row, "title", path) or name,
        "attr_name": name,
        "attr_value": optional_text(row, "value", path) or "",
        "is_change": _flag(row, "changeable", path, usual=True),
        "scope": scope,
        "container_port": 0,
    }
    secret = {"secret": True} if _flag(row, "secret", path, usual=False) else {}
    items.setdefault(kind, {})[name] = kept | secret


def _ports(items: Items, value: Any, path: str) -> None:
    for where, entry in entries(value, path):
        row = fields(entry, where, ("port",), ("protocol", "inner", "outer", "alias"))
        number = port(row, "port", where)
        kept: Row = {
            "container_port": number,
            "mapping_port": number,
            "protocol": optional_text(row, "protocol", where) or "http",
            "port_alias": optional_text(row, "alias", where) or "",
            "is_inner_service": _flag(row, "inner", where, usual=False),
            "is_outer_service": _flag(row, "outer", where, usual=False),
        }
        put(items, "port", str(number), kept, f"{where}.port")


def _volumes(items: Items, value: Any, path: str) -> None:
    for where, entry in entries(value, path):
        row = fields(entry, where, ("name", "path"), ("type",))
        kind = optional_text(row, "type", where) or "share-file"
        if kind == "config-file":
            raise fault(f"{where}.type", "must not be config-file: those are listed as config_files")
        _file(items, "volume", row, {"volume_type": kind}, where)


def _config_files(items: Items, value: Any, path: str) -> None:
    for where, entry in entries(value, path):
        row = fields(entry, where, ("name", "path"), ("content",))
        content = optional_text(row, "content", where) or ""
        _file(items, "config_file", row, {"volume_type": "config-file", "file_content": content}, where)


def _file(items: Items, kind: str, row: Mapping[str, Any], more: Row, path: str) -> None:
    """Volumes and config files share names and paths."""
    there = [*items.get("volume", {}).values(), *items.get("config_file", {}).values()]
    name, place = text(row, "name", path), _absolute(row, path)
    for column, value in (("name", name), ("path", place)):
        if any(known[f"volume_{column}"] == value for known in there):
            raise fault(f"{path}.{column}", "is there twice")
    items.setdefault(kind, {})[place] = {"volume_name": name, "volume_path": place, "category": ""} | more


def _probes(items: Items, value: Any, path: str) -> None:
    for where, entry in entries(value, path):
        take_probe(items, entry, where)


def take_probe(items: Items, entry: Any, path: str) -> None:
    """One probe; there is one of each mode."""
    row = fields(entry, path, (), ("mode", "port", "is_used", *_PROBE_TEXTS, *_PROBE_NUMBERS))
    mode = optional_text(row, "mode", path) or "readiness"
    kept: Row = {"mode": mode, "port": port({"port": 80} | dict(row), "port", path)}
    kept |= {name: optional_text(row, name, path) or usual for name, usual in _PROBE_TEXTS.items()}
    kept |= {name: whole(row.get(name, usual), f"{path}.{name}") for name, usual in _PROBE_NUMBERS.items()}
    kept["is_used"] = _flag(row, "is_used", path, usual=True)
    put(items, "probe", mode, kept if kept["probe_id"] else without(kept, "probe_id"), f"{path}.mode")


def _dependencies(items: Items, value: Any, path: str) -> None:
    for where, entry in entries(value, path):
        row = fields({"service": entry} if isinstance(entry, str) else entry, where, ("service",), ("type",))
        kept: Row = {
            "dep_service_id": text(row, "service", where),
            "dep_service_type": optional_text(row, "type", where) or "application",
            "dep_order": 0,
        }
        put(items, "dependency", kept["dep_service_id"], kept, f"{where}.service")


def _mounts(items: Items, value: Any, path: str) -> None:
    for where, entry in entries(value, path):
        row = fields(entry, where, ("service", "volume", "path"), ())
        kept: Row = {
            "dep_service_id": text(row, "service", where),
            "mnt_name": text(row, "volume", where),
            "mnt_dir": _absolute(row, where),
        }
        put(items, "mount", f"{kept['dep_service_id']}/{kept['mnt_name']}", kept, f"{where}.volume")


def _plugins(items: Items, value: Any, path: str) -> None:
    for where, entry in entries(value, path):
        row = fields(entry, where, ("id",), ("key", "build", "enabled", "settings"))
        settings = [copy.deepcopy(dict(setting)) for _, setting in rows(row, "settings", where)]
        kept: Row = {
            "plugin_id": text(row, "id", where),
            "plugin_key": optional_text(row, "key", where) or "",
            "build_version": optional_text(row, "build", where) or "",
            "service_meta_type": "",
            "plugin_status": _flag(row, "enabled", where, usual=True),
            "config": settings,
        }
        put(items, "plugin", kept["plugin_id"], kept, f"{where}.id")


LISTS: dict[str, Callable[[Items, Any, str], None]] = {
    "envs": _envs,
    "connection_info": _connection_info,
    "ports": _ports,
    "volumes": _volumes,
    "config_files": _config_files,
    "probes": _probes,
    "dependencies": _dependencies,
    "mounts": _mounts,
    "plugins": _plugins,
}


# ---------------------------------------------------------------- columns
def _flag(row: Mapping[str, Any], name: str, path: str, *, usual: bool) -> bool:
    value = row.get(name, usual)
    if not isinstance(value, bool):
        raise fault(f"{path}.{name}", "must be true or false")
    return value


def _absolute(row: Mapping[str, Any], path: str) -> str:
    value = text(row, "path", path)
    if not value.startswith("/"):
        raise fault(f"{path}.path", "must be an absolute path")
    return value
