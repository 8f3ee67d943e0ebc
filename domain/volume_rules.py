"""What volumes and config files share: found by path, named uniquely, put back one by one.

Removing a volume removes the region's record of it and never the data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from domain.changeset import ItemChange, Verb
from domain.region import Call, Place
from domain.region_calls import add_volume, remove_volume, set_config_file

#: What the region's own column holds.
LONGEST_NAME = 40


def unique_name(row: Mapping[str, Any], taken: Iterable[str], service_id: str) -> str:
    """The volume's name, with a suffix when another path of the service has it; the same every time."""
    name = str(row["volume_name"])
    if name not in set(taken) and len(name) <= LONGEST_NAME:
        return name
    suffix = hashlib.sha256(f"{service_id}{row['volume_path']}".encode()).hexdigest()[:6]
    return f"{name[: LONGEST_NAME - 7]}-{suffix}"


def calls(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """A volume that is another one under the same path is made anew; a file's content is replaced."""
    before, after = change.before or {}, change.after or {}
    if change.verb is Verb.DELETE:
        return (remove_volume(before),)
    if change.verb is Verb.ADD:
        return (add_volume(after),)
    if change.kind == "config_file" and before.get("volume_name", after["volume_name"]) == after["volume_name"]:
        return _content(after)
    return (remove_volume(before), add_volume(after)) if before else (add_volume(after),)


def undo(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """The same way back, safe whether it happened or not."""
    before, after = change.before, change.after
    if before is None:
        return (remove_volume(after or {}),)
    if after is None or before["volume_name"] != after["volume_name"] or change.kind == "volume":
        gone = () if after is None else (remove_volume(after),)
        return (*gone, remove_volume(before), add_volume(before))
    # What was to become empty may be gone by now, and only what is there takes another content.
    return _content(before) if after.get("file_content") else (remove_volume(before), add_volume(before))


def same(change: ItemChange, rows: Sequence[Any]) -> bool:
    """Whether the region lists a volume of this name, path and type."""
    wanted = change.after or {}
    columns = ("volume_name", "volume_path", "volume_type")
    return any(all(row.get(column) == wanted.get(column) for column in columns) for row in rows)


def _content(row: Mapping[str, Any]) -> tuple[Call, ...]:
    """A file with this content; older regions leave a file as it is that should become empty, so it is made anew."""
    return (set_config_file(row),) if row.get("file_content") else (remove_volume(row), add_volume(row))
