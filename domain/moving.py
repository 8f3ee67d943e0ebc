"""When an operation may leave its node, and what a person is told when it may not.

Apart from `node.py` because this is about one operation: where its directory is, what it may have done there, and
who decides when the node that could tell is lost. Pure; the same for every way in which it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain.errors import Refused
from domain.journal import TOUCHED
from domain.node import NodeSeen, check_target
from domain.operation import TERMINAL, Operation, State, StepState

#: What steps are called that change files, volumes or databases of the node itself.
ON_THE_NODE = ("swap", "data", "source:")


def on_the_node(steps: Iterable[tuple[str, StepState]]) -> str | None:
    """The kind of the first step that may have changed what only the node has: its files, volumes, databases."""
    return next((kind for kind, state in steps if state in TOUCHED and kind.startswith(ON_THE_NODE)), None)


def check_bound(operation: Operation, now: int) -> str:
    """The node that the operation is bound to; Refused when it is to none, has ended, or is being worked on."""
    op_id = operation.op_id
    if operation.state in TERMINAL:
        raise Refused(f"operation {op_id} has ended: {operation.state}", code="already-ended")
    if operation.state is State.STUCK:
        raise Refused(
            f"operation {op_id} is STUCK: it waits for a person and for no node",
            code="stuck",
            next_step=f"`backstay operations resolve {op_id}` ends it",
        )
    if operation.node is None:
        raise Refused(
            f"operation {op_id} is bound to no node: any that takes work does it",
            code="not-bound",
            next_step=f"`backstay operations show {op_id}` tells what it waits for",
        )
    if operation.lease_until >= now:
        raise Refused(
            f"{operation.owner} holds operation {op_id} for {(operation.lease_until - now) // 1000} s more",
            code="busy",
            next_step="ask again when its lease has ended; while the work goes on, the lease is renewed",
        )
    return operation.node


def check_move(operation: Operation, *, follows: bool, at: NodeSeen | None, to: NodeSeen) -> None:
    """Raise unless the operation may go from its node, as that was seen, to the other one. `follows`: it goes where
    its service's directory is; else its message names the node."""
    if not follows:
        raise Refused(
            f"the message of operation {operation.op_id} names node {operation.node}",
            code="node-in-message",
            next_step=f"`backstay operations cancel {operation.op_id}`, then publish it with another node",
        )
    if at is not None and not at.away and not at.drained_at:
        raise Refused(
            f"node {at.node} is alive and takes work",
            code="node-alive",
            next_step=f"`backstay nodes drain {at.node} --wait` first; what it has begun, it then ends",
        )
    check_target(to)


def check_home(operation: Operation, home: str | None, to: str) -> None:
    """Raise when the service lives on a third node: its directory is there, so that is where its work belongs."""
    if home is not None and home not in (operation.node, to):
        raise Refused(
            f"service {operation.service_id} lives on node {home}",
            code="service-elsewhere",
            next_step=f"`backstay operations move {operation.op_id} --to {home}`",
        )


def check_untouched(op_id: str, node: str, touched: str | None) -> None:
    """Raise when the step `touched` may have changed what is on the node."""
    if touched is not None:
        raise Refused(
            f"operation {op_id} may have changed files on node {node} (step {touched}): only that node can finish it "
            "or put it back",
            code="node-has-files",
            next_step=f"bring {node} back; if it is lost for good, `backstay operations give-up {op_id}` lets a "
            "person say how it ended",
        )


def check_lost(operation: Operation, at: NodeSeen | None, touched: str | None) -> None:
    """Raise unless nobody but a person can end the operation: its node is lost, with files that it may have changed."""
    if at is not None and not at.away:
        raise Refused(
            f"node {at.node} was seen {at.age_ms // 1000} s ago: it goes on with the operation itself",
            code="node-alive",
            next_step=f"`backstay operations cancel {operation.op_id}` has it put back",
        )
    if touched is None:
        raise Refused(
            f"operation {operation.op_id} has changed nothing on node {operation.node}, so nothing is lost with it",
            code="nothing-lost",
            next_step=f"`backstay operations cancel {operation.op_id}`, or `backstay operations move "
            f"{operation.op_id} --to NODE`",
        )
