"""Extended attributes that a snapshot keeps: `user.*` and POSIX access control lists.

Apart from walking and restoring, which both need the encoding. Attributes in `security.` and `trusted.`
are left out on purpose: they carry privileges (file capabilities, labels of this machine's policy) that
a restored tree must not bring with it.

    per attribute: u8 n, n bytes name, u32 length, value; sorted by name
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable

from domain.errors import Damaged

_ACLS = frozenset({"system.posix_acl_access", "system.posix_acl_default"})
_ABSENT = frozenset({errno.ENOTSUP, errno.ENODATA, errno.EPERM, errno.EACCES, errno.ERANGE})
#: The kernel's own limits are 255 bytes for a name and 64 KiB for a value.
VALUE_LIMIT = 65536


def read(handle: int) -> bytes:
    """Encode what the open file or directory has; empty when it has none (nearly always)."""
    try:
        names = os.listxattr(handle)
    except OSError as error:
        if error.errno in _ABSENT:
            return b""
        raise
    parts = []
    for name in sorted(names):
        if is_kept(name):
            try:
                value = os.getxattr(handle, name)
            except OSError as error:
                if error.errno in _ABSENT:
                    continue  # removed since it was listed
                raise
            parts.append(_encoded(os.fsencode(name), value))
    return b"".join(parts)


def is_kept(name: str) -> bool:
    """Whether a snapshot keeps attributes of that name."""
    return name in _ACLS or name.startswith("user.")


def encode(pairs: Iterable[tuple[str, bytes]]) -> bytes:
    """The same for attributes that no file of this node has."""
    return b"".join(_encoded(os.fsencode(name), value) for name, value in sorted(pairs))


def _encoded(name: bytes, value: bytes) -> bytes:
    return struct.pack("<B", len(name)) + name + struct.pack("<I", len(value)) + value


def parse(encoded: bytes) -> list[tuple[bytes, bytes]]:
    """Names and values. Raises Damaged, also for a name that `read` would not have kept."""
    found, position = [], 0
    while position < len(encoded):
        end = position + 1 + encoded[position]
        name = encoded[position + 1 : end]
        length = int.from_bytes(encoded[end : end + 4], "little")
        value = encoded[end + 4 : end + 4 + length]
        position = end + 4 + length
        text = name.decode("utf-8", "replace")
        known = text in _ACLS or (text.startswith("user.") and b"\0" not in name)
        if position > len(encoded) or length > VALUE_LIMIT or not known:
            raise Damaged(f"a manifest holds the extended attribute {text[:60]!r}, which no writer keeps")
        found.append((name, value))
    return found


def forget_lists(handle: int) -> None:
    """Take away the access lists that an open directory was given by the one in which it was made."""
    for name in _ACLS:
        try:
            os.removexattr(handle, name)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise


def apply(handle: int, encoded: bytes) -> bool:
    """Set them on an open file or directory; False when the file system or our rights do not allow it."""
    for name, value in parse(encoded):
        try:
            os.setxattr(handle, name, value)
        except OSError as error:
            if error.errno in (errno.ENOTSUP, errno.EPERM, errno.EACCES, errno.ENOSPC, errno.EINVAL):
                return False
            raise
    return True
