"""The tree that a chain of tar archives describes: what a careful `tar -x` of one after the other would leave.

Apart from reading them, because here it is decided what a member may do. Nothing is written anywhere: names are keys
of dictionaries, so no member can reach what is outside. What no honest archive holds is refused as a whole; devices,
sockets and FIFOs are left out and listed, as in a live tree.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field

from domain.errors import Refused
from storage.archive.entries import Entries
from storage.archive.exclusion import OWN_PREFIX
from storage.archive.layout import DEPTH_LIMIT, LINK_LIMIT, NAME_LIMIT

#: More entries than any application has, and few enough to hold in memory.
MOST_ENTRIES = 1_000_000


@dataclass(slots=True, eq=False)
class Node:
    """An entry; a file of several names is one node under all of them."""

    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    size: int = 0
    content: int = -1  # which of the files that were read
    link: bytes = b""
    attributes: bytes = b""
    children: dict[bytes, Node] = field(default_factory=dict)
    listed: frozenset[bytes] = frozenset()  # what an incremental archive says is in the directory

    @property
    def is_directory(self) -> bool:
        return stat.S_ISDIR(self.mode)


def hostile(what: str) -> Refused:
    """The archive is not one to be trusted with anything."""
    return Refused(f"the archive {what}", code="hostile-archive", next_step="look at it with `tar -tv`; who made it?")


class TarTree:
    """The state after the members so far."""

    def __init__(self, strip: int, mtime: int) -> None:
        """`strip` leading components of each name are dropped; `mtime` is of directories that no archive describes."""
        self._strip, self._mtime = strip, mtime
        self.root = Node(stat.S_IFDIR | 0o755, mtime=mtime)
        self.skipped: dict[bytes, None] = {}  # as a set that keeps its order
        self._made = 0

    def parts(self, name: bytes, *, directory: bool = False) -> list[bytes] | None:
        """The components of a member's name beneath the root; None when nothing is left of it."""
        if name.startswith(b"/"):
            raise hostile(f"has the absolute name {name[:80]!r}")
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if b".." in parts:
            raise hostile(f"has a name that leads upwards: {name[:80]!r}")
        if any(len(part) > NAME_LIMIT or b"\0" in part for part in parts) or len(parts) > DEPTH_LIMIT:
            raise hostile(f"has a name that no file can have: {name[:80]!r}")
        if len(parts) < self._strip or (len(parts) == self._strip > 0 and not directory):
            return None
        return parts[self._strip :]

    def find(self, parts: list[bytes]) -> Node | None:
        """The entry of that name, never through a link."""
        node: Node | None = self.root
        for part in parts:
            node = node.children.get(part) if node is not None else None
        return node

    def put(self, parts: list[bytes], node: Node) -> None:
        """Make it the entry of that name, in place of a former one."""
        if not parts:
            if not node.is_directory:
                raise hostile("replaces the root by something that is no directory")
            node.children = self.root.children
            self.root = node
            return
        if parts[0].startswith(OWN_PREFIX):
            self.skip(parts)
            return
        above, name = self._directory(parts[:-1]), parts[-1]
        former = above.children.get(name)
        if former is not None and former.is_directory:
            if node.is_directory:
                node.children = former.children
            elif former.children:
                raise hostile(f"puts something else in the place of the directory {b'/'.join(parts)[:80]!r}")
        if former is None:
            self._count()
        above.children[name] = node

    def skip(self, parts: list[bytes]) -> None:
        """It is left out, and said."""
        self._count()
        self.skipped[b"/".join(parts)] = None

    def _directory(self, parts: list[bytes]) -> Node:
        node = self.root
        for part in parts:
            child = node.children.get(part)
            if child is None:
                self._count()
                child = node.children[part] = Node(stat.S_IFDIR | 0o755, mtime=self._mtime)
            if not child.is_directory:
                raise hostile(f"has entries beneath {b'/'.join(parts)[:80]!r}, which is no directory")
            node = child
        return node

    def _count(self) -> None:
        self._made += 1
        if self._made > MOST_ENTRIES:
            raise hostile(f"has more than {MOST_ENTRIES} entries")

    # ------------------------------------------------------------ GNU tar's incremental archives
    def listed(self, parts: list[bytes], listing: bytes) -> None:
        """Apply what an incremental archive says of a directory: renames, and which names it has. The format is GNU
        tar's "dumpdir": one letter and a name, NUL after each; see "Dumpdir" in its manual."""
        records = [record for record in listing.split(b"\0") if record]
        self._rename(records)
        directory = self.find(parts)
        if directory is None:
            return
        kinds = {record[1:]: record[:1] for record in records if record[:1] in b"YND"}
        for name, child in list(directory.children.items()):
            kind = kinds.get(name)
            if kind is None or (kind == b"D") != child.is_directory:
                del directory.children[name]
        directory.listed = frozenset(kinds)

    def _rename(self, records: list[bytes]) -> None:
        held: Node | None = None  # what is out of the way for a moment, when names are exchanged
        former = b""
        for record in records:
            letter, name = record[:1], record[1:]
            if letter == b"R":
                former = name
            elif letter == b"T":
                if former:
                    moved = self._take(former)
                else:
                    moved, held = held, None  # nothing is ever in two places, or in itself
                if not name:
                    held = moved
                elif moved is not None and (parts := self.parts(name)):
                    self._move(moved, parts)

    def _move(self, node: Node, parts: list[bytes]) -> None:
        if parts[0].startswith(OWN_PREFIX):
            self.skip(parts)
        else:
            self._directory(parts[:-1]).children[parts[-1]] = node

    def _take(self, name: bytes) -> Node | None:
        parts = self.parts(name)
        above = self.find(parts[:-1]) if parts else None
        return above.children.pop(parts[-1], None) if above is not None and parts else None

    # ------------------------------------------------------------ what comes of it
    def emit(self, entries: Entries) -> dict[int, int]:
        """Append all entries in the manifest's order; the row of each content that is still there. What a directory
        should hold by the last listing of it, and what no archive of the chain had, counts as skipped."""
        rows: dict[int, int] = {}
        firsts: dict[int, int] = {}
        _append(entries, 0, b"", self.root)
        pending = [(self.root, 0, 0)]
        while pending:
            node, row, depth = pending.pop()
            if depth > DEPTH_LIMIT:
                raise hostile(f"moves directories to more than {DEPTH_LIMIT} levels beneath the root")
            if missing := node.listed - node.children.keys():
                path = entries.path(row)
                for name in sorted(missing):
                    self.skipped[path + b"/" + name if path else name] = None
            inside = []
            for name, child in sorted(node.children.items()):
                there = _append(entries, row, name, child)
                if child.is_directory:
                    inside.append((child, there, depth + 1))
                elif child.link:
                    entries.link[there] = child.link
                elif (first := firsts.setdefault(id(child), there)) != there:
                    entries.twin[there] = first
                else:
                    entries.size[there] = child.size
                    rows[child.content] = there
            pending.extend(reversed(inside))
        return rows


def _append(entries: Entries, parent: int, name: bytes, node: Node) -> int:
    entries.parent.append(parent)
    entries.name.append(name)
    entries.mode.append(node.mode)
    entries.uid.append(node.uid)
    entries.gid.append(node.gid)
    entries.mtime.append(node.mtime)
    for column in (entries.size, entries.ctime, entries.inode):
        column.append(0)
    row = len(entries.name) - 1
    if node.attributes:
        entries.attributes[row] = node.attributes
    return row


def check_link(target: bytes) -> bytes:
    """A symbolic link may point anywhere: it is only ever made, never followed."""
    if not 0 < len(target) <= LINK_LIMIT or b"\0" in target:
        raise hostile("has a symbolic link without a possible target")
    return target
