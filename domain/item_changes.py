"""Making item changes: what the rules of several kinds have in common.

Apart from the kinds, whose folder holds kinds only, and from planning, which orders what they find. Rows
are copied here, so that no change shares a row with what it was made from.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from typing import Any

from domain.changeset import Effect, ItemChange, Verb
from domain.configuration import Items

Row = Mapping[str, Any]


def add(kind: str, key: str, row: Row, note: str = "", derived_from: str = "") -> ItemChange:
    """The item appears."""
    return ItemChange(kind, key, Verb.ADD, None, copy.deepcopy(dict(row)), note, derived_from)


def update(kind: str, key: str, before: Row, after: Row, note: str = "") -> ItemChange:
    """The item becomes another."""
    return ItemChange(kind, key, Verb.UPDATE, copy.deepcopy(dict(before)), copy.deepcopy(dict(after)), note)


def delete(kind: str, key: str, row: Row, note: str = "") -> ItemChange:
    """The item goes."""
    return ItemChange(kind, key, Verb.DELETE, copy.deepcopy(dict(row)), None, note)


def keep(kind: str, key: str, before: Row | None, wanted: Row | None, note: str) -> ItemChange:
    """The item stays as it is although the target says otherwise; `before` is None for what is left out."""
    old, new = (copy.deepcopy(dict(row)) if row is not None else None for row in (before, wanted))
    return ItemChange(kind, key, Verb.KEEP, old, new, note)


def always(effect: Effect) -> Any:
    """The same effect for every change of a kind."""
    return lambda change: effect


def token(*parts: str, length: int) -> str:
    """Hexadecimal digits that are the same for the same parts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]


def values_diff(kind: str, installed: Items, target: Items) -> list[ItemChange]:
    """For kinds of single values: what the target names and is not so; what it does not name stays."""
    return [
        add(kind, key, row) if key not in installed else update(kind, key, installed[key], row)
        for key, row in target.items()
        if dict(installed.get(key) or {}) != dict(row)
    ]
