"""What this node says of itself with every beat: how much it does at once, and how much room it has.

Apart from the sweeper, which only sends it, and from `domain/node.py`, which knows what it means. Reads file systems
and nothing else; one that cannot be read is left out.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from urllib.parse import unquote, urlsplit

from domain.contracts import Clock
from domain.node import ALL_KINDS, Disk, NodeReport, low_on_room
from workers.config import Settings

#: Inodes that data work leaves on a disk, or a twentieth of them if that is less.
INODES = 1000


def disks_of(settings: Settings) -> dict[str, Disk]:
    """Room where live trees and staged ones lie (`apps`), and where this node's own files do (`data`)."""
    return _disks({"apps": settings.apps_root, "data": settings.data_dir})


def other_disks_of(settings: Settings) -> dict[str, Disk]:
    """Room where the database, the spool and the store are, those of them that are folders of this host."""
    database, spool, store = (urlsplit(url) for url in (settings.database_url, settings.broker_url, settings.store_url))
    folders = {
        "database": os.path.dirname(database.path.removeprefix("/")) if database.scheme.startswith("sqlite") else "",
        "spool": unquote(spool.path) if spool.scheme == "spool" else "",
        "store": unquote(store.path) if store.scheme == "file" else "",
    }
    return _disks({name: folder for name, folder in folders.items() if folder})


def _disks(folders: Mapping[str, str]) -> dict[str, Disk]:
    found = {}
    for name, path in folders.items():
        try:
            told = os.statvfs(path)
        except OSError:
            continue  # it is made on first use
        found[name] = Disk(path, told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize)
    return found


def room_trouble(disks: Mapping[str, Disk], keep_free: int | None) -> str:
    """Why nothing may be begun that needs room on them, in bytes or in inodes; or ""."""
    return low_on_room(disks, keep_free) or next(filter(None, map(_low_on_inodes, disks.values())), "")


def _low_on_inodes(disk: Disk) -> str:
    try:
        told = os.statvfs(disk.path)
    except OSError:
        return ""
    kept = min(INODES, told.f_files // 20)
    if told.f_files and told.f_favail < kept:  # some file systems have no fixed number, and tell 0
        return f"{disk.path} has {told.f_favail} inodes free, and {kept} have to stay free"
    return ""


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
        low_on_room=room_trouble(disks, settings.keep_free),
        wall_ms=clock.wall_ms(),
    )
