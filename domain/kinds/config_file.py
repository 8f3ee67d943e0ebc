"""Config files: an upgrade adds them and replaces their content; empty content never empties a file."""

from __future__ import annotations

from domain.changeset import Effect, ItemChange
from domain.configuration import Items
from domain.differing import add, keep, update
from domain.kind import Facts, Kind
from domain.region_calls import LIST_VOLUMES
from domain.volume_rules import calls, same, undo, unique_name


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """By path; the installed name is kept, because the region finds the file by it."""
    own = facts.providers.get(facts.service_id)
    volumes = {} if own is None else own.of("volume")
    names = [str(row["volume_name"]) for row in (*installed.values(), *volumes.values())]
    changes = []
    for path, row in target.items():
        present, content = installed.get(path), row.get("file_content") or ""
        if path in volumes:
            changes.append(keep("config_file", path, volumes[path], "the path belongs to a volume"))
        elif present is None:
            name = unique_name(row, names, facts.service_id)
            names.append(name)
            renamed = "" if name == row["volume_name"] else f"named {name}, because {row['volume_name']} cannot be used"
            changes.append(add("config_file", path, dict(row) | {"volume_name": name}, renamed))
        elif content and content != (present.get("file_content") or ""):
            changes.append(update("config_file", path, present, dict(present) | {"file_content": content}))
    return changes


kind = Kind(
    rank=60,
    compared=("volume_name", "file_content", "category"),
    diff=diff,
    effect=lambda change: Effect.UPDATE,
    calls=calls,
    undo=undo,
    read=LIST_VOLUMES,
    same=same,
)
