"""Ports: an upgrade adds them and opens them, and never closes what the user has opened.

A port that becomes an inner one brings two variables along, through which other services find it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.changeset import Effect, ItemChange, Verb
from domain.configuration import Configuration, Items
from domain.differing import add, keep, same, update
from domain.kind import Facts, Kind
from domain.region import Call, Place
from domain.region_calls import add_port, remove_port, restore_ports, set_port

OPENINGS = ("is_inner_service", "is_outer_service")


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """Added ports before opened ones, their variables last."""
    added, opened, derived, kept = [], [], [], []
    for key, row in target.items():
        present = installed.get(key)
        if present is None:
            wanted = dict(row) | {"port_alias": _alias(row, facts), "mapping_port": row.get("mapping_port") or int(key)}
            added.append(add("port", key, wanted))
            if wanted.get("is_inner_service"):
                derived += variables(wanted)
            continue
        openings = {name: True for name in OPENINGS if row.get(name) and not present.get(name)}
        if openings:
            opened.append(update("port", key, present, dict(present) | openings))
            if "is_inner_service" in openings:
                derived += variables(present)
        if any(present.get(name) and not row.get(name) for name in OPENINGS):
            kept.append(keep("port", key, present, "it stays open, although the version has it closed"))
    own = facts.providers.get(facts.service_id)
    taken = {} if own is None else {**own.of("env"), **own.of("connect_info")}
    return [*added, *opened, *_unless_taken(derived, taken), *kept]


def variables(row: dict[str, Any]) -> list[ItemChange]:
    """What other services find the port by; the port's number makes it go with the port."""
    number, alias = int(row["container_port"]), str(row["port_alias"]).upper()
    found = []
    for suffix, value in (("HOST", "127.0.0.1"), ("PORT", str(number))):
        name = f"{alias}_{suffix}"
        env = {"name": name, "attr_name": name, "attr_value": value, "is_change": False, "scope": "outer"}
        env_row = env | {"container_port": number}
        found.append(add("connect_info", name, env_row, "generated for the port", derived_from=f"port/{number}"))
    return found


def _unless_taken(derived: Sequence[ItemChange], taken: Items) -> list[ItemChange]:
    """A name that the service has in any scope, or that another port has just brought along, keeps its value."""
    known, found = dict(taken), []
    for change in derived:
        fresh = change.after or {}
        present = known.setdefault(change.key, fresh)
        if present is fresh:
            found.append(change)
        elif not same(present, fresh, ("attr_value", "scope", "container_port")):
            note = f"the name is taken, so {change.derived_from} does not bring it along"
            found.append(keep("connect_info", change.key, present, note))
    return found


def _alias(row: Any, facts: Facts) -> str:
    return str(row.get("port_alias") or f"{facts.alias.upper().replace('-', '_')}{row['container_port']}")


def calls(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """One port for each call."""
    if change.verb is Verb.DELETE:
        return (remove_port(change.before or {}),)
    return (add_port(change.after or {}),) if change.verb is Verb.ADD else (set_port(change.after or {}),)


def undo(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """Item by item."""
    if change.before is None:
        return (remove_port(change.after or {}),)
    if change.after is None:
        return (remove_port(change.before), add_port(change.before))
    return (set_port(change.before),)


def restore(before: Configuration, place: Place, changes: Sequence[ItemChange]) -> tuple[Call, ...]:
    """Replace all from the console's rows."""
    return (restore_ports(before.of("port").values()),)


kind = Kind(
    rank=40,
    compared=("protocol", "port_alias", "mapping_port", *OPENINGS),
    diff=diff,
    effect=lambda change: Effect.UPDATE,
    calls=calls,
    undo=undo,
    restore=restore,
)
