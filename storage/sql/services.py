"""Reading services. Apart from `changes`, the only place that writes them, because readers hold no claim.

The record of another tenant's service is returned like any other: who may see it is the caller's rule.
"""

from __future__ import annotations

import builtins
from collections.abc import Sequence

from sqlalchemy import Connection, func, or_, select

from domain.service import Service
from storage.sql.rows import closed_service
from storage.sql.rows import service as read_service
from storage.sql.sealed import Vault
from storage.sql.tables import service
from storage.sql.transactions import Transactions

#: First half of the key of PostgreSQL's advisory lock over the directories of a node.
_DIRECTORIES = 0x626B7364


class SqlServices:
    """The port `Services`."""

    def __init__(self, transactions: Transactions, vault: Vault) -> None:
        self._tx, self._vault = transactions, vault

    def get(self, service_id: str) -> Service | None:
        """The service, whoever owns it."""
        with self._tx.read() as connection:
            row = connection.execute(select(service).where(service.c.service_id == service_id)).first()
        return None if row is None else read_service(row, self._vault)

    def overlapping(self, node: str | None, directory: str, besides: str) -> str | None:
        """Another service on that node whose directory equals, contains or lies in this one."""
        with self._tx.read() as connection:
            return overlapping(connection, node, directory, besides)

    def in_group(self, tenant_id: str, group_id: str) -> list[Service]:
        """The services of one instance of an application, by id, with their documents."""
        wanted = select(service).where(service.c.tenant_id == tenant_id, service.c.group_id == group_id)
        with self._tx.read() as connection:
            return [read_service(row, self._vault) for row in connection.execute(wanted.order_by(service.c.service_id))]

    def list(self, tenant_id: str | None) -> list[Service]:
        """All services, or a tenant's, by id; their documents stay closed and are empty here."""
        wanted = select(service).order_by(service.c.service_id)
        if tenant_id is not None:
            wanted = wanted.where(service.c.tenant_id == tenant_id)
        with self._tx.read() as connection:
            return [closed_service(row) for row in connection.execute(wanted)]

    def page(self, tenant_ids: Sequence[str] | None, limit: int, after: str | None) -> builtins.list[Service]:
        """As `list`, of any of the tenants (all if None), at most so many, behind the id `after`."""
        wanted = select(service).order_by(service.c.service_id).limit(limit)
        if tenant_ids is not None:
            wanted = wanted.where(service.c.tenant_id.in_(list(tenant_ids)))
        if after is not None:
            wanted = wanted.where(service.c.service_id > after)
        with self._tx.read() as connection:
            return [closed_service(row) for row in connection.execute(wanted)]


def claimed_by_another(connection: Connection, node: str | None, directory: str, besides: str) -> bool:
    """As `overlapping`; and until the transaction has ended nobody else gives a service a directory on that node.

    For whoever is about to write one. Locks come in the order operations, this, services.
    """
    if connection.dialect.name == "postgresql":  # no constraint can say "contains"; SQLite has one writer
        connection.execute(select(func.pg_advisory_xact_lock(_DIRECTORIES, func.hashtext(node or ""))))
    return overlapping(connection, node, directory, besides) is not None


def overlapping(connection: Connection, node: str | None, directory: str, besides: str) -> str | None:
    """The id of another service whose directory overlaps, in the transaction of whoever asks."""
    above = ["/".join(directory.split("/")[:depth]) for depth in range(1, directory.count("/") + 2)]
    return connection.scalar(
        select(service.c.service_id)
        .where(
            service.c.node == node,
            service.c.service_id != besides,
            or_(service.c.directory.in_(above), service.c.directory.startswith(f"{directory}/", autoescape=True)),
        )
        .order_by(service.c.service_id)
        .limit(1)
    )
