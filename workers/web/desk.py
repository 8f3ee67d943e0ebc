"""What every request of the API and the console works with: the open ports, and the way in for commands.

Apart from the routes so that both kinds of them do the same. A command given here is judged as intake would judge it,
stands in the inbox when `submit` returns, and is told who gave it and by which way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from fastapi import Request

from domain.contracts import Clock
from domain.errors import Refused
from domain.identity import Subject
from domain.message import Command
from domain.subscription import Subscription
from workers.bootstrap import System
from workers.command_event import cloud_event, judge_event, uuid7
from workers.config import Settings
from workers.tracing import accept_traced, traced_by
from workers.web.access import Caller, action_of

if TYPE_CHECKING:
    from workers.bootstrap import Database


@dataclass(frozen=True, slots=True)
class Submitted:
    """A command in the inbox. `repeated`: it had been accepted before, under the same key."""

    operation_id: str
    repeated: bool


@dataclass(frozen=True, slots=True)
class Desk:
    """One for the process; may be shared between threads."""

    system: System
    clock: Clock
    wake: Callable[[], None]  # there may be new work
    subscriptions: Mapping[str, Subscription] = field(repr=False)

    @property
    def settings(self) -> Settings:
        """The configuration of this process."""
        return self.system.settings

    @property
    def database(self) -> Database:
        """The ports over SQL."""
        return self.system.database

    def submit(
        self,
        caller: Caller,
        kind: str,
        subject: Subject,
        data: dict[str, Any],
        key: str | None = None,
        trace: str | None = None,
    ) -> Submitted:
        """Give a command as that caller. The same `key` again is the same command, and answers with the same operation.
        `trace`: the `traceparent` that it came with, if any.

        NotAllowed, InvalidMessage naming the field, or Refused (`key-reused`: that key was another command's).
        """
        caller.require(action_of(kind, data), subject.tenant_id)
        event = cloud_event(kind, str(subject), data, uuid7() if key is None else key, caller.actor.source())
        item = judge_event(event | traced_by(trace), self.subscriptions)
        if key is not None:
            self._same(caller, key, item.command)
        [receipt] = accept_traced(self.system.tracer, self.database.inbox, [item])
        if receipt.op_id is None or receipt.status == "key-reused":
            raise _reused(key or "")
        self.wake()
        return Submitted(receipt.op_id, receipt.status == "duplicate")

    def _same(self, caller: Caller, key: str, command: Command) -> None:
        """Refuse another command under a known key before the inbox would make a dead letter of it."""
        listed = self.database.find_by_message(caller.actor.source(), key)
        before = None if listed is None else self.database.ledger.get(listed.op_id)
        if before is None:
            return
        subject = Subject(before.tenant_id, before.service_id)
        if (before.kind, subject, before.data) != (command.kind, command.subject, command.data):
            raise _reused(key)


def desk(request: Request) -> Desk:
    """The dependency of routes: `Annotated[Desk, Depends(desk)]`."""
    found = request.app.state.desk
    assert isinstance(found, Desk)
    return found


def _reused(key: str) -> Refused:
    return Refused(
        f"the key {key[:80]!r} was used for another command",
        code="key-reused",
        next_step="send the new command under a new key; the old one is unharmed",
    )
