"""Version templates ("v2"): which component a service is in it, and what that wants the service to be.

Apart from details because nothing in a template is an id of this installation: ids of the publisher's own
services are dropped, and relations stay named by share keys until the kinds resolve them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from domain.configuration import Configuration
from domain.errors import InvalidMessage, NotFound

Row = dict[str, Any]

_PROBE_FOREIGN = ("ID", "probe_id", "service_id", "tenant_id")


def check(template: Mapping[str, Any]) -> None:
    """InvalidMessage, with the path, unless the parts that an upgrade reads have their shapes."""
    version = template.get("template_version", "v2")
    if version != "v2":
        raise InvalidMessage("template.template_version must be v2", field="template.template_version")
    apps = template.get("apps")
    if not isinstance(apps, list) or not all(isinstance(app, Mapping) for app in apps):
        raise InvalidMessage("template.apps must be a list of objects", field="template.apps")
    for number, app in enumerate(apps):
        path = f"template.apps.{number}"
        if not (app.get("service_share_uuid") or app.get("service_key")):
            raise InvalidMessage(f"{path} has neither service_share_uuid nor service_key", field=path)
        target({"apps": [app]}, {"share_uuid": app.get("service_share_uuid") or app.get("service_key")}, path)


def target(template: Mapping[str, Any], origin: Mapping[str, Any], path: str = "template.apps") -> Configuration:
    """The wanted configuration of the service that has this origin."""
    component = _component(template, origin)
    items: dict[str, dict[str, Row]] = {}
    _runs(items, component)
    for section, kind, scope in (
        ("service_env_map_list", "env", "inner"),
        ("service_connect_info_map_list", "connect_info", "outer"),
    ):
        for row in _rows(component, section, path):
            if row.get("attr_name"):
                items.setdefault(kind, {})[str(row["attr_name"])] = _env(row, scope)
    for row in _rows(component, "port_map_list", path):
        number = row.get("container_port")
        if not isinstance(number, int):
            raise InvalidMessage(
                f"{path}.port_map_list: container_port must be a number", field=f"{path}.port_map_list"
            )
        items.setdefault("port", {})[str(number)] = _without(row, ("ID", "tenant_id", "service_id"))
    for row in _rows(component, "service_volume_map_list", path):
        if not row.get("volume_path") or not row.get("volume_name"):
            raise InvalidMessage(f"{path}.service_volume_map_list: a volume has no name or path", field=path)
        is_file = row.get("volume_type") == "config-file"
        dropped = ("ID", "service_id", "tenant_id", "host_path", *(() if is_file else ("file_content",)))
        kind = "config_file" if is_file else "volume"
        items.setdefault(kind, {})[str(row["volume_path"])] = _without(row, dropped)
    for row in _rows(component, "probes", path):
        items.setdefault("probe", {})[str(row.get("mode") or "readiness")] = _without(row, _PROBE_FOREIGN)
    for row in _rows(component, "dep_service_map_list", path):
        if row.get("dep_service_key"):
            key = str(row["dep_service_key"])
            items.setdefault("dependency", {})[key] = {"dep_service_key": key}
    for row in _rows(component, "mnt_relation_list", path):
        if row.get("service_share_uuid") and row.get("mnt_name"):
            key = f"{row['service_share_uuid']}/{row['mnt_name']}"
            items.setdefault("mount", {})[key] = {
                name: row.get(name) for name in ("service_share_uuid", "mnt_name", "mnt_dir")
            }
    for row in _rows(component, "service_related_plugin_config", path):
        if row.get("plugin_key"):
            items.setdefault("plugin", {})[str(row["plugin_key"])] = _plugin(row, template)
    share = component.get("service_share_uuid") or component.get("service_key")
    wanted = {name: origin.get(name) for name in ("group_key", "version") if origin.get(name)}
    return Configuration(items, wanted | {"share_uuid": share})


def _component(template: Mapping[str, Any], origin: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first one that has the service's share key, or, in old templates, its service key."""
    names = {str(origin[name]) for name in ("share_uuid", "service_key") if origin.get(name)}
    share = origin.get("share_uuid")
    apps = template.get("apps") or ()
    for wanted in ({str(share)} if share else set(), names):
        for app in apps:
            if wanted & {str(app.get("service_share_uuid") or ""), str(app.get("service_key") or "")} - {""}:
                found: Mapping[str, Any] = app
                return found
    raise NotFound(
        "the version has no component with the share key of this service",
        code="component-not-in-version",
        next_step="register the service with the share_uuid that the version's template gives it",
    )


def _runs(items: dict[str, dict[str, Row]], component: Mapping[str, Any]) -> None:
    image = items.setdefault("image", {})
    for key, column in (("image", "share_image"), ("deploy_version", "deploy_version"), ("version", "version")):
        if component.get(column):
            image[key] = {"value": component[column]}
    if "cmd" in component:
        image["cmd"] = {"value": component["cmd"] or ""}
    if component.get("share_image") and component.get("service_image"):
        image["registry"] = copy.deepcopy(dict(component["service_image"]))
    if component.get("share_slug_path"):
        items["slug"] = {"slug_path": {"value": component["share_slug_path"]}}
        if component.get("service_slug"):
            items["slug"]["registry"] = copy.deepcopy(dict(component["service_slug"]))
    scaling = component.get("extend_method_map") or {}
    for name in ("min_memory", "min_node"):
        if scaling.get(name) is not None:
            items.setdefault("resources", {})[name] = {"value": scaling[name]}


def _env(row: Mapping[str, Any], scope: str) -> Row:
    return {
        "name": str(row.get("name") or row["attr_name"]),
        "attr_name": str(row["attr_name"]),
        "attr_value": "" if row.get("attr_value") is None else str(row["attr_value"]),
        "is_change": bool(row.get("is_change", True)),
        "scope": scope,
        "container_port": int(row.get("container_port") or 0),
    }


def _plugin(row: Mapping[str, Any], template: Mapping[str, Any]) -> Row:
    """Its settings, with the publisher's service ids turned into share keys."""
    shares = {str(app.get("service_id")): app.get("service_share_uuid") for app in template.get("apps") or ()}
    settings = []
    for item in row.get("attr") or ():
        setting = _without(item, ("ID", "service_id", "plugin_id", "create_time"))
        source = str(setting.get("dest_service_id") or "")
        settings.append(setting | ({"dest_service_key": shares[source]} if shares.get(source) else {}))
    names = {str(p.get("plugin_key")): p.get("plugin_alias") for p in template.get("plugins") or ()}
    kept = {name: row.get(name) for name in ("plugin_key", "plugin_status", "build_version", "service_meta_type")}
    return kept | {"plugin_alias": names.get(str(row["plugin_key"])), "attr": settings}


def _rows(component: Mapping[str, Any], name: str, path: str) -> list[Mapping[str, Any]]:
    found = component.get(name)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(row, Mapping) for row in found):
        raise InvalidMessage(f"{path}.{name} must be a list of objects", field=f"{path}.{name}")
    return found


def _without(row: Mapping[str, Any], columns: tuple[str, ...]) -> Row:
    return {name: copy.deepcopy(value) for name, value in row.items() if name not in columns}
