"""Reading an object that is a file: exactly what was asked for, or why not.

Apart from the store, which is about making objects appear, because here a disk may be ill in one place. What cannot be
read while the disk answers otherwise is damage, as only then a replica is asked and the snapshot is named; a disk that
does not answer at all is weather, and so is everything else.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from domain.errors import Damaged

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
#: A sector that is bad, a block of the file system that is not what was written, a checksum that is wrong.
_ILL = frozenset({errno.EIO, errno.EUCLEAN, errno.EBADMSG})


def read_object(path: str, key: str, offset: int, length: int | None, answers: Callable[[], bool]) -> bytes:
    """Those bytes of the file; to its end without a length. `answers` finds out whether the disk answers otherwise.
    Raises Damaged, or the system's error."""
    try:
        return _read(path, key, offset, length)
    except OSError as error:
        if error.errno not in _ILL or not answers():
            raise
    try:
        return _read(path, key, offset, length)  # once more, as the trouble may have passed before `answers`
    except OSError as error:
        if error.errno not in _ILL:
            raise
        raise Damaged(
            f"object {key} cannot be read, though the disk takes others: {os.strerror(error.errno)}",
            code="object-unreadable",
            next_step="look at the disk's health; a replica or a copy of the store may have the object",
        ) from error


def _read(path: str, key: str, offset: int, length: int | None) -> bytes:
    handle = os.open(path, _READ)
    try:
        size = os.fstat(handle).st_size
        end = size if length is None else offset + length
        if offset > size or end > size:
            raise Damaged(f"object {key} has {size} bytes, {end} were expected", code="object-short")
        return _read_exactly(handle, key, offset, end - offset)
    finally:
        os.close(handle)


def _read_exactly(handle: int, key: str, offset: int, length: int) -> bytes:
    data = os.pread(handle, length, offset)
    if len(data) == length:
        return data
    pieces = [data]
    done = len(data)
    while done < length:
        piece = os.pread(handle, length - done, offset + done)
        if not piece:
            raise Damaged(
                f"object {key} ended at byte {offset + done}, {offset + length} were expected", code="object-short"
            )
        pieces.append(piece)
        done += len(piece)
    return b"".join(pieces)
