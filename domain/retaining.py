"""A service's snapshots under a policy: what the pure decision needs to know, gathered from the ports.

Apart from the handler because the command line shows the same decisions without carrying them out.
"""

from __future__ import annotations

from domain.context import Context
from domain.retention import Decision, Policy, decide
from domain.rolling_back import last_success
from domain.service import Service
from domain.snapshot import Snapshot

_PAGE = 1000


def decisions(context: Context, service: Service, policy: Policy) -> list[Decision]:
    """For every snapshot of the service that is not being deleted, newest first."""
    found: list[Snapshot] = []
    while page := context.catalogue.find(
        service.tenant_id, [service.service_id], (), _PAGE, found[-1].snapshot_id if found else None
    ):
        found += page
    upgrade = last_success(context, service.service_id)
    needed = [upgrade.snapshot_id] if upgrade and upgrade.snapshot_id else []
    return decide(policy, found, now_ms=context.now_ms(), needed=needed)
