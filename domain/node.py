"""The life of nodes: what one says of itself, how it stands, and what may be done about it.

Apart from the operations, because a node is never needed to end one: it is where directories are. Pure, so
that the command line, the API and the console decide alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any

from domain.errors import NotFound, Refused

#: Milliseconds without a beat after which a node counts as away; it beats every five seconds.
AWAY_MS = 60_000
#: In a node's slots: of all kinds together.
ALL_KINDS = "all"
#: A node without slots is limited by its threads alone.
NO_SLOTS: Mapping[str, int] = MappingProxyType({})
#: Bytes with which nothing can be begun.
FULL = 1 << 20
#: Never limited: a cancel must not wait for what it cancels.
UNLIMITED = "cancel-operation"


@dataclass(frozen=True, slots=True)
class Disk:
    """One file system of a node, as a beat told it."""

    path: str
    free: int
    total: int


def low_on_room(disks: Mapping[str, Disk], keep_free: int | None) -> str:
    """Why no data work may begin, or "": a disk has less room than data work has to leave. Without `keep_free` that
    is a twentieth of the disk, and never more than 1 GiB. Whatever is set, less than FULL is none."""
    for disk in disks.values():
        kept = min(1 << 30, disk.total // 20) if keep_free is None else max(keep_free, FULL)
        if disk.free < kept:
            return f"{disk.path} has {disk.free / 1e9:.2f} GB free, and {kept / 1e9:.2f} GB have to stay free"
    return ""


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a node says of itself with every beat; for people, and for the reasons why something waits."""

    processes: int = 1
    threads: int = 0
    slots: Mapping[str, int] = field(default_factory=dict)  # by kind; "all": of all kinds together
    bandwidth: Mapping[str, int] = field(default_factory=dict)  # bytes per second: "up", "down"
    disks: Mapping[str, Disk] = field(default_factory=dict)  # by what lies there: "apps", "data"
    low_on_room: str = ""  # a sentence when data work is not begun for want of room
    wall_ms: int = 0  # its own clock when it said so

    def document(self) -> dict[str, Any]:
        """The JSON form that the database keeps."""
        return asdict(self)

    @classmethod
    def load(cls, document: Mapping[str, Any]) -> NodeReport:
        """The report that `document` was made of; fields of another release are left out."""
        known = {name: value for name, value in document.items() if name in cls.__dataclass_fields__}
        disks = {name: Disk(**disk) for name, disk in known.get("disks", {}).items()}
        return cls(**known | {"disks": disks})


@dataclass(frozen=True, slots=True)
class NodeSeen:
    """A node that runs, or ran, a worker."""

    node: str
    seen_at: int  # UTC milliseconds by the database's clock
    age_ms: int
    version: str
    first_seen_at: int = 0
    drained_at: int = 0  # 0: it takes work
    drained_by: str = ""
    drain_reason: str = ""
    report: NodeReport = field(default_factory=NodeReport)
    services: int = 0  # whose directories are there
    running: int = 0  # operations that one of its processes holds now
    begun: int = 0  # operations that it has begun, or holds the beginning of, and that have not ended
    bound: int = 0  # unfinished operations that only it can do

    @property
    def away(self) -> bool:
        """Whether it has not been seen for so long that it counts as dead."""
        return self.age_ms > AWAY_MS

    @property
    def skew_ms(self) -> int | None:
        """Its clock less the database's, by the last beat; None when it did not say."""
        return self.report.wall_ms - self.seen_at if self.report.wall_ms else None

    @property
    def standing(self) -> str:
        """In one word: `away`, `draining` (it still has work), `drained`, or `ready`."""
        if self.away:
            return "away"
        if not self.drained_at:
            return "ready"
        return "draining" if self.begun or self.running else "drained"


def unknown(node: str) -> NotFound:
    """No worker of that name has ever been seen, or it was forgotten."""
    return NotFound(
        f"no node {node} has been seen",
        code="unknown-node",
        next_step="`backstay nodes list` shows those that are known",
    )


def check_forget(node: NodeSeen) -> None:
    """Raise unless nothing would be lost with the node's row: it is gone, and nothing waits for it."""
    if not node.away:
        raise Refused(
            f"node {node.node} was seen {node.age_ms // 1000} s ago",
            code="busy",
            next_step=f"stop its worker first and wait {AWAY_MS // 1000} s; a node that beats is known again at once",
        )
    if node.bound or node.services:
        raise Refused(
            f"{node.services} services live on node {node.node}, and {node.bound} unfinished operations wait for it",
            code="busy",
            next_step=f"`backstay nodes show {node.node}` lists them; `backstay nodes evacuate {node.node} --to OTHER` "
            "restores the services on another node, `backstay operations move ID --to OTHER` gives it an operation "
            "with its service",
        )


def place_sentence(name: str, node: NodeSeen | None, op_id: str) -> str:
    """What that operation waits for, which only this node can do, with the way out when that may take long."""
    ways = f"`backstay operations move {op_id} --to NODE` gives it to another node"
    if node is None:
        return f"a worker on node {name}, which is not known: start one there, or {ways}"
    seen = f"last seen {_ago(node.age_ms)} ago"
    if node.away:
        return f"node {name}, which is away ({seen}): start its worker, or {ways}"
    if node.drained_at:
        why = f" ({node.drain_reason})" if node.drain_reason else ""
        undrain = f"`backstay nodes undrain {name}`"
        return f"node {name}, which {node.drained_by} has drained{why}: {undrain}, or {ways}"
    if node.report.low_on_room:
        return f"room on node {name}: {node.report.low_on_room}"
    return f"a free worker on node {name}, {seen}"


def _ago(milliseconds: int) -> str:
    """A time span as a person says it."""
    seconds = milliseconds // 1000
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def check_target(node: NodeSeen) -> None:
    """Raise unless the node can be given work."""
    if node.away:
        raise Refused(
            f"node {node.node} has not been seen for {node.age_ms // 1000} s",
            code="node-away",
            next_step="choose a node that `backstay nodes list` calls ready",
        )
    if node.drained_at:
        raise Refused(
            f"node {node.node} is drained",
            code="node-drained",
            next_step=f"`backstay nodes undrain {node.node}`, or choose another node",
        )
