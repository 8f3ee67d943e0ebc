"""Answers about nodes, and about operations that leave one."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

from workers.cli.answers.words import Next, Time
from workers.cli.answers.work import Operation


class Disk(TypedDict):
    """A file system of a node."""

    path: str
    free_bytes: int
    total_bytes: int


class Node(TypedDict):
    """A node, with what it said of itself with its last beat."""

    node: str
    standing: Annotated[
        Literal["ready", "draining", "drained", "away"], "`draining` still ends what it has begun; `away` was not seen"
    ]
    seen_at: Time | None
    seen_seconds_ago: int
    first_seen_at: Time | None
    version: str
    drained_at: Annotated[str | None, "null when it takes work"]
    drained_by: str | None
    drain_reason: str | None
    running: Annotated[int, "operations that it holds now"]
    begun: Annotated[int, "operations that it has begun and that have not ended"]
    bound: Annotated[int, "unfinished operations that only it can do"]
    services: Annotated[int, "how many live there"]
    processes: int
    threads: Annotated[int, "operations at once in each process; 0 when it did not say"]
    slots: Annotated[dict[str, int], "most at once, by kind, and of `all`; empty: limited by threads alone"]
    bandwidth: Annotated[dict[str, int], "bytes per second to (`up`) and from (`down`) the store"]
    disks: Annotated[dict[str, Disk], "`apps`, where trees are, and `data`, where its own files are"]
    low_on_room: Annotated[str | None, "why it begins no data work for want of room"]
    clock_skew_ms: Annotated[int | None, "its clock less the database's"]


class Nodes(TypedDict):
    """All nodes, by name."""

    nodes: list[Node]
    next: Next


class NodeWhole(Node):
    """A node with what it does and holds."""

    operations: Annotated[list[Operation], "that only it can do, or that it holds; oldest first"]
    service_ids: Annotated[list[str], "services that live there"]


class NodeForgotten(TypedDict):
    """A node that is known no more."""

    node: str
    forgotten: bool


class Return(TypedDict):
    """How one service of a lost node comes back."""

    service_id: str
    tenant_id: str
    snapshot_id: Annotated[str | None, "what is restored; null when nothing is"]
    taken_at: Time | None
    cancels: Annotated[list[str], "operations that wait for the lost node"]
    trouble: Annotated[str | None, "why it does not come back yet"]
    next_step: Annotated[str | None, "what to do about that"]


class Evacuation(TypedDict):
    """The services of a lost node, each with how it comes back."""

    node: str
    to: str
    dry_run: bool
    services: list[Return]


class OperationMoved(Operation):
    """An operation that is bound to another node now."""

    moved_services: Annotated[list[str], "services that live on the other node from now on"]
