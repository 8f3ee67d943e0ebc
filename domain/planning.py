"""From two configurations to a plan: pure, so that what is shown is what is executed.

An upgrade follows the rules of each kind. A way back is exact: every item of the wanted configuration and
no other, except for scaling, which belongs to the user.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from domain.changeset import Effect, ItemChange, ServicePlan, Verb
from domain.configuration import Configuration
from domain.differing import add, delete, keep, same, update
from domain.kind import Facts
from domain.kinds import KINDS, SHARED_NAMES
from domain.region import Place

#: Which calls a change takes is the same for every service.
_ANYWHERE = Place("", "", "", "")
#: Kinds that no way back touches.
KEPT = frozenset({"resources"})


def plan_upgrade(service_id: str, installed: Configuration, target: Configuration, facts: Facts) -> ServicePlan:
    """The change set under the rules for upgrades; origin and version move on even when nothing changes."""
    found: list[ItemChange] = []
    own, so_far = facts, installed
    for name, kind in KINDS.items():
        # Kinds share their names: what an earlier one has just added is taken, too.
        own = replace(facts, providers={**facts.providers, service_id: so_far}, target=target)
        fresh = kind.diff(installed.of(name), target.of(name), own)
        found, so_far = [*found, *fresh], so_far.changed(fresh)
    changes = _told([change for change in found if change.verb is not Verb.KEEP], installed, own)
    after = replace(installed.changed(changes), origin={**installed.origin, **target.origin})
    return ServicePlan(
        service_id,
        installed.document(),
        after.document(),
        tuple(changes),
        tuple(change for change in found if change.verb is Verb.KEEP),
    )


def plan_exact(service_id: str, current: Configuration, wanted: Configuration, facts: Facts) -> ServicePlan:
    """Every difference, both ways: what is too much goes, what is missing comes, what differs is set."""
    changes: list[ItemChange] = []
    kept: list[ItemChange] = []
    notes: list[str] = []
    for name in KINDS:
        found = _differences(name, current, wanted)
        if name in KEPT:
            kept += [keep(name, c.key, c.before, "scaling belongs to the user and is not reverted") for c in found]
            continue
        changes += found
        if name == "volume":
            notes += [
                f"the data of volume {c.key} stays on disk: only its record is removed"
                for c in found
                if c.verb is Verb.DELETE
            ]
    changes = _told(changes, current, facts)
    after = replace(current.changed(changes), origin=dict(wanted.origin), rest=dict(wanted.rest))
    # Rows that did not change take the snapshot's identity columns, which other tables refer to.
    items = {
        name: {key: dict(wanted.of(name).get(key, row)) if name not in KEPT else dict(row) for key, row in rows.items()}
        for name, rows in after.items.items()
    }
    after = replace(after, items=items)
    return ServicePlan(service_id, current.document(), after.document(), tuple(changes), tuple(kept), tuple(notes))


def effect_of(plan: ServicePlan) -> Effect:
    """The strongest effect of its changes."""
    return max((KINDS[change.kind].effect(change) for change in plan.changes), default=Effect.NOTHING)


def drift(recorded: Configuration, live: Configuration) -> list[ItemChange]:
    """What has changed by hand between a recorded state and the live one."""
    return [change for name in KINDS for change in _differences(name, recorded, live)]


def _differences(name: str, current: Configuration, wanted: Configuration) -> list[ItemChange]:
    """What is too much, what differs, and what is missing."""
    have, want, compared = current.of(name), wanted.of(name), KINDS[name].compared
    gone = [delete(name, key, row) for key, row in have.items() if key not in want]
    other = [
        update(name, key, have[key], row)
        for key, row in want.items()
        if key in have and not same(have[key], row, compared)
    ]
    fresh = [add(name, key, row) for key, row in want.items() if key not in have]
    return [*gone, *other, *fresh]


def _told(changes: Sequence[ItemChange], present: Configuration, facts: Facts) -> list[ItemChange]:
    """In the order in which a region must be told: whatever goes before anything comes that may take its name, and
    what stays although a removal may take it along after both."""
    apart = [part for change in changes for part in _apart(change)]
    for name, kind in KINDS.items():
        apart += kind.repeated([change for change in apart if change.kind == name], present.of(name), facts)
    return sorted(apart, key=_turn)


def _turn(change: ItemChange) -> tuple[int, int]:
    """By kind; those that share their names go together, and what was derived goes with what it belongs to."""
    home = (change.derived_from or change.kind).partition("/")[0]
    return list(KINDS).index(SHARED_NAMES.get(home, home)), {Verb.DELETE: 0, Verb.KEEP: 2}.get(change.verb, 1)


def _apart(change: ItemChange) -> list[ItemChange]:
    """A change that the region is told as a removal and an addition is both of them, each with its own way back."""
    methods = [call.method for call in KINDS[change.kind].calls(change, _ANYWHERE)]
    if methods[:1] != ["DELETE"] or len(methods) == 1 or not change.before or not change.after:
        return [change]
    return [delete(change.kind, change.key, change.before), replace(change, verb=Verb.ADD, before=None)]
