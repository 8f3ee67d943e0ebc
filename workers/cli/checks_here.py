"""The checks of `backstay doctor` about the host that it runs on: directories, room, programs, and the way to regions.

Apart from those of what nodes share, because their answers differ from node to node: run it on each.
"""

from __future__ import annotations

import os
import shutil
import stat
from typing import TYPE_CHECKING

from domain.errors import BackstayError
from domain.source import HookSettings
from workers.cli.reports import CLOCKS, SKEW_SECONDS, Report
from workers.cli.session import Session

if TYPE_CHECKING:
    from workers.region_client import HttpRegion

#: Services whose directory is missing that are named.
MOST_NAMED = 5


def regions(here: Session) -> list[Report]:
    """Every region that is configured here answers, and goes by the same time."""
    from workers.clock import SystemClock
    from workers.region_client import HttpRegion
    from workers.regions import known_regions

    known = known_regions(here.settings.regions, here.settings.region_url)
    if not known:
        return [Report("regions", "ok", "none is configured: services without one need none")]
    client = HttpRegion(known, SystemClock())
    try:
        return [_region(client, name) for name in known]
    finally:
        client.close()


def _region(client: HttpRegion, name: str) -> Report:
    status, skew, words = client.look(name)
    if words:
        next_step = f"check its address and the way there: url, ca_file, cert_file of region {name}; then the region"
        return Report("regions", "fail", f"{name}: {words}", next_step, name)
    detail = f"{name} answers (status {status})"
    if skew is not None and abs(skew) > SKEW_SECONDS:
        return Report("regions", "warn", f"{detail}; our clock differs from its by {skew:.0f} s", CLOCKS, name)
    if status in (502, 503, 504):
        return Report("regions", "warn", detail, "the region, or what stands before it, says that it cannot now", name)
    if status in (401, 403):
        next_step = f"the region does not let us in: correct token or cert_file of region {name}, restart the node"
        return Report("regions", "warn", detail, next_step, name)
    return Report("regions", "ok", detail, about=name)


def apps_root(here: Session) -> Report:
    """The services' directories can be written, and staged trees lie on the same file system."""
    root = here.settings.apps_root
    if not os.path.isdir(root):
        return Report(
            "apps root", "warn", f"{root} does not exist", "it is made on first use, or set BACKSTAY_APPS_ROOT"
        )
    if not os.access(root, os.W_OK | os.X_OK):
        return Report("apps root", "fail", f"{root} cannot be written", "run as the user that owns the services' files")
    staging = os.path.join(root, ".backstay")
    if os.path.isdir(staging) and os.stat(staging).st_dev != os.stat(root).st_dev:
        return Report(
            "apps root",
            "fail",
            f"{staging} is another file system: no tree can be exchanged with one there",
            f"unmount {staging}; it has to be a directory of {root}",
        )
    missing = _missing(here)
    if missing:
        named = ", ".join(missing[:MOST_NAMED]) + (" …" if len(missing) > MOST_NAMED else "")
        return Report(
            "apps root",
            "warn",
            f"{len(missing)} services live on this node without their directory: {named}",
            f"`backstay snapshots restore --service {missing[0].partition(' ')[0]} --at TIME` brings it, or register "
            "the service with its right directory",
        )
    return Report("apps root", "ok", f"{root} can be written; every service of this node has its directory")


def _missing(here: Session) -> list[str]:
    """Services of this node whose directory is not there; none while the database does not answer."""
    try:
        services = here.database().list_services()
    except BackstayError:
        return []  # the check of the database says so
    root = here.settings.apps_root
    return [
        f"{one.service_id} ({one.directory})"
        for one in services
        if one.node == here.settings.node and not os.path.isdir(os.path.join(root, one.directory))
    ]


def data_directory(here: Session) -> Report:
    """The node's own files: nobody else reads them, and they can be written."""
    path = here.settings.data_dir
    if not os.path.isdir(path):
        return Report(
            "data directory", "warn", f"{path} does not exist", "it is made on first use, or set BACKSTAY_DATA_DIR"
        )
    if not os.access(path, os.W_OK | os.X_OK):
        return Report("data directory", "fail", f"{path} cannot be written", "run as the user that owns it")
    ring = os.path.join(path, "secret.keys")
    if os.path.exists(ring) and stat.S_IMODE(os.stat(ring).st_mode) & 0o077:
        return Report("data directory", "fail", f"{ring} can be read by others", f"chmod 600 {ring}")
    return Report("data directory", "ok", f"{path} can be written")


def room(here: Session) -> Report:
    """The disks have more than data work has to leave: those of the trees, of the node's own files, and of whatever
    else lies on this host."""
    from workers.node_report import disks_of, other_disks_of, room_trouble

    disks, others, keep_free = disks_of(here.settings), other_disks_of(here.settings), here.settings.keep_free
    if trouble := room_trouble(disks, keep_free):
        next_step = "make room, or lower BACKSTAY_KEEP_FREE; what waits begins by itself"
        return Report("room", "fail", f"no work on files begins here: {trouble}", next_step)
    if trouble := room_trouble(others, keep_free):
        next_step = "make room; what waits for it is tried again by itself"
        return Report("room", "fail", f"what is written there will fail: {trouble}", next_step)
    detail = "; ".join(
        f"{name}: {disk.free / 1e9:.1f} GB free of {disk.total / 1e9:.1f} GB ({disk.path})"
        for name, disk in {**disks, **others}.items()
    )
    return Report("room", "ok", detail or "nothing is there yet")


def programs(here: Session) -> Report:
    """The programs that this node's configuration names can be run."""
    settings = here.settings
    named = [] if settings.health_hook is None else [("BACKSTAY_HEALTH_HOOK", settings.health_hook)]
    for name, source in (settings.sources or {}).items():
        named += [(f"sources.{name}", command[0]) for command in (source.save, source.restore) if command]
    hooks = settings.hooks or HookSettings()
    for moment in ("before_snapshot", "after_snapshot", "before_restore", "after_restore"):
        named += [(f"hooks.{moment}", command[0]) for command in (getattr(hooks, moment),) if command]
    lost = [f"{what}: {program}" for what, program in named if shutil.which(program) is None]
    if lost:
        return Report("programs", "fail", f"cannot be run: {', '.join(lost)}", "install them, or correct their paths")
    return Report("programs", "ok", f"{len(named)} are named, and can be run" if named else "none is named")
