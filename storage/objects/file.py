"""`file:///absolute/folder`: objects as files of one folder, durable against a power cut.

Apart from `s3`, because here the ordering that makes an object appear whole is ours to keep: temporary
file, write, fsync, rename (or link, to create), fsync of the folder, and of every folder above it that
is new. A failed fsync fails the object: it is never retried, as the kernel may have dropped the pages.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from domain.contracts import Buffer, ObjectInfo, ObjectStore
from domain.errors import ObjectMissing, Refused, StoreUnavailable
from domain.failpoint import failpoint
from storage.backend import Backend
from storage.file_reading import read_object
from storage.object_keys import KeyRule, check_key, check_prefix

#: Inside the root, so on its file system. No key begins with a dot.
TEMPORARY = ".tmp"
_DENIED = frozenset(
    {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG}
)
_FOLDER = os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class FileStore:
    """Objects beneath `root`, which is made (0700) when the first is written."""

    def __init__(self, root: str, rule: KeyRule = check_key) -> None:
        self._root, self._rule = root, rule
        self._mutex = threading.Lock()
        #: Folders whose own entry is known to be on disk. Only ever a saving: losing it costs an fsync.
        self._durable: set[str] = set()

    def put(self, key: str, parts: Iterable[Buffer]) -> None:
        """See the port."""
        path = self._path(key)
        with self._explained("write", key):
            temporary = self._write_temporary(parts)
            failpoint("object.before-put")
            try:
                self._in_folder(path, lambda: os.rename(temporary, path))
            except BaseException:  # also when interrupted, no temporary file stays; the error goes on
                _unlink_if_there(temporary)
                raise
            _fsync_folder(os.path.dirname(path))
        failpoint("object.after-put")

    def put_stream(self, key: str, pieces: Iterable[bytes]) -> None:
        """See the port."""
        self.put(key, pieces)

    def link(self, key: str, seconds: int, name: str) -> str | None:
        """None: a folder has no address."""
        return None

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        """See the port."""
        path = self._path(key)
        with self._explained("create", key):
            temporary = self._write_temporary(parts)
            failpoint("object.before-create")
            try:
                self._in_folder(path, lambda: os.link(temporary, path))
            except FileExistsError:
                # Its writer may not have reached the fsync of the folder, and we are about to rely on it.
                _fsync_folder(os.path.dirname(path))
                return False
            finally:
                _unlink_if_there(temporary)
            _fsync_folder(os.path.dirname(path))
        failpoint("object.after-create")
        return True

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """See the port."""
        with self._explained("read", key):
            return read_object(self._path(key), key, offset, length, self._answers)

    def size(self, key: str) -> int | None:
        """See the port."""
        try:
            with self._explained("look at", key):
                return os.stat(self._path(key), follow_symlinks=False).st_size
        except ObjectMissing:
            return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """See the port."""
        folder = check_prefix(prefix).rpartition("/")[0]
        pending = [folder]
        while pending:
            here = pending.pop()
            with self._explained("list", prefix):
                try:
                    with os.scandir(os.path.join(self._root, here)) as found:
                        entries = [(e.name, e.is_dir(follow_symlinks=False), e) for e in found]
                except FileNotFoundError:
                    continue
            for name, is_folder, entry in entries:
                key = f"{here}/{name}" if here else name
                if name.startswith("."):
                    continue
                if is_folder:
                    if key.startswith(prefix) or prefix.startswith(key + "/"):
                        pending.append(key)
                elif key.startswith(prefix):
                    try:
                        yield ObjectInfo(key, entry.stat(follow_symlinks=False).st_size)
                    except FileNotFoundError:
                        continue  # deleted since the folder was read

    def delete(self, keys: Iterable[str]) -> None:
        """See the port. The folders are fsynced, so a deleted object does not come back."""
        touched: set[str] = set()
        for key in keys:
            path = self._path(key)
            failpoint("object.before-delete")
            with self._explained("delete", key):
                if _unlink_if_there(path):
                    touched.add(os.path.dirname(path))
            failpoint("object.after-delete")
        for folder in touched:
            with self._explained("delete", folder):
                _fsync_folder(folder)

    def sweep(self, older_than_seconds: int) -> int:
        """Remove temporary files, by the file system's own clock; then folders that are old and empty."""
        folder = os.path.join(self._root, TEMPORARY)
        if not os.path.isdir(folder):
            return 0
        removed = 0
        with self._explained("sweep", TEMPORARY):
            handle, probe = self._open_temporary()
            try:
                oldest = os.fstat(handle).st_mtime - older_than_seconds
            finally:
                os.close(handle)
                os.unlink(probe)
            with os.scandir(folder) as found:
                stale = [entry.path for entry in found if entry.stat(follow_symlinks=False).st_mtime <= oldest]
            for path in stale:
                removed += _unlink_if_there(path)
            self._remove_empty_folders(oldest)
        return removed

    @contextmanager
    def _explained(self, doing: str, key: str) -> Iterator[None]:  # the system's errors become those of the port
        try:
            yield
        except FileNotFoundError:
            raise ObjectMissing(f"object {key} is not in the store") from None
        except OSError as error:
            sentence = f"the store folder {self._root} could not {doing} {key}: {os.strerror(error.errno or 0)}"
            if error.errno in _DENIED:
                raise Refused(
                    sentence, code="store-denied", next_step="give the worker's user the store folder, with mode 0700"
                ) from error
            raise StoreUnavailable(
                sentence, next_step=f"make room on the disk of {self._root}, or look at its health"
            ) from error

    def _path(self, key: str) -> str:
        return os.path.join(self._root, self._rule(key))

    def _open_temporary(self) -> tuple[int, str]:
        folder = os.path.join(self._root, TEMPORARY)
        path = os.path.join(folder, secrets.token_hex(16))
        try:
            return os.open(path, _NEW, 0o600), path
        except FileNotFoundError:
            self._make_folders(folder)
            return os.open(path, _NEW, 0o600), path

    def _write_temporary(self, parts: Iterable[Buffer]) -> str:
        """A durable file with the parts in order; its path. Removed again if anything fails."""
        handle, path = self._open_temporary()
        try:
            try:
                for part in parts:
                    rest = memoryview(part).cast("B")
                    while rest:
                        rest = rest[os.write(handle, rest) :]
                os.fsync(handle)
            finally:
                os.close(handle)
        except BaseException:  # also when interrupted, no temporary file stays; the error goes on
            _unlink_if_there(path)
            raise
        return path

    def _answers(self) -> bool:
        """Whether the disk takes bytes, or is full: a look would be answered from memory. Not when it is read-only, as
        that is what a file system becomes whose disk is gone."""
        try:
            os.unlink(self._write_temporary([b"?"]))
        except OSError as error:
            return error.errno in (errno.ENOSPC, errno.EDQUOT)
        return True

    def _in_folder(self, path: str, effect: Callable[[], None]) -> None:
        """Run `effect`, which makes `path` appear, in a folder that is itself durable."""
        folder = os.path.dirname(path)
        self._make_folders(folder)
        try:
            effect()
        except FileNotFoundError:
            # A sweep removed the empty folder in between; what we believed of it no longer holds.
            with self._mutex:
                self._durable.clear()
            self._make_folders(folder)
            effect()

    def _make_folders(self, folder: str) -> None:
        """Make the folder and those above it down from the root, each with its entry on disk."""
        if folder in self._durable:
            return
        missing = [folder]
        while missing[-1] != self._root:
            missing.append(os.path.dirname(missing[-1]))
        while not os.path.isdir(os.path.dirname(missing[-1])):
            missing.append(os.path.dirname(missing[-1]))
        for path in reversed(missing):
            try:
                os.mkdir(path, 0o700)
            except FileExistsError:
                if path in self._durable:
                    continue
            # Also when another process made it: it may not have reached its fsync yet.
            _fsync_folder(os.path.dirname(path))
            with self._mutex:
                self._durable.add(path)

    def _remove_empty_folders(self, oldest: float) -> None:
        for path, _, files in os.walk(self._root, topdown=False):
            if path == self._root or files or os.path.basename(path) == TEMPORARY:
                continue
            try:
                if os.stat(path).st_mtime <= oldest:
                    os.rmdir(path)
                    with self._mutex:
                        self._durable.discard(path)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                    raise


def _fsync_folder(path: str) -> None:
    handle = os.open(path, _FOLDER)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _unlink_if_there(path: str) -> bool:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return False
    return True


def _open(url: str, rule: KeyRule) -> ObjectStore:
    host, _, tail = url.removeprefix("file://").partition("/")
    path = urllib.parse.unquote(f"/{tail}")
    if host or "?" in tail or "#" in tail or os.path.normpath(path) == "/":
        raise Refused(
            "a file store is file:///absolute/folder, with no host and no options",
            code="bad-store-url",
            next_step="use an absolute path and no options",
        )
    return FileStore(os.path.normpath(path), rule)


backend = Backend(open=_open)
