"""What a person can decide about an operation in its state: the forms that its page offers, as data.

Apart from the routes because offering is not allowing: the route asks again. Each says what it means before it is
pressed, and what cannot be taken back wants a reason and the service's id.
"""

from __future__ import annotations

from dataclasses import dataclass

from domain.operation import Operation, State
from workers.web.access import Action, Caller


@dataclass(frozen=True, slots=True)
class Decision:
    """One form. `reason`: None for no field, else whether it must be given; `typed`: what to type to confirm."""

    title: str
    meaning: str
    button: str
    href: str
    tone: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    reason: bool | None = None
    typed: str = ""
    open: bool = False
    nodes: tuple[str, ...] = ()  # to choose one from


@dataclass(frozen=True, slots=True)
class Places:
    """Where an operation could go whose node is away or drained. `lost`: the node is away."""

    ready: tuple[str, ...]
    lost: bool


def decisions(operation: Operation, who: Caller, places: Places | None = None) -> list[Decision]:
    """What is offered to that caller, the mildest first."""
    base, tenant = f"/operations/{operation.op_id}", operation.tenant_id
    offered: list[Decision] = []
    if operation.state in (State.QUEUED, State.RUNNING) and not operation.cancel_requested:
        offered += [_cancel(base, operation)] if who.may(Action.OPERATIONS_CANCEL, tenant) else []
    if places is not None and places.ready and who.may(Action.OPERATIONS_MOVE, None):
        offered.append(_move(base, operation, places))
    lost = places is not None and places.lost and operation.state is not State.QUEUED
    if lost and who.may(Action.OPERATIONS_GIVE_UP, None):
        offered.append(_give_up(base, operation))
    if operation.state is not State.STUCK:
        return offered
    if who.may(Action.OPERATIONS_RETRY, tenant):
        offered.append(_retry(base))
    if who.may(Action.OPERATIONS_RESOLVE, tenant):
        offered += [_accept(base, operation), _force(base, operation)]
    return offered


def _cancel(base: str, operation: Operation) -> Decision:
    meaning = "It has not begun, so nothing changes."
    if operation.state is State.RUNNING:
        meaning = "It stops at its next check and puts back what it touched."
    return Decision(
        "Cancel it",
        meaning,
        "Cancel this operation",
        f"{base}/cancel",
        "danger",
    )  # fmt: skip


def _retry(base: str) -> Decision:
    return Decision(
        "Go on with it once more",
        "A worker tries again to put everything back, or to delete to the end. Do this when the cause is gone: "
        "the region answers, the disk has room, the key is there.",
        "Try again",
        f"{base}/resolve",
        "primary",
        (("how", "retry"),),
        reason=False,
        open=True,
    )


def _accept(base: str, operation: Operation) -> Decision:
    return Decision(
        "I have put it back by hand",
        "You state that region and directory are as before the operation. It ends as rolled back, and the service "
        "is free for other operations. Backstay does not check this.",
        "It is as before",
        f"{base}/resolve",
        "danger",
        (("how", "accept"),),
        reason=True,
        typed=operation.service_id,
    )


def _force(base: str, operation: Operation) -> Decision:
    return Decision(
        "I have finished it by hand",
        "You state that region and directory are as the operation wanted them. It ends as succeeded, and the "
        "record of the service becomes the target's. Backstay does not check this.",
        "It is finished",
        f"{base}/resolve",
        "danger",
        (("how", "force"),),
        reason=True,
        typed=operation.service_id,
    )


def _move(base: str, operation: Operation, places: Places) -> Decision:
    return Decision(
        "Give it to another node",
        "The service lives there from now on, with whatever waits for its directory. Nothing is copied: its files are "
        "there already, or a restore brings them.",
        "Move it",
        f"{base}/move",
        "danger",
        reason=False,
        typed=operation.service_id,
        nodes=places.ready,
    )


def _give_up(base: str, operation: Operation) -> Decision:
    return Decision(
        "Its node will not come back",
        "Only that node could finish what it has begun with the service's files. It becomes stuck, and you say how "
        "it ended.",
        "Give the node up",
        f"{base}/give-up",
        "danger",
        reason=True,
        typed=operation.service_id,
    )
