"""Volumes: an upgrade adds those whose path the service does not have. Their type never changes."""

from __future__ import annotations

from domain.changeset import Effect, ItemChange
from domain.configuration import Items
from domain.differing import add, keep
from domain.kind import Facts, Kind
from domain.region_calls import LIST_VOLUMES
from domain.volume_rules import calls, same, undo, unique_name


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """By path; a name that is taken gets a suffix."""
    own = facts.providers.get(facts.service_id)
    files = {} if own is None else own.of("config_file")
    names = [str(row["volume_name"]) for row in (*installed.values(), *files.values())]
    changes = []
    for path, row in target.items():
        present = installed.get(path) or files.get(path)
        if present is not None:
            if present.get("volume_type") != row.get("volume_type"):
                changes.append(keep("volume", path, present, "the type of a volume is never changed"))
            continue
        name = unique_name(row, names, facts.service_id)
        names.append(name)
        renamed = "" if name == row["volume_name"] else f"named {name}, because {row['volume_name']} cannot be used"
        changes.append(add("volume", path, dict(row) | {"volume_name": name}, renamed))
    return changes


kind = Kind(
    rank=50,
    compared=("volume_name", "volume_type", "category"),
    diff=diff,
    effect=lambda change: Effect.UPDATE,
    calls=calls,
    undo=undo,
    read=LIST_VOLUMES,
    same=same,
    in_place=False,
)
