"""The record of one operation's effects: intent before the act, reply after it.

It exists apart from the ledger because a handler may only see its own operation's steps, and must never
forget the fence or the lease. Every write renews the lease; LeaseLost means: touch nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from domain.contracts import Claim, Clock, Ledger
from domain.lease import Lease
from domain.operation import Step, StepState
from domain.outcome import Change

#: Step states that mean "something may have happened".
TOUCHED = frozenset({StepState.INTENT, StepState.DONE, StepState.IGNORED})
#: Kinds of steps that change nothing which anybody else can see.
NEUTRAL = frozenset({"plan", "protect", "staged", "repack"})
#: Begins the kind of a step that stands for a hook: the node's own program, which undoes itself.
HOOK = "hook:"


def is_neutral(kind: str) -> bool:
    """Whether a step of that kind changes nothing which anybody else can see."""
    return kind in NEUTRAL or kind.startswith(HOOK)


class Journal:
    """The steps of one claimed operation, in order. Used by one thread."""

    def __init__(self, ledger: Ledger, claim: Claim, lease: Lease, clock: Clock) -> None:
        self._ledger, self._claim, self._lease, self._clock = ledger, claim, lease, clock
        known = ledger.steps(claim.operation.op_id) if claim.takeover else []
        self._steps = {step.ordinal: step for step in known}

    # ------------------------------------------------------------ reading
    @property
    def fence(self) -> int:
        """The token under which this holder acts."""
        return self._claim.fence

    def steps(self, kind: str | None = None) -> list[Step]:
        """All steps, or those of a kind, by ordinal."""
        return [step for _, step in sorted(self._steps.items()) if kind is None or step.kind == kind]

    def find(self, kind: str) -> Step | None:
        """The step of that kind, if an earlier attempt or this one has begun it and not undone it."""
        return next((step for step in self.steps(kind) if step.state in TOUCHED), None)

    def now(self, ordinal: int) -> Step:
        """The step as it stands."""
        return self._steps[ordinal]

    def touched(self) -> bool:
        """Whether anything visible may have changed."""
        return any(step.state in TOUCHED and not is_neutral(step.kind) for step in self._steps.values())

    # ------------------------------------------------------------ writing
    def plan(self, steps: Sequence[tuple[str, dict[str, Any]]]) -> None:
        """Commit all steps as PENDING, at once: from here on the plan cannot change."""
        first = len(self._steps)
        asked_at = self._clock.boottime()
        self._ledger.intend_many(self._claim, first, steps, self._lease.ttl_ms)
        self._lease.renewed(asked_at)
        for ordinal, (kind, request) in enumerate(steps, first):
            self._steps[ordinal] = Step(ordinal, kind, StepState.PENDING, request, {})

    def start(self, step: Step, changes: Sequence[Change] = ()) -> Step:
        """Commit the intent of a planned step, before the act."""
        asked_at = self._clock.boottime()
        self._ledger.intend(self._claim, step.ordinal, step.kind, step.request, changes, self._lease.ttl_ms)
        self._lease.renewed(asked_at)
        return self._keep(replace(step, state=StepState.INTENT, reply={}))

    def begin(self, kind: str, request: dict[str, Any], changes: Sequence[Change] = ()) -> Step:
        """Commit the intent of a step that no plan holds, with the domain rows that change at this point."""
        known = next((step for step in self.steps(kind)), None)
        ordinal = known.ordinal if known else len(self._steps)
        return self.start(Step(ordinal, kind, StepState.PENDING, request, {}), changes)

    def end(
        self,
        step: Step,
        state: StepState = StepState.DONE,
        reply: dict[str, Any] | None = None,
        changes: Sequence[Change] = (),
        following: Step | None = None,
    ) -> Step:
        """Commit what came of the act: DONE, UNDONE or IGNORED; and with it the intent of `following`,
        a PENDING step, so that a step costs one commit instead of two."""
        asked_at = self._clock.boottime()
        if following is not None and not changes:
            self._ledger.advance(
                self._claim, step.ordinal, reply or {}, state.value, following.ordinal, self._lease.ttl_ms
            )
            self._keep(replace(following, state=StepState.INTENT))
        else:
            self._ledger.conclude(self._claim, step.ordinal, state.value, reply or {}, self._lease.ttl_ms, changes)
        self._lease.renewed(asked_at)
        return self._keep(replace(step, state=state, reply=reply or {}))

    def undone(self, steps: Sequence[Step], reply: dict[str, Any]) -> None:
        """Commit that the steps are put back, all of them by one act; what they were answered before is kept."""
        asked_at = self._clock.boottime()
        replies = {step.ordinal: reply | {"was": step.reply} for step in steps}
        self._ledger.undo_many(self._claim, replies, self._lease.ttl_ms)
        self._lease.renewed(asked_at)
        for step in steps:
            self._keep(replace(step, state=StepState.UNDONE, reply=replies[step.ordinal]))

    def bump(self) -> None:
        """Invalidate every request that is still under way: a new fence for all services held."""
        asked_at = self._clock.boottime()
        self._ledger.bump(self._claim, self._lease.ttl_ms)
        self._lease.renewed(asked_at)

    def reserve(self, service_ids: Sequence[str]) -> None:
        """Hold further services until the operation has ended; ServiceBusy if one is worked on."""
        asked_at = self._clock.boottime()
        self._ledger.reserve(self._claim, service_ids, self._lease.ttl_ms)
        self._lease.renewed(asked_at)

    def remember(self, step: Step) -> None:
        """Take the step for concluded before it is committed, to find out what follows it."""
        self._keep(step)

    def _keep(self, step: Step) -> Step:
        self._steps[step.ordinal] = step
        return step
