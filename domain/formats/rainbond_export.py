"""A configuration written out as the tables that a console knows.

Apart from reading them because it must also write what no console has ever had: services that were
registered in the plain form, and rows that an upgrade added. Those get no `ID`; a config file's volume gets a
negative one, for its content finds it by that and by nothing else.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from domain.configuration import Configuration
from domain.formats.rainbond_details import BASE, REGISTRY, SECTIONS, Entry, extend_info, registry_items
from domain.formats.shapes import Row, without

#: Section -> the kinds whose items are its rows.
_KINDS = {
    "service_env_vars": ("env", "connect_info"), "service_ports": ("port",),
    "service_volumes": ("volume", "config_file"), "service_config_file": ("config_file",),
    "service_probes": ("probe",), "service_relation": ("dependency",), "service_mnts": ("mount",),
    "service_plugin_relation": ("plugin",), "service_plugin_config": ("plugin",),
}  # fmt: skip
#: Tables with a tenant's column.
_TENANT = frozenset({"service_env_vars", "service_ports", "service_relation", "service_mnts"})
#: What only our own rows have: no column of that table.
_OURS = ("secret", "plugin_alias", "dest_service_key")
_OURS_IN = {"service_mnts": ("volume_type", "file_content"), "service_plugin_relation": ("plugin_key", "config")}


def write(configuration: Configuration, tenant_id: str, service_id: str) -> Row:
    """Every table again; rows that no console has had belong to the tenant and the service that are given."""
    document: Row = copy.deepcopy(dict(configuration.rest.get("document") or {}))
    layout: Mapping[str, Any] = configuration.rest.get("layout") or {}
    document["service_base"] = _base(configuration, document.get("service_base"), tenant_id, service_id)
    source = _source(configuration, document.get("service_source"), document["service_base"], tenant_id)
    if source or "service_source" in document:
        document["service_source"] = source if source else document["service_source"]
    volume_ids = _volume_ids(configuration)
    own = {"service_id": service_id, "tenant_id": tenant_id}
    for section in SECTIONS:
        found = _rows(configuration, section, layout.get(section) or (), volume_ids, own)
        if found or section in layout or not configuration.rest:
            document[section] = found
    return document


def _rows(
    configuration: Configuration, section: str, layout: Any, volume_ids: Mapping[str, int], own: Mapping[str, str]
) -> list[Row]:
    """The rows that came, in their order and as they are now, and then those that are new."""
    waiting = {
        (kind, key): _written(section, key, row, volume_ids)
        for kind in _KINDS[section]
        for key, row in configuration.of(kind).items()
    }
    found: list[Row] = []
    for entry in layout:
        kept: Entry = entry
        if "item" not in kept:
            found.append(copy.deepcopy(kept["row"]))
            continue
        kind, key = kept["item"]
        queue = waiting.get((kind, key))
        if queue:
            row = queue.pop(0)
            found.append(_as_it_came(row, kept.get("row") or {}))
    new = [row for queue in waiting.values() for row in queue if not _never_written(section, row)]
    columns = own if section in _TENANT else without(own, "tenant_id")
    return found + [dict(columns) | without(row, *_OURS, *_OURS_IN.get(section, ())) for row in new]


def _never_written(section: str, row: Row) -> bool:
    """An empty file that came without a content has none to write; a new one (its id is negative) has."""
    return section == "service_config_file" and not row["file_content"] and not str(row["volume_id"]).startswith("-")


def _as_it_came(row: Row, kept: Row) -> Row:
    """A content that was null stays null for as long as nobody has written one."""
    if "file_content" in kept and not row.get("file_content"):
        return row | copy.deepcopy(kept)
    return copy.deepcopy(kept) | row


def _written(section: str, key: str, row: Mapping[str, Any], volume_ids: Mapping[str, int]) -> list[Row]:
    """An item's rows in that section: one, but for settings of plugins."""
    item = copy.deepcopy(dict(row))
    if section == "service_volumes" and key in volume_ids:
        return [without(item, "file_content") | {"ID": volume_ids[key]}]
    if section == "service_config_file":
        return [{"volume_id": volume_ids[key], "file_content": item.get("file_content") or ""}]
    if section == "service_plugin_relation":
        return [without(item, "config", "plugin_key")]
    if section == "service_plugin_config":
        settings = item.get("config") or ()
        owner = {name: item.get(name) for name in ("plugin_id", "build_version")}
        return [setting if "plugin_id" in setting else owner | setting for setting in settings]
    return [item]


def _volume_ids(configuration: Configuration) -> dict[str, int]:
    """Path of a config file -> the id of its volume, made up below all others where there is none."""
    files = configuration.of("config_file")
    known = {path: row["ID"] for path, row in files.items() if row.get("ID") is not None}
    least = min((value for value in known.values() if isinstance(value, int)), default=0)
    fresh = [path for path in files if path not in known]
    return known | {path: min(least, 0) - number for number, path in enumerate(fresh, 1)}


def _base(configuration: Configuration, kept: Any, tenant_id: str, service_id: str) -> Row:
    base: Row = kept or {"service_id": service_id, "tenant_id": tenant_id}
    for column, kind in BASE.items():
        item = configuration.of(kind).get(column)
        if item is not None or column in base:
            base[column] = None if item is None else copy.deepcopy(item["value"])
    if kept is None:
        more = {"service_key": "service_key", "tenant_service_group_id": "group"}
        base |= {column: configuration.origin[name] for column, name in more.items() if configuration.origin.get(name)}
    return base


def _source(configuration: Configuration, kept: Any, base: Mapping[str, Any], tenant_id: str) -> Row:
    """The template that it was installed from last, and where its parts were pulled from."""
    source: Row = dict(kept or {})
    names = {"group_key": "group_key", "version": "version", "service_share_uuid": "share_uuid"}
    moved = {column: configuration.origin.get(name) for column, name in names.items()}
    moved = {column: value for column, value in moved.items() if value and str(source.get(column)) != str(value)}
    wanted = {
        kind: {key: dict(row) for key, row in configuration.of(kind).items() if key in ("registry", "slug_path")}
        for kind in REGISTRY
    }
    wanted = {kind: rows for kind, rows in wanted.items() if rows}
    info = extend_info(source)
    pulled = wanted != registry_items(info)
    if not moved and not pulled:
        return source
    source = source or {"service": base.get("service_id"), "team_id": tenant_id}
    if pulled:
        info = without(info, "slug_path", *(name for names in REGISTRY.values() for name in names))
        for kind, found in wanted.items():
            info |= found.get("registry", {})
            info |= {"slug_path": found["slug_path"]["value"]} if kind == "slug" and "slug_path" in found else {}
    if "version" in moved and base.get("deploy_version"):
        share = configuration.origin.get("share_uuid") or configuration.origin.get("service_key")
        info |= {"source_deploy_version": base["deploy_version"], "source_service_share_uuid": share}
    return source | moved | {"extend_info": json.dumps(info) if info else source.get("extend_info")}
