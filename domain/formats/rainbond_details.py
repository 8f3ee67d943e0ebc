"""A console's export of one service (its rows table by table), read into items and written out again.

Apart from templates because this is what is, and those are what shall be. Every column that no kind covers is
kept, so that writing gives back what was read.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Mapping
from typing import Any

from domain.configuration import Configuration
from domain.errors import InvalidMessage

Row = dict[str, Any]

#: Columns of the service's own row that are items -> kind.
BASE = {
    "image": "image", "cmd": "image", "version": "image", "deploy_version": "image",
    "min_memory": "resources", "min_node": "resources", "min_cpu": "resources", "extend_method": "resources",
}  # fmt: skip
REGISTRY = {
    "image": ("hub_url", "hub_user", "hub_password", "namespace", "is_trust"),
    "slug": ("ftp_host", "ftp_port", "ftp_username", "ftp_password", "namespace"),
}
SECTIONS = (
    "service_env_vars", "service_ports", "service_volumes", "service_config_file", "service_probes",
    "service_relation", "service_mnts", "service_plugin_relation", "service_plugin_config",
)  # fmt: skip


def read(document: Mapping[str, Any], plugins: Any = None) -> Configuration:
    """The items of the export; `plugins` is what newer exports put beside it."""
    base = _object(document.get("service_base"), "service_base")
    source = _object(document.get("service_source") or {}, "service_source")
    rows = {name: _rows(document, name) for name in SECTIONS}
    items: dict[str, dict[str, Row]] = {}
    for column, kind in BASE.items():
        if base.get(column) is not None:
            items.setdefault(kind, {})[column] = {"value": base[column]}
    _registry(items, source)
    for row in rows["service_env_vars"]:
        kind = "connect_info" if row.get("scope") == "outer" else "env"
        items.setdefault(kind, {})[_text(row, "attr_name", "service_env_vars")] = row
    for row in rows["service_ports"]:
        items.setdefault("port", {})[str(_number(row, "container_port", "service_ports"))] = row
    contents = {row.get("volume_id"): row for row in rows["service_config_file"]}
    for row in rows["service_volumes"]:
        path = _text(row, "volume_path", "service_volumes")
        content = contents.pop(row.get("ID"), None) if row.get("ID") is not None else None
        if row.get("volume_type") == "config-file" or content is not None:
            kept = {} if content is None else {"config_row": content, "file_content": content.get("file_content") or ""}
            items.setdefault("config_file", {})[path] = row | {"file_content": ""} | kept
        else:
            items.setdefault("volume", {})[path] = row
    for row in rows["service_probes"]:
        items.setdefault("probe", {})[str(row.get("mode") or "readiness")] = row
    for row in rows["service_relation"]:
        items.setdefault("dependency", {})[_text(row, "dep_service_id", "service_relation")] = row
    for row in rows["service_mnts"]:
        key = f"{_text(row, 'dep_service_id', 'service_mnts')}/{_text(row, 'mnt_name', 'service_mnts')}"
        items.setdefault("mount", {})[key] = row
    settings = rows["service_plugin_config"]
    known = {str(value): str(key) for key, value in dict(document.get("plugins") or {}).items()}
    for row in rows["service_plugin_relation"]:
        plugin_id = _text(row, "plugin_id", "service_plugin_relation")
        own = [item for item in settings if item.get("plugin_id") == plugin_id]
        items.setdefault("plugin", {})[plugin_id] = row | {"plugin_key": known.get(plugin_id, ""), "config": own}
    loose = [item for item in settings if item.get("plugin_id") not in items.get("plugin", {})]
    modelled = {"service_base", "service_source", "group", "plugins", *SECTIONS}
    rest = {name: copy.deepcopy(value) for name, value in document.items() if name not in modelled}
    rest |= {"service_base": _without(base, BASE), "service_source": copy.deepcopy(dict(source))}
    rest |= {"empty": [name for name in SECTIONS if name in document and not rows[name]], "loose_settings": loose}
    rest |= {"loose_files": list(contents.values()), "beside": copy.deepcopy(plugins)}
    return Configuration(items, _origin(document, base, source), rest)


def write(configuration: Configuration) -> dict[str, Any]:
    """The export again: rows as they came, changed ones as they are now, new ones without an ID."""
    rest = copy.deepcopy(dict(configuration.rest))
    source = rest.pop("service_source", {})
    base = rest.pop("service_base", {})
    empty, loose_settings = rest.pop("empty", []), rest.pop("loose_settings", [])
    loose_files, _ = rest.pop("loose_files", []), rest.pop("beside", None)
    for column, kind in BASE.items():
        if column in configuration.of(kind):
            base[column] = configuration.of(kind)[column]["value"]
    found: dict[str, list[Row]] = {name: [] for name in SECTIONS}
    found["service_env_vars"] = _all(configuration, "env", "connect_info")
    found["service_ports"] = _all(configuration, "port")
    files = _all(configuration, "config_file")
    found["service_volumes"] = [_without(row, ("file_content", "config_row")) for row in files]
    found["service_volumes"] += _all(configuration, "volume")
    found["service_config_file"] = [
        dict(row.get("config_row") or {"volume_id": row.get("ID")}) | {"file_content": row.get("file_content") or ""}
        for row in files
        if row.get("config_row") or row.get("file_content")
    ] + loose_files
    found["service_probes"] = _all(configuration, "probe")
    found["service_relation"] = _all(configuration, "dependency")
    found["service_mnts"] = _all(configuration, "mount")
    plugins = _all(configuration, "plugin")
    found["service_plugin_relation"] = [_without(row, ("config", "plugin_key")) for row in plugins]
    found["service_plugin_config"] = [item for row in plugins for item in row.get("config") or ()] + loose_settings
    document = {"service_base": base, "service_source": source} | rest
    document |= {name: _ordered(rows) for name, rows in found.items() if rows or name in empty}
    if configuration.origin.get("version") is not None and source:
        document["service_source"]["version"] = configuration.origin["version"]
    return document


def _origin(document: Mapping[str, Any], base: Mapping[str, Any], source: Mapping[str, Any]) -> dict[str, Any]:
    group = document.get("group") or base.get("tenant_service_group_id")
    return {
        "group_key": source.get("group_key"),
        "version": source.get("version"),
        "share_uuid": source.get("service_share_uuid"),
        "service_key": base.get("service_key"),
        "group": None if group in (None, "", 0) else str(group),
        "cloud": bool(_extend_info(source).get("install_from_cloud")),
        "plugins": dict(document.get("plugins") or {}),
    }


def _registry(items: dict[str, dict[str, Row]], source: Mapping[str, Any]) -> None:
    info = _extend_info(source)
    if info.get("slug_path"):
        items.setdefault("slug", {})["slug_path"] = {"value": info["slug_path"]}
    for kind, names in REGISTRY.items():
        found = {name: info[name] for name in names if name in info}
        if found and (kind == "image") == ("hub_url" in info or "hub_user" in info):
            items.setdefault(kind, {})["registry"] = found


def _extend_info(source: Mapping[str, Any]) -> dict[str, Any]:
    text = source.get("extend_info")
    if not text:
        return {}
    try:
        found = json.loads(text) if isinstance(text, str) else text
    except ValueError:
        raise InvalidMessage("configuration.service_source.extend_info is not JSON", field="configuration") from None
    return dict(found) if isinstance(found, Mapping) else {}


def _object(value: Any, path: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidMessage(f"configuration.{path} must be an object", field=f"configuration.{path}")
    return value


def _rows(document: Mapping[str, Any], name: str) -> list[Row]:
    found = document.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise InvalidMessage(f"configuration.{name} must be a list of objects", field=f"configuration.{name}")
    return [copy.deepcopy(dict(row)) for row in found]


def _text(row: Mapping[str, Any], column: str, section: str) -> str:
    value = row.get(column)
    if not isinstance(value, str) or not value:
        raise InvalidMessage(f"configuration.{section}: {column} must be a text", field=f"configuration.{section}")
    return value


def _number(row: Mapping[str, Any], column: str, section: str) -> int:
    value = row.get(column)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidMessage(f"configuration.{section}: {column} must be a number", field=f"configuration.{section}")
    return value


def _all(configuration: Configuration, *kinds: str) -> list[Row]:
    return [copy.deepcopy(dict(row)) for kind in kinds for row in configuration.of(kind).values()]


def _ordered(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.get("ID") is None, row.get("ID") or 0))


def _without(row: Mapping[str, Any], columns: Iterable[str]) -> Row:
    return {name: copy.deepcopy(value) for name, value in row.items() if name not in columns}
