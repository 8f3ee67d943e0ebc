"""Version templates ("v2"): which component a service is in it, and what that wants the service to be.

Apart from details because nothing in a template is an id of this installation: ids of the publisher's own
services are dropped, and relations stay named by share keys until the kinds resolve them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from domain.configuration import Configuration
from domain.errors import NotFound
from domain.formats.rainbond_details import REGISTRY
from domain.formats.shapes import Row, fault, mapping, optional_text, port, rows, text, whole, without

Items = dict[str, dict[str, Row]]

#: Ids, names of ids, and times, of the publisher's own installation.
_FOREIGN = (
    "ID", "probe_id", "service_id", "tenant_id", "host_path", "plugin_id", "dest_service_alias", "create_time",
)  # fmt: skip


def check(template: Mapping[str, Any]) -> None:
    """InvalidMessage, with the path, unless the parts that an upgrade reads have their shapes."""
    if template.get("template_version", "v2") != "v2":
        raise fault("template.template_version", "must be v2")
    if not isinstance(template.get("apps"), list):
        raise fault("template.apps", "must be a list; a template has apps, or services in the plain form")
    rows(template, "plugins", "template")
    for path, component in rows(template, "apps", "template"):
        if not _names(component, path):
            raise fault(path, "has neither service_share_uuid nor service_key")
        _items(component, template, path)


def target(template: Mapping[str, Any], origin: Mapping[str, Any]) -> Configuration:
    """The wanted configuration of the service that has this origin."""
    path, component = _component(template, origin)
    share = optional_text(component, "service_share_uuid", path) or optional_text(component, "service_key", path)
    wanted = {name: origin[name] for name in ("group_key", "version") if origin.get(name)}
    return Configuration(_items(component, template, path), wanted | {"share_uuid": share})


def _component(template: Mapping[str, Any], origin: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The first one under the service's share key; if it has none of that name, one from before share keys.

    Two components can come from one service key, so it decides only for components that have nothing else.
    """
    share, key = (str(origin.get(name) or "") for name in ("share_uuid", "service_key"))
    apps = rows(template, "apps", "template")
    for path, component in apps if share else ():
        if share in _names(component, path):
            return path, component
    for path, component in apps if key else ():
        if _names(component, path) == [key]:
            return path, component
    raise NotFound(
        "the version has no component with the share key of this service",
        code="component-not-in-version",
        next_step="register the service with the share_uuid that the version's template gives it",
    )


def _names(component: Mapping[str, Any], path: str) -> list[str]:
    """The share key, where there is one, and the service key."""
    found = (optional_text(component, name, path) for name in ("service_share_uuid", "service_key"))
    return [name for name in found if name]


def _items(component: Mapping[str, Any], template: Mapping[str, Any], path: str) -> Items:
    items: Items = {}
    _runs(items, component, path)
    _envs(items, component, path)
    for where, row in rows(component, "port_map_list", path):
        _put(items, "port", str(port(row, "container_port", where)), row)
    for where, row in rows(component, "service_volume_map_list", path):
        text(row, "volume_name", where)
        is_file = row.get("volume_type") == "config-file"
        kept = row if is_file else without(row, "file_content")
        _put(items, "config_file" if is_file else "volume", text(row, "volume_path", where), kept)
    for where, row in rows(component, "probes", path):
        mode = optional_text(row, "mode", where) or "readiness"
        _put(items, "probe", mode, {**row, "mode": mode})
    _relations(items, component, path)
    for where, row in rows(component, "service_related_plugin_config", path):
        key = optional_text(row, "plugin_key", where)
        if key:
            _put(items, "plugin", key, _plugin(row, template, where))
    return items


def _put(items: Items, kind: str, key: str, row: Mapping[str, Any]) -> None:
    """The first one of a key counts, as it does for a region. Foreign ids are left behind."""
    items.setdefault(kind, {}).setdefault(key, copy.deepcopy(without(row, *_FOREIGN)))


def _runs(items: Items, component: Mapping[str, Any], path: str) -> None:
    """Image or slug, with the registry that it is pulled from, and how much of it runs."""
    columns = (("image", "share_image"), ("deploy_version", "deploy_version"), ("version", "version"))
    found = {key: optional_text(component, column, path) for key, column in columns}
    image: dict[str, Row] = {key: {"value": value} for key, value in found.items() if value}
    if "cmd" in component:
        image["cmd"] = {"value": optional_text(component, "cmd", path) or ""}
    registry = _registry(component, "service_image", "image", path)
    if registry and "image" in image:
        image["registry"] = registry
    slug_path = optional_text(component, "share_slug_path", path)
    registry = _registry(component, "service_slug", "slug", path)
    if slug_path:
        items["slug"] = {"slug_path": {"value": slug_path}} | ({"registry": registry} if registry else {})
    if image:
        items["image"] = image
    scaling = mapping(component.get("extend_method_map") or {}, f"{path}.extend_method_map")
    for name in ("min_memory", "min_node"):
        if scaling.get(name) is not None:
            value = whole(scaling[name], f"{path}.extend_method_map.{name}")
            items.setdefault("resources", {})[name] = {"value": value}


def _registry(component: Mapping[str, Any], name: str, kind: str, path: str) -> Row:
    """Only what a console keeps of it; the values are secret."""
    found = mapping(component.get(name) or {}, f"{path}.{name}")
    return {column: copy.deepcopy(found[column]) for column in REGISTRY[kind] if column in found}


def _envs(items: Items, component: Mapping[str, Any], path: str) -> None:
    for section, kind, scope in (
        ("service_env_map_list", "env", "inner"),
        ("service_connect_info_map_list", "connect_info", "outer"),
    ):
        for where, row in rows(component, section, path):
            name = text(row, "attr_name", where)
            kept = {
                "name": optional_text(row, "name", where) or name,
                "attr_name": name,
                "attr_value": optional_text(row, "attr_value", where) or "",
                "is_change": bool(row.get("is_change", True)),
                "scope": scope,
                "container_port": whole(row.get("container_port") or 0, f"{where}.container_port", 0, 65535),
            }
            _put(items, kind, name, kept)


def _relations(items: Items, component: Mapping[str, Any], path: str) -> None:
    for where, row in rows(component, "dep_service_map_list", path):
        key = optional_text(row, "dep_service_key", where)
        if key:
            _put(items, "dependency", key, {"dep_service_key": key})
    for where, row in rows(component, "mnt_relation_list", path):
        provider, name = (optional_text(row, column, where) for column in ("service_share_uuid", "mnt_name"))
        if provider and name:
            kept = {"service_share_uuid": provider, "mnt_name": name, "mnt_dir": optional_text(row, "mnt_dir", where)}
            _put(items, "mount", f"{provider}/{name}", kept)


def _plugin(row: Mapping[str, Any], template: Mapping[str, Any], path: str) -> Row:
    """Its settings, with the publisher's service ids turned into share keys."""
    shares = {
        optional_text(app, "service_id", where): _names(app, where)[:1]
        for where, app in rows(template, "apps", "template")
    }
    names = {str(plugin.get("plugin_key")): plugin.get("plugin_alias") for _, plugin in rows(template, "plugins", "")}
    settings = []
    for where, item in rows(row, "attr", path):
        share = shares.get(optional_text(item, "dest_service_id", where) or "")
        setting = without(item, *_FOREIGN)
        settings.append(setting | ({"dest_service_key": share[0]} if share else {}))
    kept = {name: row.get(name) for name in ("plugin_key", "plugin_status", "build_version", "service_meta_type")}
    return kept | {"plugin_alias": names.get(str(row["plugin_key"])), "attr": settings}
