"""The live directories of a node, and the one step in which a staged tree takes a live one's place.

Apart from staging, because this is the only code that touches what a service runs on. The swap is one
`renameat2`: the target is always the whole old tree or the whole new one. It is recognised by the staged
root's inode, which a rename does not change, so doing it twice does it once. A tree that was turned back is set
aside, so that a worker that was frozen before its swap does not do it after the way back.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import stat
from collections.abc import Iterator

from domain.errors import LeaseLost, PathEscape, Refused, StoreUnavailable
from domain.failpoint import failpoint
from domain.service import relative_directory
from storage.archive import leftover, mounts, published, syscalls
from storage.archive.beneath import READ_DIRECTORY, remove_tree
from storage.flock import holder_of

FOLDER = ".backstay"
_TREE = "tree"
_OPERATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}\Z")


class AppsRoot:
    """The port `Trees` over one directory."""

    def __init__(self, apps_root: str) -> None:
        self._root = os.path.realpath(apps_root)
        self._staging = os.path.join(self._root, FOLDER)

    def resolve(self, directory: str) -> str:
        """See the port."""
        clean = relative_directory(directory)
        path = self._root
        for part in clean.split("/"):
            path = os.path.join(path, part)
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                break
            if not stat.S_ISDIR(mode):
                kind = "a symbolic link" if stat.S_ISLNK(mode) else "not a directory"
                raise PathEscape(f"directory {clean[:120]!r}: {part[:80]!r} is {kind}")
        return os.path.join(self._root, clean)

    def staging_path(self, op_id: str, target: str) -> str:
        """See the port."""
        return os.path.join(self._staging, self._name(op_id), _tree_name(target))

    def check_exchange(self, target: str) -> None:
        """See the port."""
        existing = target
        while not os.path.lexists(existing):
            existing = os.path.dirname(existing)
        if (os.path.ismount(existing) and existing != self._root) or _device(existing) != _device(self._root):
            raise Refused(
                f"{existing} is a mount point or on another file system than {self._root}, so a restored tree "
                "cannot take its place in one step",
                code="mount-point",
                next_step="let the service's directory be a plain directory on the file system of the apps root",
            )
        _refuse_without_rights(existing, exchanged=existing == target)
        _refuse_mounts_inside(target)

    def is_absent(self, path: str) -> bool:
        """See the port."""
        return not os.path.lexists(path)

    def is_empty(self, path: str) -> bool:
        """See the port."""
        try:
            with os.scandir(path) as found:
                return next(iter(found), None) is None
        except FileNotFoundError:
            return True

    def swap(self, staging: str, target: str, inode: int, *, into_empty: bool = False) -> bool:
        """See the port."""
        failpoint("trees.before-swap")
        with self._alone():
            if _inode(target) == inode:
                self._sync(staging, target)  # whoever did it may not have reached this
                return False
            if _inode(staging) != inode:
                if leftover.is_turned_back(staging, inode):
                    raise LeaseLost(f"whoever holds the operation now has turned back the tree for {target}")
                raise Refused(
                    f"the tree that was staged for {target} is gone",
                    code="staged-tree-gone",
                    next_step="publish the restore again",
                )
            self.resolve(os.path.relpath(target, self._root))  # no link has come into the path since
            _refuse_mounts_inside(target)  # nor a mount into the tree
            if into_empty and not self.is_empty(target):
                raise Refused(f"{target} is not empty any more", code="target-not-empty", next_step="empty it")
            _make_parents(target, self._root)
            leftover.forget(staging)
            _exchange_or_move(staging, target)
            self._sync(staging, target)
        failpoint("trees.after-swap")
        return True

    def swap_back(self, staging: str, target: str, inode: int, *, existed: bool) -> bool:
        """See the port. Raises Refused: `old-tree-gone` rather than leave nothing live, and `mount-inside`."""
        failpoint("trees.before-swap-back")
        with self._alone():
            swapped = _inode(target) == inode
            if swapped:
                if existed and _inode(staging) is None:
                    raise Refused(f"the tree that was at {target} before is gone", code="old-tree-gone")
                _refuse_mounts_inside(target)
                os.makedirs(os.path.dirname(staging), mode=0o700, exist_ok=True)
                _exchange_or_move(target, staging)
            leftover.turn_back(staging, inode)  # also what was never swapped: somebody may be about to
            self._sync(staging, target)
        if swapped:
            failpoint("trees.after-swap-back")
        return swapped

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One exchange at a time on this node: looking at the inode and exchanging must be one act, or a
        worker that was paused between the two would undo what its successor did."""
        os.makedirs(self._staging, mode=0o700, exist_ok=True)
        handle = os.open(self._staging, READ_DIRECTORY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                who = holder_of(self._staging) or "a process that cannot be seen from here"
                raise StoreUnavailable(f"{who} is exchanging trees on this node", code="busy") from None
            yield
        finally:
            os.close(handle)

    def discard(self, op_id: str) -> None:
        """See the port."""
        name = self._name(op_id)
        try:
            staging = os.open(self._staging, READ_DIRECTORY)
        except FileNotFoundError:
            return
        try:
            failpoint("trees.before-discard")
            _remove(name, staging)
            failpoint("trees.after-discard")
        finally:
            os.close(staging)

    def staged_operations(self) -> list[str]:
        """See the port."""
        try:
            return sorted(os.listdir(self._staging))
        except FileNotFoundError:
            return []

    def _sync(self, staging: str, target: str) -> None:
        for folder in {os.path.dirname(staging), os.path.dirname(target)}:
            try:
                _fsync(folder)
            except FileNotFoundError:
                continue  # discarded, or never made: there is nothing in it to keep

    @staticmethod
    def _name(op_id: str) -> str:
        if not _OPERATION.match(op_id):
            raise PathEscape(f"{op_id[:80]!r} cannot be the id of an operation")
        return op_id


def _remove(name: str, staging: int) -> None:
    try:
        remove_tree(os.fsencode(name), staging)
    except OSError as error:
        # The sweeper and a worker's own clean-up may meet: whoever is left finishes, and the sweeper looks again.
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise


def _tree_name(target: str) -> str:
    """One operation may move the data of several services: each has a staging place of its own."""
    return f"{_TREE}-{hashlib.sha256(target.encode()).hexdigest()[:12]}"


def _exchange_or_move(source: str, target: str) -> None:
    """Exchange the two; move when there is no target. Neither ever replaces anything."""
    try:
        try:
            syscalls.rename(source, target, syscalls.RENAME_EXCHANGE)
        except FileNotFoundError:
            syscalls.rename(source, target, syscalls.RENAME_NOREPLACE)
    except OSError as error:
        if error.errno in (errno.EBUSY, errno.EXDEV):
            raise Refused(
                f"{target} cannot be exchanged: it is a mount point, or on another file system",
                code="mount-point",
                next_step="let the service's directory be a plain directory on the file system of the apps root",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM):
            raise _no_rights(target) from error
        if error.errno in (errno.EINVAL, errno.ENOSYS):
            raise Refused(
                f"the file system of {target} cannot exchange two directories in one step",
                code="no-exchange",
                next_step="use ext4, xfs, btrfs, f2fs or tmpfs for the apps root",
            ) from error
        raise


def _refuse_without_rights(existing: str, *, exchanged: bool) -> None:
    """Moving a directory needs the right to write to it, because its ".." changes, and to the one that names it."""
    needed = [existing, os.path.dirname(existing)] if exchanged else [existing]
    if not all(os.access(path, os.W_OK | os.X_OK, effective_ids=True) for path in needed):
        raise _no_rights(existing)


def _no_rights(path: str) -> Refused:
    return Refused(
        f"this worker may not put another directory in the place of {path}: it needs the right to write to it and to "
        "the directory that it is in, and neither may be immutable",
        code="not-permitted",
        next_step="run the worker as root, or as the owner of the directory; then publish the command again",
    )


def _refuse_mounts_inside(target: str) -> None:
    """What is mounted in a tree would leave with it, and the service would be without it."""
    if found := mounts.inside(os.fsencode(target)):
        raise Refused(
            f"{published.printable(found[0])} is a mount point inside of the service's directory, and would be taken "
            "away together with the tree that is replaced",
            code="mount-inside",
            next_step="stop the service and unmount it, then publish the command again; or restore a copy into another "
            "directory",
        )


def _make_parents(target: str, root: str) -> None:
    """Make what is missing between the apps root and the target, each entry durable."""
    missing = []
    above = os.path.dirname(target)
    while above != root and not os.path.lexists(above):
        missing.append(above)
        above = os.path.dirname(above)
    for path in reversed(missing):
        os.mkdir(path, 0o755)
        _fsync(os.path.dirname(path))


def _inode(path: str) -> int | None:
    try:
        return os.lstat(path).st_ino
    except FileNotFoundError:
        return None


def _device(path: str) -> int:
    return os.lstat(path).st_dev


def _fsync(folder: str) -> None:
    handle = os.open(folder, READ_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
