"""Operations that leave a node which is lost or drained: to another one with their services, or to a person.

Apart from settling because no claim is held. The operations' rows are locked first, as a claim locks them, so that
either the claim is seen here and nothing is moved, or the claim comes later and sees what was moved.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, literal_column, select, update

from domain.audit import Actor
from domain.errors import NotFound, Refused
from domain.journal import TOUCHED, is_neutral
from domain.moving import check_bound, check_home, check_lost, check_move, check_untouched, on_the_node
from domain.node import NodeSeen, unknown
from domain.operation import Operation, State, StepState
from domain.outcome import Item, Outcome
from domain.turned_back import reason_of, with_reason
from storage.sql import audit
from storage.sql.letters import keep_operation
from storage.sql.nodes import SqlNodes
from storage.sql.reservations import reserved_by
from storage.sql.rows import closed_operation
from storage.sql.sealed import Vault
from storage.sql.services import claimed_by_another
from storage.sql.settle import end_unheld
from storage.sql.states import claimable
from storage.sql.tables import operation, service, service_fence, step
from storage.sql.transactions import Transactions


class SqlMoves:
    """The port `Moves`."""

    def __init__(self, transactions: Transactions, vault: Vault, nodes: SqlNodes) -> None:
        self._tx, self._vault, self._nodes = transactions, vault, nodes

    def move(self, op_id: str, to: str, by: Actor, reason: str) -> list[str]:
        """To another node, with the services that it holds on the lost one, and what waits for their directories."""
        with self._tx.write("move") as connection:
            now = self._tx.now(connection)
            asked = _locked(connection, op_id)
            node = check_bound(asked, now)
            if node == to:
                return []
            follows = _follows(connection, op_id)
            check_move(asked, follows=follows, at=self._seen(connection, node), to=self._known(connection, to))
            home = connection.scalar(select(service.c.node).where(service.c.service_id == asked.service_id))
            check_home(asked, home, to)
            names = _living(connection, _held_services(connection, asked), node)
            for other in _waiting(connection, [*names, asked.service_id], node):
                check_bound(other, now)
                check_untouched(other.op_id, node, _touched(connection, other.op_id))
            for name in names:
                _take_along(connection, name, to, now)
            for name in {*names, asked.service_id}:
                _follow(connection, name, node, to, now)
            detail = {"to": to, "services": names}
            _tell_who(connection, "operation.move", asked, by, reason, detail, now)
            self._tx.ring(connection)
            return names

    def give_up(self, op_id: str, by: Actor, reason: str) -> None:
        """STUCK, because the node that could finish it is lost."""
        with self._tx.write("give-up") as connection:
            now = self._tx.now(connection)
            asked = _locked(connection, op_id)
            node = check_bound(asked, now)
            check_lost(asked, self._seen(connection, node), _touched(connection, op_id))
            outcome = _lost(asked, node, by.name, reason, _open_steps(connection, op_id))
            end_unheld(connection, asked, outcome, now)
            keep_operation(self._tx, connection, self._vault, asked, outcome, now)
            _tell_who(connection, "operation.give-up", asked, by, reason, {"node": node}, now)

    def _seen(self, connection: Connection, node: str) -> NodeSeen | None:
        return next(iter(self._nodes.read(connection, node)), None)

    def _known(self, connection: Connection, node: str) -> NodeSeen:
        found = self._seen(connection, node)
        if found is None:
            raise unknown(node)
        return found


def _tell_who(
    connection: Connection, action: str, asked: Operation, by: Actor, reason: str, detail: dict[str, Any], now: int
) -> None:
    entry = by.entry(action, f"operation/{asked.op_id}", tenant_id=asked.tenant_id, reason=reason, detail=detail)
    audit.write(connection, entry, now)


def _locked(connection: Connection, op_id: str) -> Operation:
    row = connection.execute(select(operation).where(operation.c.op_id == op_id).with_for_update()).first()
    if row is None:
        raise NotFound(
            f"operation {op_id} does not exist",
            code="unknown-operation",
            next_step="`backstay operations list` shows the newest ones",
        )
    return closed_operation(row)


def _follows(connection: Connection, op_id: str) -> bool:
    return bool(connection.scalar(select(operation.c.local).where(operation.c.op_id == op_id)))


def _held_services(connection: Connection, asked: Operation) -> list[str]:
    """The operation's own service, and those of its group."""
    reserved = connection.scalars(select(service_fence.c.service_id).where(reserved_by(asked.op_id))).all()
    return sorted({asked.service_id, *reserved})


