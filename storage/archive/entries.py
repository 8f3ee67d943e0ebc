"""The table of a tree while it is being read: one growing column per attribute.

Apart from the manifest, which is this table frozen and checked: a walker appends a row per name, and a
million of them must fit into memory, so there are no objects per file. Row 0 is the root; the children
of a directory are neighbours and sorted by name.
"""

from __future__ import annotations

from array import array


class Entries:
    """Columns by name. Times are nanoseconds, sizes bytes; `size`, `ctime`, `inode` are 0 but for files."""

    def __init__(self) -> None:
        self.parent = array("i")
        self.name: list[bytes] = []
        self.mode = array("I")
        self.uid = array("I")
        self.gid = array("I")
        self.mtime = array("q")
        self.size = array("q")
        self.ctime = array("q")
        self.inode = array("Q")
        self.link: dict[int, bytes] = {}  # symbolic links: where they point
        self.twin: dict[int, int] = {}  # further names of a file: the row of the first
        self.attributes: dict[int, bytes] = {}  # encoded extended attributes
        self.skipped: list[bytes] = []  # paths that are not in the snapshot
        self.sockets: list[bytes] = []  # nor are these, but nothing is lost with them
        self.unstable: list[bytes] = []  # paths whose content kept changing

    def __len__(self) -> int:
        return len(self.name)

    def path(self, row: int) -> bytes:
        """Relative to the root, with `/`; empty for the root."""
        parts = []
        while row > 0:
            parts.append(self.name[row])
            row = self.parent[row]
        return b"/".join(reversed(parts))
