"""What a version makes of a service's rows, reckoned once more, from the template as the shop has drawn it.

Apart from the product's reader and planner because what they get wrong must not be expected of them as well. It knows
of docs/upgrades.md what the shop draws: nothing that is there is lost but probes, and what is there keeps its values.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Mapping
from typing import Any

Row = dict[str, Any]
Items = dict[str, dict[str, Row]]

#: What a probe has when nothing is said.
_USUAL = {
    "scheme": "tcp", "cmd": "", "http_header": "", "initial_delay_second": 1, "period_second": 3,
    "timeout_second": 30, "failure_threshold": 3, "success_threshold": 1, "is_used": True,
}  # fmt: skip


def merged(
    service_id: str, before: Mapping[str, Any], wanted: Mapping[str, Any], depends: Callable[[str], bool]
) -> Items:
    """The rows `before` under the template's part for this service; `depends(provider)`: whether that one has an inner
    port, without which nothing depends on it."""
    items: Items = {kind: dict(rows) for kind, rows in copy.deepcopy(dict(before)).items()}
    for name, key in (("image", "image"), ("build", "deploy_version"), ("version", "version")):
        if name in wanted:
            items.setdefault("image", {})[key] = {"value": wanted[name]}
    _variables(items, wanted)
    _ports(items, wanted)
    _files(items, wanted, service_id)
    _probes(items, wanted, service_id)
    for provider in wanted.get("dependencies", ()):
        if provider not in items.get("dependency", {}) and depends(provider):
            row = {"dep_service_id": provider, "dep_service_type": "application", "dep_order": 0}
            items.setdefault("dependency", {})[provider] = row
    return {kind: rows for kind, rows in items.items() if rows}


def without(items: Items, before: Mapping[str, Any], left_out: set[str], *, generated: bool) -> Items:
    """These rows, but those left out ("kind/key") as they were before; `generated`: and with a port what was generated
    for it."""
    gone = {(kind, key) for kind, _, key in (name.partition("/") for name in left_out)}
    for key, row in items.get("connect_info", {}).items():
        if generated and row.get("container_port") and ("port", str(row["container_port"])) in gone:
            gone.add(("connect_info", key))
    found = copy.deepcopy(items)
    for kind, key in gone:
        found.setdefault(kind, {}).pop(key, None)
        if key in before.get(kind, {}):
            found[kind][key] = copy.deepcopy(before[kind][key])
    return {kind: rows for kind, rows in found.items() if rows}


def has_inner_port(items: Mapping[str, Any]) -> bool:
    """Whether others may depend on it."""
    return any(row["is_inner_service"] for row in items.get("port", {}).values())


def _variables(items: Items, wanted: Mapping[str, Any]) -> None:
    for env in wanted.get("envs", ()):
        name = env["name"]
        if name not in items.get("env", {}) and name not in items.get("connect_info", {}):
            row = {"name": name, "attr_name": name, "attr_value": env["value"], "is_change": True}
            items.setdefault("env", {})[name] = row | {"scope": "inner", "container_port": 0}


def _ports(items: Items, wanted: Mapping[str, Any]) -> None:
    ports = items.setdefault("port", {})
    for port in wanted.get("ports", ()):
        number, inner, outer = port["port"], port.get("inner", False), port.get("outer", False)
        row = ports.get(str(number))
        was_inner = row is not None and row["is_inner_service"]
        if row is None:
            row = {"container_port": number, "mapping_port": number, "protocol": "http", "port_alias": port["alias"]}
            row |= {"is_inner_service": False, "is_outer_service": False}
        opened = {"is_inner_service": was_inner or inner, "is_outer_service": row["is_outer_service"] or outer}
        ports[str(number)] = row | opened
        if inner and not was_inner:
            _generated(items, number, row["port_alias"])


def _generated(items: Items, number: int, alias: str) -> None:
    for name, value in ((f"{alias}_HOST", "127.0.0.1"), (f"{alias}_PORT", str(number))):
        row = {"name": name, "attr_name": name, "attr_value": value, "is_change": False, "scope": "outer"}
        items.setdefault("connect_info", {})[name] = row | {"container_port": number}


def _files(items: Items, wanted: Mapping[str, Any], service_id: str) -> None:
    volumes, files = items.setdefault("volume", {}), items.setdefault("config_file", {})
    taken = {row["volume_name"] for row in (*volumes.values(), *files.values())}
    for file in wanted.get("config_files", ()):
        path = file["path"]
        if path in files:
            files[path] = files[path] | {"file_content": file["content"]}
            continue
        name = file["name"]
        if name in taken:
            name += "-" + hashlib.sha256(f"{service_id}{path}".encode()).hexdigest()[:6]
        row = {"volume_name": name, "volume_path": path, "category": "", "volume_type": "config-file"}
        files[path] = row | {"file_content": file["content"]}
    for volume in wanted.get("volumes", ()):
        if (path := volume["path"]) not in volumes:
            row = {"volume_name": volume["name"], "volume_path": path, "category": "", "volume_type": "share-file"}
            volumes[path] = row


def _probes(items: Items, wanted: Mapping[str, Any], service_id: str) -> None:
    """A version that lists probes lists all of them."""
    if "probes" not in wanted:
        return
    present, items["probe"] = items.get("probe", {}), {}
    for probe in wanted["probes"]:
        mode = probe["mode"]
        fresh = hashlib.sha256(f"{service_id}/{mode}".encode()).hexdigest()[:32]
        items["probe"][mode] = _USUAL | probe | {"probe_id": present.get(mode, {}).get("probe_id") or fresh}
