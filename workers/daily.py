"""What is asked for once a day without anybody publishing it: applying retention policies.

Apart from the sweeper because it makes commands like any other, with the same outcomes and events. The message's id
is made of service and day, so that any number of nodes ask for it once.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from domain.contracts import Accepted, Clock, Inbox, Services
from domain.decoding import request_hash
from domain.identity import Subject
from domain.message import Command

SOURCE = "/backstay/daily"


class Daily:
    """Remembers the last day that it has asked for; forgetting it costs a repeat, which changes nothing."""

    def __init__(self, services: Services, inbox: Inbox, clock: Clock, wake: Callable[[], None]) -> None:
        self._services, self._inbox, self._clock, self._wake = services, inbox, clock, wake
        self._asked_for = ""

    def ask(self) -> int:
        """Accept what is due today; how many commands were new."""
        day = datetime.fromtimestamp(self._clock.wall_ms() / 1000, UTC).strftime("%Y-%m-%d")
        if day == self._asked_for:
            return 0
        batch = [
            _accepted("apply-retention", Subject(service.tenant_id, service.service_id), day)
            for service in self._services.list(None)
            if service.retention
        ]
        receipts = self._inbox.accept(batch) if batch else []
        self._asked_for = day
        new = sum(receipt.status == "accepted" for receipt in receipts)
        if new:
            self._wake()
        return new


def _accepted(kind: str, subject: Subject, day: str) -> Accepted:
    command = Command(SOURCE, f"{kind}/{subject.service_id}/{day}", kind, 1, subject, {})
    return Accepted(command, request_hash(command), exclusive=True, local=False)
