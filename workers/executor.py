"""One attempt at one claimed operation, from claim to settled outcome.

The path of every command: decode what was accepted, decide whether to go on, act through the handler,
settle. What an exception means is decided here and nowhere else. It promises that the operation is left
settled, waiting for a retry, or under its lease for whoever comes next; it never raises for a reason
that lies in the operation.
"""

from __future__ import annotations

import random
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from domain import pulse
from domain.contracts import Claim
from domain.errors import (
    BackstayError,
    Cancelled,
    Damaged,
    DeadlineExceeded,
    KeyUnavailable,
    LeaseLost,
    Postponed,
    Refused,
    ShuttingDown,
    Weather,
)
from domain.lease import Lease, Taken
from domain.operation import Budget, State
from domain.outcome import Outcome
from domain.retry import KEY_REST_MS, backoff_ms, within_call
from domain.subscription import Subscription
from domain.turned_back import reason_of
from workers.attempt import Attempt, Ports, context_of, measure, span_of, was_settled, with_rows
from workers.giving_up import given_up, not_put_back, poison_of, poisoned, stuck, tell_bug, unreadable, words_of
from workers.placement import elsewhere, is_to_end
from workers.room import check_room

log = structlog.get_logger("executor")


class Executor:
    """Runs claims; safe to share between the threads of a process."""

    def __init__(
        self,
        ports: Ports,
        subscriptions: Mapping[str, Subscription],
        parse: Callable[[Subscription, dict[str, Any]], Any],
        *,
        node: str,
        lease_ms: int,
        budget: Budget,
        draw: random.Random,
        stopping: threading.Event,
        ended: Callable[[str, str], None],
        low_on_room: Callable[[], str] = str,
    ) -> None:
        """`stopping` makes running work give its operation back; `ended(kind, how)` counts ends. `low_on_room`
        says why no data work may begin on this node, or ""."""
        self._ports, self._subscriptions, self._parse = ports, subscriptions, parse
        self._node, self._lease_ms, self._budget, self._draw = node, lease_ms, budget, draw
        self._stopping, self._ended, self._low_on_room = stopping, ended, low_on_room

    def run(self, taken: Taken) -> None:
        """Work on what was taken, by the injected clock."""
        claim = taken.claim
        operation = claim.operation
        with structlog.contextvars.bound_contextvars(
            operation=operation.op_id,
            message=operation.message_id,
            kind=operation.kind,
            service=operation.service_id,
            attempt=operation.attempts + 1,
            fence=operation.fence,
        ):
            log.info("operation.claimed", takeover=claim.takeover, state=operation.state.value)
            if claim.abandoned:
                self._ports.count("takeovers", why="lease-ended")
            with span_of(self._ports.tracer, claim, self._node) as span:
                try:
                    how = self._run(taken)
                finally:
                    self._ports.progress.drop(operation.op_id)
                span.note(how=how)
            log.info("operation.left", how=how)
            self._ended(operation.kind, how)

    def _run(self, taken: Taken) -> str:
        try:
            return self._left(taken)
        except LeaseLost as error:
            log.warning("operation.lease-lost", detail=str(error))
            return "lease-lost"
        except Weather as error:
            # The database itself is away: the lease ends by itself and somebody goes on from the journal.
            log.warning("operation.interrupted", code=error.code, detail=str(error))
            return "interrupted"

    def _left(self, taken: Taken) -> str:
        """How the attempt left the operation. LeaseLost or Weather when it could not even write that down."""
        ledger, claim = self._ports.ledger, taken.claim
        attempt: Attempt | None = None
        try:
            subscription = self._subscriptions.get(claim.operation.kind)
            if subscription is None:
                return self._pass_on(claim)
            node = elsewhere(claim, subscription, self._parse, self._ports.services, self._node, self._lease_ms)
            if node is not None:
                ledger.reroute(claim, node)
                return "rerouted"
            attempt = self._prepare(taken, subscription)
            return self._left_by(attempt)
        except ShuttingDown:
            ledger.release(claim)
            return "released"
        except Postponed as error:
            ledger.postpone(claim, round(error.delay * 1000), error.code, str(error))
            return "postponed"
        except (LeaseLost, Weather):
            raise
        except Exception as error:  # noqa: BLE001 - a bug of ours or of a library: bounded retries, then a person
            return self._unprepared(claim, attempt, error)

    def _left_by(self, attempt: Attempt) -> str:
        """What was decided, written down; a bug becomes a retry or an end, before which all is put back."""
        try:
            with pulse.during(attempt.keep):
                outcome = self._decide(attempt)
            return self._finish(attempt, outcome) if outcome else "retry"
        except (LeaseLost, ShuttingDown, Weather):
            raise
        except Exception as error:  # noqa: BLE001 - as above
            unplanned = error
        return self._unplanned(attempt, unplanned)

    # ------------------------------------------------------------ prepare
    def _pass_on(self, claim: Claim) -> str:
        """A type of another version: leave it to a worker that knows it; not for ever, unless one has begun it."""
        operation = claim.operation
        sentence = f"no worker knows the message type {operation.kind}"
        if operation.attempts + 1 < self._budget.max_attempts or self._ports.ledger.has_steps(operation.op_id):
            self._ports.ledger.retry_later(claim, 30_000, "unknown-type", sentence)
            return "retry"
        self._ports.ledger.settle(claim, Outcome.failed(Refused(sentence, code="unknown-type")))
        return "failed"

    def _prepare(self, taken: Taken, subscription: Subscription) -> Attempt:
        lease = Lease(self._ports.clock, self._lease_ms, taken.asked_at)
        context = context_of(self._ports, taken, lease, node=self._node, stopping=self._stopping)
        return Attempt(taken.claim, lease, context, subscription, None)

    # ------------------------------------------------------------ decide
    def _decide(self, attempt: Attempt) -> Outcome | None:
        """The outcome to settle; None when the operation waits for its next attempt."""
        operation = attempt.claim.operation
        poisonous = operation.claims_no_progress > self._budget.max_claims
        onward = attempt.is_past_return()
        if operation.state is State.COMPENSATING and not onward:
            if poisonous:
                attempt.turn_back()
                attempt.payload = self._parse(attempt.subscription, operation.data)  # the end has rows of its own
                return poisoned(operation, attempt.context.journal)
            return self._compensate(attempt, reason_of(operation))
        try:
            attempt.payload = self._parse(attempt.subscription, operation.data)
            if poisonous:
                raise poison_of(operation)
            if onward:
                attempt.context.watch.insist()
            attempt.context.watch.check()
            check_room(attempt, self._node, self._low_on_room)
            return attempt.subscription.handle(attempt.payload, attempt.context)
        except (Cancelled, DeadlineExceeded) as error:
            return self._end_early(attempt, Outcome.cancelled(error))
        except (Refused, Damaged) as error:
            return self._end_early(attempt, Outcome.failed(error))
        except (LeaseLost, ShuttingDown, Postponed):
            raise
        except Weather as error:
            return self._later(attempt, error, self._budget.max_attempts)

    def _unplanned(self, attempt: Attempt, error: Exception) -> str:
        tell_bug(error)
        if attempt.undoing:
            outcome = self._undo_failed(attempt, reason_of(attempt.claim.operation), error)
        else:
            outcome = self._later(attempt, error, self._budget.max_bugs)
        return self._finish(attempt, outcome) if outcome else "retry"

    def _unprepared(self, claim: Claim, attempt: Attempt | None, error: Exception) -> str:
        """No handler can be asked: the service or the journal cannot be read, or a bug met another one."""
        operation, ledger = claim.operation, self._ports.ledger
        code, sentence = words_of(error)
        undoing, begun = operation.state is State.COMPENSATING, ledger.has_steps(operation.op_id)
        # Whoever has the key can still put back what was begun: that outlasts any deadline.
        ends = operation.cancel_requested or (not begun and is_to_end(operation, self._lease_ms))
        if isinstance(error, KeyUnavailable) and (undoing or not ends):
            log.warning("operation.key-missing", detail=sentence)
            ledger.postpone(claim, KEY_REST_MS, code, sentence)
            return "postponed"
        tell_bug(error)
        most = self._budget.max_undo_attempts if undoing else self._budget.max_bugs
        begun_to_undo = attempt is not None and attempt.undoing and not undoing  # which has a budget of its own
        if begun_to_undo or operation.attempts + 1 < most:
            ledger.retry_later(claim, backoff_ms(self._budget, operation.attempts, self._draw), code, sentence)
            return "retry"
        outcome = unreadable(operation, error, begun=begun)
        ledger.settle(claim, outcome)
        return outcome.event_name()

    def _later(self, attempt: Attempt, error: Exception, most: int) -> Outcome | None:
        operation = attempt.claim.operation
        code, sentence = words_of(error)
        if operation.attempts + 1 < most:
            delay = backoff_ms(self._budget, operation.attempts, self._draw)
            self._ports.ledger.retry_later(attempt.claim, delay, code, sentence)
            self._ports.count("retries", kind=operation.kind, code=code)
            log.warning("operation.retry", code=code, detail=sentence, delay_ms=delay)
            return None
        return self._end_early(attempt, given_up(operation, error))

    def _end_early(self, attempt: Attempt, outcome: Outcome) -> Outcome | None:
        """Settle as it is when nothing was touched; else put everything back first."""
        if not attempt.context.journal.touched():
            return outcome
        if attempt.subscription.undo is None:
            return stuck(attempt.claim.operation, outcome)
        self._ports.ledger.turn_back(attempt.claim, outcome)
        return self._compensate(attempt, outcome)

    def _compensate(self, attempt: Attempt, reason: Outcome) -> Outcome | None:
        operation, subscription = attempt.claim.operation, attempt.subscription
        attempt.turn_back()
        try:
            attempt.payload = attempt.payload or self._parse(subscription, operation.data)
            if subscription.undo is not None:
                with pulse.during(attempt.keep):
                    subscription.undo(attempt.payload, attempt.context)
            return replace(reason, state=State.ROLLED_BACK)
        except (LeaseLost, ShuttingDown, Postponed):
            raise
        except (BackstayError, OSError) as error:
            return self._undo_failed(attempt, reason, error)

    def _undo_failed(self, attempt: Attempt, reason: Outcome, error: Exception) -> Outcome | None:
        """Undoing is never given up silently: bounded retries, then STUCK for a person."""
        operation = attempt.claim.operation
        used = operation.attempts if operation.state is State.COMPENSATING else 0  # turning back began a new budget
        if used + 1 < self._budget.max_undo_attempts:
            delay = backoff_ms(self._budget, used, self._draw)
            self._ports.ledger.retry_later(attempt.claim, delay, "undo-failed", type(error).__name__)
            self._ports.count("retries", kind=operation.kind, code="undo-failed")
            return None
        trace = "".join(traceback.format_exception(error))
        open_items = not_put_back(attempt.context.journal)
        told = replace(reason, code="undo-failed", traceback=trace, items=open_items)
        return stuck(operation, told, reason)

    # ------------------------------------------------------------ settle
    def _finish(self, attempt: Attempt, outcome: Outcome) -> str:
        if outcome.state in (State.FAILED, State.CANCELLED):
            checked = self._end_early(attempt, outcome)  # "nothing changed" must be true, whoever says it
            if checked is None:
                return "retry"
            outcome = checked
        try:
            self._settle(attempt, outcome)
        except (Refused, Damaged) as error:  # SQL refused the domain changes; nothing of them was written
            instead = self._end_early(attempt, Outcome.failed(error))
            if instead is None:
                return "retry"
            self._settle(attempt, instead)
            return instead.event_name()
        return outcome.event_name()

    def _settle(self, attempt: Attempt, outcome: Outcome) -> None:
        outcome = with_rows(attempt, outcome)
        # Before the outcome can be told, so that nothing is told of the operation after it.
        self._ports.progress.drop(attempt.claim.operation.op_id)
        for retry in within_call(seconds=max(1.0, attempt.lease.left() - 1.0)):
            with retry:
                try:
                    self._ports.ledger.settle(attempt.claim, outcome)
                except LeaseLost:
                    if retry.retry_state.attempt_number == 1 or not was_settled(attempt, outcome):
                        raise
        measure(self._ports.count, attempt, outcome)
        for clean_up in attempt.context.after_settle:
            try:
                clean_up()
            except (BackstayError, OSError) as error:
                log.warning("operation.clean-up-left", detail=str(error))
