"""Every command that names a snapshot, against every state that one can be in: done, or refused with its reason."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import sqlalchemy as sa

from domain.operation import State
from domain.snapshot import Snapshot, SnapshotState
from storage.sql.tables import snapshot as table
from tests.acceptance.platform import Platform, code, digest, grow

_numbers = itertools.count(1)
DONE = (State.SUCCEEDED, None)
ABSENT = (State.FAILED, "snapshot-not-found")
DAMAGED = (State.FAILED, "snapshot-corrupt")
STATES = (*SnapshotState, None)
#: command, its further data, how it ends for: available, corrupt, deleting, gone; and what a corrupt one is then.
CELLS: list[tuple[str, dict[str, Any], tuple[Any, Any, Any, Any], SnapshotState | None]] = [
    ("restore-snapshot", {}, (DONE, DONE, ABSENT, ABSENT), SnapshotState.AVAILABLE),
    ("restore-snapshot", {"dry_run": True}, (DONE, DONE, ABSENT, ABSENT), SnapshotState.CORRUPT),
    ("verify-snapshot", {}, (DONE, DONE, ABSENT, ABSENT), SnapshotState.AVAILABLE),
    ("export-snapshot", {}, (DONE, DONE, ABSENT, ABSENT), SnapshotState.CORRUPT),
    ("export-record", {}, (DONE, DAMAGED, ABSENT, ABSENT), SnapshotState.CORRUPT),
    ("pin-snapshot", {}, (DONE, DONE, ABSENT, ABSENT), SnapshotState.CORRUPT),
    ("delete-snapshot", {}, (DONE, DONE, DONE, DONE), None),
]


def put(platform: Platform, snapshot: Snapshot, state: SnapshotState | None) -> None:
    """The row is in that state, whatever the bytes are; what is gone was deleted."""
    if state is None:
        platform.run("delete-snapshot", {"snapshot_id": snapshot.snapshot_id}, service=snapshot.service_id)
        return
    engine = sa.create_engine(platform.system.settings.database_url)
    with engine.begin() as connection:
        connection.execute(
            sa.update(table).where(table.c.snapshot_id == snapshot.snapshot_id).values(state=state.value)
        )
    engine.dispose()


def found(platform: Platform, snapshot: Snapshot) -> SnapshotState | None:
    row = platform.system.database.catalogue.get(snapshot.snapshot_id)
    return None if row is None else row.state


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.value if state else "gone")
@pytest.mark.parametrize(
    ("command", "data", "ends", "corrupt_then"),
    CELLS,
    ids=[f"{cell[0]}{'-dry' if cell[1] else ''}" for cell in CELLS],
)
def test_a_command_and_a_state_have_one_answer(
    platform: Platform,
    command: str,
    data: dict[str, Any],
    ends: tuple[Any, ...],
    corrupt_then: SnapshotState | None,
    state: SnapshotState | None,
) -> None:
    """CN-20: and what is refused changes neither the tree nor the row."""
    name = f"st-{next(_numbers)}"
    tree = platform.service(name)
    snapshot = platform.snapshot(name)
    grow(tree, seed=99, files=2)
    before = digest(tree)
    put(platform, snapshot, state)
    expected = ends[STATES.index(state)]

    operation = platform.run(command, {"snapshot_id": snapshot.snapshot_id, **data}, service=name)

    assert code(operation) == expected
    if expected is DONE and state is SnapshotState.CORRUPT:
        assert found(platform, snapshot) is corrupt_then
    if expected is not DONE:
        assert (digest(tree), found(platform, snapshot)) == (before, state)
