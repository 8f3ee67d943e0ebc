"""What a node is told about sources and hooks, checked early: tables `[sources.NAME]`, `[hooks]`.

    [sources.postgres]                    [sources.disk]
    kind = "command"                      kind = "volume"
    save = ["pg_dump", "-Fc", "{service}"]    path = "/srv/images/{service}.img"
    restore = ["pg_restore", "--clean", "--if-exists", "--single-transaction", "-d", "{service}"]

Apart from `config.py` because they have settings of their own. Every mistake is reported at once, and no value quoted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from domain.errors import InvalidMessage
from domain.identity import check_name
from domain.place import EVERYBODY, PlaceSettings
from domain.source import HookSettings, SourceKind, SourceSettings

_HOOKS = ("before_snapshot", "after_snapshot", "before_restore", "after_restore")
_OF_KIND = {"command": {"kind", "save", "restore", "seconds"}, "volume": {"kind", "path", "seconds"}}


def parse_sources(text: str) -> dict[str, SourceSettings]:
    """Sources by name, from a JSON object. ValueError names all problems."""
    problems: list[str] = []
    sources: dict[str, SourceSettings] = {}
    for name, table in _object(text).items():
        found = _problems(name, table)
        problems += [f"{name}{problem}" for problem in found]
        if not found:
            sources[name] = SourceSettings(
                name=name,
                kind=SourceKind(table["kind"]),
                save=tuple(table.get("save", ())),
                restore=tuple(table.get("restore", ())),
                path=table.get("path", ""),
                seconds=float(table.get("seconds", 3600)),
            )
    if problems:
        raise ValueError("; ".join(problems))
    return sources


def parse_hooks(text: str) -> HookSettings:
    """The hooks, from a JSON object. ValueError names all problems."""
    table = _object(text)
    problems = [f"{key}: is no setting of hooks" for key in table if key not in (*_HOOKS, "seconds")]
    problems += [f"{key}{problem}" for key in _HOOKS if key in table for problem in _program(table[key])]
    problems += _duration(table)
    if problems:
        raise ValueError("; ".join(problems))
    return HookSettings(
        **{key: tuple(table[key]) for key in _HOOKS if key in table}, seconds=float(table.get("seconds", 60))
    )


def parse_places(text: str) -> dict[str, PlaceSettings]:
    """Archives to import, from `{"NAME": {"url": …, "tenants": […]}}`. ValueError names all problems."""
    problems: list[str] = []
    places: dict[str, PlaceSettings] = {}
    for name, table in _object(text).items():
        if not isinstance(table, Mapping) or set(table) != {"url", "tenants"}:
            problems.append(f"{name}: must have a url and tenants, and nothing else")
            continue
        url, tenants = table["url"], table["tenants"]
        if not isinstance(url, str) or url.partition("://")[0] not in ("file", "s3"):
            problems.append(f"{name}.url: must be file:///FOLDER or s3://BUCKET")
        elif not isinstance(tenants, list) or not tenants or not all(map(_is_tenant, tenants)):
            problems.append(f'{name}.tenants: must be a list of tenants, or ["{EVERYBODY}"] for all of them')
        else:
            places[name] = PlaceSettings(url, frozenset(tenants))
    if problems:
        raise ValueError("; ".join(problems))
    return places


def _is_tenant(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return value == EVERYBODY or bool(check_name(value, "tenant"))
    except InvalidMessage:
        return False


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (line {error.lineno}, column {error.colno})") from None
    if not isinstance(found, dict):
        raise ValueError("must be an object")
    return found


def _problems(name: str, table: Any) -> list[str]:
    try:
        check_name(name, "source")
    except InvalidMessage as error:
        return [f": {error}"]
    if not isinstance(table, Mapping) or table.get("kind") not in list(_OF_KIND):
        return [".kind: must be command or volume"]
    kind = table["kind"]
    found = [f".{key}: is no setting of a {kind}" for key in table if key not in _OF_KIND[kind]]
    if kind == "command":
        found += [f".save{problem}" for problem in _program(table.get("save"))]
        found += [f".restore{problem}" for problem in _program(table["restore"])] if "restore" in table else []
    elif not isinstance(table.get("path"), str) or not os.path.isabs(table["path"]):
        found.append(".path: must be an absolute path")
    return found + [f".{problem}" for problem in _duration(table)]


def _program(value: Any) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(word, str) and "\0" not in word for word in value):
        return []
    return [": must be a list of texts: a program and its arguments"]


def _duration(table: Mapping[str, Any]) -> list[str]:
    seconds = table.get("seconds", 1)
    good = isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds <= 86_400
    return [] if good else ["seconds: must be a number of seconds above 0, at most a day"]
