"""Snapshots, deletions and collectors in any order, some of them dying: what is listed can always be restored.

The real archive and the real catalogue, one step at a time by a seed. A snapshot is published first and settled some
steps later, or never; a collector reads what is garbage first, removes it some steps later, and may die at any of its
points; there may be several of each. A reader has the manifest of a snapshot that somebody deletes, and goes on. The
same runs with a planted bug must fail: else they would prove nothing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain import failpoint
from domain.contracts import Claim, Garbage
from domain.errors import Damaged
from domain.outcome import AbandonSnapshot, AddSnapshot, MarkDeleting, Outcome, RemoveSnapshot
from domain.restore import ManifestSummary
from domain.snapshot import Snapshot
from domain.verification import VerifyLevel
from storage.archive import sweep
from storage.objects.memory import MemoryStore
from storage.sql import changes
from tests.contract.sql_bench import Bench
from tests.dying import after, hooked
from tests.unit.storage_archive.workshop import Workshop, describe, row_of

STEPS = 60
SEEDS = range(6)
LONG = 20 * 60_000
GRACE = 3 * LONG
SOUND, RESTING = sweep.collect, changes._discard


class Yard:
    """One service's tree, its snapshots, and whoever works on them at the moment."""

    def __init__(self, seed: int, home: Path, bench: Bench) -> None:
        self.chance, self.bench, self.number = random.Random(seed), bench, 0
        self.shop = Workshop(home, cache=False, threads=1)
        self.catalogue = bench.database.catalogue
        self.tree = home / "app"
        self.tree.mkdir()
        self.trees: dict[str, Any] = {}  # what each published snapshot must bring back
        self.rows: dict[str, Snapshot] = {}  # of every snapshot that was ever available
        self.published: list[ManifestSummary] = []
        self.deleting: list[str] = []
        self.collecting: list[list[Garbage]] = []
        self.reading: list[tuple[str, int]] = []  # which snapshot, and since when

    def step(self) -> None:
        """Something happens."""
        self.chance.choice(
            [self.publish, self.publish, self.settle, self.settle, self.abandon, self.mark, self.mark, self.forget,
             self.look_for_garbage, self.look_for_garbage, self.collect, self.collect, self.wait, self.open,
             self.read]
        )()  # fmt: skip

    def publish(self) -> None:
        """As a worker does up to the manifest; its parent may be marked as deleted any time from now on."""
        self.number += 1
        name = f"s{self.number}"
        (self.tree / f"file-{self.chance.randrange(4)}").write_bytes(self.chance.randbytes(2_000))
        parent = self.catalogue.newest("web")
        self.published.append(self.shop.create(self.tree, name, parent=parent))
        self.trees[name] = describe(self.tree)

    def settle(self) -> None:
        if not self.published:
            return
        summary = self.published.pop(self.chance.randrange(len(self.published)))
        claim = self.bench.running(service=summary.snapshot_id)
        tried_twice = self.chance.random() < 0.3
        prefix = self.shop.archive.pack_prefix("acme", summary.snapshot_id) if tried_twice else None
        try:
            self.bench.succeed(claim, AddSnapshot(row_of(summary), prefix))
        except Damaged:
            self._give_up(claim, summary)
            return
        self.rows[summary.snapshot_id] = row_of(summary)

    def abandon(self) -> None:
        if self.published and self.chance.random() < 0.3:
            summary = self.published.pop()
            self._give_up(self.bench.running(service=summary.snapshot_id), summary)

    def _give_up(self, claim: Claim, summary: ManifestSummary) -> None:
        prefix = self.shop.archive.pack_prefix("acme", summary.snapshot_id)
        left = AbandonSnapshot(summary.manifest_key, prefix)
        self.bench.database.ledger.settle(claim, Outcome.succeeded("given up", changes=(left,)))

    def mark(self) -> None:
        names = [row.snapshot_id for row in self.catalogue.find(None, [], [], 100, None)]
        if names:
            name = self.chance.choice(names)
            self.bench.succeed(self.bench.running(service=f"delete-{self.number}"), MarkDeleting(name))
            self.deleting.append(name)

    def forget(self) -> None:
        if self.deleting:
            name = self.deleting.pop()
            self.bench.succeed(self.bench.running(service=f"forget-{self.number}"), RemoveSnapshot(name))

    def look_for_garbage(self) -> None:
        if rows := self.catalogue.garbage(self.chance.choice([2, 100])):
            self.collecting.append(rows)

    def collect(self) -> None:
        if not self.collecting:
            return
        rows = self.collecting.pop(self.chance.randrange(len(self.collecting)))
        with hooked(after(self.chance.choice([-1, *range(8)]))):  # it dies there, if it gets there
            self.catalogue.forget_garbage(self.shop.archive.collect(rows, self.catalogue.live_packs))

    def open(self) -> None:
        """A restore, verification or export begins, on whatever node."""
        if rows := self.catalogue.find(None, [], [], 100, None):
            self.reading.append((self.chance.choice(rows).snapshot_id, self.bench.now))

    def read(self) -> None:
        """And ends: it finds everything, whatever was deleted and collected meanwhile."""
        if self.reading:
            name, since = self.reading.pop(self.chance.randrange(len(self.reading)))
            if self.bench.now <= since + GRACE:
                self._restore(name, f"{name}-read-{len(self.trees)}-{self.bench.now}-{len(self.reading)}")

    def _restore(self, name: str, where: str) -> None:
        found = self.shop.archive.read(self.rows[name].manifest_key)
        staged = self.shop.stage(found, name=where)
        assert describe(Path(staged.path)) == self.trees[name]

    def wait(self) -> None:
        self.bench.now += self.chance.choice([1_000, LONG])

    def check(self) -> None:
        """I13, I14: what is listed is whole; a manifest that is still there names nothing that is gone."""
        for row in self.catalogue.find(None, [], [], 100, None):
            assert self.shop.archive.verify(row.manifest_key, VerifyLevel.EXISTS, self.shop.watch).sound, (
                row.snapshot_id
            )
        for name, since in self.reading:
            if self.bench.now < since + GRACE:
                row = self.rows[name]
                assert {row.manifest_key, *row.packs} <= set(self.shop.objects), f"{name} vanished while it was read"
        for row in self.rows.values():
            if row.manifest_key in self.shop.objects:
                assert all(key in self.shop.objects for key in row.packs), f"{row.snapshot_id} has lost a pack"

    def end(self) -> None:
        """Everything comes to rest: what is listed restores identically, and nothing else is in the store."""
        while self.published:
            self.settle()
        self.bench.now += GRACE
        while rows := self.catalogue.garbage(100):
            self.catalogue.forget_garbage(self.shop.archive.collect(rows, self.catalogue.live_packs))
        self.check()
        listed = self.catalogue.find(None, [], [], 100, None)
        needed = {row.manifest_key for row in listed} | {
            key for row in listed for key in self.rows[row.snapshot_id].packs
        }
        for row in listed:
            self._restore(row.snapshot_id, row.snapshot_id)
        assert set(self.shop.objects) == needed, "something that nobody needs has stayed"


