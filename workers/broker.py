"""dramatiq's queue, made of the SQL inbox: consuming a message is claiming an operation.

It exists so that dramatiq can do what it is good at (threads, middleware, graceful stop) without a
second queue that could lose, repeat or time out work. Nothing is ever enqueued here: commands enter
through the inbox. Acknowledging means nothing, because settling has already said everything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import dramatiq
import structlog
from dramatiq.middleware import Middleware

from domain.contracts import Claim, Clock, Ledger, Wake
from domain.errors import DatabaseUnavailable, LeaseLost
from domain.lease import Taken
from domain.node import NO_SLOTS

log = structlog.get_logger("broker")

QUEUE = "operations"
ACTOR = "execute"
#: Seconds between looks at the database when nothing has announced new work (backoffs come due, nodes die).
POLL_SECONDS = 2.0
#: The same while the node leaves: nothing rings when the last thread has ended.
DRAIN_SECONDS = 0.05
#: Slots beyond the others that only take cancels: a cancel must not wait for what it cancels.
SPARE = 1
#: Milliseconds after which an operation is offered again whose former attempt still hangs in this process.
STILL_RUNNING_MS = 10_000


class SqlBroker(dramatiq.Broker):
    """Claims for one process. `slots` is the number of worker threads; never more is held."""

    def __init__(
        self,
        ledger: Ledger,
        wake: Wake,
        clock: Clock,
        run: Callable[[Taken], None],
        *,
        node: str,
        owner: str,
        slots: int,
        lease_ms: int,
        kind_slots: Mapping[str, int] = NO_SLOTS,
    ) -> None:
        """`kind_slots`: most at once, of a kind, in all processes of the node together."""
        # The list is explicit and short: retries, deadlines and results are durable in the row.
        super().__init__(middleware=[StopClaiming()])
        self.ledger, self.wake, self.clock = ledger, wake, clock
        self.node, self.owner, self.slots, self.lease_ms = node, owner, slots, lease_ms
        self._kind_slots = kind_slots
        self.draining = threading.Event()
        self.turned_at = clock.boottime()  # when the consumer last went round; for health
        self._run = run
        self._mutex = threading.Lock()
        self._held: dict[str, Taken] = {}
        self.declare_queue(QUEUE)
        dramatiq.Actor(self._execute, broker=self, actor_name=ACTOR, queue_name=QUEUE, priority=0, options={})

    def declare_queue(self, queue_name: str) -> None:
        """Tell the worker to consume it, once."""
        if queue_name not in self.queues:
            self.emit_before("declare_queue", queue_name)
            self.queues[queue_name] = None
            self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Refused: only accepting a command makes work."""
        raise TypeError("operations enter through the inbox, not through dramatiq")

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 1000) -> dramatiq.Consumer:
        """The one consumer; `prefetch` is ignored because a claim is a lease and must not wait in memory."""
        return _Claims(self)

    # ------------------------------------------------------------ claims in this process
    def free(self) -> int:
        """How many more operations this process may hold, not counting the spare slot."""
        with self._mutex:
            return self.slots - len(self._held)

    def claim(self) -> list[Claim]:
        """Take as many ready operations as there are free slots."""
        asked_at = self.clock.boottime()
        claims = []
        free = self.free()
        if free <= -SPARE:
            return []
        limit, cancels_only = (free, False) if free > 0 else (SPARE, True)
        claimed = self.ledger.claim(
            self.node, self.owner, limit, self.lease_ms, cancels_only=cancels_only, slots=self._kind_slots
        )
        answered_at = self.clock.boottime()
        for claim in claimed:
            with self._mutex:
                runs_here = claim.operation.op_id in self._held
                if not runs_here:
                    self._held[claim.operation.op_id] = Taken(claim, asked_at, answered_at)
            if runs_here:
                self._postpone(claim)
            else:
                claims.append(claim)
        return claims

    def _postpone(self, claim: Claim) -> None:
        """A thread of ours hangs in it and has lost its lease: a second one would only hang beside it."""
        sentence = "the same operation still runs in this process"
        try:
            self.ledger.postpone(claim, STILL_RUNNING_MS, "still-running", sentence)  # nothing was tried
        except (DatabaseUnavailable, LeaseLost) as error:
            # Its lease ends by itself; raising would lose what was claimed with it, which only this loop knows of.
            log.warning("claim.not-postponed", operation=claim.operation.op_id, detail=str(error))

    def give_back(self) -> int:
        """Release every operation that this process still holds and that does not stay, for the end of a stop; how
        many. What stays is left under its lease, which the end of this process ends on this host."""
        with self._mutex:
            given = [taken for taken in self._held.values() if taken.hold.give_back()]
            for taken in given:
                del self._held[taken.claim.operation.op_id]
        for taken in given:
            self._release(taken.claim)
        return len(given)

    def _release(self, claim: Claim) -> None:
        try:
            self.ledger.release(claim)
        except (DatabaseUnavailable, LeaseLost) as error:  # then the lease ends by itself
            log.warning("claim.not-released", operation=claim.operation.op_id, detail=str(error))

    def drop(self, op_id: str) -> Claim | None:
        """Forget a claim; the claim if it was held."""
        with self._mutex:
            found = self._held.pop(op_id, None)
        self.wake.set()
        return found.claim if found else None

    def _execute(self, op_id: str) -> None:
        with self._mutex:
            held = self._held.get(op_id)
        if held is None:
            return  # given back meanwhile
        try:
            self._run(held)
        finally:
            self.drop(op_id)


class _Claims(dramatiq.Consumer):
    """Iterates over claims as dramatiq messages; None when there is nothing to do now."""

    def __init__(self, broker: SqlBroker) -> None:
        self._broker = broker
        self._ready: list[str] = []
        self._look = True

    def __next__(self) -> dramatiq.MessageProxy | None:
        broker = self._broker
        broker.turned_at = broker.clock.boottime()
        if not self._ready and not broker.draining.is_set():
            self._ready = self._claim()
        if not self._ready:
            broker.wake.wait(DRAIN_SECONDS if broker.draining.is_set() else POLL_SECONDS)
            return None
        op_id = self._ready.pop(0)
        return dramatiq.MessageProxy(
            dramatiq.Message(queue_name=QUEUE, actor_name=ACTOR, args=(op_id,), kwargs={}, options={})
        )

    def _claim(self) -> list[str]:
        try:
            return [claim.operation.op_id for claim in self._broker.claim()]
        except DatabaseUnavailable as error:
            log.warning("claim.database-unavailable", detail=str(error))
            return []

    def ack(self, message: dramatiq.MessageProxy) -> None:
        """Nothing to do: the outcome is in SQL."""

    nack = ack

    def requeue(self, messages: Iterable[dramatiq.MessageProxy]) -> None:
        """Give back claims that no thread has begun."""
        for message in messages:
            claim = self._broker.drop(message.args[0])
            if claim is not None:
                self._broker._release(claim)

    def close(self) -> None:
        """Give back what was claimed and not yet handed over."""
        for op_id in self._ready:
            claim = self._broker.drop(op_id)
            if claim is not None:
                self._broker._release(claim)
        self._ready = []


class StopClaiming(Middleware):
    """dramatiq keeps consumers alive while its threads drain; a draining node must not take new work."""

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Called first of all when a worker stops."""
        if isinstance(broker, SqlBroker):
            broker.draining.set()
            broker.wake.set()
