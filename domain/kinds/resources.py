"""Memory, CPU and instances: the user's to scale, so no upgrade and no rollback touches them."""

from __future__ import annotations

from domain.changeset import Effect, ItemChange
from domain.configuration import Items
from domain.differing import keep, same
from domain.kind import Facts, Kind


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """Differences are shown as kept."""
    return [
        keep("resources", key, installed.get(key), "scaling belongs to the user and is never changed")
        for key, row in target.items()
        if not same(installed.get(key, {}), row, ("value",))
    ]


kind = Kind(rank=18, compared=("value",), diff=diff, effect=lambda change: Effect.NOTHING)
