"""Any sequence of accepting, claiming, dying, finishing late, failing and cancelling keeps the invariants.

The real ledger on SQLite under a clock that the machine moves. Workers here are just claims: some act, some
die silently, and some wake up long after another has taken over.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from domain.contracts import Accepted, Claim
from domain.decoding import request_hash
from domain.errors import LeaseLost, Refused
from domain.identity import Subject
from domain.message import Command
from domain.operation import TERMINAL, State
from domain.outcome import Outcome
from storage.sealing import KeyRing
from storage.sql import open_database

LEASE_MS = 60_000
SERVICES = ("web", "db")


class OperationMachine(RuleBasedStateMachine):
    """Every claim that was ever given out stays in the bundle, so that stale ones are used too."""

    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self._home = tempfile.TemporaryDirectory()
        self.now = 1_000_000
        self.database = open_database(
            f"sqlite:///{Path(self._home.name)}/backstay.db",
            KeyRing.parse(KeyRing.generate_text()),
            clock_ms=lambda: self.now,
        )
        self.database.migrate()
        self.accepted: dict[str, str] = {}
        self.fences: Counter[str] = Counter()
        self.ended: dict[str, State] = {}

    def teardown(self) -> None:
        self.database.close()
        self._home.cleanup()

    # ------------------------------------------------------------ what can happen
    @rule(number=st.integers(0, 15), service=st.sampled_from(SERVICES))
    def a_message_is_delivered(self, number: int, service: str) -> None:
        message_id = f"{service}-{number}"
        command = Command("/m", message_id, "act", 1, Subject("acme", service), {})
        (receipt,) = self.database.inbox.accept([Accepted(command, request_hash(command), True, False)])
        assert receipt.op_id is not None
        assert self.accepted.setdefault(message_id, receipt.op_id) == receipt.op_id, "one key became two operations"

    @rule(target=claims, worker=st.sampled_from(["a", "b"]))
    def a_worker_claims(self, worker: str) -> Any:
        taken = self.database.ledger.claim(worker, f"owner-{worker}", 1, LEASE_MS)
        for claim in taken:
            operation = claim.operation
            assert operation.fence > self.fences[operation.service_id], "a fence did not grow"
            self.fences[operation.service_id] = operation.fence
        return taken[0] if taken else None

    @rule(seconds=st.integers(1, 130))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1000

    @rule(claim=claims, state=st.sampled_from(["succeeded", "failed"]))
    def somebody_settles(self, claim: Claim | None, state: str) -> None:
        if claim is None:
            return
        op_id = claim.operation.op_id
        outcome = Outcome.succeeded("did it") if state == "succeeded" else Outcome.failed(Refused("no"))
        holder = self.database.ledger.get(op_id)
        try:
            self.database.ledger.settle(claim, outcome)
        except LeaseLost:
            return
        assert holder is not None and holder.fence == claim.operation.fence, "a stale holder settled"
        assert op_id not in self.ended, "an operation ended twice"
        self.ended[op_id] = outcome.state

    @rule(claim=claims, delay=st.integers(0, 5000))
    def somebody_retries_later(self, claim: Claim | None, delay: int) -> None:
        if claim is not None:
            self._unless_lost(lambda: self.database.ledger.retry_later(claim, delay, "weather", "later"))

    @rule(claim=claims)
    def somebody_renews(self, claim: Claim | None) -> None:
        if claim is not None:
            self._unless_lost(lambda: self.database.ledger.renew(claim, LEASE_MS, {"bytes_done": 1}))

    @rule(claim=claims)
    def somebody_gives_back(self, claim: Claim | None) -> None:
        if claim is not None:
            self.database.ledger.release(claim)

    @rule(number=st.integers(0, 15), service=st.sampled_from(SERVICES))
    def a_person_cancels(self, number: int, service: str) -> None:
        op_id = self.accepted.get(f"{service}-{number}")
        if op_id is not None and self.database.ledger.request_cancel(op_id) is State.CANCELLED:
            self.ended.setdefault(op_id, State.CANCELLED)

    @staticmethod
    def _unless_lost(act: Any) -> None:
        try:
            act()
        except LeaseLost:
            return

    # ------------------------------------------------------------ what always holds
    @invariant()
    def an_end_is_an_end(self) -> None:
        """I10."""
        for op_id, state in self.ended.items():
            found = self.database.ledger.get(op_id)
            assert found is not None and found.state is state

    @invariant()
    def at_most_one_operation_is_active_per_service(self) -> None:
        """I7."""
        for service in SERVICES:
            active = self.database.list_operations(service_id=service, states=[State.RUNNING], limit=100)
            assert len(active) <= 1

    @invariant()
    def each_end_has_one_event(self) -> None:
        """I5."""
        told = Counter(event.op_id for event in self.database.outbox.take(1000, 0))
        assert told == Counter(dict.fromkeys(self.ended, 1))

    @invariant()
    def every_accepted_message_has_its_operation(self) -> None:
        """I1."""
        for message_id, op_id in self.accepted.items():
            found = self.database.find_by_message("/m", message_id)
            assert found is not None and found.op_id == op_id
            assert (found.state in TERMINAL) is (op_id in self.ended)


OperationMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=40, suppress_health_check=list(HealthCheck)
)
TestOperationMachine = OperationMachine.TestCase
