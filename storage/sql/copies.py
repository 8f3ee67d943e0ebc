"""Which replica has which snapshot, as SQL.

Apart from the catalogue because what is owed is worked out: an available snapshot without a `copied` row. So no
writer of snapshots has to know the replicas, one that is configured later gets everything that there is, and a
lost row costs a look at sizes. A row's `updated_at` only grows, whatever the clock does: it is also the number of the
take, by which whoever has lost a snapshot to another is told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    delete,
    func,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from domain.contracts import Copied, Owed
from domain.outcome import MarkCopyDamaged
from storage.sql.replica_tables import snapshot_replica
from storage.sql.tables import snapshot
from storage.sql.transactions import Transactions

#: The pause after the n-th failure is the first doubled n times, at most the last.
PAUSE_MS, LONGEST_PAUSE_MS = 5_000, 3_600_000
#: What is kept of the sentence that says why.
TROUBLE_CHARACTERS = 255
#: For how long a search goes on behind what it has found, before it begins at the oldest snapshot again.
ROUND_MS = 10 * 60_000
#: How often rows of snapshots that are gone are looked for.
FORGET_MS = 3_600_000

_LISTED = snapshot.c.state != literal_column("'deleting'")
_AVAILABLE = snapshot.c.state == literal_column("'available'")
_COPIED = snapshot_replica.c.state == literal_column("'copied'")
_LACKS = or_(snapshot_replica.c.state.is_(None), ~_COPIED)
#: How wrong clocks may be where something is held back, and what is after any time.
_DAY_MS, _NEVER = 86_400_000, 2**63 - 1


class SqlCopies:
    """The port `Copies`."""

    def __init__(self, transactions: Transactions) -> None:
        self._tx = transactions
        #: By replica: when this process last began at the oldest snapshot, and the last one that it has found since.
        self._rounds: dict[str, tuple[int, tuple[int, str]]] = {}
        self._forgot_at = -FORGET_MS

    def take(self, replica: str, hold_ms: int) -> Owed | None:
        """See the port."""
        while (found := self._find(replica)) is not None:
            owed = self._hold(found, replica, hold_ms)
            if owed is not None:
                return owed  # else somebody was faster
        self._forget()
        return None

    def _find(self, replica: str) -> str | None:
        """The next one that is owed. Going on behind the last one keeps a new replica from being searched from its
        beginning for each of its snapshots; what has failed, or is older and new, has its turn in the next round."""
        with self._tx.read() as connection:
            now = self._tx.now(connection)
            began, last = self._rounds.get(replica, (now, None))
            row = None
            if last is not None and abs(now - began) < ROUND_MS:
                row = connection.execute(_owed(replica, now, last)).first()
            if row is None:
                began, row = now, connection.execute(_owed(replica, now)).first()
        if row is None:
            self._rounds.pop(replica, None)
            return None
        self._rounds[replica] = (began, (row.taken_at, row.snapshot_id))
        return str(row.snapshot_id)

    def _hold(self, snapshot_id: str, replica: str, hold_ms: int) -> Owed | None:
        with self._tx.write("take-copy") as connection:
            now = self._tx.now(connection)
            row = connection.execute(_owed(replica, now).where(snapshot.c.snapshot_id == snapshot_id)).first()
            if row is None:
                return None
            held = self._tx.insert(snapshot_replica).values(
                snapshot_id=snapshot_id, replica=replica, state="pending", held_until=now + hold_ms, updated_at=now
            )
            taken = connection.execute(
                held.on_conflict_do_update(
                    index_elements=[snapshot_replica.c.snapshot_id, snapshot_replica.c.replica],
                    set_={"held_until": now + hold_ms, "updated_at": _later(now)},
                    where=_free(now),
                ).returning(snapshot_replica.c.updated_at)
            ).first()
        return None if taken is None else Owed(snapshot_id, row.manifest_key, row.state == "damaged", taken.updated_at)

    def _forget(self) -> None:
        """Drop rows of snapshots that are gone, now and then, also of a replica that there is no more: nothing rests
        on that, and finding them reads all."""
        with self._tx.read() as connection:
            now = self._tx.now(connection)
            if abs(now - self._forgot_at) < FORGET_MS:
                return
            there = connection.execute(select(snapshot_replica.c.snapshot_id).where(_gone(now)).limit(1))
            found = there.first() is not None
        if found:
            with self._tx.write("forget-copies") as connection:
                connection.execute(delete(snapshot_replica).where(_gone(now)))
        self._forgot_at = now

    def hold(self, owed: Owed, replica: str, hold_ms: int) -> bool:
        """See the port."""
        with self._tx.write("hold-copy") as connection:
            there = connection.execute(
                select(snapshot.c.snapshot_id)
                .where(snapshot.c.snapshot_id == owed.snapshot_id, _LISTED)
                .with_for_update()
            ).first()
            return there is not None and _set(connection, owed, replica, held_until=self._tx.now(connection) + hold_ms)

    def done(self, owed: Owed, replica: str) -> bool:
        """See the port."""
        with self._tx.write("copied") as connection:
            now = self._tx.now(connection)
            values = {"state": "copied", "attempts": 0, "trouble": "", "held_until": 0, "updated_at": _later(now)}
            return _set(connection, owed, replica, **values)

    def failed(self, owed: Owed, replica: str, sentence: str) -> None:
        """See the port."""
        with self._tx.write("copy-failed") as connection:
            now = self._tx.now(connection)
            if not _give_up(connection, owed, replica, sentence, now):  # where nobody holds it no take counts anyway
                which = (*_row(owed.snapshot_id, replica), or_(_COPIED, snapshot_replica.c.held_until > 0))
                _disbelieve(connection, which, now, trouble=sentence[:TROUBLE_CHARACTERS])

    def let_go(self, owed: Owed, replica: str) -> None:
        """See the port."""
        with self._tx.write("copy-left") as connection:
            _give_up(connection, owed, replica, "", self._tx.now(connection))

    def state_of(self, replica: str) -> Copied:
        """See the port."""
        joined = snapshot.outerjoin(snapshot_replica, _of(replica))
        with self._tx.read() as connection:
            now = self._tx.now(connection)
            copied = connection.execute(
                select(func.count()).select_from(joined).where(snapshot.c.state != "deleting", _COPIED)
            ).scalar_one()
            pending, oldest = connection.execute(
                select(func.count(), func.min(snapshot.c.taken_at)).select_from(joined).where(_AVAILABLE, _LACKS)
            ).one()
            damaged = connection.execute(
                select(func.count()).select_from(joined).where(_AVAILABLE, snapshot_replica.c.state == "damaged")
            ).scalar_one()
            trouble = connection.execute(
                select(snapshot_replica.c.trouble)
                .select_from(joined)
                .where(_AVAILABLE, ~_COPIED, snapshot_replica.c.trouble != "")
                .order_by(snapshot_replica.c.updated_at.desc())
                .limit(1)
            ).scalar_one_or_none()
        return Copied(replica, copied, pending, damaged, max(0, now - oldest) if pending else 0, trouble or "")


def mark_damaged(tx: Transactions, connection: Connection, mark: MarkCopyDamaged, now: int) -> None:
    """It is owed again, and what is there is not believed."""
    values = {
        "state": "damaged",
        "trouble": mark.fault[:TROUBLE_CHARACTERS],
        "attempts": 0,
        "not_before": 0,
    }
    connection.execute(
        tx.insert(snapshot_replica)
        .values(snapshot_id=mark.snapshot_id, replica=mark.replica, updated_at=now, **values)
        .on_conflict_do_update(
            index_elements=[snapshot_replica.c.snapshot_id, snapshot_replica.c.replica],
            set_={**values, "updated_at": _later(now)},
        )
    )


def owe_again(connection: Connection, snapshot_id: str, now: int) -> None:
    """The manifest was replaced, or came back. Who is copying the former one cannot note it as copied, and nobody
    begins before that hold ends: the former manifest may still be on its way."""
    _disbelieve(connection, (snapshot_replica.c.snapshot_id == snapshot_id,), now, attempts=0, not_before=0, trouble="")


def forget(connection: Connection, snapshot_id: str, now: int) -> None:
    """The snapshot goes: so do its rows, but those that say that something may be written at this moment."""
    gone = (snapshot_replica.c.snapshot_id == snapshot_id, snapshot_replica.c.held_until <= now)
    connection.execute(delete(snapshot_replica).where(*gone))


def under_way(connection: Connection, now: int) -> bool:
    """Whether somebody may be writing to a replica at this moment: what is deleted now could come back there."""
    held = select(snapshot_replica.c.snapshot_id).where(~_COPIED, snapshot_replica.c.held_until > now).limit(1)
    return connection.execute(held).first() is not None


def free(connection: Connection, replaced: Sequence[Row[Any]], replicas: Sequence[str]) -> list[Row[Any]]:
    """Of garbage that a repack has replaced (`object_key`, `created_at`): what no copy in a replica may name."""
    waits = _held_back(connection, replicas) if replaced else {}

    def waits_for_a_copy(row: Row[Any]) -> bool:
        since, until = waits.get(row.object_key.split("/", 2)[1], (_NEVER, 0))  # of `tenants/<tenant>/…`
        return since <= int(row.created_at) <= until

    return [row for row in replaced if not waits_for_a_copy(row)]


def _held_back(connection: Connection, replicas: Sequence[str]) -> dict[str, tuple[int, int]]:
    """By tenant: what is replaced in its packs from when to when (UTC milliseconds) must wait, because a replica lacks
    one of its snapshots, or has it as it was before. One names nothing that was replaced a day before it was taken. Of
    a corrupt one, which is copied no more, a replica's copy is the best that there is; it names nothing that was
    replaced long after its row was last changed or, without a row, after it was found corrupt."""
    waits: dict[str, tuple[int, int]] = {}
    changed_at = func.coalesce(snapshot_replica.c.updated_at, snapshot.c.updated_at)
    ends = case((_AVAILABLE, literal_column(str(_NEVER))), else_=changed_at + _DAY_MS)
    for replica in replicas:
        rows = connection.execute(
            select(snapshot.c.tenant_id, func.min(snapshot.c.taken_at).label("since"), func.max(ends).label("until"))
            .select_from(snapshot.outerjoin(snapshot_replica, _of(replica)))
            .where(_LISTED, _LACKS)
            .group_by(snapshot.c.tenant_id)
        )
        for row in rows:
            since, until = waits.get(row.tenant_id, (_NEVER, 0))
            waits[row.tenant_id] = min(since, row.since - _DAY_MS), max(until, row.until)
    return waits


def _owed(replica: str, now: int, behind: tuple[int, str] | None = None) -> Select[tuple[str, str, int, str | None]]:
    """What is owed and due, oldest first; `behind` that one. `_LISTED` says nothing new: it names the index."""
    due = or_(snapshot_replica.c.state.is_(None), _free(now))
    order = (snapshot.c.taken_at, snapshot.c.snapshot_id)
    found = (
        select(snapshot.c.snapshot_id, snapshot.c.manifest_key, snapshot.c.taken_at, snapshot_replica.c.state)
        .select_from(snapshot.outerjoin(snapshot_replica, _of(replica)))
        .where(_LISTED, _AVAILABLE, due)
    )
    if behind is not None:
        found = found.where(tuple_(*order) > behind)
    return found.order_by(*order).limit(1)


def _gone(now: int) -> ColumnElement[bool]:
    """Rows of snapshots that are gone, once nobody holds them: until then they say that something may be written."""
    known = select(snapshot.c.snapshot_id).where(snapshot.c.snapshot_id == snapshot_replica.c.snapshot_id)
    return and_(snapshot_replica.c.held_until <= now, ~known.exists())


def _free(now: int) -> ColumnElement[bool]:
    return and_(~_COPIED, snapshot_replica.c.not_before <= now, snapshot_replica.c.held_until <= now)


def _of(replica: str) -> ColumnElement[bool]:
    return and_(snapshot_replica.c.snapshot_id == snapshot.c.snapshot_id, snapshot_replica.c.replica == replica)


def _row(snapshot_id: str, replica: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return snapshot_replica.c.snapshot_id == snapshot_id, snapshot_replica.c.replica == replica


def _later(now: int) -> ColumnElement[int]:
    """The next number of a take."""
    return case((snapshot_replica.c.updated_at >= now, snapshot_replica.c.updated_at + 1), else_=now)


def _set(connection: Connection, owed: Owed, replica: str, **values: object) -> bool:
    """Whether it still was the taker's to change."""
    mine = (*_row(owed.snapshot_id, replica), snapshot_replica.c.updated_at == owed.take)
    return connection.execute(update(snapshot_replica).where(*mine).values(**values)).rowcount == 1


def _give_up(connection: Connection, owed: Owed, replica: str, sentence: str, now: int) -> bool:
    """Let go of it, and rest; False when it is another's."""
    tried = connection.execute(
        select(snapshot_replica.c.attempts).where(*_row(owed.snapshot_id, replica))
    ).scalar_one_or_none()
    attempts = (tried or 0) + 1
    pause = min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ** min(attempts, 16))
    values = {"attempts": attempts, "trouble": sentence[:TROUBLE_CHARACTERS], "not_before": now + pause}
    return _set(connection, owed, replica, held_until=0, updated_at=_later(now), **values)


def _disbelieve(connection: Connection, which: Sequence[ColumnElement[bool]], now: int, **values: object) -> None:
    """Nobody's take counts any more, and nothing of it is noted as copied. A hold stays until it ends."""
    state = case((_COPIED, "pending"), else_=snapshot_replica.c.state)
    connection.execute(update(snapshot_replica).where(*which).values(state=state, updated_at=_later(now), **values))
