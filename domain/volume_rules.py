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
    """A volume that is another one under the same path is made anew; a file's content is replaced, and nothing else of
    it can be."""
    before, after = change.before or {}, change.after or {}
    if change.verb is Verb.DELETE:
        return (remove_volume(before),)
    if change.verb is Verb.ADD:
        return (_added(change.kind, after),)
    if change.kind == "config_file" and (not before or _only_content(before, after)):
        return _content(after)
    return (remove_volume(before), _added(change.kind, after)) if before else (_added(change.kind, after),)


def undo(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """The same way back, safe whether it happened or not."""
    before, after = change.before, change.after
    if before is None:
        return (remove_volume(after or {}),)
    anew = (remove_volume(before), _added(change.kind, before))
    if after is None or change.kind == "volume" or not _only_content(before, after):
        gone = () if after is None else (remove_volume(after),)
        return (*gone, *anew)
    # What was to become empty may be gone by now, and only what is there takes another content.
    return _content(before) if after.get("file_content") else anew


def same(change: ItemChange, rows: Sequence[Any]) -> bool:
    """Whether the region lists a volume of this name, path and type."""
    body = _added(change.kind, change.after or {}).body
    columns = ("volume_name", "volume_path", "volume_type")
    return isinstance(body, dict) and any(all(row.get(name) == body[name] for name in columns) for row in rows)


def _content(row: Mapping[str, Any]) -> tuple[Call, ...]:
    """A file with this content; older regions leave a file as it is that should become empty, so it is made anew."""
    anew = (remove_volume(row), _added("config_file", row))
    return (set_config_file(row),) if row.get("file_content") else anew


def _only_content(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether the file is the same but for what is in it: a region finds it by its name and keeps its category."""
    same_category = (before.get("category") or "") == (after.get("category") or "")
    return same_category and before["volume_name"] == after["volume_name"]


def _added(kind: str, row: Mapping[str, Any]) -> Call:
    """A config file is one also when its row does not say so."""
    return add_volume(dict(row) | {"volume_type": "config-file"} if kind == "config_file" else row)
