"""Mount points inside of a directory: what an exchange would take away together with the old tree.

Apart from the exchange because it is the kernel's table that is read, and a name in it is written in its own way.
"""

from __future__ import annotations

import re

_ESCAPED = re.compile(rb"\\([0-7]{3})")


def inside(directory: bytes, mounts: str = "/proc/self/mountinfo") -> list[bytes]:
    """The mount points beneath an absolute path without links, of this process's view; none where there is no table."""
    found = set()
    try:
        with open(mounts, "rb") as lines:
            for line in lines:
                fields = line.split(b" ")
                if len(fields) > 4:
                    found.add(_ESCAPED.sub(lambda digits: bytes([int(digits[1], 8)]), fields[4]))
    except FileNotFoundError:
        return []
    return sorted(path for path in found if path.startswith(directory.rstrip(b"/") + b"/"))
