"""Published versions, and what upgrades to them have come to: reading, and the rows that settling writes.

Apart from services because a version outlives every installation of it, and a record every operation.
"""

from __future__ import annotations

import builtins
from typing import Any

from sqlalchemy import Connection, case, delete, func, select

from domain.operation import Operation
from domain.outcome import HoldVersion, SaveVersion
from domain.upgrade_record import Status, UpgradeRecord
from storage.sql.sealed import Vault
from storage.sql.tables import operation
from storage.sql.transactions import Transactions
from storage.sql.upgrade_tables import held_version, upgrade_record, version

#: Versions of this tenant can be seen by all; everybody's own come first.
PUBLIC = "public"


class SqlVersions:
    """The port `Versions`."""

    def __init__(self, transactions: Transactions, vault: Vault) -> None:
        self._tx, self._vault = transactions, vault

    def get(self, tenant_id: str, group_key: str, number: str) -> dict[str, Any] | None:
        """The template of a version."""
        wanted = (
            select(version)
            .where(
                version.c.tenant_id.in_([tenant_id, PUBLIC]),
                version.c.group_key == group_key,
                version.c.version == number,
            )
            .order_by(case((version.c.tenant_id == tenant_id, 0), else_=1))
            .limit(1)
        )
        with self._tx.read() as connection:
            row = connection.execute(wanted).first()
        if row is None:
            return None
        template: dict[str, Any] = self._vault.open_json(row.template, "version.template", version_key(row))
        return template

    def list(self, tenant_id: str, group_key: str | None = None) -> builtins.list[tuple[str, str, str, int]]:
        """(owner, group_key, version, published at), newest first."""
        wanted = select(version).where(version.c.tenant_id.in_([tenant_id, PUBLIC]))
        if group_key is not None:
            wanted = wanted.where(version.c.group_key == group_key)
        wanted = wanted.order_by(version.c.updated_at.desc(), version.c.group_key, version.c.version)
        with self._tx.read() as connection:
            rows = connection.execute(wanted).all()
        return [(row.tenant_id, row.group_key, row.version, row.updated_at) for row in rows]


class SqlUpgradeRecords:
    """The port `UpgradeRecords`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions

    def of(self, op_id: str) -> list[UpgradeRecord]:
        """One for each service of the operation."""
        wanted = select(upgrade_record).where(upgrade_record.c.op_id == op_id)
        with self._tx.read() as connection:
            return [_record(row) for row in connection.execute(wanted.order_by(upgrade_record.c.service_id))]

    def history(self, service_id: str, kind: str) -> list[UpgradeRecord]:
        """Newest first by who held the service last."""
        wanted = (
            select(upgrade_record)
            .outerjoin(operation, operation.c.op_id == upgrade_record.c.op_id)
            .where(upgrade_record.c.service_id == service_id, upgrade_record.c.kind == kind)
            .order_by(func.coalesce(operation.c.fence, 0).desc(), upgrade_record.c.seq.desc())
        )
        with self._tx.read() as connection:
            return [_record(row) for row in connection.execute(wanted)]

    def changes(self, service_id: str, limit: int, before: str | None = None) -> list[UpgradeRecord]:
        """Both, newest first by acceptance."""
        wanted = select(upgrade_record).where(upgrade_record.c.service_id == service_id)
        if before is not None:
            last = upgrade_record.alias("last")
            at = select(last.c.seq).where(last.c.op_id == before, last.c.service_id == service_id)
            wanted = wanted.where(upgrade_record.c.seq < at.scalar_subquery())
        with self._tx.read() as connection:
            rows = connection.execute(wanted.order_by(upgrade_record.c.seq.desc()).limit(limit))
            return [_record(row) for row in rows]

    def held(self, service_id: str) -> list[tuple[str, str, str]]:
        """(group_key, version, reason)."""
        wanted = select(held_version).where(held_version.c.service_id == service_id)
        wanted = wanted.order_by(held_version.c.group_key, held_version.c.version)
        with self._tx.read() as connection:
            return [(row.group_key, row.version, row.reason) for row in connection.execute(wanted)]


def save_version(tx: Transactions, connection: Connection, vault: Vault, change: SaveVersion, now: int) -> None:
    """Publish, or replace what was published under the same name."""
    key = f"{change.tenant_id}/{change.group_key}/{change.version}"
    values = {
        "tenant_id": change.tenant_id,
        "group_key": change.group_key,
        "version": change.version,
        "template": vault.close_json(change.template, "version.template", key),
        "updated_at": now,
    }
    keys = [version.c.tenant_id, version.c.group_key, version.c.version]
    connection.execute(tx.insert(version).values(values).on_conflict_do_update(index_elements=keys, set_=values))


def save_record(tx: Transactions, connection: Connection, record: UpgradeRecord, now: int) -> None:
    """Write what an operation has come to for one service."""
    values = {name: getattr(record, name) for name in UpgradeRecord.__dataclass_fields__}
    values |= {"status": record.status.value, "updated_at": now}
    keys = [upgrade_record.c.op_id, upgrade_record.c.service_id]
    connection.execute(tx.insert(upgrade_record).values(values).on_conflict_do_update(index_elements=keys, set_=values))


def hold_version(tx: Transactions, connection: Connection, doing: Operation, change: HoldVersion, now: int) -> None:
    """Hold, or release; either may be repeated."""
    table = held_version
    if not change.held:
        connection.execute(
            delete(table).where(
                table.c.service_id == change.service_id,
                table.c.group_key == change.group_key,
                table.c.version == change.version,
            )
        )
        return
    values = {
        "service_id": change.service_id,
        "group_key": change.group_key,
        "version": change.version,
        "reason": change.reason,
        "op_id": doing.op_id,
        "created_at": now,
    }
    keys = [table.c.service_id, table.c.group_key, table.c.version]
    connection.execute(tx.insert(table).values(values).on_conflict_do_update(index_elements=keys, set_=values))


def version_key(row: Any) -> str:
    """What the sealed template of a version is bound to."""
    return f"{row.tenant_id}/{row.group_key}/{row.version}"


def _record(row: Any) -> UpgradeRecord:
    values = {name: getattr(row, name) for name in UpgradeRecord.__dataclass_fields__}
    return UpgradeRecord(**values | {"status": Status(row.status)})
