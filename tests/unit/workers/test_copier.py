"""The copier: whoever loses a snapshot to another writes nothing more and notes nothing of it as copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from domain.contracts import Copies, Owed
from domain.errors import StoreUnavailable
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
