"""System calls that Python does not offer: exchanging two names, syncing one file system, beginning to write back.

Apart from their callers, so that ctypes has one home and importing it loads nothing. Errors come as
OSError with errno, as from `os`.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
_HERE = -100  # AT_FDCWD
_START = 2  # SYNC_FILE_RANGE_WRITE


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def rename(source: str, target: str, flags: int) -> None:
    """renameat2(2): Linux 3.15, and a file system that knows the flag (else EINVAL)."""
    call = _libc().renameat2
    if call(_HERE, os.fsencode(source), _HERE, os.fsencode(target), ctypes.c_uint(flags)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), source, None, target)


def sync_file_system(handle: int) -> None:
    """syncfs(2): everything written to the file system of the open file is on disk when it returns."""
    if _libc().syncfs(handle) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def start_writing_back(handle: int, offset: int, length: int) -> None:
    """sync_file_range(2) with SYNC_FILE_RANGE_WRITE: the disk begins with these bytes now, so that `sync_file_system`
    finds them done. A hint: it promises nothing, and what goes wrong is told by the sync."""
    _libc().sync_file_range(handle, ctypes.c_int64(offset), ctypes.c_int64(length), ctypes.c_uint(_START))
