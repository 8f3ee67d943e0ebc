"""Whether a tree fits before the first byte of it is written.

Apart from staging, so that the rule is one sentence: bytes and inodes must be free, with a reserve left
for whoever else uses the file system.
"""

from __future__ import annotations

import os

from domain.errors import Refused
from storage.archive.layout import GIB

#: Left free: a twentieth of the file system, but never more than 1 GiB.
_PART, _MOST = 20, 1 * GIB


def check_room(directory: str, bytes_needed: int, names_needed: int, keep_free: int | None = None) -> None:
    """Raise Refused(code="no-room") unless the tree fits into the file system of the directory."""
    found = os.statvfs(directory)
    reserve = min(_MOST, found.f_blocks * found.f_frsize // _PART) if keep_free is None else keep_free
    free = found.f_bavail * found.f_frsize
    # Every file wastes half a block on average, and every name needs an inode.
    needed = bytes_needed + names_needed * found.f_frsize // 2 + reserve
    if needed > free:
        raise Refused(
            f"the restored tree needs {needed} bytes with the reserve, {free} are free in {directory}",
            code="no-room",
            next_step=f"free {needed - free} bytes on the file system of {directory} and publish the restore again",
        )
    if found.f_files and names_needed > found.f_favail:
        raise Refused(
            f"the restored tree needs {names_needed} inodes, {found.f_favail} are free in {directory}",
            code="no-room",
            next_step=f"remove files on the file system of {directory} and publish the restore again",
        )


def compared(directory: str, bytes_needed: int, names_needed: int) -> str:
    """What a tree needs and what is free, in words, for when the room went away after it was checked."""
    while not os.path.isdir(directory):  # it may be what there was no room for
        directory = os.path.dirname(directory)
    found = os.statvfs(directory)
    needed = bytes_needed + names_needed * found.f_frsize // 2
    told = f"it needs {needed} bytes and {names_needed} inodes, {found.f_bavail * found.f_frsize} bytes"
    return f"{told} and {found.f_favail} inodes are free now" if found.f_files else f"{told} are free now"
