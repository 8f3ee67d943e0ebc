"""What is asked for once a day without anybody publishing it: retention policies, and reading snapshots back.

Apart from schedules because nobody had to make one, and from the sweeper because it makes commands like any other,
with the same outcomes and events. A message's id is made of what it is about and of the day, so that any number of
nodes ask for it once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from domain.contracts import Accepted, Catalogue, Inbox, Schedules, Services
from domain.decoding import request_hash
from domain.identity import Subject
from domain.message import Command

SOURCE = "/backstay/daily"


class Daily:
    """Remembers the last day that it has asked for; forgetting it costs a repeat, which changes nothing."""

    def __init__(
        self,
        services: Services,
        catalogue: Catalogue,
        inbox: Inbox,
        now_ms: Callable[[], int],
        wake: Callable[[], None],
        schedules: Schedules,
        verify_days: int | None = None,
    ) -> None:
        """`now_ms`: UTC milliseconds by the clock of all nodes, so that one of them with a wrong clock asks on no other
        day. `verify_days`: in so many days every snapshot is read back once; None reads none."""
        self._services, self._catalogue, self._inbox, self._schedules = services, catalogue, inbox, schedules
        self._now_ms, self._wake, self._verify_days = now_ms, wake, verify_days
        self._asked_for = ""

    def ask(self) -> int:
        """Accept what is due today; how many commands were new."""
        day = datetime.fromtimestamp(self._now_ms() / 1000, UTC).strftime("%Y-%m-%d")
        if day == self._asked_for:
            return 0
        batch = [*self._retention(day), *self._verification(day)]
        receipts = self._inbox.accept(batch) if batch else []
        self._asked_for = day
        new = sum(receipt.status == "accepted" for receipt in receipts)
        if new:
            self._wake()
        return new

    def _retention(self, day: str) -> list[Accepted]:
        """Of every service with a policy, unless a schedule says when: one that is paused is meant to rest."""
        scheduled = [one for one in self._schedules.list() if one.kind == "apply-retention"]
        return [
            _accepted("apply-retention", Subject(service.tenant_id, service.service_id), service.service_id, day, {})
            for service in self._services.list(None)
            if service.retention and not any(one.covers(service.tenant_id, service.service_id) for one in scheduled)
        ]

    def _verification(self, day: str) -> list[Accepted]:
        if self._verify_days is None:
            return []
        return [
            _accepted(
                "verify-snapshot",
                Subject(snapshot.tenant_id, snapshot.service_id),
                snapshot.snapshot_id,
                day,
                {"snapshot_id": snapshot.snapshot_id},
                exclusive=False,
            )
            for snapshot in self._catalogue.longest_unread(self._verify_days, _midnight(day))
        ]


def _midnight(day: str) -> int:
    return int(datetime.fromisoformat(f"{day}T00:00:00+00:00").timestamp()) * 1000


def _accepted(
    kind: str, subject: Subject, about: str, day: str, data: dict[str, Any], *, exclusive: bool = True
) -> Accepted:
    command = Command(SOURCE, f"{kind}/{about}/{day}", kind, 1, subject, data)
    return Accepted(command, request_hash(command), exclusive=exclusive, local=False)
