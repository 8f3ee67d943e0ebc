"""Health probes, one for each mode; a version that lists probes lists all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from domain.changeset import Effect, ItemChange, Verb
from domain.configuration import Configuration, Items
from domain.differing import add, delete, keep, same, update
from domain.kind import Facts, Kind
from domain.region import Call, Place
from domain.region_calls import add_probe, remove_probe, restore_probe, set_probe

COMPARED = (
    "mode", "scheme", "path", "port", "cmd", "http_header", "initial_delay_second", "period_second",
    "timeout_second", "failure_threshold", "success_threshold", "is_used",
)  # fmt: skip


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """Added, replaced under the installed id, or removed, if that is known; an empty list says nothing."""
    changes = []
    for mode, row in target.items():
        present = installed.get(mode)
        if present is None:
            changes.append(add("probe", mode, dict(row) | {"probe_id": _new_id(facts.service_id, mode)}))
        elif not same(present, row, COMPARED):
            own = {"probe_id": present.get("probe_id") or _new_id(facts.service_id, mode)}
            changes.append(update("probe", mode, present, dict(present) | dict(row) | own))
    for mode, row in installed.items() if target else ():
        if mode not in target:
            unnamed = "the version no longer has it; its id, by which alone it could be removed, is not known"
            changes.append(delete("probe", mode, row) if row.get("probe_id") else keep("probe", mode, row, unnamed))
    return changes


def _new_id(service_id: str, mode: str) -> str:
    return hashlib.sha256(f"{service_id}/{mode}".encode()).hexdigest()[:32]


def _named(row: Mapping[str, Any], mode: str, place: Place) -> dict[str, Any]:
    """The row as a region takes it: one that has no id is told under the same one every time."""
    return dict(row) | {"probe_id": row.get("probe_id") or _new_id(place.service_id, mode)}


def calls(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """Found by its id. One whose id is not known is set, and not removed first: under an id that the region has given
    it, it would stay, and stand in the way of the new one and of the old."""
    before, after = (_named(row or {}, change.key, place) for row in (change.before, change.after))
    if change.verb is Verb.DELETE:
        return (remove_probe(before),)
    if change.verb is Verb.ADD:
        return (add_probe(place, after),)
    if change.before and change.before.get("probe_id") not in (None, "", after["probe_id"]):
        return (remove_probe(before), add_probe(place, after))
    return (set_probe(place, after),)


def undo(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """Item by item: out, and in again as it was."""
    gone = () if change.after is None else (remove_probe(_named(change.after, change.key, place)),)
    if change.before is None:
        return gone
    before = _named(change.before, change.key, place)
    return (*gone, remove_probe(before), add_probe(place, before))


def restore(before: Configuration, place: Place, changes: Sequence[ItemChange]) -> tuple[Call, ...]:
    """The region replaces all modes by one; further ones are added after it."""
    rows = [_named(row, mode, place) for mode, row in before.of("probe").items()]
    first = rows[0] if rows else None
    return (restore_probe(place, first), *(add_probe(place, row) for row in rows[1:]))


kind = Kind(
    rank=70, compared=COMPARED, diff=diff, effect=lambda change: Effect.UPDATE, calls=calls, undo=undo, restore=restore
)
