"""What a service is configured to be: items by kind and key, and where they came from.

It is the content of `service.document` and of every snapshot's configuration section. Items are the rows
that the console knows; they change only when an operation settles. Values may be secret: never print it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from domain.changeset import ItemChange, Verb
from domain.errors import Refused

#: The version of the document that this program writes. Higher ones are refused, never guessed at.
SCHEMA = 1

Items = Mapping[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Configuration:
    """Immutable by convention: methods return copies."""

    #: kind -> key -> row; the kinds are the files of `domain/kinds`.
    items: Mapping[str, Items] = field(default_factory=dict, repr=False)
    #: group_key, version, share_uuid, service_key, group: what it was installed from, and in which app.
    origin: Mapping[str, Any] = field(default_factory=dict)
    #: Sections of an imported document that no kind covers, kept as they came so that it can be written out again.
    rest: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def of(self, kind: str) -> Items:
        """The items of a kind by key; empty if there are none."""
        return self.items.get(kind, {})

    def changed(self, changes: Iterable[ItemChange]) -> Configuration:
        """With the changes applied in order."""
        items = {kind: dict(rows) for kind, rows in self.items.items()}
        for change in changes:
            rows = items.setdefault(change.kind, {})
            if change.verb is Verb.DELETE:
                rows.pop(change.key, None)
            elif change.verb in (Verb.ADD, Verb.UPDATE):
                rows[change.key] = copy.deepcopy(change.after or {})
        return replace(self, items={kind: rows for kind, rows in items.items() if rows})

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "schema": SCHEMA,
            "origin": dict(self.origin),
            "items": {kind: dict(rows) for kind, rows in self.items.items()},
            "rest": dict(self.rest),
        }

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> Configuration:
        """Read the JSON form; Refused(code="configuration-too-new") for a schema that is not known."""
        if not document:
            return cls()
        schema = document.get("schema")
        if schema != SCHEMA:
            raise Refused(
                f"the configuration has schema {schema!r}; this program reads schema {SCHEMA}",
                code="configuration-too-new"
                if isinstance(schema, int) and schema > SCHEMA
                else "configuration-unreadable",
                next_step="use a newer Backstay, or register the service again",
            )
        return cls(items=document["items"], origin=document["origin"], rest=document.get("rest", {}))
