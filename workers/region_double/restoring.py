"""The replace-all calls, including what they wipe and what is broken in them.

Apart from the item-wise calls because a missing list here means "delete everything", which no item-wise call can do.
"""

from __future__ import annotations

from workers.region_double.answer import Answer, Request, drop, find, invalid, ok, refuse, required, typed
from workers.region_double.properties import ENV_TYPES, PORT_TYPES, checked_probe
from workers.region_double.relations import provider_has, unknown_plugin

_SCOPES = ("outer", "inner", "both", "build")


def envs(request: Request) -> Answer:
    body = typed(request.body, scope="text", envs="list")
    required(body, "scope")
    if body["scope"] not in _SCOPES:
        raise invalid("scope", "The scope field must be one of outer, inner, both, build")
    rows = [dict(typed(row, **ENV_TYPES)) for row in body.get("envs") or []]
    drop(request.service["envs"], scope=body["scope"])
    request.service["envs"] += rows
    return ok(bean="ok")


def ports(request: Request) -> Answer:
    rows = typed(request.body, ports="list").get("ports") or []
    request.service["ports"] = [dict(typed(row, **PORT_TYPES)) for row in rows]
    return ok(bean="ok")


def volumes(request: Request) -> Answer:
    """Broken in every generation: only `host_path` is copied, and the empty row blocks each later call."""
    rows = typed(request.body, volumes="list").get("volumes") or []
    if len(rows) > 1 or (rows and request.root["orphan_volume"]):
        raise refuse(500, "record already exist")
    request.root["orphan_volume"] |= bool(rows)
    kept = [row for row in request.service["volumes"] if row["volume_type"] not in ("share-file", "config-file")]
    request.service["volumes"] = kept
    return ok(bean="ok")


def probe(request: Request) -> Answer:
    request.service["probes"] = [checked_probe(request)] if request.raw else []
    return ok(bean="ok")


def dependencies(request: Request) -> Answer:
    rows = typed(request.body, deps="list").get("deps") or []
    types = {"dep_service_id": "text", "dep_service_type": "text"}
    request.service["deps"] = [{name: typed(row, **types).get(name) for name in types} for row in rows]
    return ok(bean="ok")


def mounts(request: Request) -> Answer:
    rows = [typed(row) for row in typed(request.body, dep_vols="list").get("dep_vols") or []]
    if not all(provider_has(request, row.get("dep_service_id"), row.get("volume_name")) for row in rows):
        raise refuse(500, "record not found")
    request.service["depvolumes"] = [
        {
            "depend_service_id": row["dep_service_id"],
            "volume_name": row["volume_name"],
            "volume_path": row.get("volume_path"),
            "volume_type": _type_of(request, row["dep_service_id"], row["volume_name"]),
        }
        for row in rows
    ]
    return ok()


def _type_of(request: Request, service_id: str, volume_name: str) -> str:
    provider = find(list(request.services.values()), service_id=service_id) or {"volumes": []}
    volume = find(provider["volumes"], volume_name=volume_name) or {}
    return str(volume.get("volume_type", ""))


def plugins(request: Request) -> Answer:
    """Only the relation comes back; the configuration that an uninstall removed is lost."""
    rows = [typed(row, switch="bool") for row in typed(request.body, plugins="list").get("plugins") or []]
    if any(unknown_plugin(request, row) for row in rows):
        raise refuse(500, "plugin or version not found", twice=True)
    present = {row["plugin_id"]: row for row in request.service["plugins"]}
    request.service["plugins"] = [
        present.get(row.get("plugin_id"), {}) | {name: row.get(name) for name in ("plugin_id", "version_id", "switch")}
        for row in rows
    ]
    return ok()
