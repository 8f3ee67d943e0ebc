"""What a node may still begin: nothing when it is drained, and no more of a kind than its slots allow.

Apart from the claim, which asks, because this alone looks at what the node's other processes hold. The node's row
is locked until the claim has ended: against a drain always, and against the node's other claims when it has slots,
because two of them would count the same free one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, FromClause, Text, func, literal, select

from domain.node import ALL_KINDS, UNLIMITED
from storage.sql.node_tables import node as node_table
from storage.sql.states import held
from storage.sql.tables import operation


@dataclass(slots=True)
class Capacity:
    """How much a node may take now. `take` counts down."""

    drained: bool = False
    left: dict[str, int] = field(default_factory=dict)  # by kind, and of all kinds together

    def full(self) -> list[str]:
        """Kinds of which the node may take none; the pseudo-kind of all may be among them."""
        return [kind for kind, left in self.left.items() if left <= 0]

    def take(self, kind: str) -> bool:
        """Whether one more may be taken; counts it."""
        if kind == UNLIMITED:
            return True
        names = [name for name in (kind, ALL_KINDS) if name in self.left]
        if any(self.left[name] <= 0 for name in names):
            return False
        for name in names:
            self.left[name] -= 1
        return True


def capacity(connection: Connection, node: str, slots: Mapping[str, int], now: int) -> Capacity:
    """What `node` may take now; holds until the transaction ends."""
    row = select(node_table.c.drained_at).where(node_table.c.node == node)
    locked = row.with_for_update(key_share=True) if slots else row.with_for_update(read=True, key_share=True)
    drained = bool(connection.scalar(locked))
    if not slots:
        return Capacity(drained)
    kinds = held_kinds(connection, node, now)
    used = Counter(kinds)
    left = {kind: most - (len(kinds) if kind == ALL_KINDS else used[kind]) for kind, most in slots.items()}
    return Capacity(drained, left)


def held_kinds(connection: Connection, node: str, now: int) -> list[str]:
    """The kinds of what the processes of a node hold, each as often as it is held."""
    ours = held_by(operation, literal(f"{node}|", Text))
    found = select(operation.c.kind).where(held(operation), operation.c.lease_until >= now, ours)
    return list(connection.scalars(found.where(operation.c.kind != UNLIMITED)))


def held_by(table: FromClause, prefix: ColumnElement[str]) -> ColumnElement[bool]:
    """Its present or last holder is a process of the node that `prefix` names, with the bar that ends its name."""
    return func.substr(table.c.owner, 1, func.length(prefix)) == prefix
