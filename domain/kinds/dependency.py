"""Dependencies on other services. Only those among services of the same application are ever removed."""

from __future__ import annotations

from collections.abc import Sequence

from domain.changeset import Effect, ItemChange, Verb
from domain.configuration import Configuration, Items
from domain.differing import add, delete, keep
from domain.kind import Facts, Kind
from domain.region import Call, Place
from domain.region_calls import add_dependency, remove_dependency, restore_dependencies


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """Templates name providers by their share key; what is not installed cannot be depended on."""
    changes, wanted = [], set()
    for key, row in target.items():
        provider = str(row.get("dep_service_id") or facts.installed.get(str(row.get("dep_service_key")), ""))
        if not provider:
            changes.append(keep("dependency", key, None, "its provider is not installed in this group"))
            continue
        wanted.add(provider)
        if provider in installed:
            continue
        known = facts.providers.get(provider)
        if known is not None and not any(port.get("is_inner_service") for port in known.of("port").values()):
            changes.append(keep("dependency", provider, None, "its provider has no inner port"))
            continue
        fresh = {"dep_service_id": provider, "dep_service_type": row.get("dep_service_type") or "application"}
        changes.append(add("dependency", provider, fresh | {"dep_order": row.get("dep_order") or 0}))
    for provider, present in installed.items():
        if provider in wanted:
            continue
        if facts.delete and provider in facts.siblings:
            changes.append(delete("dependency", provider, present))
        elif provider in facts.siblings:
            changes.append(
                keep("dependency", provider, present, "the version no longer has it; deleting was not asked for")
            )
    return changes


def calls(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """One call for each provider."""
    if change.verb is Verb.DELETE:
        return (remove_dependency(place, change.before or {}),)
    after = change.after or {}
    added = add_dependency(place, after)
    return (added,) if change.verb is Verb.ADD or not change.before else (remove_dependency(place, after), added)


def undo(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """Item by item."""
    gone = () if change.after is None else (remove_dependency(place, change.after),)
    if change.before is None:
        return gone
    return (*gone, remove_dependency(place, change.before), add_dependency(place, change.before))


def restore(before: Configuration, place: Place, changes: Sequence[ItemChange]) -> tuple[Call, ...]:
    """Replace all from the console's rows."""
    return (restore_dependencies(before.of("dependency").values()),)


kind = Kind(
    rank=80, compared=("dep_service_type",), diff=diff, effect=lambda change: Effect.UPDATE, calls=calls, undo=undo,
    restore=restore, dependent=True, in_place=False,
)  # fmt: skip
