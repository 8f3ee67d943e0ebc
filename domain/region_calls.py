"""One small function per region call: a console's row becomes a `Call` that both generations of regions take.

Apart from the kinds because forward, undo and restore share these bodies. Bodies are built from named columns
only, so no foreign column leaks; a section is always sent under its key, because a missing key wipes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from domain.region import Call, Place, Repeat

Row = Mapping[str, Any]

_PROBE = (
    "probe_id", "mode", "scheme", "path", "port", "cmd", "http_header", "initial_delay_second", "period_second",
    "timeout_second", "failure_threshold", "success_threshold",
)  # fmt: skip


def forward(*calls: Call) -> tuple[Call, ...]:
    """The same calls as ways forward of one item: a 400 leaves the item out."""
    return tuple(replace(call, optional=True) for call in calls)


def _env(row: Row, place: Place) -> dict[str, Any]:
    return {
        **_env_item(row),
        "tenant_id": place.tenant_id,
        "service_id": place.service_id,
    }


def _env_item(row: Row) -> dict[str, Any]:
    return {
        "container_port": int(row.get("container_port") or 0),
        "name": str(row.get("name") or ""),
        "env_name": row["attr_name"],
        "env_value": str(row.get("attr_value") if row.get("attr_value") is not None else ""),
        "is_change": bool(row.get("is_change", True)),
        "scope": row.get("scope") or "inner",
    }


def add_env(row: Row, place: Place) -> Call:
    """POST /env; the region keeps an older value."""
    return Call("add-env", "POST", "/env", _env(row, place), Repeat.EXISTS)


def update_env(row: Row, place: Place) -> Call:
    """PUT /env; older regions change the value only."""
    return Call("update-env", "PUT", "/env", _env(row, place))


def delete_env(row: Row, place: Place) -> Call:
    """DELETE /env; the name decides, whatever its scope."""
    body = {"env_name": row["attr_name"], "tenant_id": place.tenant_id, "service_id": place.service_id}
    return Call("delete-env", "DELETE", "/env", body)


def restore_envs(scope: str, rows: Iterable[Row]) -> Call:
    """Replace one scope."""
    envs = [_env_item(row) for row in rows]
    return Call("restore-envs", "POST", "/app-restore/envs", {"scope": scope, "envs": envs})


def _port(row: Row) -> dict[str, Any]:
    port = int(row["container_port"])
    return {
        "container_port": port,
        "mapping_port": int(row.get("mapping_port") or port),
        "protocol": row.get("protocol") or "http",
        "port_alias": row.get("port_alias") or "",
        "is_inner_service": bool(row.get("is_inner_service")),
        "is_outer_service": bool(row.get("is_outer_service")),
    }


def _one_port(row: Row, place: Place) -> dict[str, Any]:
    whose = {"tenant_id": place.tenant_id, "service_id": place.service_id}
    return {"port": [_port(row) | whose], "tenant_id": place.tenant_id}


def add_port(row: Row, place: Place) -> Call:
    """POST /ports with one port: items before a duplicate would stay."""
    return Call("add-port", "POST", "/ports", _one_port(row, place), Repeat.EXISTS)


def update_port(row: Row, place: Place) -> Call:
    """PUT /ports with one port: older regions write every further one onto the first."""
    return Call("update-port", "PUT", "/ports", _one_port(row, place))


def delete_port(row: Row) -> Call:
    """DELETE /ports/{port}."""
    return Call("delete-port", "DELETE", f"/ports/{int(row['container_port'])}")


def restore_ports(rows: Iterable[Row]) -> Call:
    """Replace all ports."""
    return Call("restore-ports", "POST", "/app-restore/ports", {"ports": [_port(row) for row in rows]})


def add_volume(row: Row) -> Call:
    """POST /volumes, for config files too; the region makes up the host path."""
    body = {
        "volume_name": row["volume_name"],
        "volume_path": row["volume_path"],
        "volume_type": row.get("volume_type") or "share-file",
        "category": row.get("category") or "",
        "file_content": row.get("file_content") or "",
    }
    return Call("add-volume", "POST", "/volumes", body, Repeat.EXISTS)


def update_config_file(row: Row) -> Call:
    """PUT /volumes; found by the name, an empty content changes nothing."""
    body = {name: row[name] for name in ("volume_name", "volume_path", "file_content")}
    return Call("update-config-file", "PUT", "/volumes", body | {"volume_type": "config-file"})


def delete_volume(row: Row) -> Call:
    """DELETE /volumes/{name}: the record, not the data."""
    return Call("delete-volume", "DELETE", f"/volumes/{quote(str(row['volume_name']), safe='')}")


def _probe(row: Row) -> dict[str, Any]:
    body = {name: row[name] for name in _PROBE if row.get(name) is not None}
    return body | {"is_used": int(bool(row.get("is_used", True)))}


def add_probe(row: Row) -> Call:
    """POST /probe: one per mode."""
    return Call("add-probe", "POST", "/probe", _probe(row), Repeat.EXISTS)


def update_probe(row: Row) -> Call:
    """PUT /probe: full replacement of the probe with this id."""
    return Call("update-probe", "PUT", "/probe", _probe(row))


def delete_probe(row: Row) -> Call:
    """DELETE /probe."""
    return Call("delete-probe", "DELETE", "/probe", {"probe_id": row["probe_id"]})


def restore_probe(row: Row | None) -> Call:
    """Replace all modes by one probe, or by none: only a body of zero length says that."""
    return Call("restore-probe", "POST", "/app-restore/probe", "" if row is None else _probe(row))


def _dependency(row: Row, place: Place) -> dict[str, Any]:
    return {
        "dep_service_id": row["dep_service_id"],
        "dep_service_type": row.get("dep_service_type") or "application",
        "dep_order": str(row.get("dep_order") or 0),
        "service_id": place.service_id,
        "tenant_id": place.tenant_id,
        "namespace": place.tenant_id,
        "dep_sa_name": "",
    }


def add_dependency(row: Row, place: Place) -> Call:
    """POST /dependency."""
    return Call("add-dependency", "POST", "/dependency", _dependency(row, place), Repeat.EXISTS)


def delete_dependency(row: Row, place: Place) -> Call:
    """DELETE /dependency."""
    return Call("delete-dependency", "DELETE", "/dependency", _dependency(row, place))


def restore_dependencies(rows: Iterable[Row]) -> Call:
    """Replace all dependencies."""
    deps = [
        {"dep_service_id": row["dep_service_id"], "dep_service_type": row.get("dep_service_type") or "application"}
        for row in rows
    ]
    return Call("restore-dependencies", "POST", "/app-restore/deps", {"deps": deps})


def add_mount(row: Row) -> Call:
    """POST /depvolumes."""
    body = {
        "depend_service_id": row["dep_service_id"],
        "volume_name": row["mnt_name"],
        "volume_path": row["mnt_dir"],
        "volume_type": row.get("volume_type") or "share-file",
        "file_content": row.get("file_content") or "",
    }
    return Call("add-mount", "POST", "/depvolumes", body, Repeat.EXISTS)


def delete_mount(row: Row) -> Call:
    """DELETE /depvolumes; older regions remove the mounts of this name of every provider."""
    body = {"depend_service_id": row["dep_service_id"], "volume_name": row["mnt_name"]}
    return Call("delete-mount", "DELETE", "/depvolumes", body)


def restore_mounts(rows: Iterable[Row]) -> Call:
    """Replace all mounts."""
    mounts = [
        {"dep_service_id": row["dep_service_id"], "volume_path": row["mnt_dir"], "volume_name": row["mnt_name"]}
        for row in rows
    ]
    return Call("restore-mounts", "POST", "/app-restore/depvols", {"dep_vols": mounts})


def _relation(row: Row) -> dict[str, Any]:
    switch = bool(row.get("plugin_status", True))
    return {"plugin_id": row["plugin_id"], "version_id": row.get("build_version") or "", "switch": switch}


def add_plugin(row: Row, place: Place) -> Call:
    """POST /plugin with its whole configuration."""
    body = _relation(row) | {"config_envs": _plugin_config(row.get("config") or [], place)}
    return Call("add-plugin", "POST", "/plugin", body, Repeat.EXISTS)


def delete_plugin(row: Row) -> Call:
    """DELETE /plugin/{id}: its configuration goes too."""
    return Call("delete-plugin", "DELETE", f"/plugin/{quote(str(row['plugin_id']), safe='')}")


def restore_plugins(rows: Iterable[Row]) -> Call:
    """Replace the relations; configuration that is gone does not come back by this."""
    plugins = [_relation(row) for row in rows]
    return Call("restore-plugins", "POST", "/app-restore/plugins", {"plugins": plugins})


def _plugin_config(rows: Iterable[Row], place: Place) -> dict[str, Any]:
    ports: list[dict[str, Any]] = []
    services: list[dict[str, Any]] = []
    normal: list[dict[str, Any]] = []
    options: dict[str, Any] = {}
    mine = {"service_id": place.service_id, "service_alias": place.alias}
    for row in rows:
        values = _options(row.get("attrs"))
        target = {"port": int(row.get("container_port") or 0), "protocol": row.get("protocol") or "", "options": values}
        if row.get("service_meta_type") == "upstream_port":
            ports.append(mine | target)
        elif row.get("service_meta_type") == "downstream_port":
            whose = {"depend_service_id": row.get("dest_service_id") or ""}
            services.append(mine | target | whose | {"depend_service_alias": row.get("dest_service_alias") or ""})
        elif row.get("injection") == "env":
            normal += [{"env_name": name, "env_value": str(value)} for name, value in values.items()]
        else:
            options |= values
    complex_envs = {"base_ports": ports, "base_services": services, "base_normal": {"options": options}}
    return {"normal_envs": normal, "complex_envs": complex_envs}


def _options(attrs: Any) -> dict[str, Any]:
    """`attrs` is JSON text or already read; anything else holds no option."""
    if isinstance(attrs, str):
        try:
            attrs = json.loads(attrs)
        except ValueError:
            return {}
    return dict(attrs) if isinstance(attrs, dict) else {}
