"""What may be done with a snapshot in which state: one table, asked by everything that names a snapshot.

Apart from the handlers so that no command has an opinion of its own, and a state that is added has to be answered for
every use. Damage is no reason to refuse what reads and checks every byte anyway, because stored bytes may be back; it
is one to refuse what would change a service first and find the damage in the middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, StrEnum

from domain.errors import NotFound, Refused
from domain.snapshot import SnapshotState


class Use(StrEnum):
    """What somebody wants of a snapshot."""

    RESTORE = "restore"  # bring it back; it is staged and checked whole before anything is touched
    ROLL_BACK = "roll-back"  # go back to its configuration, which its manifest holds
    ROLL_BACK_DATA = "roll-back-data"  # the same with its data, in the middle of an operation on the region
    FINISH = "finish"  # carry on or put back what was begun with it
    VERIFY = "verify"
    EXPORT = "export"
    RECORD = "record"  # promise, signed, that it can be restored
    PIN = "pin"
    DELETE = "delete"


class Answer(Enum):
    """The table's words."""

    ALLOWED = "allowed"
    ABSENT = "refused: it is not there, or will not be"
    DAMAGED = "refused: its damage must not be found half-way, or later"


def _answers(*, corrupt: Answer = Answer.ALLOWED, absent: Answer = Answer.ABSENT) -> dict[SnapshotState | None, Answer]:
    return {
        SnapshotState.AVAILABLE: Answer.ALLOWED,
        SnapshotState.CORRUPT: corrupt,
        SnapshotState.DELETING: absent,
        None: absent,
    }


#: None stands for a snapshot that the catalogue does not have.
ANSWERS: Mapping[Use, Mapping[SnapshotState | None, Answer]] = {
    Use.RESTORE: _answers(),
    Use.ROLL_BACK: _answers(),
    Use.ROLL_BACK_DATA: _answers(corrupt=Answer.DAMAGED),
    Use.FINISH: _answers(),
    Use.VERIFY: _answers(),
    Use.EXPORT: _answers(),
    Use.RECORD: _answers(corrupt=Answer.DAMAGED),
    Use.PIN: _answers(),
    Use.DELETE: _answers(absent=Answer.ALLOWED),  # repeated until nothing is left
}


def permit(use: Use, state: SnapshotState | None, snapshot_id: str) -> None:
    """Return if the table allows it; NotFound or Refused say why not."""
    answer = ANSWERS[use][state]
    if answer is Answer.ABSENT:
        raise NotFound(
            f"snapshot {snapshot_id} does not exist or is being deleted",
            code="snapshot-not-found",
            next_step="`backstay snapshots list --service <service>` shows what can be restored",
        )
    if answer is Answer.DAMAGED:
        raise Refused(
            f"snapshot {snapshot_id} is corrupt: its data cannot be relied on",
            code="snapshot-corrupt",
            next_step=f"`backstay snapshots verify {snapshot_id}` makes it available again if its data is back; "
            "otherwise name another snapshot, or roll back without data",
        )
