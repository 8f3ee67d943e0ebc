"""Who holds each service, and under which fence: one operation at a time, and a number that never goes down.

Apart from the truth, which follows one operation at a time, because this looks at all of them: after every commit,
whoever made it, and at every request that a region with fences has taken. Nothing here may change anything.
"""

from __future__ import annotations

from sqlalchemy import text

from domain.operation import Operation
from domain.region import Call, Place
from storage.sql import Database

#: Holders by service, its own operations and the one that has reserved it; and the fences that are given out.
_STANDING = text(
    "SELECT service_id, op_id, 0 FROM operation"
    " WHERE state IN ('RUNNING','COMPENSATING','STUCK') AND exclusive = 1"
    " UNION ALL SELECT service_id, reserved_by, fence FROM service_fence"
)


class Fences:
    """Every method returns what is wrong, in sentences; empty when nothing is."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._holders: dict[str, set[str]] = {}  # by service, since the last commit
        self._claimed: dict[str, int] = {}  # the highest of each service under which its operation was claimed
        self._given: dict[str, int] = {}  # the fence in its row
        self._taken: dict[str, int] = {}  # by alias: the highest under which the region has taken anything

    def committed(self) -> list[str]:
        """I7, I11: one operation at most is active in a service or has reserved it, and no service's fence is lower
        than it was."""
        with self._database._tx.read() as connection:
            rows = connection.execute(_STANDING).all()
        before, self._holders, bad = self._holders, {}, list[str]()
        for service, holder, fence in rows:
            if holder:
                self._holders.setdefault(service, set()).add(holder)
            if fence < (given := self._given.get(service, 0)) and fence:
                bad.append(f"the fence of {service} went from {given} down to {fence}")
            self._given[service] = fence or given
        for service, holders in self._holders.items():
            if len(holders) > 1 and holders != before.get(service):
                bad.append(f"{service} is held by {len(holders)} operations: {sorted(holders)}")
        return bad

    def claimed(self, operation: Operation, fence: int) -> list[str]:
        """I11: whoever claims an exclusive operation has a fence beyond all that were given to holders before."""
        highest = self._claimed.get(operation.service_id, 0)
        self._claimed[operation.service_id] = max(highest, fence)
        if fence > highest:
            return []
        return [f"{operation.op_id} was claimed under fence {fence}, not beyond {highest}"]

    def others(self, service_id: str, op_id: str) -> list[str]:
        """Operations that hold the service besides this one."""
        return sorted(self._holders.get(service_id, set()) - {op_id})

    def taken(self, place: Place, call: Call, fence: int) -> list[str]:
        """I6: the region has not refused this; it has seen no higher fence of the service, in no call or seal."""
        highest = self._taken.get(place.alias, 0)
        self._taken[place.alias] = max(highest, fence)
        if fence >= highest:
            return []
        return [f"the region took {call.name} of {place.alias} under fence {fence} after it had seen {highest}"]
