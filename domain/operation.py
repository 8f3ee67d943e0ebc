"""One accepted command and its life to exactly one outcome: states, record, budgets.

    QUEUED --claim--> RUNNING --------------> SUCCEEDED
      |                 | failed after an      FAILED      (nothing changed, or nothing visible)
      | cancel          | effect               CANCELLED
      v                 v
    CANCELLED        COMPENSATING ----------> ROLLED_BACK
                        | budget spent
                        v
                      STUCK   (the service stays reserved; a person decides)

QUEUED, RUNNING and COMPENSATING are claimable as soon as `next_attempt_at` has come and no lease is
held, so there is no state that only a dead process can leave.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where an operation stands. The last four never change again."""

    QUEUED = "QUEUED"  # accepted and durable; nobody has started
    RUNNING = "RUNNING"  # claimed at least once; the target may be partly reached
    COMPENSATING = "COMPENSATING"  # being put back to the state before
    STUCK = "STUCK"  # could not be put back; the service is reserved for a person
    SUCCEEDED = "SUCCEEDED"  # the target holds everywhere
    ROLLED_BACK = "ROLLED_BACK"  # everything is as before, after it had been touched
    FAILED = "FAILED"  # everything is as before; nothing visible was touched
    CANCELLED = "CANCELLED"  # everything is as before, because somebody asked


#: States that never change again.
TERMINAL = frozenset({State.SUCCEEDED, State.ROLLED_BACK, State.FAILED, State.CANCELLED})


class StepState(StrEnum):
    """PENDING -> INTENT -> DONE -> UNDONE, or INTENT -> UNDONE; IGNORED counts as touched."""

    PENDING = "PENDING"  # planned, nothing sent
    INTENT = "INTENT"  # may have happened
    DONE = "DONE"  # did happen
    UNDONE = "UNDONE"  # put back
    IGNORED = "IGNORED"  # refused in a way that does not matter; recorded


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the ledger as read. Times are UTC milliseconds of the database's clock; 0 means none."""

    seq: int
    op_id: str
    source: str
    message_id: str
    kind: str  # message type without prefix and version: "create-snapshot"
    tenant_id: str
    service_id: str
    state: State
    data: dict[str, Any] = field(repr=False)  # the message's `data`; may hold secrets, never print it
    node: str | None = None  # the only node that can do it; None: any
    exclusive: bool = True  # reserves the service while active
    owner: str | None = None  # node and process of the present or last holder, for people
    fence: int = 0
    lease_until: int = 0
    next_attempt_at: int = 0
    claims_no_progress: int = 0
    attempts: int = 0  # failures that were retried
    cancel_requested: bool = False
    deadline_at: int = 0
    outcome: dict[str, Any] | None = None
    progress: dict[str, Any] | None = None  # bytes_done, bytes_total, files_done, files_total: for eyes only
    error_code: str | None = None
    correlation_id: str | None = None
    causation_id: str | None = None  # the operation or message that led to this one
    reply_to: str | None = None
    traceparent: str | None = None
    created_at: int = 0
    updated_at: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One journalled part of an operation."""

    ordinal: int
    kind: str
    state: StepState
    request: dict[str, Any] = field(repr=False)
    reply: dict[str, Any] = field(repr=False)
    began_at: int = 0  # UTC milliseconds of the intent; 0 while there is none, or not read yet
    updated_at: int = 0
    fence: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """How long an operation is tried before it is given up."""

    #: Claims in a row without any progress; then the command counts as one that kills its worker.
    max_claims: int = 8
    #: Attempts against weather (a store, a database, a region that does not answer): about half an hour.
    max_attempts: int = 60
    #: Attempts that end in an exception nobody planned for.
    max_bugs: int = 6
    #: Attempts to put things back before a person must decide.
    max_undo_attempts: int = 40
    #: Seconds; the backoff before retry n is drawn from 0 .. min(cap, base * 2**n).
    backoff_base: float = 1.0
    backoff_cap: float = 60.0
