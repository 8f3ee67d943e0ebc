"""The difference between what is installed and what is wanted, item by item: plain values.

One schema for upgrade and rollback, for the plan that people read and the plan that is executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any


class Verb(StrEnum):
    """What happens to an item."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"  # stays, because the rules or the user say so; among changes: the region is told so


class Effect(IntEnum):
    """What the region must do so that a change takes effect; the strongest of a change set wins."""

    NOTHING = 0
    UPDATE = 1
    BUILD = 2


@dataclass(frozen=True, slots=True)
class ItemChange:
    """One item's change. Rows may hold secrets: never print them."""

    kind: str
    key: str
    verb: Verb
    before: dict[str, Any] | None = field(default=None, repr=False)
    after: dict[str, Any] | None = field(default=None, repr=False)
    note: str = ""  # for people: why it is kept, renamed or derived
    derived_from: str = ""  # "port/9090": belongs to that item and falls away with it

    def document(self) -> dict[str, Any]:
        """The JSON form that the journal keeps."""
        return {
            "kind": self.kind,
            "key": self.key,
            "verb": self.verb.value,
            "before": self.before,
            "after": self.after,
            "note": self.note,
            "derived_from": self.derived_from,
        }

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> ItemChange:
        """The change that `document` was made of."""
        return cls(**dict(document) | {"verb": Verb(document["verb"])})


@dataclass(frozen=True, slots=True)
class ServicePlan:
    """Everything that will happen to one service, in the order of the calls."""

    service_id: str
    before: dict[str, Any] = field(repr=False)  # Configuration documents
    after: dict[str, Any] = field(repr=False)
    changes: tuple[ItemChange, ...] = ()  # what the region is told, ordered by kind
    kept: tuple[ItemChange, ...] = ()
    notes: tuple[str, ...] = ()  # what people should know: drift, what is not reverted, what is not installed

    def differing(self) -> list[ItemChange]:
        """What will be another than it is."""
        return [change for change in self.changes if change.verb is not Verb.KEEP]

    def staying(self) -> list[ItemChange]:
        """What stays as it is, with its reason, whether the region is told so or not."""
        return [*self.kept, *(change for change in self.changes if change.verb is Verb.KEEP)]

    def document(self) -> dict[str, Any]:
        """The JSON form that the journal keeps."""
        return {
            "service_id": self.service_id,
            "before": self.before,
            "after": self.after,
            "changes": [change.document() for change in self.changes],
            "kept": [change.document() for change in self.kept],
            "notes": list(self.notes),
        }

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> ServicePlan:
        """The plan that `document` was made of."""
        return cls(
            service_id=document["service_id"],
            before=document["before"],
            after=document["after"],
            changes=tuple(ItemChange.load(change) for change in document["changes"]),
            kept=tuple(ItemChange.load(change) for change in document["kept"]),
            notes=tuple(document["notes"]),
        )
