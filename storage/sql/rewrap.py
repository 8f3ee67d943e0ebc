"""Sealing the secret columns anew, after the key ring was rotated.

Apart from the vault because this alone goes over all rows: which columns are sealed, and what each is bound to, is
listed here once more, and a test holds the list to the tables. A value is replaced only if it is still the one that
was opened, in short transactions, so it goes on beside working nodes, and killed anywhere it can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Connection, Row, Table, and_, func, or_, select, tuple_, update

from domain.errors import Damaged, Refused
from storage.sql.rows import step_key
from storage.sql.sealed import Sealer, aad_of
from storage.sql.tables import dead_letter, operation, service, step
from storage.sql.transactions import Transactions
from storage.sql.upgrade_tables import version
from storage.sql.versions import version_key

#: Rows of one transaction: a writer that waits for it waits for milliseconds.
_BATCH = 100


@dataclass(frozen=True, slots=True)
class Secrets:
    """The sealed columns of one table, and what their values are bound to besides."""

    table: Table
    columns: tuple[str, ...]
    row_id: Callable[[Row[Any]], str]

    @property
    def key(self) -> list[Column[Any]]:
        """The columns that name a row."""
        return list(self.table.primary_key.columns)


SECRETS = (
    Secrets(service, ("document",), lambda row: str(row.service_id)),
    Secrets(operation, ("data",), lambda row: str(row.op_id)),
    Secrets(step, ("request", "reply"), lambda row: step_key(row.op_id, row.ordinal)),
    Secrets(dead_letter, ("traceback", "raw", "headers"), lambda row: str(row.dead_letter_id)),
    Secrets(version, ("template",), lambda row: version_key(row)),
)


class Rewrapping:
    """Over one database."""

    def __init__(self, tx: Transactions, sealer: Sealer) -> None:
        self._tx, self._sealer = tx, sealer

    def count(self, heads: Mapping[str, bytes]) -> tuple[dict[str, int], int]:
        """See `Database.sealed_values`."""
        found, others = dict.fromkeys(heads, 0), 0
        with self._tx.read() as connection:
            for table, name in ((secrets.table, name) for secrets in SECRETS for name in secrets.columns):
                column = table.c[name]
                total = select(func.count()).select_from(table).where(column.is_not(None))
                others += connection.execute(total).scalar_one()
                for key_id, head in heads.items():
                    mine = total.where(func.substr(column, 1, len(head)) == head)
                    number = connection.execute(mine).scalar_one()
                    found[key_id] += number
                    others -= number
        return found, others

    def run(self, head: bytes) -> tuple[int, int]:
        """See `Database.rewrap`."""
        done = left = 0
        for secrets in SECRETS:
            after: tuple[Any, ...] | None = None
            while True:
                with self._tx.write("rewrap") as connection:
                    rows = connection.execute(_next(secrets, head, after)).all()
                    for row in rows:
                        changed, closed = _rewrap(connection, secrets, row, self._sealer, head)
                        done, left = done + changed, left + closed
                if len(rows) < _BATCH:
                    break
                after = tuple(getattr(rows[-1], column.name) for column in secrets.key)
        return done, left


def _next(secrets: Secrets, head: bytes, after: tuple[Any, ...] | None) -> Any:
    """The next rows in which anything is not sealed with the current key."""
    table, key = secrets.table, secrets.key
    old = [
        and_(table.c[name].is_not(None), func.substr(table.c[name], 1, len(head)) != head) for name in secrets.columns
    ]
    wanted = select(table).where(or_(*old)).order_by(*key).limit(_BATCH)
    return wanted if after is None else wanted.where(tuple_(*key) > tuple_(*after))


def _rewrap(connection: Connection, secrets: Secrets, row: Row[Any], sealer: Sealer, head: bytes) -> tuple[int, int]:
    """How many values of the row were sealed anew, and how many did not open."""
    changed = closed = 0
    for name, value in _old_values(secrets, row, head):
        aad = aad_of(f"{secrets.table.name}.{name}", secrets.row_id(row))
        try:
            fresh = sealer.seal(sealer.unseal(value, aad), aad)
        except (Refused, Damaged):
            closed += 1  # it would not open for its reader either; `keys list` counts it
            continue
        column = secrets.table.c[name]
        same = and_(*(part == getattr(row, part.name) for part in secrets.key), column == value)
        changed += connection.execute(update(secrets.table).where(same).values({name: fresh})).rowcount
    return changed, closed


def _old_values(secrets: Secrets, row: Row[Any], head: bytes) -> Iterator[tuple[str, bytes]]:
    for name in secrets.columns:
        value = getattr(row, name)
        if value is not None and not bytes(value).startswith(head):
            yield name, bytes(value)
