"""Everything a handler may use while it works on one claimed operation, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from domain.breaker import Breakers
from domain.contracts import (
    Archive,
    Calendar,
    Catalogue,
    Clock,
    Hooks,
    Places,
    Schedules,
    Services,
    Sources,
    Trees,
    UpgradeRecords,
    Versions,
    Watch,
)
from domain.errors import NotFound, WrongTenant
from domain.health import HookResult
from domain.journal import Journal
from domain.operation import Operation, State
from domain.region import Region
from domain.service import Service
from domain.snapshot import Snapshot
from domain.standing import Use, permit


@dataclass(slots=True)
class Context:
    """The collaborators of one attempt. Built by the executor; lives as long as the attempt."""

    operation: Operation
    retried: bool  # an earlier attempt may have left objects or files
    node: str
    services: Services
    catalogue: Catalogue
    archive: Archive
    trees: Trees
    journal: Journal
    watch: Watch
    cancel: Callable[[str], State | None]
    find_operation: Callable[[str], Operation | None]
    region: Region
    breakers: Breakers
    versions: Versions
    records: UpgradeRecords
    clock: Clock
    now_ms: Callable[[], int]  # UTC milliseconds by the database's clock, carried on by this process's own
    health_hook: Callable[[str], HookResult]  # runs the node's hook for a service
    sources: Sources
    hooks: Hooks
    places: Places
    schedules: Schedules
    calendar: Calendar
    count: Callable[..., None]  # count("region_ignored", region=…, …) for metrics; a number may follow the name
    identity_files: tuple[str, ...] = ()  # patterns of what a clone of a service must not take over
    undoing_handed_over: bool = False  # an earlier holder may have been putting things back
    #: Clean-up that must wait until the outcome is durable. Best effort: the sweeper repeats it.
    after_settle: list[Callable[[], None]] = field(default_factory=list)

    def service(self, service_id: str | None = None) -> Service:
        """The service (by default the subject's), if it exists and belongs to the publisher's tenant."""
        wanted = service_id or self.operation.service_id
        found = self.services.get(wanted)
        if found is None:
            raise NotFound(
                f"service {wanted} is not registered",
                code="unknown-service",
                next_step="publish register-service first, or correct the subject",
            )
        if found.tenant_id != self.operation.tenant_id:
            raise WrongTenant(f"service {wanted} does not belong to tenant {self.operation.tenant_id}")
        return found

    def snapshot(self, snapshot_id: str, use: Use) -> Snapshot:
        """The snapshot, if it belongs to the publisher's tenant and its state allows that use."""
        found = self.catalogue.get(snapshot_id)
        if found is not None and found.tenant_id != self.operation.tenant_id:
            raise WrongTenant(f"snapshot {snapshot_id} does not belong to tenant {self.operation.tenant_id}")
        permit(use, None if found is None else found.state, snapshot_id)
        assert found is not None, "only deleting takes what is gone, and it asks the catalogue itself"
        return found
