"""The region's calls about configuration items, one function each, with the bodies that both generations take.

Apart from the kinds because a body's shape is the region's affair, and several kinds share a call. Never
here: `/app-restore/volumes`, which loses volumes on every known region. Bodies name their columns, so that no
foreign one leaks, and a section is always sent under its key, because a missing key wipes it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from domain.region import Call, Place, Repeat

Row = Mapping[str, Any]

#: Characters of the ids of a region that looks at them; one of another length is left out where the path names it.
ID_LENGTHS = range(30, 34)
_PROBE_TEXTS = ("probe_id", "mode", "scheme", "path", "cmd", "http_header")
_PROBE_NUMBERS = (
    "initial_delay_second", "period_second", "timeout_second", "failure_threshold", "success_threshold",
)  # fmt: skip


def _add(name: str, path: str, body: dict[str, Any]) -> Call:
    return Call(f"add-{name}", "POST", path, body, Repeat.EXISTS, optional=True)


def _set(name: str, path: str, body: dict[str, Any]) -> Call:
    return Call(f"set-{name}", "PUT", path, body, optional=True)


def _remove(name: str, path: str, body: dict[str, Any] | None = None) -> Call:
    return Call(f"remove-{name}", "DELETE", path, body, optional=True)


def _restore(name: str, path: str, body: dict[str, Any] | str) -> Call:
    return Call(f"restore-{name}", "POST", f"/app-restore/{path}", body)


#: Every region lists these; none lists variables, and older ones neither ports nor probes.
LIST_VOLUMES = Call("list-volumes", "GET", "/volumes")
LIST_MOUNTS = Call("list-mounts", "GET", "/depvolumes")
LIST_PLUGINS = Call("list-plugins", "GET", "/plugin")


# ---------------------------------------------------------------- envs
def _env(row: Row) -> dict[str, Any]:
    return {
        "container_port": int(row.get("container_port") or 0),
        "name": str(row.get("name") or ""),
        "env_name": str(row["attr_name"]),
        "env_value": str(row.get("attr_value") or ""),
        "is_change": bool(row.get("is_change")),
        "scope": str(row.get("scope") or "inner"),
    }


def _whose(place: Place) -> dict[str, Any]:
    """Whose variable it is, which the path says as well: a region refuses an id of another length than its own."""
    own = {"service_id": place.service_id} if len(place.service_id) in ID_LENGTHS else {}
    return {"tenant_id": place.tenant_id} | own


def add_env(place: Place, row: Row) -> Call:
    """A second time it answers 400 and keeps the old value."""
    return _add("env", "/env", _env(row) | _whose(place))


def set_env(place: Place, row: Row) -> Call:
    """Only the value changes; a missing env stays missing."""
    return _set("env", "/env", _env(row) | _whose(place))


def remove_env(row: Row) -> Call:
    """Absent ones are fine."""
    return _remove("env", "/env", {"env_name": str(row["attr_name"])})


def restore_envs(scope: str, rows: Iterable[Row]) -> Call:
    """Replace one scope."""
    envs = [row for row in map(_env, rows) if row["scope"] == scope]
    return _restore("envs", "envs", {"scope": scope, "envs": envs})


# ---------------------------------------------------------------- ports
def _port(row: Row) -> dict[str, Any]:
    return {
        "container_port": int(row["container_port"]),
        "mapping_port": int(row.get("mapping_port") or row["container_port"]),
        "protocol": str(row.get("protocol") or "http"),
        "port_alias": str(row.get("port_alias") or ""),
        "is_inner_service": bool(row.get("is_inner_service")),
        "is_outer_service": bool(row.get("is_outer_service")),
    }


def add_port(row: Row) -> Call:
    """One port for each call: a list is not taken as a whole."""
    return _add("port", "/ports", {"port": [_port(row)]})


def set_port(row: Row) -> Call:
    """One port for each call: a second one in it would be written over the first."""
    return _set("port", "/ports", {"port": [_port(row)]})


def remove_port(row: Row) -> Call:
    """Absent ones are fine."""
    return _remove("port", f"/ports/{int(row['container_port'])}")


def restore_ports(rows: Iterable[Row]) -> Call:
    """Replace all."""
    return _restore("ports", "ports", {"ports": [_port(row) for row in rows]})


# ---------------------------------------------------------------- volumes and config files
def _volume(row: Row) -> dict[str, Any]:
    return {
        "volume_name": str(row["volume_name"]),
        "volume_path": str(row["volume_path"]),
        "volume_type": str(row.get("volume_type") or "share-file"),
        "category": str(row.get("category") or ""),
        "file_content": str(row.get("file_content") or ""),
    }


def add_volume(row: Row) -> Call:
    """Refused with 400 when name or path is taken."""
    return _add("volume", "/volumes", _volume(row))


def set_config_file(row: Row) -> Call:
    """New content for a config file, found by name."""
    return _set("config-file", "/volumes", _volume(row) | {"volume_type": "config-file"})


def remove_volume(row: Row) -> Call:
    """Removes the record, not the data; absent ones are fine."""
    return _remove("volume", f"/volumes/{quote(str(row['volume_name']), safe='')}")


# ---------------------------------------------------------------- probe
def _probe(row: Row) -> dict[str, Any]:
    return (
        {name: str(row.get(name) or "") for name in _PROBE_TEXTS}
        | {name: int(row.get(name) or 0) for name in _PROBE_NUMBERS}
        | {"port": int(row.get("port") or 80), "is_used": int(bool(row.get("is_used")))}
    )


def add_probe(place: Place, row: Row) -> Call:
    """`is_used` is a number: a boolean is refused."""
    return _add("probe", "/probe", _probe(row) | {"service_id": place.service_id})


def set_probe(place: Place, row: Row) -> Call:
    """A full replacement, found by probe_id."""
    return _set("probe", "/probe", _probe(row) | {"service_id": place.service_id})


def remove_probe(row: Row) -> Call:
    """Absent ones are fine, but none goes by another name than its id."""
    return _remove("probe", "/probe", {"probe_id": str(row["probe_id"])})


def restore_probe(place: Place, row: Row | None) -> Call:
    """Replace all modes by one; a body of no bytes at all removes every one."""
    body: dict[str, Any] | str = "" if row is None else _probe(row) | {"service_id": place.service_id}
    return _restore("probe", "probe", body)


# ---------------------------------------------------------------- dependencies, mounts, plugins
def _dependency(row: Row) -> dict[str, Any]:
    return {
        "dep_service_id": str(row["dep_service_id"]),
        "dep_service_type": str(row.get("dep_service_type") or "application"),
    }


def add_dependency(place: Place, row: Row) -> Call:
    """`namespace` and `dep_sa_name` are required by newer regions and ignored by older ones."""
    more = {"tenant_id": place.tenant_id, "namespace": place.tenant_id, "dep_sa_name": ""}
    return _add("dependency", "/dependency", _dependency(row) | more)


def remove_dependency(place: Place, row: Row) -> Call:
    """Absent ones are fine."""
    return _remove("dependency", "/dependency", _dependency(row) | {"namespace": place.tenant_id, "dep_sa_name": ""})


def restore_dependencies(rows: Iterable[Row]) -> Call:
    """Replace all."""
    return _restore("dependencies", "deps", {"deps": [_dependency(row) for row in rows]})


def add_mount(row: Row) -> Call:
    """404 when the provider has no such volume."""
    body = {
        "depend_service_id": str(row["dep_service_id"]),
        "volume_name": str(row["mnt_name"]),
        "volume_path": str(row["mnt_dir"]),
        "volume_type": str(row.get("volume_type") or "share-file"),
        "file_content": str(row.get("file_content") or ""),
    }
    return _add("mount", "/depvolumes", body)


def remove_mount(row: Row) -> Call:
    """On older regions this goes by name alone: two providers of one name would both lose it. So it cannot be left out
    either: the removal of another one may take this along."""
    body = {"depend_service_id": str(row["dep_service_id"]), "volume_name": str(row["mnt_name"])}
    return dataclasses.replace(_remove("mount", "/depvolumes", body), optional=False)


def restore_mounts(rows: Iterable[Row]) -> Call:
    """Replace all."""
    mounts = [
        {
            "dep_service_id": str(row["dep_service_id"]),
            "volume_path": str(row["mnt_dir"]),
            "volume_name": str(row["mnt_name"]),
        }
        for row in rows
    ]
    return _restore("mounts", "depvols", {"dep_vols": mounts})


def _relation(row: Row) -> dict[str, Any]:
    return {
        "plugin_id": str(row["plugin_id"]),
        "version_id": str(row.get("build_version") or ""),
        "switch": is_on(row),
    }


def is_on(row: Row) -> bool:
    """Whether a plugin is switched on: it is, unless its row says otherwise."""
    return row.get("plugin_status") is None or bool(row["plugin_status"])


def add_plugin(row: Row, settings: dict[str, Any]) -> Call:
    """With its whole configuration; 400 when one of the same kind is linked."""
    limits = {"plugin_cpu": int(row.get("plugin_cpu") or 0), "plugin_memory": int(row.get("plugin_memory") or 0)}
    return _add("plugin", "/plugin", _relation(row) | {"config_envs": settings} | limits)


def remove_plugin(row: Row) -> Call:
    """Takes its settings and port mappings with it; absent ones are fine."""
    return _remove("plugin", f"/plugin/{quote(str(row['plugin_id']), safe='')}")


def restore_plugins(rows: Iterable[Row]) -> Call:
    """Replace the relations; settings that an uninstall took away do not come back by it."""
    return _restore("plugins", "plugins", {"plugins": [_relation(row) for row in rows]})