def _living(connection: Connection, names: Sequence[str], node: str) -> list[str]:
    """Those of the services whose directory is on that node."""
    found = select(service.c.service_id).where(service.c.service_id.in_(names), service.c.node == node)
    return sorted(connection.scalars(found).all())


def _waiting(connection: Connection, names: Sequence[str], node: str) -> list[Operation]:
    """Every unfinished operation that goes where one of the directories is, locked."""
    found = connection.execute(
        select(operation)
        .where(claimable(operation), operation.c.service_id.in_(names), _goes_along(node))
        .order_by(operation.c.seq)
        .with_for_update()
    )
    return [closed_operation(row) for row in found]


def _goes_along(node: str) -> ColumnElement[bool]:
    return (operation.c.local == literal_column("1")) & (operation.c.node == node)


def _take_along(connection: Connection, name: str, to: str, now: int) -> None:
    """The service lives on the other node from now on."""
    directory = connection.execute(select(service.c.directory).where(service.c.service_id == name)).scalar_one()
    if claimed_by_another(connection, to, directory, name):
        raise Refused(
            f"directory {directory} of service {name} overlaps that of another service on node {to}",
            code="directory-taken",
            next_step="choose another node, or register the service with another directory first",
        )
    connection.execute(
        update(service)
        .where(service.c.service_id == name)
        .values(node=to, generation=service.c.generation + 1, updated_at=now)
    )


def _follow(connection: Connection, name: str, node: str, to: str, now: int) -> None:
    """What waits for the directory. After the service's row is locked: what is accepted meanwhile is seen too. A lease
    that has ended no longer counts: whoever held it must not go on where the service was."""
    connection.execute(
        update(operation)
        .where(claimable(operation), operation.c.service_id == name, _goes_along(node))
        .values(node=to, lease_until=0, next_attempt_at=0, updated_at=now)
    )


def _steps(connection: Connection, op_id: str) -> list[tuple[int, str, StepState]]:
    found = select(step.c.ordinal, step.c.kind, step.c.state).where(step.c.op_id == op_id).order_by(step.c.ordinal)
    return [(row.ordinal, row.kind, StepState(row.state)) for row in connection.execute(found)]


def _touched(connection: Connection, op_id: str) -> str | None:
    return on_the_node((kind, state) for _, kind, state in _steps(connection, op_id))


def _open_steps(connection: Connection, op_id: str) -> tuple[Item, ...]:
    """What the person has to see to, newest first."""
    return tuple(
        Item(kind, "not-put-back", f"step {ordinal} ({kind}) was {state.value} when its node was lost")
        for ordinal, kind, state in reversed(_steps(connection, op_id))
        if state in TOUCHED and not is_neutral(kind)
    )


def _lost(asked: Operation, node: str, by: str, reason: str, items: tuple[Item, ...]) -> Outcome:
    """What a person is told; beneath it the reason why it was being put back, if it was."""
    told = Outcome(
        State.STUCK,
        f"{by} gave it up: node {node} is lost, and the operation may have changed files there "
        f"({reason or 'no reason given'})",
        code="node-lost",
        next_step=f"`backstay operations explain {asked.op_id}`, see to its services, for example by restoring a "
        "snapshot on another node afterwards, then `backstay operations resolve`",
        items=items,
        complete=False,
    )
    return with_reason(told, reason_of(asked)) if asked.state is State.COMPENSATING else told
