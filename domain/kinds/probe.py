"""Health probes, one for each mode; a version that lists probes lists all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from domain.changeset import Effect, ItemChange, Verb
from domain.configuration import Configuration, Items
from domain.differing import add, delete, same, update
from domain.kind import Facts, Kind
from domain.region import Call, Place
from domain.region_calls import add_probe, remove_probe, restore_probe, set_probe

COMPARED = (
    "mode", "scheme", "path", "port", "cmd", "http_header", "initial_delay_second", "period_second",
    "timeout_second", "failure_threshold", "success_threshold", "is_used",
)  # fmt: skip


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """Added, replaced under the installed id, or removed; an empty list says nothing."""
    changes = []
    for mode, row in target.items():
        present = installed.get(mode)
        if present is None:
            changes.append(add("probe", mode, dict(row) | {"probe_id": _new_id(facts.service_id, mode)}))
        elif not same(present, row, COMPARED):
            own = {"probe_id": present.get("probe_id") or _new_id(facts.service_id, mode)}
            changes.append(update("probe", mode, present, dict(present) | dict(row) | own))
    if target:
        changes += [delete("probe", mode, row) for mode, row in installed.items() if mode not in target]
    return changes


def _new_id(service_id: str, mode: str) -> str:
    return hashlib.sha256(f"{service_id}/{mode}".encode()).hexdigest()[:32]


def calls(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """Found by its id."""
    if change.verb is Verb.DELETE:
        return (remove_probe(change.before or {}),)
    after = change.after or {}
    if change.verb is Verb.ADD:
        return (add_probe(place, after),)
    if change.before and change.before.get("probe_id") != after.get("probe_id"):
        return (remove_probe(change.before), add_probe(place, after))
    return (set_probe(place, after),)


def undo(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """Item by item: out, and in again as it was."""
    gone = () if change.after is None else (remove_probe(change.after),)
    return gone if change.before is None else (*gone, remove_probe(change.before), add_probe(place, change.before))


def restore(before: Configuration, place: Place, changes: Sequence[ItemChange]) -> tuple[Call, ...]:
    """The region replaces all modes by one; further ones are added after it."""
    rows = list(before.of("probe").values())
    first = rows[0] if rows else None
    return (restore_probe(place, first), *(add_probe(place, row) for row in rows[1:]))


kind = Kind(
    rank=70, compared=COMPARED, diff=diff, effect=lambda change: Effect.UPDATE, calls=calls, undo=undo, restore=restore
)
