"""What this node says of itself with every beat: how much it does at once, and how much room it has.

Apart from the sweeper, which only sends it, and from `domain/node.py`, which knows what it means. Reads file systems
and nothing else; one that cannot be read is left out.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from domain.contracts import Clock
from domain.node import ALL_KINDS, Disk, NodeReport, low_on_room
from workers.config import Settings


def disks_of(settings: Settings) -> dict[str, Disk]:
    """Room where live trees and staged ones lie (`apps`), and where this node's own files do (`data`)."""
    found = {}
    for name, path in (("apps", settings.apps_root), ("data", settings.data_dir)):
        try:
            told = os.statvfs(path)
        except OSError:
            continue  # it is made on first use
        found[name] = Disk(path, told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize)
    return found


def misspelt_slots(slots: Mapping[str, int], known: Collection[str]) -> str:
    """What is wrong with the kinds that slots are given for, or "": a limit on nothing would be no limit."""
    unknown = sorted(set(slots) - {*known, ALL_KINDS})
    return f"BACKSTAY_SLOTS: there is no kind {unknown[0]}; `backstay messages` lists them" if unknown else ""


def node_report(settings: Settings, clock: Clock) -> NodeReport:
    """The report of this moment."""
    disks = disks_of(settings)
    return NodeReport(
        processes=settings.processes,
        threads=settings.threads,
        slots=settings.slots or {},
        bandwidth={
            way: rate for way, rate in (("up", settings.upload_limit), ("down", settings.download_limit)) if rate
        },
        disks=disks,
        low_on_room=low_on_room(disks, settings.keep_free),
        wall_ms=clock.wall_ms(),
    )
