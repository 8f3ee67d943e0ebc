"""Building a snapshot's tree beside the live one, every byte verified, durable when it returns.

Apart from the swap, because until that nothing live is touched: this only ever creates, in a directory
that did not exist before, relative to open directories, never through a link. Links are made after all
files. Whatever fails removes what was staged. One `syncfs` at the end instead of an fsync per file: it
returns when all data and metadata of that file system are on disk and reports write errors (Linux 5.8),
so it promises at least as much, and for 40 000 files it is a second instead of minutes.
"""

from __future__ import annotations

import errno
import os
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from domain.contracts import Buffer, ObjectStore, Watch
from domain.errors import Refused
from domain.failpoint import failpoint
from domain.restore import RestoreMode, Staged
from storage.archive import layout, published, syscalls
from storage.archive.beneath import NEW_FILE, READ_DIRECTORY, Directories, remove_tree
from storage.archive.finish import Finisher, Warnings
from storage.archive.manifest import Header, Tree, holders
from storage.archive.merge import merge
from storage.archive.pipeline import Channel, Crew
from storage.archive.plan import Plan, Run, split
from storage.archive.published import Opened
from storage.archive.room import check_room
from storage.archive.segment import Opener
from storage.data_key import DataKey

FETCHERS = 2
_OPEN_FILES = 64
MARKER = b".chowned"


@dataclass(frozen=True, slots=True)
class _Fetched:
    run: Run
    data: bytes


def stage(
    store: ObjectStore, found: Opened, target: str, staging: str, mode: RestoreMode, threads: int, watch: Watch
) -> Staged:
    """See the port `Archive`; `found` is the manifest, or what was selected of it."""
    header, tree = found.header, found.tree
    plan = Plan(tree)
    files = int(np.count_nonzero((tree.mode & 0o170000) != 0o040000))
    watch.expect(plan.bytes, files)
    above = os.path.dirname(staging)
    os.makedirs(above, mode=0o700, exist_ok=True)
    parent = os.open(above, READ_DIRECTORY)
    name = os.fsencode(os.path.basename(staging))
    try:
        check_room(parent, plan.bytes, len(tree.names))
        os.mkdir(name, 0o700, dir_fd=parent)
        try:
            failpoint("stage.before-write")
            root = os.open(name, READ_DIRECTORY, dir_fd=parent)
            try:
                # An apps root with setgid would give its group to everything that is made beneath it.
                os.fchown(root, -1, os.getegid())
                os.fchmod(root, 0o700)
                warnings = _Staging(store, header, tree, found.key, plan, root, threads, watch).build(target, mode)
                watch.check()
                syscalls.sync_file_system(root)
                os.fsync(parent)
                inode = os.fstat(root).st_ino
            finally:
                os.close(root)
            failpoint("stage.after-write")
        except BaseException:  # also when interrupted, a half-built tree must not stay; the error goes on
            remove_tree(name, parent)
            raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refused(
                f"no room for snapshot {header.snapshot_id} beside its target: {os.strerror(error.errno)}",
                code="no-room",
                next_step="free space on the target's file system and publish the restore again",
            ) from error
        if error.errno in (errno.EFBIG, errno.EMLINK):
            raise Refused(
                f"the target's file system cannot hold snapshot {header.snapshot_id}: {os.strerror(error.errno)}",
                code="cannot-hold",
                next_step="restore to a file system that takes files of that size, or that many hard links of one",
            ) from error
        raise
    finally:
        os.close(parent)
    return Staged(staging, inode, files, int(tree.size.sum()), warnings)


