"""Archives of others, in folders or buckets that this node's configuration names.

Apart from the store of snapshots because nothing is ever written here, and because others write: a message may name a
place that is open to its tenant, and never an address; in a folder no link is followed, and an archive that is
replaced while it is read stays the one that was opened.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from domain.contracts import ObjectInfo, ObjectStore
from domain.errors import Refused, StoreUnavailable
from domain.place import PlaceSettings
from storage.object_keys import check_foreign_key
from storage.store import open_store

#: Bytes fetched at once.
_PIECE = 8 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_NOT_THERE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
_DENIED = frozenset({errno.EACCES, errno.EPERM})


class NodePlaces:
    """See the port `Places`."""

    def __init__(self, known: Mapping[str, PlaceSettings]) -> None:
        """Places by name."""
        self._known = known

    def open(self, place: str, key: str, tenant_id: str) -> BinaryIO:
        """See the port."""
        settings = self._known.get(place)
        if settings is None or not settings.is_open_to(tenant_id):
            raise _unknown(place, tenant_id)  # the same for both: nobody learns what there is for others
        check_foreign_key(key)
        parsed = urllib.parse.urlsplit(settings.url)
        if parsed.scheme == "file":
            self._store(settings)  # refuses a url that is none
            return io.BufferedReader(_File(_opened(urllib.parse.unquote(parsed.path), place, key)), _PIECE)
        store = self._store(settings)
        size = store.size(key)
        if size is None:
            raise _missing(place, key)
        return io.BufferedReader(_Object(store, key, size), _PIECE)

    def list(self, place: str) -> Iterator[ObjectInfo]:
        """See the port."""
        if place not in self._known:
            raise _unknown(place, "")
        return self._store(self._known[place]).list("")

    @staticmethod
    def _store(settings: PlaceSettings) -> ObjectStore:
        return open_store(settings.url, check_foreign_key)


def _unknown(place: str, tenant_id: str) -> Refused:
    whose = f" for tenant {tenant_id}" if tenant_id else ""
    return Refused(
        f"this node knows no place {place}{whose}",
        code="unknown-place",
        next_step=f"put a table [places.{place}] with its url and tenants into this node's configuration",
    )


def _missing(place: str, key: str) -> Refused:
    return Refused(
        f"there is no {key!r} in {place}",
        code="archive-not-found",
        next_step=f"`backstay snapshots import-list {place}` shows what there is",
    )


def _opened(root: str, place: str, key: str) -> int:
    """The file, reached from the root without following a link."""
    *folders, name = os.fsencode(key).split(b"/")
    try:
        above = os.open(root, _FOLDER)
        try:
            for folder in folders:
                inside = os.open(folder, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
                os.close(above)
                above = inside
            handle = os.open(name, _FILE, dir_fd=above)
        finally:
            os.close(above)
    except OSError as error:
        if error.errno in _NOT_THERE:
            raise _missing(place, key) from None
        raise _trouble(key, error) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _missing(place, key)
    return handle


def _trouble(key: str, error: OSError) -> Refused | StoreUnavailable:
    sentence = f"{key!r} cannot be read: {os.strerror(error.errno or 0)}"
    if error.errno in _DENIED:
        return Refused(sentence, code="store-denied", next_step="give the worker's user the right to read it")
    return StoreUnavailable(sentence)


class _File(io.RawIOBase):
    """An open file, read from its beginning to its end."""

    def __init__(self, handle: int) -> None:
        super().__init__()
        self._handle = handle

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return os.readv(self._handle, [buffer])
        except OSError as error:
            raise _trouble("the archive", error) from error

    def close(self) -> None:
        if not self.closed:
            os.close(self._handle)
        super().close()


class _Object(io.RawIOBase):
    """One object, read from its beginning to its end."""

    def __init__(self, store: ObjectStore, key: str, size: int) -> None:
        super().__init__()
        self._store, self._key, self._size = store, key, size
        self._position = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._size - self._position)
        if wanted == 0:
            return 0
        buffer[:wanted] = self._store.get(self._key, self._position, wanted)
        self._position += wanted
        return wanted
