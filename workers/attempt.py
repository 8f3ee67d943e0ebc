"""What one attempt works with: the ports of the process, and the context of the claimed operation.

Apart from the executor, which decides how an attempt ends, because this is only wiring, counting, and the rows
that belong to an end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from domain.breaker import Breakers
from domain.context import Context
from domain.contracts import (
    Archive,
    Calendar,
    Catalogue,
    Claim,
    Clock,
    Hooks,
    Ledger,
    Places,
    Schedules,
    Services,
    Sources,
    Trees,
    UpgradeRecords,
    Versions,
)
from domain.health import HookResult
from domain.journal import Journal
from domain.lease import Lease, Taken
from domain.operation import State
from domain.outcome import Outcome
from domain.region import Region
from domain.subscription import Subscription
from workers.clock import SystemClock
from workers.progress import ProgressBoard
from workers.tracing import NO_TRACING, Hop, Span, Tracer, trace_of
from workers.watch import LeaseWatch

#: Seconds of lease that are kept while a thread waits for bandwidth.
PULSE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Ports:
    """What the executor and its handlers work with."""

    ledger: Ledger
    services: Services
    catalogue: Catalogue
    archive: Archive
    trees: Trees
    clock: Clock
    region: Region
    breakers: Breakers
    versions: Versions
    records: UpgradeRecords
    health_hook: Callable[[str], HookResult]
    count: Callable[..., None]
    sources: Sources
    hooks: Hooks
    places: Places
    schedules: Schedules
    calendar: Calendar
    identity_files: tuple[str, ...] = ()
    progress: ProgressBoard = field(default_factory=lambda: ProgressBoard(SystemClock()))
    tracer: Tracer = NO_TRACING


@dataclass(slots=True)
class Attempt:
    """The values that belong to one run of one claim."""

    claim: Claim
    lease: Lease
    context: Context
    subscription: Subscription
    payload: Any
    undoing: bool = False

    def is_past_return(self) -> bool:
        """Whether there is only forward: it has touched something that nothing undoes, such as a snapshot that is
        marked as deleted."""
        return self.subscription.undo is None and self.context.journal.touched()

    def turn_back(self) -> None:
        """From now on it undoes, which nothing cancels."""
        self.undoing = True
        self.context.watch.insist()

    def keep(self) -> None:
        """Keep the lease while a thread waits for bandwidth; never raises Cancelled."""
        self.context.watch.keep(PULSE_SECONDS)


def context_of(ports: Ports, taken: Taken, lease: Lease, *, node: str, stopping: threading.Event) -> Context:
    """The context of one attempt."""
    claim, ledger, clock = taken.claim, ports.ledger, ports.clock
    operation = claim.operation
    return Context(
        operation=operation,
        retried=claim.takeover or operation.attempts > 0,
        node=node,
        services=ports.services,
        catalogue=ports.catalogue,
        archive=ports.archive,
        trees=ports.trees,
        journal=Journal(ledger, claim, lease, clock),
        watch=LeaseWatch(ledger, taken, lease, clock, stopping, lambda counts: ports.progress.note(operation, counts)),
        cancel=ledger.request_cancel,
        find_operation=ledger.get,
        region=ports.region,
        breakers=ports.breakers,
        versions=ports.versions,
        records=ports.records,
        clock=clock,
        now_ms=lambda: taken.now_ms(lease.ttl_ms, clock.boottime()),
        health_hook=ports.health_hook,
        count=ports.count,
        sources=ports.sources,
        hooks=ports.hooks,
        places=ports.places,
        schedules=ports.schedules,
        calendar=ports.calendar,
        identity_files=ports.identity_files,
        undoing_handed_over=claim.takeover and operation.state is State.COMPENSATING,
    )


def span_of(tracer: Tracer, claim: Claim, node: str) -> AbstractContextManager[Span]:
    """The part of the operation's trace that this attempt is."""
    operation = claim.operation
    return tracer.span(
        f"process {operation.kind}",
        Hop.WORK,
        trace_of(operation) if tracer.on else None,
        message=operation.message_id,
        operation=operation.op_id,
        kind=operation.kind,
        tenant=operation.tenant_id,
        service=operation.service_id,
        node=node,
        attempt=operation.attempts + 1,
        takeover=claim.takeover,
    )


def measure(count: Callable[..., None], attempt: Attempt, outcome: Outcome) -> None:
    """What metrics tell of an end that has been settled."""
    operation = attempt.claim.operation
    seconds = max(0.0, (attempt.context.now_ms() - operation.created_at) / 1000)
    count("operation_seconds", seconds, kind=operation.kind, outcome=outcome.event_name())
    if outcome.state in (State.ROLLED_BACK, State.STUCK):
        count("compensations", kind=operation.kind, outcome=outcome.event_name())
    if outcome.code == "poison":
        count("poison")


def was_settled(attempt: Attempt, outcome: Outcome) -> bool:
    """Whether a COMMIT without an answer had settled it: under this fence nobody else could have ended it so."""
    claim = attempt.claim
    found = attempt.context.find_operation(claim.operation.op_id)
    return found is not None and (found.fence, found.state) == (claim.fence, outcome.state)


def with_rows(attempt: Attempt, outcome: Outcome) -> Outcome:
    """With the rows that belong to an end other than success."""
    subscription, payload, context = attempt.subscription, attempt.payload, attempt.context
    if payload is None or outcome.state is State.SUCCEEDED:
        return outcome
    changes = outcome.changes
    if subscription.abandon and outcome.state in (State.FAILED, State.CANCELLED):
        changes += subscription.abandon(payload, context)
    if subscription.closing:
        changes += subscription.closing(payload, context, outcome)
    return replace(outcome, changes=changes)
