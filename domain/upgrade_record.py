"""What an upgrade or a rollback has come to, service by service, and what that makes of the whole.

Apart from operations because people ask "which version, since when, and can it go back" about a service,
long after the operation has ended.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The names that platforms know."""

    NOT = "NOT"
    UPGRADING = "UPGRADING"
    UPGRADED = "UPGRADED"
    ROLLING = "ROLLING"
    ROLLBACK = "ROLLBACK"
    PARTIAL_UPGRADED = "PARTIAL_UPGRADED"
    PARTIAL_ROLLBACK = "PARTIAL_ROLLBACK"
    UPGRADE_FAILED = "UPGRADE_FAILED"
    ROLLBACK_FAILED = "ROLLBACK_FAILED"
    DEPLOY_FAILED = "DEPLOY_FAILED"
    COMPENSATION_FAILED = "COMPENSATION_FAILED"


@dataclass(frozen=True, slots=True)
class UpgradeRecord:
    """One service's part of one operation."""

    op_id: str
    service_id: str
    seq: int  # of the operation: the order of acceptance, which no clock can turn round
    tenant_id: str
    group_id: str | None
    group_key: str
    kind: str  # upgrade | rollback
    parent_id: str | None  # of a rollback: the upgrade that it undoes
    old_version: str
    new_version: str
    status: Status
    action: str  # build | update | nothing
    event_id: str | None
    snapshot_id: str | None  # the protecting one: where a rollback leads to
    reason: str = ""


_PENDING = {"upgrade": Status.UPGRADING, "rollback": Status.ROLLING}
_OK = {"upgrade": Status.UPGRADED, "rollback": Status.ROLLBACK}
_FAILED = {"upgrade": Status.UPGRADE_FAILED, "rollback": Status.ROLLBACK_FAILED}
_PARTIAL = {"upgrade": Status.PARTIAL_UPGRADED, "rollback": Status.PARTIAL_ROLLBACK}


def group_status(kind: str, statuses: Iterable[Status]) -> Status:
    """The whole's status, for every possible set: any pending is pending, all well is well, none well is
    failed, anything else is partial; a whole without parts is well."""
    found = set(statuses)
    if found & {Status.NOT, Status.UPGRADING, Status.ROLLING}:
        return _PENDING[kind]
    if found <= {_OK[kind]}:
        return _OK[kind]
    return _PARTIAL[kind] if _OK[kind] in found else _FAILED[kind]
