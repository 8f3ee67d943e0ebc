"""What a handler answers: one value that says how the operation ends and what changes with it.

The value is settled in a single transaction: domain changes, terminal state, outbox event and, where a
person is needed, a dead letter. A handler therefore never writes SQL.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from domain.errors import BackstayError
from domain.operation import State
from domain.schedule_changes import PauseSchedule, RemoveSchedule, SaveDrill, SaveSchedule
from domain.service import Service
from domain.snapshot import Export, Snapshot
from domain.upgrade_record import UpgradeRecord


@dataclass(frozen=True, slots=True)
class SaveService:
    """Insert or replace the service's record (never its fence)."""

    service: Service


@dataclass(frozen=True, slots=True)
class AddSnapshot:
    """Make the snapshot `available` and count one reference on each of its packs.

    Settling raises `Damaged(code="pack-condemned")` if a reused pack is no longer live. `pack_prefix`
    is set when an earlier attempt of the operation may have left packs that no manifest names: it
    becomes a garbage row, and the collector removes what is beneath it and not in the pack table.
    """

    snapshot: Snapshot
    pack_prefix: str | None = None


@dataclass(frozen=True, slots=True)
class AdoptSnapshot:
    """Take a snapshot that lies whole in the store into the catalogue: `available`, its packs counted.

    Settling raises `Refused(code="snapshot-known")` when there is a row of it in any state, when its objects are being
    removed, or when the operation that makes it goes on; `Damaged(code="pack-condemned")` when one of its packs is
    being removed.
    """

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class MarkDeleting:
    """The snapshot can no longer be restored: state `deleting`, one reference less on its packs.

    The manifest's key and the keys of packs that nobody references any more become garbage rows, which are not due
    before those who began to read the snapshot have had their time.
    """

    snapshot_id: str


@dataclass(frozen=True, slots=True)
class MarkCorrupt:
    """Reading it has shown damage; `fault` says what is wrong. Nothing happens to one that is deleting.

    `level` is how closely it was verified, empty when it was restored or exported.
    """

    snapshot_id: str
    fault: str
    level: str = ""


@dataclass(frozen=True, slots=True)
class MarkSound:
    """It was looked at and nothing was wrong. Read back, one that was corrupt is available again.

    `changed_at` is the row's when the look began: damage that somebody else has found since then stands, so that of
    two looks that overlap the one that found damage counts. That objects exist lifts no verdict, and does not
    replace the memory of having been read back.
    """

    snapshot_id: str
    level: str
    changed_at: int


@dataclass(frozen=True, slots=True)
class MarkCopyDamaged:
    """A replica's copy of the snapshot is not what was written: it is to be copied anew."""

    snapshot_id: str
    replica: str
    fault: str


@dataclass(frozen=True, slots=True)
class SetPacks:
    """The snapshot needs these packs: with `replace` no others, else those that it had as well.

    Each gets a reference; a pack that loses its last one is condemned, as by a deletion, and rests for readers.
    Nothing happens to one that is deleting.
    """

    snapshot_id: str
    packs: tuple[str, ...]
    replace: bool


@dataclass(frozen=True, slots=True)
class DiscardPacks:
    """Packs beneath the prefix that no snapshot counts become garbage."""

    pack_prefix: str


@dataclass(frozen=True, slots=True)
class SavePin:
    """Keep it, for that reason; an empty one lets it go."""

    snapshot_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RemoveSnapshot:
    """Forget the snapshot's row and labels. Garbage rows stay until their objects are gone."""

    snapshot_id: str


@dataclass(frozen=True, slots=True)
class AbandonSnapshot:
    """A snapshot that never became available: its manifest key and pack prefix become garbage."""

    manifest_key: str
    pack_prefix: str


@dataclass(frozen=True, slots=True)
class SaveExport:
    """The archive can be fetched; one that the snapshot had before becomes garbage."""

    export: Export


@dataclass(frozen=True, slots=True)
class ExtendExport:
    """The archive that is there can be fetched until that time, UTC milliseconds, if not longer already."""

    snapshot_id: str
    object_key: str
    expires_at: int


@dataclass(frozen=True, slots=True)
class AbandonExport:
    """An archive that was never finished: its key becomes garbage."""

    object_key: str


@dataclass(frozen=True, slots=True)
class SaveVersion:
    """Publish a version of an application, or replace it."""

    tenant_id: str
    group_key: str
    version: str
    template: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class SaveRecord:
    """Write what an upgrade or rollback has come to for one service."""

    record: UpgradeRecord


@dataclass(frozen=True, slots=True)
class HoldVersion:
    """Keep a service from being upgraded to a version, or let it."""

    service_id: str
    group_key: str
    version: str
    held: bool
    reason: str = ""


Change = (
    SaveService
    | AddSnapshot
    | AdoptSnapshot
    | MarkDeleting
    | MarkCorrupt
    | MarkSound
    | MarkCopyDamaged
    | SavePin
    | SetPacks
    | DiscardPacks
    | RemoveSnapshot
    | AbandonSnapshot
    | SaveExport
    | ExtendExport
    | AbandonExport
    | SaveVersion
    | SaveRecord
    | HoldVersion
    | SaveSchedule
    | RemoveSchedule
    | PauseSchedule
    | SaveDrill
)


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that was left out or failed inside an outcome."""

    name: str
    code: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of an operation: true, complete and fit to be published (it holds no secret)."""

    state: State
    sentence: str  # one human sentence: what happened, to what
    code: str | None = None  # reason code; None when it simply succeeded
    next_step: str = ""  # what a person should do, if anything
    complete: bool = True  # False: succeeded, with `items` left out
    items: tuple[Item, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)  # counts, bytes, seconds, ids
    changes: tuple[Change, ...] = ()
    traceback: str = ""  # for the dead letter only

    @classmethod
    def succeeded(
        cls, sentence: str, *, changes: tuple[Change, ...] = (), items: tuple[Item, ...] = (), **figures: Any
    ) -> Outcome:
        """The target holds. With `items` it is complete but for those."""
        return cls(State.SUCCEEDED, sentence, complete=not items, items=items, figures=figures, changes=changes)

    @classmethod
    def failed(cls, error: BackstayError, *, traceback: str = "") -> Outcome:
        """Nothing changed, for the reason that `error` carries."""
        return cls(State.FAILED, str(error), code=error.code, next_step=error.next_step, traceback=traceback)

    @classmethod
    def cancelled(cls, error: BackstayError) -> Outcome:
        """Nothing changed, because somebody asked or the deadline passed."""
        return cls(State.CANCELLED, str(error), code=error.code)

    @classmethod
    def turned_back(cls, document: dict[str, Any] | None) -> Outcome:
        """The end of an operation that was put back, for the reason that its row remembers."""
        kept = document or {}
        return cls(
            State.ROLLED_BACK,
            kept.get("sentence", "everything was put back"),
            code=kept.get("code"),
            next_step=kept.get("next_step", ""),
            figures=kept.get("figures", {}),
            items=tuple(Item(**item) for item in kept.get("items", ())),
        )

    def event_name(self) -> str:
        """The suffix of the outcome event: succeeded, rolled-back, failed, cancelled or stuck."""
        return self.state.value.lower().replace("_", "-")

    def document(self) -> dict[str, Any]:
        """The JSON form kept in the operation's row and sent in the outcome event."""
        return {
            "outcome": self.event_name(),
            "code": self.code,
            "sentence": self.sentence,
            "next_step": self.next_step,
            "complete": self.complete,
            "items": [{"name": i.name, "code": i.code, "sentence": i.sentence} for i in self.items],
            "figures": self.figures,
        }
