"""Bringing the services of a lost node back on another one: what has to be asked for, service by service.

Apart from moving an operation, which carries work on: here the newest snapshot of each service is restored elsewhere,
and what still waits for the lost node gives way to that. Pure, so that what is shown is what is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.moving import on_the_node
from domain.operation import Operation, State, Step
from domain.service import Service
from domain.snapshot import Snapshot

#: What a restore brings; the configuration is in SQL and newer there.
PARTS = ("data", "sources")


@dataclass(frozen=True, slots=True)
class Return:
    """How one service comes back, or why it does not yet."""

    tenant_id: str
    service_id: str
    snapshot_id: str | None = None
    taken_at: int = 0  # UTC milliseconds
    include: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()  # operations that wait for the lost node, cancelled first
    trouble: str = ""
    next_step: str = ""


def plan_return(
    service: Service,
    newest: Snapshot | None,
    unfinished: Sequence[Operation],
    journal: Mapping[str, Sequence[Step]],
    to: str,
    now: int,
) -> Return:
    """`unfinished` are the service's operations; `journal` has the steps of those that were begun."""
    bound = [one for one in unfinished if one.node == service.node or one.state is State.STUCK]
    for one in bound:
        trouble, next_step = _in_the_way(one, journal.get(one.op_id, ()), to, now)
        if trouble:
            return Return(service.tenant_id, service.service_id, trouble=trouble, next_step=next_step)
    if newest is None:
        return Return(
            service.tenant_id,
            service.service_id,
            trouble=f"there is no good snapshot: its data is on node {service.node} and nowhere else",
            next_step=f"bring {service.node} back, or register the service anew on another node",
        )
    include = tuple(part for part in newest.include if part in PARTS)
    waiting = tuple(one.op_id for one in bound if one.state is State.QUEUED)
    return Return(service.tenant_id, service.service_id, newest.snapshot_id, newest.taken_at, include, waiting)


def _in_the_way(one: Operation, steps: Sequence[Step], to: str, now: int) -> tuple[str, str]:
    """Why this operation keeps its service from coming back, and what to do; "" when it does not."""
    op_id = one.op_id
    if one.state is State.STUCK:
        return f"operation {op_id} is STUCK", f"`backstay operations resolve {op_id}` first, then ask again"
    if one.state is State.QUEUED:
        return "", ""
    if one.lease_until >= now:
        return f"{one.owner} holds operation {op_id} still", "ask again when its lease has ended"
    touched = on_the_node((step.kind, step.state) for step in steps)
    if touched is not None:
        return (
            f"operation {op_id} may have changed its files on the lost node (step {touched})",
            f"`backstay operations give-up {op_id}`, then `backstay operations resolve {op_id}`, then ask again",
        )
    return (
        f"operation {op_id} ({one.kind}) was begun on the lost node",
        f"`backstay operations move {op_id} --to {to}` carries it on there; then ask again",
    )
