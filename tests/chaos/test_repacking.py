"""Snapshots, deletions and repacking in any order, the repacker dying anywhere: what is listed restores identically.

The real handler over the real archive and catalogue, sealed and plain; each death is at a failpoint that the run
without faults has reached, and another attempt of the same operation goes on, or somebody gives it up.
"""

from __future__ import annotations

import random
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from domain.errors import Damaged, ObjectMissing, StoreUnavailable
from domain.journal import Journal
from domain.lease import Lease
from domain.outcome import AddSnapshot, MarkDeleting, Outcome, RemoveSnapshot
from domain.restore import ManifestSummary
from domain.snapshot import Snapshot
from domain.verification import VerifyLevel
from handlers import repack_service
from storage.archive import condense, feeder, repack
from storage.sql import changes
from storage.sql.changes import LATE_WRITES_MS
from tests.contract.sql_bench import LEASE, Bench, accepted
from tests.dying import die, hooked
from tests.fakes.clock import FakeClock
from tests.unit.storage_archive.workshop import Workshop, describe, row_of
from workers.cataloguing import Cataloguing

#: Of a file: a segment of its own.
SIZE = 60_000
RELEASE = changes._release


class Site:
    """One service with many small files in few packs, of which some change between snapshots."""

    def __init__(self, home: Path, bench: Bench, seed: int) -> None:
        self.home, self.bench, self.chance = home, bench, random.Random(seed)
        self.shop = Workshop(home, cache=bool(seed % 2), threads=1, encryption=bool(seed % 3))
        self.catalogue = bench.database.catalogue
        self.tree = home / "app"
        self.tree.mkdir(parents=True)
        self.trees: dict[str, Any] = {}
        self.number = 0
        for file in range(8):
            (self.tree / f"file-{file}").write_bytes(self.chance.randbytes(SIZE))

    def snapshot(self) -> None:
        """Half of the files change before."""
        self.number += 1
        for file in self.chance.sample(range(8), 4):
            (self.tree / f"file-{file}").write_bytes(self.chance.randbytes(SIZE))
        name = f"s{self.number}"
        summary = self.shop.create(self.tree, name, parent=self.catalogue.newest("web"))
        self.bench.succeed(self.bench.running(service=f"take-{name}"), AddSnapshot(row_of(summary)))
        self.trees[name] = describe(self.tree)

    def delete(self) -> None:
        """The oldest but the newest."""
        rows = self.rows()[1:]
        if rows:
            name = rows[-1].snapshot_id
            self.bench.succeed(self.bench.running(service=f"delete-{name}"), MarkDeleting(name), RemoveSnapshot(name))

    def rows(self) -> list[Snapshot]:
        return self.catalogue.find(None, [], [], 100, None)

    def repack(self, percent: int = 80) -> Outcome:
        """To its end, whoever has begun it."""
        found = self.bench.claim()
        if not found:
            self.bench.accept(accepted(f"repack-{self.number}-{self.bench.now}", "web", kind="repack-service"))
            found = self.bench.claim()
        (claim,) = found
        context = SimpleNamespace(
            operation=claim.operation, catalogue=self.catalogue, archive=self.shop.archive, watch=self.shop.watch,
            service=lambda: SimpleNamespace(service_id="web"), journal=_journal(self.bench, claim),
        )  # fmt: skip
        outcome = repack_service.handle(repack_service.RepackService(below_percent=percent), context)  # type: ignore[arg-type]
        self.bench.database.ledger.settle(claim, outcome)
        return outcome

    def collect(self) -> None:
        """What is due, now."""
        while rows := self.catalogue.garbage(100):
            self.catalogue.forget_garbage(self.shop.archive.collect(rows, self.catalogue.live_packs))

    def check(self) -> None:
        """I13, I14: everything that is listed restores, and catalogue and store agree."""
        for row in self.rows():
            found: ManifestSummary = self.shop.archive.read(row.manifest_key)
            staged = self.shop.stage(found, name=f"{row.snapshot_id}-{len(list(self.home.rglob('tree')))}")
            assert describe(Path(staged.path)) == self.trees[row.snapshot_id], "another tree than was taken"
            assert found.root_digest == row.root_digest
        found_by_check = Cataloguing(self.shop.store, self.shop.archive, self.catalogue).check()
        assert (found_by_check.missing, found_by_check.unknown_manifests) == ([], []), "sound"

    def rest(self) -> None:
        """Nobody reads any more: afterwards the store holds what is listed, and nothing else."""
        self.bench.now += LATE_WRITES_MS
        self.collect()
        self.check()
        needed = {row.manifest_key for row in self.rows()} | {"tenants/acme/key"}
        for row in self.rows():
            whole = self.catalogue.get(row.snapshot_id)
            named = set(self.shop.archive.read(row.manifest_key).packs)
            assert whole is not None and named == set(whole.packs), "catalogue and manifest name other packs"
            needed |= named
        assert set(self.shop.objects) <= needed, "something that nobody needs has stayed"


def _journal(bench: Bench, claim: Any) -> Journal:
    clock = FakeClock()
    return Journal(bench.database.ledger, claim, Lease(clock, LEASE, clock.boottime()), clock)


