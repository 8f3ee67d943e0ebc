"""The copier: whoever loses a snapshot to another writes nothing more and notes nothing of it as copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from domain.contracts import Copies, Owed
from domain.errors import DatabaseUnavailable, StoreUnavailable
from workers.copier import Check, Copier

OWED = Owed("s1", "tenants/acme/services/web/snapshots/s1/manifest", anew=False, take=7)


class FakeCopies:
    """The port `Copies` for one snapshot, which is lost when `lost` is set; what was noted."""

    def __init__(self) -> None:
        self.lost = False
        self.noted: list[str] = []

    def take(self, replica: str, hold_ms: int) -> Owed:
        return OWED

    def hold(self, owed: Owed, replica: str, hold_ms: int) -> bool:
        return owed == OWED and not self.lost

    def done(self, owed: Owed, replica: str) -> bool:
        self.noted.append("refused" if self.lost else "copied")
        return not self.lost

    def failed(self, owed: Owed, replica: str, sentence: str) -> None:
        self.noted.append("not believed" if self.lost else "failed")

    def let_go(self, owed: Owed, replica: str) -> None:
        self.noted.append("let go")


class FakeArchive:
    """Writes one object, and does `between` before it and `after` after it."""

    def __init__(self, between: Callable[[], Any] = int, after: Callable[[], Any] = int) -> None:
        self.between, self.after, self.written = between, after, 0

    def copy(self, name: str, manifest_key: str, check: Check, *, anew: bool = False) -> int:
        self.between()
        check()
        self.written += 1
        self.after()
        return 1


class AwayWhenItFails(FakeCopies):
    """As after a long pause: the connection is dead, for so many tries to note a failure."""

    def __init__(self, tries: int) -> None:
        super().__init__()
        self.away = tries

    def take(self, replica: str, hold_ms: int) -> Owed:
        self.noted.append("taken")
        return super().take(replica, hold_ms)

    def failed(self, owed: Owed, replica: str, sentence: str) -> None:
        self.away -= 1
        if self.away >= 0:
            raise DatabaseUnavailable("the server closed the connection")
        super().failed(owed, replica, sentence)


def comes_too_late() -> None:
    raise StoreUnavailable("its packs were rewritten while it was copied; the copy is made again")


def run(copies: FakeCopies, archive: FakeArchive) -> int:
    return Copier(cast(Copies, copies), archive, ("b",)).round()


def test_a_snapshot_that_was_lost_before_an_object_is_written_is_left_alone_and_the_copier_goes_on() -> None:
    copies = FakeCopies()
    archive = FakeArchive(between=lambda: setattr(copies, "lost", True))
    assert run(copies, archive) == 0
    assert (archive.written, copies.noted) == (0, ["let go"])


def test_one_that_was_lost_after_the_last_write_does_not_count_as_copied() -> None:
    copies = FakeCopies()
    archive = FakeArchive(after=lambda: setattr(copies, "lost", True))
    assert run(copies, archive) == 0
    assert copies.noted == ["refused", "let go"]


def test_one_whose_packs_were_rewritten_meanwhile_is_believed_of_nobody() -> None:
    copies = FakeCopies()

    def rewritten() -> None:
        copies.lost = True
        raise StoreUnavailable("its packs were rewritten while it was copied; the copy is made again")

    assert run(copies, FakeArchive(after=rewritten)) == 0
    assert copies.noted == ["not believed"]
    copies.lost = False
    assert run(copies, FakeArchive()) == 1
    assert copies.noted[1:] == ["copied"]


def test_a_failure_is_noted_again_when_the_connection_has_died() -> None:
    """Else the row goes on saying that the replica has the snapshot, over which a former manifest has come."""
    copies = AwayWhenItFails(tries=1)
    assert run(copies, FakeArchive(after=comes_too_late)) == 0
    assert copies.noted == ["taken", "failed"]


def test_a_failure_that_could_not_be_noted_is_noted_before_anything_else_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.copier.NOTE_SECONDS", 0)
    copies, archive = AwayWhenItFails(tries=2), FakeArchive(after=comes_too_late)
    copier = Copier(cast(Copies, copies), archive, ("b",))
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            copier.round()
    assert copies.noted == ["taken"]
    archive.after = int
    assert copier.round() == 1
    assert copies.noted == ["taken", "failed", "taken", "copied"]
