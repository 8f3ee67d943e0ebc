"""Who holds a lease, written so that a restarted worker can tell that its predecessor is dead.

`node|boot id|pid namespace|pid|start time`. A process is only called dead when this very kernel and
namespace say so; anything else waits for the lease to end. A wrong answer would cost a needless
takeover, never a double effect: that is the fence's work.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read().strip()


def _start_time(pid: int) -> str | None:
    """Clock ticks since boot at which the process started; None if there is none."""
    try:
        stat = _read(f"/proc/{pid}/stat")
    except (FileNotFoundError, ProcessLookupError):
        return None
    after_name = stat.rpartition(")")[2].split()
    return None if after_name[0] == "Z" else after_name[19]


@dataclass(frozen=True, slots=True)
class Owner:
    """The identity of this process as a lease holder."""

    node: str
    boot_id: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def of_this_process(cls, node: str) -> Owner:
        """Read from /proc; to be called after any fork."""
        return cls(
            node,
            _read("/proc/sys/kernel/random/boot_id"),
            os.readlink("/proc/self/ns/pid"),
            os.getpid(),
            _start_time(os.getpid()) or "",
        )

    def __str__(self) -> str:
        return "|".join((self.node, self.boot_id, self.namespace, str(self.pid), self.started))

    def is_dead(self, other: str) -> bool:
        """Whether `other` is certainly a process of this host that no longer runs."""
        parts = other.split("|")
        if len(parts) != 5 or parts[0] != self.node or not parts[3].isdigit():
            return False
        if parts[1] != self.boot_id:
            return True  # this host, under this name, has been booted since
        return parts[2] == self.namespace and _start_time(int(parts[3])) != parts[4]
