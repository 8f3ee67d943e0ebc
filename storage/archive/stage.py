"""Building a snapshot's tree beside the live one, every byte verified, durable when it returns.

Apart from the swap, because until that nothing live is touched. What an earlier attempt of the same operation left is
taken up; what the live tree still has is copied from there, checked, so that only the rest is fetched. When the world
says "not now", or this process is stopped or killed, what is staged stays for the next attempt; whatever else fails
removes it. One `syncfs` at the end instead of an fsync per file: it returns when all data and metadata of that file
system are on disk and reports write errors (Linux 5.8), so it promises at least as much, and for 40 000 files it is a
second instead of minutes. The disk begins with big files while the rest is still being written.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from domain.contracts import ObjectStore, Watch
from domain.errors import LeaseLost, Refused, ShuttingDown, Weather
from domain.failpoint import failpoint
from domain.restore import RestoreMode, Staged
from storage.archive import layout, syscalls
from storage.archive.beneath import READ_DIRECTORY
from storage.archive.build import Building
from storage.archive.cache import Cache
from storage.archive.leftover import Place
from storage.archive.manifest import Header
from storage.archive.marks import Marks
from storage.archive.offers import look
from storage.archive.published import Indexes, Opened
from storage.archive.room import check_room, compared


@dataclass(frozen=True, slots=True)
class Order:
    """What to stage where. `store`, `cache_dir` and `threads` are the archive's."""

    store: ObjectStore
    cache_dir: str | None
    threads: int
    found: Opened  # the manifest, or what was selected of it
    manifest_key: str
    target: str
    staging: str
    mode: RestoreMode
    verify: bool  # read the tree again
    keep_free: int | None = None  # bytes that stay free beside the target; None: a part of the file system


def stage(order: Order, watch: Watch) -> Staged:
    """See the port `Archive`."""
    header, tree = order.found.header, order.found.tree
    needed = int(tree.extent_length[tree.extent_segment != layout.HOLE].sum())
    files = int(np.count_nonzero((tree.mode & 0o170000) != 0o040000))
    watch.expect(needed, files)
    above = os.path.dirname(order.staging)
    with _told_apart(header, above, needed, len(tree.names)), _opened(above) as parent:
        built_from = f"{order.manifest_key}|{header.root_digest}"
        place = Place(parent, os.fsencode(os.path.basename(order.staging)), built_from)
        with _kept_or_removed(place):
            place.take_up()
            marks = Marks(len(tree.extent_segment)) if order.verify else None
            with _live(order.target) as live:
                sources = [look(tree, root, ours=True) for root in place.left]
                sources += [look(tree, root, ours=False) for root in live]
                room = max(0, needed - sum(source.room for source in sources))
                check_room(above, room, len(tree.names), order.keep_free)
                root = place.begin()
                failpoint("stage.before-write")
                building = Building(order.store, order.found, root, order.threads, watch, marks)
                building.take(sources, _indexes(order))
            place.drop_left()
            warnings = building.build(order.target, order.mode)
            watch.check()
            syscalls.sync_file_system(root)
            os.fsync(parent)
            if order.verify:
                warnings += building.reread()
            inode = os.fstat(root).st_ino
            failpoint("stage.after-write")
    return Staged(
        order.staging,
        inode,
        files,
        int(tree.size.sum()),
        warnings,
        fetched=building.fetched,
        reused=building.reused,
        kept=building.kept,
    )


def _indexes(order: Order) -> Indexes:
    header = order.found.header
    cache = Cache(order.cache_dir, header.tenant_id, header.service_id)
    return Indexes(order.store, layout.pack_root(header.tenant_id), cache, order.found.key)


@contextlib.contextmanager
def _opened(folder: str) -> Iterator[int]:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    handle = os.open(folder, READ_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _live(target: str) -> Iterator[list[int]]:
    """The live tree's open root, if there is one that can be read."""
    try:
        handle = os.open(target, READ_DIRECTORY)
    except OSError:
        yield []
        return
    try:
        yield [handle]
    finally:
        os.close(handle)


@contextlib.contextmanager
def _kept_or_removed(place: Place) -> Iterator[None]:
    """Keep what is staged for whoever takes the operation up again, else remove it."""
    try:
        yield
    except (Weather, ShuttingDown, LeaseLost):
        raise
    except BaseException:  # also when interrupted, a half-built tree must not stay; the error goes on
        place.remove()
        raise
    finally:
        place.close()


@contextlib.contextmanager
def _told_apart(header: Header, above: str, needed: int, names: int) -> Iterator[None]:
    """Say what a file system that cannot take the tree means, after what was staged is gone."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Refused(
                f"no room for snapshot {header.snapshot_id} in {above}: {os.strerror(error.errno)}; "
                + compared(above, needed, names),
                code="no-room",
                next_step=f"free space on the file system of {above}, bytes and inodes, and publish the restore again",
            ) from error
        if error.errno in (errno.EFBIG, errno.EMLINK):
            raise Refused(
                f"the target's file system cannot hold snapshot {header.snapshot_id}: {os.strerror(error.errno)}",
                code="cannot-hold",
                next_step="restore to a file system that takes files of that size, or that many hard links of one",
            ) from error
        raise
