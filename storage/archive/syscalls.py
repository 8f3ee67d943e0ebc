"""System calls that Python does not offer: exchanging two names, and syncing one file system.

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
