"""The record of one operation's effects: intent before the act, reply after it.

It exists apart from the ledger because a handler may only see its own operation's steps, by kind, and
must never forget the fence or the lease. Every write renews the lease; LeaseLost means: touch nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.contracts import Claim, Clock, Ledger
from domain.lease import Lease
from domain.operation import Step, StepState
from domain.outcome import Change

#: Step states that mean "something may have happened".
TOUCHED = frozenset({StepState.INTENT, StepState.DONE, StepState.IGNORED})


class Journal:
    """The steps of one claimed operation, in order. Used by one thread."""

    def __init__(self, ledger: Ledger, claim: Claim, lease: Lease, clock: Clock) -> None:
        self._ledger, self._claim, self._lease, self._clock = ledger, claim, lease, clock
        self._steps = ledger.steps(claim.operation.op_id) if claim.takeover else []

    def find(self, kind: str) -> Step | None:
        """The step of that kind, if an earlier attempt or this one has begun it and not undone it."""
        return next((s for s in self._steps if s.kind == kind and s.state in TOUCHED), None)

    def touched(self) -> bool:
        """Whether anything visible may have changed."""
        return any(step.state in TOUCHED for step in self._steps)

    def begin(self, kind: str, request: dict[str, Any], changes: Sequence[Change] = ()) -> Step:
        """Commit the intent, with the domain rows that change at this point, before the act."""
        known = next((s for s in self._steps if s.kind == kind), None)
        ordinal = known.ordinal if known else len(self._steps)
        asked_at = self._clock.boottime()
        self._ledger.intend(self._claim, ordinal, kind, request, changes, self._lease.ttl_ms)
        self._lease.renewed(asked_at)
        return self._keep(Step(ordinal, kind, StepState.INTENT, request, {}))

    def end(self, step: Step, state: StepState = StepState.DONE, reply: dict[str, Any] | None = None) -> Step:
        """Commit what came of the act: DONE, UNDONE or IGNORED."""
        asked_at = self._clock.boottime()
        self._ledger.conclude(self._claim, step.ordinal, state.value, reply or {}, self._lease.ttl_ms)
        self._lease.renewed(asked_at)
        return self._keep(Step(step.ordinal, step.kind, state, step.request, reply or {}))

    def _keep(self, step: Step) -> Step:
        self._steps = sorted([s for s in self._steps if s.ordinal != step.ordinal] + [step], key=lambda s: s.ordinal)
        return step
