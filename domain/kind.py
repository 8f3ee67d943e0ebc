"""What a file in `domain/kinds` declares about one kind of configuration item.

Apart from the kinds so that planning and the saga read one shape. Every function is pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.changeset import Effect, ItemChange
from domain.configuration import Configuration, Items
from domain.region import Call, Place


@dataclass(frozen=True, slots=True)
class Facts:
    """What planning may know besides the two configurations. Gathered by the caller, so that planning is pure."""

    service_id: str
    alias: str
    #: share_uuid, and service_key, of every service of the same app -> its service id.
    installed: Mapping[str, str] = field(default_factory=dict)
    #: Service ids of the same app: only relations among them may be deleted.
    siblings: frozenset[str] = frozenset()
    #: plugin_key -> plugin id, for the plugins of the team.
    plugins: Mapping[str, str] = field(default_factory=dict)
    #: Service id -> its configuration, of the siblings: a dependency needs an inner port, a mount a volume.
    providers: Mapping[str, Configuration] = field(default_factory=dict, repr=False)
    #: Service id -> its alias, of the services of the same app.
    aliases: Mapping[str, str] = field(default_factory=dict)
    delete: bool = False  # relations that the target no longer has may be removed
    #: What the version wants of the whole service: one kind can give way to another. Set by planning.
    target: Configuration = field(default_factory=Configuration, repr=False)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of item. `rank` orders kinds (spec: envs before ports before volumes before probe …)."""

    rank: int
    #: Which columns make two rows the same; everything else (ids, times) never counts.
    compared: tuple[str, ...]
    #: The upgrade's rule: the changes from installed to target, KEEP included.
    diff: Callable[[Items, Items, Facts], list[ItemChange]]
    effect: Callable[[ItemChange], Effect]
    #: The region calls that make one change true; none for kinds that only the deployment carries.
    calls: Callable[[ItemChange, Place], tuple[Call, ...]] = lambda change, place: ()
    #: The calls that undo one change, each idempotent, safe when it never happened.
    undo: Callable[[ItemChange, Place], tuple[Call, ...]] = lambda change, place: ()
    #: The calls that put the section of these changes back from the console's rows, if the region can do that
    #: in one; None: only item by item.
    restore: Callable[[Configuration, Place, Sequence[ItemChange]], tuple[Call, ...]] | None = None
    #: How the region lists the items of this kind, if every region can, and whether what it lists has this one.
    read: Call | None = None
    same: Callable[[ItemChange, Sequence[Any]], bool] = lambda change, rows: False
    together: bool = False  # put back all at once or not at all: a removal may take others along
    in_place: bool = True  # whether an item that exists can be given another value without removing it
    #: What the region must be told again after these changes, although it stays as it is: with the verb KEEP.
    repeated: Callable[[Sequence[ItemChange], Items, Facts], list[ItemChange]] = lambda changes, present, facts: []
    dependent: bool = False  # after the ordinary kinds of all services


def masked(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row fit for a screen: values of envs, contents of files and credentials are replaced by `***`."""
    hidden = ("attr_value", "file_content", "password", "user", "hub_password", "hub_user", "ftp_password", "attrs")
    return {
        name: "***" if name in hidden and value else masked(value) if isinstance(value, dict) else value
        for name, value in row.items()
    }
