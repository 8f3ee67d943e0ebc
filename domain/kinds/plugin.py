"""Plugins: an upgrade adds those that the team has installed, with their settings."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from domain.changeset import Effect, ItemChange, Verb
from domain.configuration import Configuration, Items
from domain.differing import add, delete, keep
from domain.kind import Facts, Kind
from domain.region import Call, Place
from domain.region_calls import LIST_PLUGINS, add_plugin, is_on, remove_plugin, restore_plugins


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """By plugin key; a plugin that the team does not have is left out, with a note."""
    keys = {str(row.get("plugin_key") or "") for row in installed.values()}
    changes, wanted = [], set()
    for key, row in target.items():
        plugin_key = str(row.get("plugin_key") or key)
        plugin_id = str(row.get("plugin_id") or facts.plugins.get(plugin_key, ""))
        wanted |= {plugin_key, plugin_id}
        if plugin_key in keys or plugin_id in installed:
            continue
        if not plugin_id:
            changes.append(keep("plugin", plugin_key, None, "the team has not installed this plugin"))
            continue
        fresh = {
            "plugin_id": plugin_id,
            "plugin_key": plugin_key,
            "build_version": row.get("build_version") or "",
            "service_meta_type": row.get("service_meta_type") or "",
            "plugin_status": is_on(row),
            "config": [_setting(item, facts) for item in row.get("attr") or row.get("config") or ()],
        }
        changes.append(add("plugin", plugin_id, fresh))
    for plugin_id, present in installed.items():
        if plugin_id in wanted or str(present.get("plugin_key") or "") in wanted:
            continue
        if facts.delete:
            changes.append(delete("plugin", plugin_id, present))
        else:
            changes.append(
                keep("plugin", plugin_id, present, "the version no longer has it; deleting was not asked for")
            )
    return changes


def _setting(item: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """A row of settings for this service: a destination is another service of the group, found by its key. One that
    is not of the group has the alias that was given with its id."""
    source = str(item.get("dest_service_key") or item.get("dest_service_id") or "")
    found = facts.installed.get(source, source)
    alias = facts.aliases.get(found) or str(item.get("dest_service_alias") or "")
    return dict(item) | {"dest_service_id": found, "dest_service_alias": alias}


def _settings(row: Mapping[str, Any], place: Place) -> dict[str, Any]:
    """The settings in the shape that the region takes."""
    normal: list[dict[str, Any]] = []
    ports: list[dict[str, Any]] = []
    services: list[dict[str, Any]] = []
    loose: dict[str, Any] = {}
    for item in row.get("config") or ():
        options = _options(item.get("attrs"))
        own = {"service_id": place.service_id, "service_alias": place.alias}
        reach = {"port": int(item.get("container_port") or 0), "protocol": str(item.get("protocol") or "")}
        if item.get("injection") == "env":
            normal += [{"env_name": name, "env_value": str(value)} for name, value in options.items()]
        elif item.get("service_meta_type") == "upstream_port":
            ports.append(own | reach | {"options": options})
        elif item.get("service_meta_type") == "downstream_port":
            provider = {
                "depend_service_id": str(item.get("dest_service_id") or ""),
                "depend_service_alias": str(item.get("dest_service_alias") or ""),
            }
            services.append(own | provider | reach | {"options": options})
        else:
            loose |= options
    complex_envs = {"base_ports": ports, "base_services": services, "base_normal": {"options": loose}}
    return {"normal_envs": normal, "complex_envs": complex_envs}


def _options(attrs: Any) -> dict[str, Any]:
    if isinstance(attrs, dict):
        return attrs
    try:
        found = json.loads(attrs or "{}")
    except (TypeError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def calls(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """With the whole of its settings."""
    if change.verb is Verb.DELETE:
        return (remove_plugin(change.before or {}),)
    after = change.after or {}
    added = add_plugin(after, _settings(after, place))
    return (added,) if change.verb is Verb.ADD or not change.before else (remove_plugin(after), added)


def undo(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """Out, and in again with the old settings."""
    gone = () if change.after is None else (remove_plugin(change.after),)
    if change.before is None:
        return gone
    return (*gone, remove_plugin(change.before), add_plugin(change.before, _settings(change.before, place)))


def same(change: ItemChange, rows: Sequence[Any]) -> bool:
    """Whether the region lists this plugin, in this version; one of its kind is not it."""
    wanted = change.after or {}
    return any(
        row.get("plugin_id") == wanted.get("plugin_id") and str(row.get("version_id")) == str(wanted["build_version"])
        for row in rows
    )


def restore(before: Configuration, place: Place, changes: Sequence[ItemChange]) -> tuple[Call, ...]:
    """Replace the relations; a plugin that was removed, or replaced, is installed again with its settings."""
    again = [change.before for change in changes if change.before is not None]
    anew = (call for row in again for call in (remove_plugin(row), add_plugin(row, _settings(row, place))))
    return (restore_plugins(before.of("plugin").values()), *anew)


kind = Kind(
    rank=100, compared=("build_version", "plugin_status", "config"), diff=diff, effect=lambda change: Effect.UPDATE,
    calls=calls, undo=undo, restore=restore, dependent=True, read=LIST_PLUGINS, same=same, in_place=False,
)  # fmt: skip
