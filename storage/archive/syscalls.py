"""System calls that Python does not offer: exchanging two names, syncing one file system, beginning to write back,
and the marks that forbid removing a file, which are no mode.

Apart from their callers, so that ctypes has one home and importing it loads nothing. Errors come as
OSError with errno, as from `os`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from functools import cache

RENAME_NOREPLACE = 1
RENAME_EXCHANGE = 2
_HERE = -100  # AT_FDCWD
_START = 2  # SYNC_FILE_RANGE_WRITE
_GET_FLAGS, _SET_FLAGS = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS, FS_IOC_SETFLAGS
_KEPT_AS_IT_IS = 0x30  # append only, immutable
_NO_FLAGS = frozenset({errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EPERM, errno.EACCES})


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


def release(handle: int) -> int:
    """Let the open file or directory be changed and removed although it is marked immutable or append-only (chattr
    +i, +a); the flags to give to `seal`, 0 when it has neither mark, or when taking it away is not ours to do."""
    try:
        flags = int(struct.unpack("I", fcntl.ioctl(handle, _GET_FLAGS, bytes(4)))[0])
        if flags & _KEPT_AS_IT_IS:
            fcntl.ioctl(handle, _SET_FLAGS, struct.pack("I", flags & ~_KEPT_AS_IT_IS))
    except OSError as error:
        if error.errno not in _NO_FLAGS:
            raise
        return 0
    return flags if flags & _KEPT_AS_IT_IS else 0


def seal(handle: int, flags: int) -> None:
    """Give the marks back that `release` took away."""
    fcntl.ioctl(handle, _SET_FLAGS, struct.pack("I", flags))
