"""A source that is a block image: a file that holds one, or a block device.

A file is replaced in one step by a complete one. A device is written in place, every byte of it as far as the image
goes, zeros too: what was there before must not show through (and what is beyond the image stays).
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from domain.contracts import Fill, Watch
from domain.errors import Refused, SourceUnavailable
from domain.failpoint import failpoint
from domain.service import Service
from domain.source import SourceKind, SourceSettings
from storage.sources.lock import held
from storage.sources.naming import filled

LEASE_LEFT = 10.0
_PIECE = 4 << 20
#: From linux/fs.h: whether a block device may only be read.
_BLKROGET = 0x125E
_ZEROS = bytes(_PIECE)


class VolumeSource:
    """See the port `Source`."""

    kind = SourceKind.VOLUME

    def __init__(self, settings: SourceSettings, service: Service, directory: str, lock: str) -> None:
        self.name = settings.name
        self._path = filled(settings.path, service, directory)
        self._service, self._lock, self._seconds = service, lock, settings.seconds

    @contextmanager
    def save(self, watch: Watch) -> Iterator[Fill]:
        """See the port."""
        with self._opened(os.O_RDONLY) as handle:
            before = os.fstat(handle)
            position = 0

            def fill(view: memoryview) -> int:
                nonlocal position
                done = 0
                while done < len(view):
                    watch.check()
                    found = os.preadv(handle, (view[done:],), position)
                    if not found:
                        break
                    done, position = done + found, position + found
                return done

            yield fill
            after = os.fstat(handle)
            if stat.S_ISREG(after.st_mode) and (after.st_mtime_ns, after.st_size) != (before.st_mtime_ns, position):
                raise SourceUnavailable(
                    f"{self._about()} changed while it was read: a hook before_snapshot should make it rest"
                )

    def prepare(self, size: int) -> None:
        """See the port."""
        try:
            status = os.stat(self._path)
        except FileNotFoundError:
            if os.path.isdir(os.path.dirname(self._path)):
                return
            raise self._refused("is in a folder that does not exist", "source-not-restorable") from None
        if stat.S_ISBLK(status.st_mode):
            with self._opened(os.O_RDONLY) as handle:
                room = os.lseek(handle, 0, os.SEEK_END)
                read_only = bytearray(4)
                fcntl.ioctl(handle, _BLKROGET, read_only)
            if any(read_only):
                raise self._refused("is read-only", "source-not-restorable")
            if room < size:
                raise self._refused(f"has {room} bytes, the image has {size}", "volume-too-small")
        elif not stat.S_ISREG(status.st_mode):
            raise self._refused("is neither a file nor a block device", "source-not-restorable")

    def restore(self, path: str, watch: Watch) -> None:
        """See the port."""

        def check() -> None:
            watch.keep(LEASE_LEFT)

        with held(self._lock, self._seconds, check), open(path, "rb") as saved:
            image = saved.fileno()
            failpoint("source.before-restore")
            if os.path.exists(self._path) and stat.S_ISBLK(os.stat(self._path).st_mode):
                # The kernel refuses O_EXCL for a device that is mounted.
                with self._opened(os.O_WRONLY | os.O_EXCL) as device:
                    self._overwrite(image, device, watch)
            else:
                self._replace(image, watch)
            failpoint("source.after-restore")

    def _overwrite(self, image: int, device: int, watch: Watch) -> None:
        try:
            overwrite(image, device, watch)
        except OSError as error:
            # A part of it is written: never "nothing changed"; it is tried again, and at last a person is asked for.
            raise SourceUnavailable(f"{self._about()} cannot be written: {error.strerror}") from error

    def _replace(self, image: int, watch: Watch) -> None:
        fresh = f"{self._path}.backstay-new"
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            target = os.open(fresh, flags, 0o600)
            try:
                copy_sparse(image, target, watch)
                if os.path.exists(self._path):
                    former = os.stat(self._path)
                    os.fchown(target, former.st_uid, former.st_gid)
                    os.fchmod(target, stat.S_IMODE(former.st_mode))
                os.fsync(target)
            finally:
                os.close(target)
            os.replace(fresh, self._path)
        except OSError as error:
            if os.path.exists(fresh):
                os.unlink(fresh)
            raise self._refused(f"cannot be replaced: {error.strerror}", "source-failed") from error
        folder = os.open(os.path.dirname(self._path), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        try:
            handle = os.open(self._path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            what = "is in use" if error.errno == errno.EBUSY else f"cannot be opened: {error.strerror}"
            raise self._refused(what, "source-failed") from error
        try:
            if not (stat.S_ISREG(mode := os.fstat(handle).st_mode) or stat.S_ISBLK(mode)):
                raise self._refused("is neither a file nor a block device", "source-failed")
            yield handle
        finally:
            os.close(handle)

    def _about(self) -> str:
        return f"volume {self.name} of service {self._service.service_id}"

    def _refused(self, what: str, code: str) -> Refused:
        return Refused(
            f"{self._about()} {what}", code=code, next_step="correct the node's configuration, or what it names"
        )


def copy_sparse(image: int, target: int, watch: Watch) -> None:
    """Copy a file to an empty one, holes left out."""
    size = os.fstat(image).st_size
    os.ftruncate(target, size)
    for start, end in _data(image, size):
        _copy(image, target, start, end, watch)


def overwrite(image: int, target: int, watch: Watch) -> None:
    """Copy a file over what is there, its holes as zeros."""
    done, size = 0, os.fstat(image).st_size
    for start, end in [*_data(image, size), (size, size)]:
        while done < start:
            watch.keep(LEASE_LEFT)
            done += os.pwrite(target, _ZEROS[: min(_PIECE, start - done)], done)
        _copy(image, target, start, end, watch)
        done = end
    os.fsync(target)


def _copy(image: int, target: int, start: int, end: int, watch: Watch) -> None:
    while start < end:
        watch.keep(LEASE_LEFT)
        data = memoryview(os.pread(image, min(_PIECE, end - start), start))
        while data:
            done = os.pwrite(target, data, start)
            start, data = start + done, data[done:]


def _data(image: int, size: int) -> Iterator[tuple[int, int]]:
    """Where the file has bytes that are not holes."""
    position = 0
    while position < size:
        try:
            start = os.lseek(image, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return
        position = os.lseek(image, start, os.SEEK_HOLE)
        yield start, position
