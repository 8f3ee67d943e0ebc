"""A console's export of one service (its rows table by table), read into items and written out again.

Apart from templates because this is what is, and those are what shall be. What is written is what was read,
row by row and column by column, but for what has been changed since.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

from domain.configuration import Configuration
from domain.formats.shapes import Row, fault, mapping, optional_text, port, rows, text

Items = dict[str, dict[str, Row]]
#: A row of a section: the item that it became, with columns that the item has not; or only a row, kept as it came.
Entry = dict[str, Any]

#: Columns of the service's own row that are items -> kind.
BASE = {
    "image": "image", "cmd": "image", "version": "image", "deploy_version": "image",
    "min_memory": "resources", "min_node": "resources", "min_cpu": "resources", "extend_method": "resources",
}  # fmt: skip
#: Sections whose rows become two kinds, in which a key may still be there only once.
_SHARED = {"service_env_vars": ("env", "connect_info"), "service_volumes": ("volume", "config_file")}
#: Fields of a registry in `extend_info`.
REGISTRY = {
    "image": ("hub_url", "hub_user", "hub_password", "namespace", "is_trust"),
    "slug": ("ftp_host", "ftp_port", "ftp_username", "ftp_password", "namespace"),
}
SECTIONS = (
    "service_env_vars", "service_ports", "service_volumes", "service_config_file", "service_probes",
    "service_relation", "service_mnts", "service_plugin_relation", "service_plugin_config",
)  # fmt: skip


def read(document: Mapping[str, Any], beside: Any = None) -> Configuration:
    """The items of the export. `beside` is what newer exports put next to it: the team's plugins, or their ids.

    `plugins` in either place may be {plugin_key: plugin_id}, or rows with plugin_id and origin_share_id; ids
    alone tell no keys. InvalidMessage names the path of what cannot be read.
    """
    if document.get("service_base") is None:
        raise fault("configuration.service_base", "is missing; a service's export has it")
    base = mapping(document["service_base"], "configuration.service_base")
    source = mapping(document.get("service_source") or {}, "configuration.service_source")
    plugins = _plugins(beside, "configuration.1") | _plugins(document.get("plugins"), "configuration.plugins")
    info = extend_info(source)
    items: Items = registry_items(info)
    for column, kind in BASE.items():
        if base.get(column) is not None:
            items.setdefault(kind, {})[column] = {"value": copy.deepcopy(base[column])}
    layout: dict[str, list[Entry]] = {}
    for section in SECTIONS:
        layout[section] = []
        for path, row in rows(document, section, "configuration"):
            layout[section].append(_take(items, section, copy.deepcopy(dict(row)), path))
    _join(items, layout, plugins)
    other = {name: value for name, value in document.items() if name not in SECTIONS or value is None}
    layout = {name: entries for name, entries in layout.items() if document.get(name) is not None}
    group = document if document.get("group") not in (None, "") else {"group": base.get("tenant_service_group_id")}
    origin = {
        "group_key": optional_text(source, "group_key", "configuration.service_source"),
        "version": optional_text(source, "version", "configuration.service_source"),
        "share_uuid": optional_text(source, "service_share_uuid", "configuration.service_source"),
        "service_key": optional_text(base, "service_key", "configuration.service_base"),
        "group": optional_text(group, "group", "configuration") if group.get("group") != 0 else None,
        "cloud": bool(info.get("install_from_cloud")),
        "plugins": plugins,
    }
    return Configuration(items, origin, {"document": copy.deepcopy(other), "layout": layout})


def extend_info(source: Mapping[str, Any]) -> Row:
    """Where the service was pulled from: JSON in a text column; nothing when there is none."""
    path = "configuration.service_source.extend_info"
    found = source.get("extend_info")
    if isinstance(found, str) and found:
        try:
            found = json.loads(found)
        except (ValueError, RecursionError):
            raise fault(path, "is not JSON") from None
    return copy.deepcopy(dict(mapping(found or {}, path)))


def registry_items(info: Mapping[str, Any]) -> Items:
    """The items that are hidden in `extend_info`."""
    items: Items = {}
    if info.get("slug_path"):
        items["slug"] = {"slug_path": {"value": info["slug_path"]}}
    for kind, names in REGISTRY.items():
        if any(name in info for name in names if name not in ("namespace", "is_trust")):
            items.setdefault(kind, {})["registry"] = {name: info[name] for name in names if name in info}
    return items


# ---------------------------------------------------------------- rows
def _take(items: Items, section: str, row: Row, path: str) -> Entry:
    """Make an item of a row. One whose place is taken stays a row: the region keeps the first one, too."""
    found = _place(section, row, path)
    if found is None:
        return {"row": row}
    kind, key = found
    if any(key in items.get(name, {}) for name in _SHARED.get(section, (kind,))):
        return {"row": row}
    items.setdefault(kind, {})[key] = row
    return {"item": [kind, key]}


def _place(section: str, row: Row, path: str) -> tuple[str, str] | None:
    """Kind and key of a row; None for those that belong to another row."""
    match section:
        case "service_env_vars":
            return "connect_info" if row.get("scope") == "outer" else "env", text(row, "attr_name", path)
        case "service_ports":
            return "port", str(port(row, "container_port", path))
        case "service_volumes":
            text(row, "volume_name", path)
            kind = "config_file" if row.get("volume_type") == "config-file" else "volume"
            return kind, text(row, "volume_path", path)
        case "service_probes":
            return "probe", optional_text(row, "mode", path) or "readiness"
        case "service_relation":
            return "dependency", text(row, "dep_service_id", path)
        case "service_mnts":
            text(row, "mnt_dir", path)
            return "mount", f"{text(row, 'dep_service_id', path)}/{text(row, 'mnt_name', path)}"
        case "service_plugin_relation":
            return "plugin", text(row, "plugin_id", path)
    return None


def _join(items: Items, layout: dict[str, list[Entry]], plugins: Mapping[str, str]) -> None:
    """Contents go to their files, by the id of the volume's row, and settings to their plugins."""
    files = {str(row["ID"]): (path, row) for path, row in items.get("config_file", {}).items() if row.get("ID")}
    for row in items.get("config_file", {}).values():
        row["file_content"] = ""
    for entry in layout["service_config_file"]:
        path, file = files.pop(str(entry["row"].get("volume_id")), (None, {}))
        if path is not None:
            content = entry["row"].get("file_content")
            file["file_content"] = content or ""
            kept = entry["row"] if content is None else {k: v for k, v in entry["row"].items() if k != "file_content"}
            entry |= {"item": ["config_file", path], "row": kept}
    keys = {plugin_id: key for key, plugin_id in plugins.items()}
    for plugin_id, row in items.get("plugin", {}).items():
        row |= {"plugin_key": keys.get(plugin_id, ""), "config": []}
    for entry in layout["service_plugin_config"]:
        owner = items.get("plugin", {}).get(str(entry["row"].get("plugin_id")))
        if owner is not None:
            plugin_id = str(owner["plugin_id"])
            owner["config"].append(entry.pop("row"))
            entry["item"] = ["plugin", plugin_id]


def _plugins(value: Any, path: str) -> dict[str, str]:
    """plugin_key -> plugin_id, as far as it is told."""
    if isinstance(value, Mapping):
        return {key: str(optional_text(value, key, path)) for key in value if value[key] not in (None, "")}
    return dict(_keyed(value, path))


def _keyed(value: Any, path: str) -> Iterator[tuple[str, str]]:
    for number, row in enumerate(value if isinstance(value, list) else ()):
        if isinstance(row, Mapping):
            where = f"{path}.{number}"
            key = optional_text(row, "plugin_key", where) or optional_text(row, "origin_share_id", where)
            plugin_id = optional_text(row, "plugin_id", where)
            if key and plugin_id:
                yield key, plugin_id
