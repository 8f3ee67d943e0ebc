"""The audit trail: who changed what, when, why and by which way; kept apart from logs because it is never lost.

An entry is written in the transaction of the change that it tells of, or, where the effect is outside SQL, before the
effect: then it says that somebody asked for it. Entries are never changed or removed, and hold no secret: names, ids
and counts only. A command that an operator sends is an ordinary message whose `source` names the way and the person;
accepting it writes its entry.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from domain.errors import InvalidMessage
from domain.message import Command

#: By which ways a person can ask for something.
WAYS = ("cli", "api", "console")
#: What a source of a person's command looks like. Programs of a platform publish under sources of their own.
_SOURCE = re.compile(rf"/backstay/({'|'.join(WAYS)})/(.+)\Z", re.DOTALL)
#: Longer reasons are cut: they are for people.
LONGEST_REASON = 1000
LONGEST_ACTOR = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One act. `at` 0 is replaced by the database's time when it is recorded."""

    actor: str  # a person, or the name of a token
    way: str  # one of WAYS
    action: str  # a message type (`create-snapshot`) or `<what>.<verb>` (`dead-letter.discard`)
    subject: str  # what it was done to: `tenant/T/service/S`, `dead-letter/ID`, `operation/ID`, `tenant/T`, …
    tenant_id: str = ""  # "" when it is about no single tenant
    reason: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)  # ids, names and counts; no values of a configuration
    at: int = 0  # UTC milliseconds by the database's clock
    seq: int = 0  # its number once recorded


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and by which way: what every audited change is given."""

    name: str
    way: str

    def entry(
        self, action: str, subject: str, *, tenant_id: str = "", reason: str = "", detail: Mapping[str, Any] = {}
    ) -> Entry:
        """That this one does that."""
        return Entry(
            actor=self.name, way=self.way, action=action, subject=subject, tenant_id=tenant_id, reason=reason,
            detail=detail,
        )  # fmt: skip

    def source(self) -> str:
        """The `source` of commands that this one sends."""
        return f"/backstay/{self.way}/{self.name}"


def check_actor(name: str) -> str:
    """The name, if it can stand in a source and in a table; InvalidMessage says what is wrong with it."""
    if not name.strip() or not name.isprintable() or len(name) > LONGEST_ACTOR:
        raise InvalidMessage(f"the actor must be 1 to {LONGEST_ACTOR} printable characters", field="actor")
    return name


def actor_of(source: str) -> Actor | None:
    """The person whose command has that source; None for what programs publish."""
    found = _SOURCE.match(source)
    return Actor(found[2], found[1]) if found else None


def entry_of(command: Command, op_id: str) -> Entry | None:
    """What accepting the command leaves in the trail; None when no person sent it."""
    actor = actor_of(command.source)
    if actor is None:
        return None
    reason = command.data.get("reason")
    return actor.entry(
        command.kind,
        str(command.subject),
        tenant_id=command.subject.tenant_id,
        reason=reason if isinstance(reason, str) else "",
        detail={"operation_id": op_id, "message_id": command.message_id},
    )
