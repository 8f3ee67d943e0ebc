"""The rules of environment variables, for both of their kinds: inner ones and connection information.

Apart from the two files because the names share one space: a variable exists once in a service, in
whatever scope. One normalised list feeds the console's rows and the region.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from domain.changeset import Effect, ItemChange, Verb
from domain.configuration import Configuration, Items
from domain.differing import add, keep
from domain.kind import Facts
from domain.region import Call, Place
from domain.region_calls import add_env, remove_env, restore_envs, set_env

#: Names that the platform gives a meaning of its own.
RESERVED = frozenset(
    [
        "TENANT_ID",
        "SERVICE_ID",
        "TENANT_NAME",
        "SERVICE_NAME",
        "SERVICE_VERSION",
        "MEMORY_SIZE",
        "SERVICE_EXTEND_METHOD",
        "SLUG_URL",
        "DEPEND_SERVICE",
        "REVERSE_DEPEND_SERVICE",
        "POD_ORDER",
        "PATH",
        "POD_NET_IP",
        "LOG_MATCH",
    ]
)
_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*\Z")
LONGEST_VALUE = 65532  # the region cuts longer ones without a word
COMPARED = ("attr_value", "scope", "container_port", "name", "is_change")


def diff(kind: str, installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """Only names that no scope of the service has are added; a value that is there is never changed."""
    own = facts.providers.get(facts.service_id)
    taken = dict(installed) if own is None else {**own.of("env"), **own.of("connect_info")}
    changes = []
    for key, row in target.items():
        present = taken.get(key)
        if present is not None:
            if (present.get("attr_value") or "") != (resolve(row, facts) or ""):
                changes.append(keep(kind, key, present, "the installed value is kept; the version has another one"))
            continue
        wanted = dict(row) | {"attr_value": resolve(row, facts)}
        fault = unfit(key, wanted["attr_value"])
        changes.append(keep(kind, key, None, fault) if fault else add(kind, key, wanted))
    return changes


def resolve(row: Mapping[str, Any], facts: Facts) -> str:
    """The value, with the platform's placeholder for "something of this service's own" filled in."""
    value = str(row.get("attr_value") or "")
    if value == "**None**" and not row.get("container_port"):
        return facts.service_id[:8]
    return value


def unfit(name: str, value: str) -> str:
    """Why a variable cannot be had; empty when it can."""
    if name in RESERVED:
        return "the platform reserves this name"
    if not _NAME.match(name) or len(name) > 100:
        return "the name is not one of an environment variable"
    return "the value is longer than the region keeps" if len(value.encode()) > LONGEST_VALUE else ""


def effect(change: ItemChange) -> Effect:
    """The containers must be updated."""
    return Effect.UPDATE


def calls(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """One call for each variable; one that moves to another scope is made anew."""
    if change.verb is Verb.DELETE:
        return (remove_env(change.before or {}),)
    if change.verb is Verb.ADD or change.before is None:
        return (
            (add_env(place, change.after or {}),) if change.verb is Verb.ADD else (set_env(place, change.after or {}),)
        )
    moved = [column for column in ("scope", "container_port", "name", "is_change") if _differs(change, column)]
    after = change.after or {}
    return (remove_env(after), add_env(place, after)) if moved else (set_env(place, after),)


def undo(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """Item by item, for when the region has variables of its own in the section."""
    if change.before is None:
        return (remove_env(change.after or {}),)
    return (remove_env(change.before), add_env(place, change.before))


def restore(before: Configuration, place: Place, changes: Sequence[ItemChange]) -> tuple[Call, ...]:
    """Replace the scopes that were touched from the console's rows, of both kinds: a scope is replaced as a whole."""
    rows = [*before.of("env").values(), *before.of("connect_info").values()]
    touched = {str(row.get("scope") or "inner") for change in changes for row in (change.before, change.after) if row}
    return tuple(restore_envs(scope, rows) for scope in sorted(touched))


def _differs(change: ItemChange, column: str) -> bool:
    return ((change.before or {}).get(column) or "") != ((change.after or {}).get(column) or "")
