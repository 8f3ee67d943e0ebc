"""What the rules of several kinds have in common. Pure, and never changes what it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from domain.changeset import ItemChange, Verb
from domain.configuration import Items

Row = Mapping[str, Any]


def same(one: Row, other: Row, columns: Iterable[str]) -> bool:
    """Whether two rows agree in the columns that count; absent, None and empty are one."""
    return all((one.get(column) or "") == (other.get(column) or "") for column in columns)


def add(kind: str, key: str, after: Row, note: str = "", derived_from: str = "") -> ItemChange:
    """A new item."""
    return ItemChange(kind, key, Verb.ADD, None, dict(after), note, derived_from)


def update(kind: str, key: str, before: Row, after: Row, note: str = "") -> ItemChange:
    """Another row under the same key."""
    return ItemChange(kind, key, Verb.UPDATE, dict(before), dict(after), note)


def delete(kind: str, key: str, before: Row, note: str = "") -> ItemChange:
    """An item that goes."""
    return ItemChange(kind, key, Verb.DELETE, dict(before), None, note)


def keep(kind: str, key: str, before: Row | None, note: str) -> ItemChange:
    """An item that stays as it is, or stays out, and why."""
    return ItemChange(kind, key, Verb.KEEP, None if before is None else dict(before), None, note)


def values(kind: str, installed: Items, target: Items, keys: Iterable[str]) -> list[ItemChange]:
    """Single values: whatever the target names and has otherwise, is taken over."""
    changes = []
    for key in keys:
        wanted = target.get(key)
        if not wanted:
            continue
        present = installed.get(key)
        if present is None:
            changes.append(add(kind, key, wanted))
        elif dict(present) != dict(wanted):
            changes.append(update(kind, key, present, wanted))
    return changes