def _grown(home: Path, bench: Bench, seed: int) -> Site:
    site = Site(home, bench, seed)
    for _ in range(3):
        site.snapshot()
    site.delete()
    bench.now += LATE_WRITES_MS
    site.collect()
    return site


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """A segment for each file, so that a pack can be needed in part."""
    monkeypatch.setattr(feeder, "SEGMENT_TARGET", SIZE)
    monkeypatch.setattr(condense, "SEGMENT_TARGET", SIZE)
    monkeypatch.setattr(condense, "OWN_SEGMENT", SIZE // 2)


@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_then_repacking_restores_identically(seed: int, tmp_path: Path) -> None:
    """I13, I14, I17; readers of the old packs have their time, and a snapshot after it builds on the new ones."""
    with Bench.opened(f"sqlite:///{tmp_path}/b.db") as bench:
        site = _grown(tmp_path / "yard", bench, seed)
        moved = 0
        for _ in range(3):
            before = {key for row in site.rows() for key in site.shop.archive.read(row.manifest_key).packs}
            moved += site.repack().figures["packs"]
            site.collect()
            assert before <= set(site.shop.objects), "a reader lost packs"
            site.check()
            site.snapshot()
            site.delete()
            bench.now += site.chance.choice([1000, LATE_WRITES_MS])
            site.collect()
            site.check()
        assert moved, "nothing was ever sparse"
        site.rest()


def test_repacking_wins_the_room_that_it_says(tmp_path: Path) -> None:
    """And a second time there is nothing to win."""
    with Bench.opened(f"sqlite:///{tmp_path}/b.db") as bench:
        site = _grown(tmp_path / "yard", bench, 1)
        before = sum(map(len, site.shop.objects.values()))
        won = site.repack().figures["bytes_won"]
        site.rest()
        after = sum(map(len, site.shop.objects.values()))
        assert won > 0 and before - after >= won
        assert site.repack().figures["packs"] == 0


def _died(home: Path, at: int) -> list[str]:
    """A run that dies at its `at`-th failpoint and is finished by another; the points that were reached."""
    reached: list[str] = []

    def hook(point: str) -> None:
        reached.append(point)
        if len(reached) - 1 == at:
            die(point)

    with Bench.opened(f"sqlite:///{home}/b.db") as bench:
        site = _grown(home / "yard", bench, 1)
        with hooked(hook):
            site.repack()
        site.check()
        bench.now += 2 * LEASE  # its lease has ended
        bench.now += LATE_WRITES_MS
        site.collect()
        site.check()
        site.repack()
        site.check()
        site.snapshot()
        site.rest()
    return reached


@pytest.mark.parametrize("reads", ["stage", "verify", "export"])
def test_who_reads_longer_than_replaced_packs_rest_reads_again_and_finds_no_damage(
    reads: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a sound snapshot would be called corrupt, and nobody would look at it again."""
    with Bench.opened(f"sqlite:///{tmp_path}/t.db") as bench:
        site = _grown(tmp_path / "home", bench, 1)
        row = site.rows()[0]
        summary, archive = site.shop.archive.read(row.manifest_key), site.shop.archive

        def read() -> object:
            if reads == "stage":
                return site.shop.stage(summary, name=f"{bench.now}")
            if reads == "verify":
                return archive.verify(row.manifest_key, VerifyLevel.HASH, site.shop.watch)
            return archive.export(row.manifest_key, f"exports/{bench.now}", site.shop.watch)

        store, fetch, repacked = site.shop.store, site.shop.store.get, list[str]()

        def slow(key: str, offset: int = 0, length: int | None = None) -> bytes:
            if "/packs/" in key and not repacked:
                repacked.append(key)
                site.repack(99)
                bench.now += LATE_WRITES_MS
                site.collect()
            return fetch(key, offset, length)

        monkeypatch.setattr(store, "get", slow)
        with pytest.raises(StoreUnavailable, match="rewritten"):
            read()
        assert not set(summary.packs) <= set(archive.read(row.manifest_key).packs)
        read()


def test_a_repacker_that_is_killed_anywhere_is_followed_by_another(tmp_path: Path) -> None:
    """I13, I14, I17: at every point that a run without faults reaches."""
    (tmp_path / "whole").mkdir()
    points = _died(tmp_path / "whole", -1)
    assert {point.partition(".")[0] for point in points} >= {"repack", "settle"}, points
    for number, point in enumerate(points):
        home = tmp_path / str(number)
        home.mkdir()
        reached = _died(home, number)
        assert reached[-1] == point


def _at_once(*arguments: Any, **_: Any) -> None:
    """Old packs may go as soon as the manifests are new."""
    RELEASE(*arguments, rest_ms=0)


def _unopened(store: Any, keys: Any, key: str, gone: Any, new: Any, watch: Any) -> tuple[str, ...]:
    """Says that the manifest was replaced, and has not done it."""
    return tuple(new)


@pytest.mark.parametrize(
    ("place", "name", "bug", "seen"),
    [(changes, "_release", _at_once, "a reader lost"), (repack, "replace", _unopened, "sound|lost")],
    ids=["no-grace-for-readers", "manifest-not-replaced"],
)
def test_a_planted_bug_is_seen(
    place: Any, name: str, bug: Any, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs above are tested too."""
    monkeypatch.setattr(place, name, bug)
    with pytest.raises((AssertionError, ObjectMissing, Damaged)) as raised:
        test_any_sequence_then_repacking_restores_identically(1, tmp_path)
    if isinstance(raised.value, AssertionError):
        assert re.search(seen, str(raised.value)) or "catalogue and manifest" in str(raised.value)
