"""The calls that tie a service to others: dependencies, mounts of another's volumes, plugins.

Apart from `properties.py` because these need other services or a catalogue of plugins. Imitates the region's
three different answers to the same mistake.
"""

from __future__ import annotations

from typing import Any

from workers.region_double.answer import (
    Answer,
    Rejected,
    Request,
    Row,
    drop,
    find,
    invalid,
    ok,
    refuse,
    required,
    typed,
)


def add_dependency(request: Request) -> Answer:
    row = typed(request.body, dep_service_id="text", dep_service_type="text", namespace="text", dep_sa_name="text")
    if row.get("dep_service_type", "") is None:
        raise _panic()
    required(row, "dep_service_id", "dep_service_type")
    if request.modern:
        required(row, "namespace")
        if "dep_sa_name" not in row:
            raise invalid("dep_sa_name", "The dep_sa_name field is required")
    if find(request.service["deps"], dep_service_id=row["dep_service_id"]):
        if request.modern:
            return ok()
        raise refuse(500, "record already exist")
    request.service["deps"].append({name: row[name] for name in ("dep_service_id", "dep_service_type")})
    return ok()


def remove_dependency(request: Request) -> Answer:
    row = typed(request.body, dep_service_id="text")
    required(row, "dep_service_id")
    drop(request.service["deps"], dep_service_id=row["dep_service_id"])
    return ok()


def provider_has(request: Request, service_id: Any, volume_name: Any) -> bool:
    """Whether that service has a volume of that name."""
    provider = find(list(request.services.values()), service_id=service_id)
    return provider is not None and find(provider["volumes"], volume_name=volume_name) is not None


def add_mount(request: Request) -> Answer:
    names = ("depend_service_id", "volume_name", "volume_path", "volume_type")
    row = typed(request.body, **dict.fromkeys(names, "text"))
    required(row, *names)
    if row["volume_type"] not in ("share-file", "config-file"):
        raise invalid("volume_type", "The volume_type field must be share-file or config-file")
    if not provider_has(request, row["depend_service_id"], row["volume_name"]):
        raise refuse(404, "dep volume not found")
    key = {"depend_service_id": row["depend_service_id"], "volume_name": row["volume_name"]}
    if find(request.service["depvolumes"], **key):
        raise refuse(500, "record already exist")
    request.service["depvolumes"].append({name: row[name] for name in names})
    return ok()


def remove_mount(request: Request) -> Answer:
    """A deletes by name alone, and so takes the volumes of that name of other providers with it."""
    row = typed(request.body, depend_service_id="text", volume_name="text")
    required(row, "depend_service_id", "volume_name")
    key: Row = {"volume_name": row["volume_name"]}
    if request.modern:
        key["depend_service_id"] = row["depend_service_id"]
    if not drop(request.service["depvolumes"], **key):
        raise refuse(404, "record not found")
    return ok()


def mounts(request: Request) -> Answer:
    return ok(list=request.service["depvolumes"])


def unknown_plugin(request: Request, row: Row) -> bool:
    """Unknown ids and `id@version` are listed in the state; everything else is known."""
    unknown = request.root["unknown_plugins"]
    return row.get("plugin_id") in unknown or f"{row.get('plugin_id')}@{row.get('version_id')}" in unknown


def add_plugin(request: Request) -> Answer:
    row = typed(request.body, plugin_id="text", version_id="text", switch="bool", config_envs="map")
    if unknown_plugin(request, row):
        raise refuse(404, "plugin or version not found")
    kinds, plugins = request.root["plugin_kinds"], request.service["plugins"]
    kind = kinds.get(row.get("plugin_id"), row.get("plugin_id"))
    if any(kinds.get(other["plugin_id"], other["plugin_id"]) == kind for other in plugins):
        raise refuse(400, "can not add this kind plugin, a same kind plugin has been linked")
    plugins.append({name: value for name, value in row.items() if name not in ("tenant_id", "service_id")})
    return ok(bean={name: row.get(name) for name in ("plugin_id", "version_id", "switch")})


def remove_plugin(request: Request) -> Answer:
    drop(request.service["plugins"], plugin_id=request.part)
    return ok()


def plugins(request: Request) -> Answer:
    return ok(list=request.service["plugins"])


def _panic() -> Exception:
    return Rejected(Answer(500))
