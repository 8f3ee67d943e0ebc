"""Building the tree of a snapshot in an empty directory: directories, files, links, metadata.

Apart from the frame around it (`stage.py`), which makes that directory, knows what an earlier attempt left and says
what a failure means. This only ever creates, relative to open directories, never through a link. Files come from
sources on this node where their content is right, the rest from the store. Links are made after all files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial

import numpy as np

from domain.contracts import ObjectStore, Watch
from domain.failpoint import failpoint
from domain.restore import RestoreMode
from storage.archive import layout, published
from storage.archive.beneath import NEW_FILE, Directories
from storage.archive.fill import Filler
from storage.archive.finish import Finisher, Warnings
from storage.archive.manifest import holders
from storage.archive.marks import Marks
from storage.archive.merge import merge
from storage.archive.offers import Source
from storage.archive.pipeline import Channel, Crew
from storage.archive.plan import Plan, Run, split
from storage.archive.published import Indexes, Opened
from storage.archive.reread import reread
from storage.archive.reuse import Reuse
from storage.archive.segment import Opener

FETCHERS = 2
MARKER = b".chowned"


@dataclass(frozen=True, slots=True)
class _Fetched:
    run: Run
    data: bytes


class Building:
    """One tree on its way to disk."""

    def __init__(
        self, store: ObjectStore, found: Opened, root: int, threads: int, watch: Watch, marks: Marks | None
    ) -> None:
        """`root` is the open, empty directory and stays the caller's."""
        tree = found.tree
        self._store, self._tree, self._key, self._marks = store, tree, found.key, marks
        self._root, self._threads, self._watch = root, threads, watch
        self._pack_root = layout.pack_root(found.header.tenant_id)
        self._parents = tree.parent.tolist()
        self._inner = np.nonzero((tree.mode & 0o170000) == 0o040000)[0][1:].tolist()
        self._whole = (tree.extents == 1).tolist()
        self._warnings = Warnings()
        self.finisher = Finisher(tree, self._path, self._warnings)
        self._reuse = Reuse(tree, root, self.finisher, marks, threads, watch)
        self.fetched = 0  # bytes, from the store

    @property
    def reused(self) -> int:
        """Bytes that the live tree had."""
        return self._reuse.reused

    @property
    def kept(self) -> int:
        """Bytes that an earlier attempt had staged."""
        return self._reuse.kept

    def take(self, sources: list[Source], indexes: Indexes) -> None:
        """Make the directories and bring into them what sources have. Call it first, and once."""
        directories = self._directories()
        try:
            for row in self._inner:
                os.mkdir(self._tree.names[row], 0o700, dir_fd=directories.handle(self._parents[row]))
        finally:
            directories.close()
        if sources:
            self._reuse.run(sources, indexes, self._key)
            self.fetched += indexes.fetched

    def build(self, target: str, mode: RestoreMode) -> tuple[str, ...]:
        """Everything else but making it durable; the warnings."""
        directories = self._directories()
        try:
            several = self._prepare_files(directories)
            self._write_files()
            for row in several:
                self._finish_file(row, directories)
            self._make_links(directories)
            if mode is RestoreMode.MERGE:
                merge(target, self._tree, directories, self._warnings, self._watch)
            self._remove_marker()
            for row in [*reversed(self._inner), 0]:
                self.finisher.apply(directories.handle(row), row)
        finally:
            directories.close()
        return self._warnings.sentences()

    def _directories(self) -> Directories:
        return Directories(self._root, self._parents, self._tree.names)

    def _path(self, row: int) -> str:
        return published.path_of(self._tree, row)

    def _prepare_files(self, directories: Directories) -> list[int]:
        """Create the files that are not written in one go; the rows that must be finished later."""
        tree, several = self._tree, []
        held = holders(tree.mode, tree.twins) & ~self._reuse.done
        single = (tree.extents == 1) & (tree.size > 0) & ~self._reuse.begun
        single[np.repeat(np.arange(len(single)), tree.extents)[tree.extent_segment == layout.HOLE]] = False
        for row in np.nonzero(held & ~single)[0].tolist():
            self._whole[row] = False
            if self._reuse.begun[row]:
                several.append(row)
                continue
            handle = os.open(tree.names[row], NEW_FILE, 0o600, dir_fd=directories.handle(self._parents[row]))
            try:
                if tree.size[row]:
                    os.ftruncate(handle, int(tree.size[row]))
                    several.append(row)
                else:
                    self.finisher.apply(handle, row)
            finally:
                os.close(handle)
        return several

    def _finish_file(self, row: int, directories: Directories) -> None:
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self._tree.names[row], flags, dir_fd=directories.handle(self._parents[row]))
        try:
            self.finisher.apply(handle, row)
        finally:
            os.close(handle)

    def _write_files(self) -> None:
        plan = Plan(self._tree, self._reuse.present)
        with Crew() as crew:
            wanted: Channel[Run] = crew.channel(FETCHERS)
            fetched: Channel[_Fetched] = crew.channel(FETCHERS)
            for number in range(FETCHERS):
                crew.start(f"fetch-{number}", partial(self._fetch, wanted, fetched), consumes=wanted)
            for number in range(self._threads):
                crew.start(f"write-{number}", partial(self._write, plan, fetched), consumes=fetched)
            for run in plan.runs():
                self.fetched += run.length
                wanted.put(run, self._watch.check)
            wanted.finish()
            crew.wait("fetch", self._watch.check)
            fetched.finish()
            crew.wait("write", self._watch.check)

    def _fetch(self, wanted: Channel[Run], fetched: Channel[_Fetched]) -> None:
        for run in wanted:
            key = self._pack_root + self._tree.packs[run.pack]
            fetched.put(_Fetched(run, self._store.get(key, run.offset, run.length)))

    def _write(self, plan: Plan, fetched: Channel[_Fetched]) -> None:
        filler = Filler(self._tree, self._parents, self._whole, self._directories(), self.finisher, self._marks)
        opener = Opener(self._key)
        try:
            for item in fetched:
                for number, stored in split(self._tree, item.run, item.data):
                    if plan.needs(number):
                        plain = opener.open(stored, self._tree.segments[number])
                        self._watch.advance(*filler.write(plain, plan.writes(number)))
                failpoint("stage.after-segments")
        finally:
            filler.close()

    def _make_links(self, directories: Directories) -> None:
        """Further names of files, then symbolic links: no link exists while anything is opened."""
        names = self._tree.names
        for row, first in self._tree.twins.items():
            source = os.dup(directories.handle(self._parents[first]))
            try:
                place = directories.handle(self._parents[row])
                os.link(names[first], names[row], src_dir_fd=source, dst_dir_fd=place, follow_symlinks=False)
            finally:
                os.close(source)
        for row, pointed_at in self._tree.links.items():
            place = directories.handle(self._parents[row])
            os.symlink(pointed_at, names[row], dir_fd=place)
            self.finisher.apply_to_link(names[row], place, row)

    def reread(self) -> tuple[str, ...]:
        """Compare what is on disk with what was written; call it last. Raises Refused, see `reread`."""
        assert self._marks is not None
        names, parents = self._tree.names, self._parents
        marker = {r for r in range(1, len(names)) if parents[r] == 0 and names[r] == MARKER} - set(self._inner)
        return reread(self._tree, self._root, self.finisher, self._marks, marker, self._threads, self._watch)

    def _remove_marker(self) -> None:
        """The platform's sign that a tree has had its owners set: the restored one has not."""
        try:
            os.unlink(MARKER, dir_fd=self._root)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            self._warnings.add("kept, as it is a directory and not the platform's marker", published.printable(MARKER))
