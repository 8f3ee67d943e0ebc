"""What looking at a snapshot has shown, as SQL.

Apart from the other changes because two looks may overlap: neither may erase what the other has found.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, case, literal, update

from domain.outcome import MarkCorrupt, MarkSound
from domain.snapshot import SnapshotState
from domain.verification import READ_BACK
from storage.sql.tables import snapshot

#: What is kept of the sentence that says what is wrong with a snapshot.
FAULT_CHARACTERS = 255

_CORRUPT = snapshot.c.state == SnapshotState.CORRUPT.value


def put_down(connection: Connection, verdict: MarkCorrupt | MarkSound, now: int) -> None:
    """Write the verdict and how closely was looked; nothing when the snapshot is being deleted or gone."""
    if isinstance(verdict, MarkCorrupt):
        fault = verdict.fault[:FAULT_CHARACTERS]
        found: dict[str, Any] = {"state": SnapshotState.CORRUPT.value, "fault": fault, "updated_at": now}
    else:
        found = _sound(verdict, now) if verdict.level in READ_BACK else {}
    values = found | (_level(verdict.level, now) if verdict.level else {})
    connection.execute(
        update(snapshot)
        .where(snapshot.c.snapshot_id == verdict.snapshot_id, snapshot.c.state != SnapshotState.DELETING.value)
        .values(**values)
    )


def _sound(verdict: MarkSound, now: int) -> dict[str, Any]:
    stands = and_(_CORRUPT, snapshot.c.updated_at > verdict.changed_at)
    return {
        "state": case((stands, snapshot.c.state), else_=literal(SnapshotState.AVAILABLE.value)),
        "fault": case((stands, snapshot.c.fault), else_=literal("")),
        "updated_at": case((stands, snapshot.c.updated_at), else_=literal(now)),
    }


def _level(level: str, now: int) -> dict[str, Any]:
    """That the objects exist is no news of a snapshot that was read back once."""
    if level in READ_BACK:
        return {"verified_at": now, "verified_level": level}
    read_back = snapshot.c.verified_level.in_(sorted(READ_BACK))
    return {
        "verified_at": case((read_back, snapshot.c.verified_at), else_=literal(now)),
        "verified_level": case((read_back, snapshot.c.verified_level), else_=literal(level)),
    }
