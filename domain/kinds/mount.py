"""Volumes of other services that this one mounts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.changeset import Effect, ItemChange, Verb
from domain.configuration import Configuration, Items
from domain.differing import add, delete, keep
from domain.kind import Facts, Kind
from domain.region import Call, Place
from domain.region_calls import LIST_MOUNTS, add_mount, remove_mount, restore_mounts

_SAID_AGAIN = "stays; said again, because older regions remove all mounts of a name"


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """By provider and volume name; what the provider does not have is left out, with a note."""
    changes, wanted = [], set()
    for key, row in target.items():
        share = str(row.get("service_share_uuid") or row.get("dep_service_key") or "")
        provider = str(row.get("dep_service_id") or facts.installed.get(share, ""))
        if not provider:
            changes.append(keep("mount", key, None, "its provider is not installed in this group"))
            continue
        own_key = f"{provider}/{row['mnt_name']}"
        wanted.add(own_key)
        if own_key in installed:
            continue
        if not str(row.get("mnt_dir") or "").startswith("/"):
            changes.append(keep("mount", own_key, None, "its path is not an absolute one"))
            continue
        fresh = {"dep_service_id": provider, "mnt_name": row["mnt_name"], "mnt_dir": row["mnt_dir"]}
        changes.append(add("mount", own_key, fresh | _provided(facts, provider, str(row["mnt_name"]))))
    for own_key, present in installed.items():
        if own_key in wanted or present.get("dep_service_id") not in facts.siblings:
            continue
        if facts.delete:
            changes.append(delete("mount", own_key, present))
        else:
            changes.append(keep("mount", own_key, present, "the version no longer has it; deleting was not asked for"))
    return changes


def same(change: ItemChange, rows: Sequence[Any]) -> bool:
    """Whether the region lists this volume of the provider, at this path."""
    wanted = change.after or {}
    columns = {"depend_service_id": "dep_service_id", "volume_name": "mnt_name", "volume_path": "mnt_dir"}
    return any(all(row.get(theirs) == wanted.get(ours) for theirs, ours in columns.items()) for row in rows)


def repeated(changes: Sequence[ItemChange], present: Items, facts: Facts) -> list[ItemChange]:
    """What stays and has the name of something that goes: older regions remove by name alone."""
    touched, gone = {change.key for change in changes}, {c.before["mnt_name"] for c in changes if c.before}
    return [
        keep("mount", key, dict(row) | _provided(facts, str(row["dep_service_id"]), row["mnt_name"]), _SAID_AGAIN)
        for key, row in present.items()
        if key not in touched and row["mnt_name"] in gone
    ]


def _provided(facts: Facts, provider: str, name: str) -> dict[str, str]:
    """The type of the provider's volume, which the region wants to know, and a config file's content."""
    known = facts.providers.get(provider)
    for kind_name, usual in (("volume", "share-file"), ("config_file", "config-file")):
        for row in {} if known is None else known.of(kind_name).values():
            if row.get("volume_name") == name:
                content = str(row.get("file_content") or "")
                return {"volume_type": str(row.get("volume_type") or usual), "file_content": content}
    return {"volume_type": "share-file", "file_content": ""}


def calls(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """One call for each mount; one that stays is said again."""
    if change.verb is Verb.DELETE:
        return (remove_mount(change.before or {}),)
    added = add_mount(change.after or change.before or {})
    if change.verb in (Verb.ADD, Verb.KEEP) or not change.before:
        return (added,)
    return (remove_mount(change.before), added)


def undo(change: ItemChange, place: Place) -> tuple[Call, ...]:
    """Item by item; only for a section that must not be replaced."""
    gone = () if change.after is None else (remove_mount(change.after),)
    if change.before is None:
        return gone
    return (*gone, remove_mount(change.before), add_mount(change.before))


def restore(before: Configuration, place: Place, changes: Sequence[ItemChange]) -> tuple[Call, ...]:
    """Replace all from the console's rows: removing by name could take another provider's mount along."""
    return (restore_mounts(before.of("mount").values()),)


kind = Kind(
    rank=90, compared=("mnt_dir",), diff=diff, effect=lambda change: Effect.UPDATE, calls=calls, undo=undo,
    restore=restore, dependent=True, repeated=repeated, read=LIST_MOUNTS, same=same, in_place=False, together=True,
)  # fmt: skip
