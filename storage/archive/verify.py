"""Looking at a stored snapshot without restoring it: are its objects there, and are they what was written?

Apart from staging, which stops at the first damage and writes files: this goes on, so that everything damaged is
named at once, and writes nothing. Weather is passed on: a store that does not answer proves nothing.
"""

from __future__ import annotations

import threading
from functools import partial

import numpy as np

from domain.contracts import ObjectStore, Watch
from domain.errors import Damaged, ObjectMissing
from domain.verification import MOST_NAMED, Fault, Verified, VerifyLevel
from storage.archive import layout, published
from storage.archive.layout import HOLE
from storage.archive.manifest import Header, Tree
from storage.archive.pipeline import Channel, Crew
from storage.archive.plan import Plan, Run, split
from storage.archive.segment import Opener
from storage.archive.tenant_keys import TenantKeys
from storage.data_key import DataKey

#: Ranged reads under way at once.
_READERS = 4


def verify(store: ObjectStore, keys: TenantKeys, manifest_key: str, level: VerifyLevel, watch: Watch) -> Verified:
    """See the port `Archive`; the level `restore-test` is looked at like `hash` here."""
    try:
        found = published.read_manifest(published.fetch_manifest(store, manifest_key), manifest_key, keys)
    except Damaged as error:
        return Verified(level, 0, 0, 0, (Fault(manifest_key, str(error)),))
    header, tree = found.header, found.tree
    looking = _Looking(store, header, tree, found.key, watch)
    looking.sizes()
    if level is not VerifyLevel.EXISTS:
        looking.contents()
    if looking.faults:
        published.refuse_rewritten(store, keys, manifest_key, tree)
    affected, count = looking.affected()
    return Verified(level, len(tree.packs), looking.bytes_read, header.files, tuple(looking.faults), affected, count)


def missing(store: ObjectStore, found: published.Opened, watch: Watch) -> list[Fault]:
    """The level `exists` of a manifest that was opened already: packs that are not there with their size."""
    looking = _Looking(store, found.header, found.tree, found.key, watch)
    looking.sizes()
    return looking.faults


class _Looking:
    """One look at one snapshot."""

    def __init__(self, store: ObjectStore, header: Header, tree: Tree, key: DataKey | None, watch: Watch) -> None:
        self._store, self._tree, self._key, self._watch = store, tree, key, watch
        root = layout.pack_root(header.tenant_id)
        self._keys = [root + name for name in tree.packs]
        self._mutex = threading.Lock()
        self._gone: set[int] = set()  # packs that are not there as a whole
        self._bad: set[int] = set()  # segments
        self.faults: list[Fault] = []
        self.bytes_read = 0

    def sizes(self) -> None:
        """Every pack is there and as long as it was."""
        for number, (key, wanted) in enumerate(zip(self._keys, self._tree.pack_bytes.tolist(), strict=True)):
            self._watch.check()
            found = self._store.size(key)
            if found != wanted:
                what = "is missing" if found is None else f"has {found} bytes instead of {wanted}"
                self._gone.add(number)
                self.faults.append(Fault(key, f"the pack {what}"))

    def contents(self) -> None:
        """Every segment of the packs that are there."""
        plan = Plan(self._tree)
        runs = [run for run in plan.runs() if run.pack not in self._gone]
        self._watch.expect(sum(run.length for run in runs), 0)
        with Crew() as crew:
            wanted: Channel[Run] = crew.channel(_READERS)
            for number in range(_READERS):
                crew.start(f"look-{number}", partial(self._look, wanted), consumes=wanted)
            for run in runs:
                wanted.put(run, self._watch.check)
            wanted.finish()
            crew.wait("look", self._watch.check)

    def _look(self, wanted: Channel[Run]) -> None:
        opener = Opener(self._key)
        for run in wanted:
            key = self._keys[run.pack]
            try:
                data = self._store.get(key, run.offset, run.length)
            except Damaged as error:
                what = "vanished while it was read" if isinstance(error, ObjectMissing) else "cannot be read"
                self._note(key, f"the pack {what}: {error}", range(run.first, run.last))
                continue
            for number, stored in split(self._tree, run, data):
                row = self._tree.segments[number]
                try:
                    opener.open(stored, row)
                except Damaged as error:
                    self._note(key, f"the segment at byte {row['offset']}: {error}", range(number, number + 1))
            with self._mutex:
                self.bytes_read += run.length
            self._watch.advance(run.length)

    def _note(self, key: str, sentence: str, segments: range) -> None:
        with self._mutex:
            self.faults.append(Fault(key, sentence))
            self._bad |= set(segments)

    def affected(self) -> tuple[tuple[str, ...], int]:
        """Names of the files that cannot be restored, as far as they are named, and how many they are."""
        tree = self._tree
        bad = np.isin(tree.segments["pack"], sorted(self._gone))
        bad[sorted(self._bad)] = True
        real = tree.extent_segment != HOLE
        owner = np.repeat(np.arange(len(tree.extents)), tree.extents)
        hit = np.zeros(len(tree.extent_segment), bool)
        hit[real] = bad[tree.extent_segment[real]]
        rows = set(np.unique(owner[hit]).tolist())
        rows |= {row for row, first in tree.twins.items() if first in rows}
        return tuple(published.path_of(tree, row) for row in sorted(rows)[:MOST_NAMED]), len(rows)
