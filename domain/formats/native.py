"""Our own plain form: what people write by hand in JSON, TOML or a message.

Apart from the foreign forms because here unknown fields are refused: a misspelt one that did nothing would
make the configuration a lie. For the same reason nothing may be named twice.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from domain.configuration import Configuration
from domain.errors import NotFound
from domain.formats.native_lists import LISTS, fields, put, take_probe
from domain.formats.shapes import LONGEST_NAME, Row, fault, mapping, optional_text, scalar, text, whole

Items = dict[str, dict[str, Row]]
Reader = Callable[[Items, dict[str, Any], Any, str], None]

_REGISTRY = {"url": "hub_url", "user": "hub_user", "password": "hub_password", "namespace": "namespace"}


def read(document: Mapping[str, Any], path: str = "configuration") -> Configuration:
    """The items of a plain document; InvalidMessage names the path of the first fault."""
    items: Items = {}
    origin: dict[str, Any] = {}
    for name, value in document.items():
        where = f"{path}.{name[:LONGEST_NAME]}"
        if name in _FIELDS:
            _FIELDS[name](items, origin, value, where)
        elif name in LISTS:
            LISTS[name](items, value, where)
        else:
            known = ", ".join(sorted({*_FIELDS, *LISTS}))
            raise fault(where, f"is no field here; a configuration has {known}")
    return Configuration(items, origin)


def check_services(template: Mapping[str, Any]) -> None:
    """InvalidMessage unless it is {"services": {name: plain configuration}}."""
    for name, service in mapping(template["services"], "template.services").items():
        where = f"template.services.{name[:LONGEST_NAME]}"
        read(mapping(service, where), where)


def target(template: Mapping[str, Any], origin: Mapping[str, Any]) -> Configuration:
    """What a version in the plain form wants of the service: found by share key, service key, alias or id."""
    services = mapping(template["services"], "template.services")
    for name in ("share_uuid", "service_key", "alias", "service_id"):
        key = str(origin.get(name) or "")
        if key in services:
            where = f"template.services.{key}"
            found = read(mapping(services[key], where), where)
            wanted = {name: origin[name] for name in ("group_key", "version") if origin.get(name)}
            items = {kind: dict(rows) for kind, rows in found.items.items()}
            if "version" in wanted:
                items.setdefault("image", {}).setdefault("version", {"value": wanted["version"]})
            return Configuration(items, wanted)
    raise NotFound(
        "the version has no service of this name",
        code="component-not-in-version",
        next_step="name it in the version's services by its share_uuid, its service_key, its alias or its id",
    )


# ---------------------------------------------------------------- single fields
def _named(kind: str, key: str) -> Reader:
    def take(items: Items, origin: dict[str, Any], value: Any, path: str) -> None:
        put(items, kind, key, {"value": str(scalar(value, path))}, path)

    return take


def _counted(key: str, least: int) -> Reader:
    def take(items: Items, origin: dict[str, Any], value: Any, path: str) -> None:
        put(items, "resources", key, {"value": whole(value, path, least)}, path)

    return take


def _source(name: str) -> Reader:
    def take(items: Items, origin: dict[str, Any], value: Any, path: str) -> None:
        origin[name] = str(scalar(value, path))

    return take


def _version(items: Items, origin: dict[str, Any], value: Any, path: str) -> None:
    origin["version"] = str(scalar(value, path))
    put(items, "image", "version", {"value": origin["version"]}, path)


def _registry(items: Items, origin: dict[str, Any], value: Any, path: str) -> None:
    row = fields(value, path, (), tuple(_REGISTRY))
    found = {column: optional_text(row, name, path) or "" for name, column in _REGISTRY.items() if name in row}
    put(items, "image", "registry", found, path)


def _team_plugins(items: Items, origin: dict[str, Any], value: Any, path: str) -> None:
    """plugin_key -> plugin_id."""
    team = mapping(value, path)
    origin["plugins"] = copy.deepcopy({key: text(team, key, path) for key in team})


def _probe(items: Items, origin: dict[str, Any], value: Any, path: str) -> None:
    """The usual case: one probe, without a list around it."""
    take_probe(items, value, path)


_FIELDS: dict[str, Reader] = {
    "image": _named("image", "image"),
    "cmd": _named("image", "cmd"),
    "build": _named("image", "deploy_version"),
    "slug": _named("slug", "slug_path"),
    "registry": _registry,
    "memory": _counted("min_memory", 0),
    "cpu": _counted("min_cpu", 0),
    "nodes": _counted("min_node", 0),
    "version": _version,
    "group": _source("group"),
    "group_key": _source("group_key"),
    "share_uuid": _source("share_uuid"),
    "service_key": _source("service_key"),
    "team_plugins": _team_plugins,
    "probe": _probe,
}