class _Staging:
    """One tree on its way to disk."""

    def __init__(
        self,
        store: ObjectStore,
        header: Header,
        tree: Tree,
        key: DataKey | None,
        plan: Plan,
        root: int,
        threads: int,
        watch: Watch,
    ) -> None:
        self._store, self._header, self._tree, self._key, self._plan = store, header, tree, key, plan
        self._root, self._threads, self._watch = root, threads, watch
        self._pack_root = layout.pack_root(header.tenant_id)
        self._parents = tree.parent.tolist()
        self._whole = (tree.extents == 1).tolist()
        self._warnings = Warnings()
        self._finisher = Finisher(tree, self._path, self._warnings)

    def build(self, target: str, mode: RestoreMode) -> tuple[str, ...]:
        """Everything but making it durable; the warnings."""
        directories = self._directories()
        try:
            inner = np.nonzero((self._tree.mode & 0o170000) == 0o040000)[0][1:].tolist()
            for row in inner:
                os.mkdir(self._tree.names[row], 0o700, dir_fd=directories.handle(self._parents[row]))
            several = self._prepare_files(directories)
            self._write_files()
            for row in several:
                self._finish_file(row, directories)
            self._make_links(directories)
            if mode is RestoreMode.MERGE:
                merge(target, self._tree, directories, self._watch)
            self._remove_marker()
            for row in [*reversed(inner), 0]:
                self._finisher.apply(directories.handle(row), row)
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
        held = holders(tree.mode, tree.twins)
        single = (tree.extents == 1) & (tree.size > 0)
        single[np.repeat(np.arange(len(single)), tree.extents)[tree.extent_segment == layout.HOLE]] = False
        for row in np.nonzero(held & ~single)[0].tolist():
            self._whole[row] = False
            handle = os.open(tree.names[row], NEW_FILE, 0o600, dir_fd=directories.handle(self._parents[row]))
            try:
                if tree.size[row]:
                    os.ftruncate(handle, int(tree.size[row]))
                    several.append(row)
                else:
                    self._finisher.apply(handle, row)
            finally:
                os.close(handle)
        return several

    def _finish_file(self, row: int, directories: Directories) -> None:
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self._tree.names[row], flags, dir_fd=directories.handle(self._parents[row]))
        try:
            self._finisher.apply(handle, row)
        finally:
            os.close(handle)

    def _write_files(self) -> None:
        runs = iter(self._plan.runs())
        with Crew() as crew:
            wanted: Channel[Run] = crew.channel(FETCHERS)
            fetched: Channel[_Fetched] = crew.channel(FETCHERS)
            for number in range(FETCHERS):
                crew.start(f"fetch-{number}", partial(self._fetch, wanted, fetched), consumes=wanted)
            for number in range(self._threads):
                crew.start(f"write-{number}", partial(self._write, fetched), consumes=fetched)
            for run in runs:
                wanted.put(run, self._watch.check)
            wanted.finish()
            crew.wait("fetch", self._watch.check)
            fetched.finish()
            crew.wait("write", self._watch.check)

    def _fetch(self, wanted: Channel[Run], fetched: Channel[_Fetched]) -> None:
        for run in wanted:
            key = self._pack_root + self._tree.packs[run.pack]
            fetched.put(_Fetched(run, self._store.get(key, run.offset, run.length)))

    def _write(self, fetched: Channel[_Fetched]) -> None:
        writer = _Writer(self._tree, self._parents, self._whole, self._directories(), self._finisher)
        opener = Opener(self._key)
        try:
            for item in fetched:
                for number, stored in split(self._tree, item.run, item.data):
                    plain = opener.open(stored, self._tree.segments[number])
                    self._watch.advance(*writer.write(plain, self._plan.writes(number)))
        finally:
            writer.close()

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
            self._finisher.apply_to_link(names[row], place, row)

    def _remove_marker(self) -> None:
        """The platform's sign that a tree has had its owners set: the restored one has not."""
        try:
            os.unlink(MARKER, dir_fd=self._root)
        except FileNotFoundError:
            return
        except (IsADirectoryError, PermissionError):
            self._warnings.add("kept, as it is a directory and not the platform's marker", published.printable(MARKER))


class _Writer:
    """Writes files from one thread, with some of the big ones kept open."""

    def __init__(
        self, tree: Tree, parents: list[int], whole: list[bool], directories: Directories, finisher: Finisher
    ) -> None:
        self._names, self._parents, self._whole = tree.names, parents, whole
        self._directories, self._finisher = directories, finisher
        self._open: OrderedDict[int, int] = OrderedDict()

    def write(self, plain: Buffer, writes: Iterator[tuple[int, int, int, int]]) -> tuple[int, int]:
        """Put the parts of a segment where they go; bytes and whole files written."""
        view, total, files = memoryview(plain), 0, 0
        above, place = -1, -1
        for row, start, length, offset in writes:
            data = view[start : start + length]
            if self._whole[row]:
                if self._parents[row] != above:  # files of one directory mostly lie together
                    above = self._parents[row]
                    place = self._directories.handle(above)
                handle = os.open(self._names[row], NEW_FILE, 0o600, dir_fd=place)
                try:
                    if (done := os.write(handle, data)) != length:
                        _write_all(handle, data[done:], done)
                    self._finisher.apply(handle, row)
                finally:
                    os.close(handle)
                files += 1
            else:
                above = -1  # opening another file may close the directory in hand
                _write_all(self._big(row), data, offset)
            total += length
        return total, files

    def _big(self, row: int) -> int:
        handle = self._open.get(row)
        if handle is None:
            if len(self._open) >= _OPEN_FILES:
                os.close(self._open.popitem(last=False)[1])
            flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            handle = os.open(self._names[row], flags, dir_fd=self._directories.handle(self._parents[row]))
            self._open[row] = handle
        return handle

    def close(self) -> None:
        """Close everything."""
        while self._open:
            os.close(self._open.popitem()[1])
        self._directories.close()


def _write_all(handle: int, data: memoryview, offset: int) -> None:
    while data:
        done = os.pwrite(handle, data, offset)
        data, offset = data[done:], offset + done
