"""Pages of snapshots, newest first, by tenant, service and label.

Apart from the catalogue because of one promise: a page costs what it shows, however many snapshots there are. Each
label carries its snapshot's tenant, service and time, so the entries of one label lie in an index in the order in
which they are asked for. The other conditions are looked up entry by entry, as scalar subqueries: PostgreSQL turns
an EXISTS into a join over everything as soon as it takes a label for common.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Alias, ColumnElement, Connection, FromClause, Row, Select, func, literal_column, select, tuple_

from domain.snapshot import Label
from storage.sql.tables import snapshot, snapshot_label

#: What a snapshot must not be to be listed. Literal, as partial indexes need it.
_DELETING: ColumnElement[str] = literal_column("'deleting'")
#: Where there are several labels, that many entries of each are counted to begin with the rarest.
_RARE = 1000


def find_rows(
    connection: Connection,
    tenant_id: str | None,
    service_ids: Sequence[str],
    labels: Sequence[Label],
    limit: int,
    before: str | None,
) -> Sequence[Row[Any]]:
    """Rows of `snapshot` that are not being deleted, newest first; `before` is the last one of the page before."""
    wanted = list(dict.fromkeys(labels))
    if not wanted:
        listed = select(snapshot).where(snapshot.c.state != _DELETING)
        listed = _scoped(listed, snapshot, tenant_id, service_ids, before)
        return connection.execute(_newest_first(listed, snapshot).limit(limit)).all()
    if len(wanted) > 1:
        wanted = _rarest_first(connection, tenant_id, service_ids, wanted)
    entry = snapshot_label.alias("entry")
    # Distinct, because a snapshot may carry the same label twice; the index gives equal entries side by side.
    page: Select[Any] = select(entry.c.taken_at, entry.c.snapshot_id).distinct()
    page = _scoped(_of(page, entry, wanted[0]), entry, tenant_id, service_ids, before)
    state = select(snapshot.c.state).where(snapshot.c.snapshot_id == entry.c.snapshot_id)
    page = page.where(state.scalar_subquery() != _DELETING)
    for label in wanted[1:]:
        other = snapshot_label.alias()
        carried = _of(select(func.count()).select_from(other), other, label).where(
            other.c.taken_at == entry.c.taken_at, other.c.snapshot_id == entry.c.snapshot_id
        )
        page = page.where(carried.correlate(entry).scalar_subquery() > 0)
    found = _newest_first(page, entry).limit(limit).subquery("found")
    rows = select(snapshot).join(found, found.c.snapshot_id == snapshot.c.snapshot_id)
    return connection.execute(_newest_first(rows, found)).all()


def _rarest_first(
    connection: Connection, tenant_id: str | None, service_ids: Sequence[str], labels: list[Label]
) -> list[Label]:
    counts = []
    for label in labels:
        entries = _scoped(
            _of(select(snapshot_label.c.snapshot_id), snapshot_label, label), snapshot_label, tenant_id, service_ids
        )
        counts.append(select(func.count()).select_from(entries.limit(_RARE).subquery()).scalar_subquery())
    found = connection.execute(select(*counts)).one()
    return [label for _, label in sorted(zip(found, labels, strict=True), key=lambda pair: int(pair[0]))]


def _of(statement: Select[Any], table: FromClause, label: Label) -> Select[Any]:
    return statement.where(table.c.name == label.name, table.c.value == label.value)


def _scoped(
    statement: Select[Any],
    table: FromClause | Alias,
    tenant_id: str | None,
    service_ids: Sequence[str],
    before: str | None = None,
) -> Select[Any]:
    if tenant_id is not None:
        statement = statement.where(table.c.tenant_id == tenant_id)
    if len(service_ids) == 1:
        statement = statement.where(table.c.service_id == service_ids[0])
    elif service_ids:
        statement = statement.where(table.c.service_id.in_(list(service_ids)))
    if before is not None:
        last = snapshot.alias("last")
        place = select(last.c.taken_at, last.c.snapshot_id).where(last.c.snapshot_id == before)
        statement = statement.where(tuple_(table.c.taken_at, table.c.snapshot_id) < place.scalar_subquery())
    return statement


def _newest_first(statement: Select[Any], table: FromClause) -> Select[Any]:
    return statement.order_by(table.c.taken_at.desc(), table.c.snapshot_id.desc())