def _run(seed: int, home: Path) -> None:
    home.mkdir()
    with Bench.opened(f"sqlite:///{home}/backstay.db", GRACE) as bench:
        yard = Yard(seed, home, bench)
        for _ in range(STEPS):
            yard.step()
            yard.check()
        yard.end()


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_deleted_and_collected_the_rest_restores_identically(seed: int, tmp_path: Path) -> None:
    """I13, I14, I17."""
    _run(seed, tmp_path / "run")


def _uncounted(*arguments: Any) -> None:
    """A snapshot's packs are taken as they are, without looking whether they live."""
    connection, _, keys, now = arguments
    for key in keys:
        connection.exec_driver_sql(
            "INSERT INTO pack (pack_key, refs, state, created_at) VALUES (?, 1, 'LIVE', ?) "
            "ON CONFLICT (pack_key) DO UPDATE SET refs = refs + 1",
            (key, now),
        )


def _packs_first(store: MemoryStore, garbage: list[Garbage], live: Callable[[str], set[str]]) -> list[str]:
    """Removes packs before the manifests that name them."""
    sound = sorted(garbage, key=lambda item: item.key.endswith("/manifest"))
    for item in sound:
        failpoint.failpoint("sweep.before-packs")
        found = [info.key for info in store.list(item.key)] if item.is_prefix else [item.key]
        store.delete(set(found) - (live(item.key) if item.is_prefix else set()))
    return [item.key for item in sound]


def _forgetful(store: MemoryStore, garbage: list[Garbage], live: Callable[[str], set[str]]) -> list[str]:
    """Says that prefixes are done without having looked."""
    store.delete(item.key for item in garbage if not item.is_prefix)
    return [item.key for item in garbage]


def _blind(store: MemoryStore, garbage: list[Garbage], live: Callable[[str], set[str]]) -> list[str]:
    """Removes all that lies beneath a prefix, live or not."""
    return SOUND(store, garbage, lambda prefix: set())


def _restless(*arguments: Any, rest_ms: int = 0) -> None:
    """What a deletion condemns may go at once, whoever reads it."""
    RESTING(*arguments, rest_ms=0 if rest_ms == GRACE else rest_ms)


@pytest.mark.parametrize(
    ("place", "name", "bug", "seen"),
    [
        (changes, "_count_packs", _uncounted, "sound"),
        (sweep, "collect", _packs_first, "has lost a pack"),
        (sweep, "collect", _forgetful, "nobody needs"),
        (sweep, "collect", _blind, "sound|has lost a pack|vanished"),
        (changes, "_discard", _restless, "vanished while it was read"),
    ],
    ids=[
        "packs-not-checked-when-settling",
        "packs-before-manifests",
        "left-overs-forgotten",
        "live-packs-removed",
        "no-grace-for-readers",
    ],
)
def test_a_planted_bug_is_seen(
    place: Any, name: str, bug: Any, seen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulation is tested too: some seed must see each."""
    monkeypatch.setattr(place, name, bug)
    for seed in range(40):
        try:
            _run(seed, tmp_path / f"{seed}")
        except AssertionError as error:
            assert re.search(seen, str(error))
            return
    pytest.fail("no seed has seen it")
