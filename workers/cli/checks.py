"""The checks of `backstay doctor`, one function each.

Apart from the command because these know the parts of the system and that one only how to tell. A check
answers with a report or raises; it leaves nothing behind but what a node makes on its first start.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from domain.errors import BackstayError, Damaged
from domain.operation import State
from workers.cli.session import Session

#: Seconds after which a node counts as away, and a queued operation as old.
AWAY_SECONDS, OLD_SECONDS = 60, 600
#: Free space on the apps root below which restores are in danger: share of the disk, and bytes.
FREE_SHARE, FREE_BYTES = 0.05, 2 << 30


@dataclass(frozen=True, slots=True)
class Report:
    """What one check found: ok, warn or fail."""

    name: str
    verdict: str
    detail: str
    next_step: str = ""


def configuration(here: Session) -> Report:
    """It has been read, or there would be no session."""
    origins = here.settings.origins.values()
    given = sum(1 for origin in origins if origin != "default")
    return Report("configuration", "ok", f"node {here.settings.node}; {given} of {len(origins)} settings given")


def keys(here: Session) -> Report:
    """The ring seals and unseals."""
    ring = here.system.keyring
    if ring.unseal(ring.seal(b"probe", b"doctor"), b"doctor") != b"probe":
        return Report("keys", "fail", "what was sealed does not open", "restore the key ring from its backup")
    if here.settings.secret_keys is None:
        return Report(
            "keys",
            "ok",
            f"embedded ring {here.settings.data_dir}/secret.keys; without a copy of it elsewhere, losing this "
            "directory loses every sealed configuration",
        )
    return Report("keys", "ok", f"key {ring.current} seals")


def encryption(here: Session) -> Report:
    """New snapshots are sealed."""
    if here.settings.encryption:
        return Report("encryption", "ok", "new snapshots are sealed")
    return Report(
        "encryption", "warn", "new snapshots are readable by whoever reads the store", "set BACKSTAY_ENCRYPTION=on"
    )


def database(here: Session) -> Report:
    """It answers and has this program's schema."""
    here.database()
    began = time.monotonic()
    here.system.database.round_trip()
    return Report("database", "ok", f"schema is current; answered in {(time.monotonic() - began) * 1000:.0f} ms")


def sealed(here: Session) -> Report:
    """The ring opens what this database holds: a ring that is in order may still be another one."""
    data = here.database()
    newest = data.list_operations(limit=1)
    if not newest:
        return Report("sealed data", "ok", "nothing is sealed yet")
    try:
        data.ledger.get(newest[0].op_id)
    except Damaged as error:
        return Report(
            "sealed data",
            "fail",
            f"the data of operation {newest[0].op_id} does not open: {error}",
            "put the key ring back that this database was written with; without it nothing queued can run",
        )
    return Report("sealed data", "ok", f"the ring opens the newest operation, {newest[0].op_id}")


def broker(here: Session) -> Report:
    """It can be reached; nothing is declared."""
    from workers.border import connect, driver_errors

    connection = connect(here.settings.broker_url)
    try:
        connection.connect()
        connection.release()
    except driver_errors(connection) as error:
        return Report("broker", "fail", f"cannot be reached ({type(error).__name__}: {error})", "check BROKER_URL")
    return Report("broker", "ok", f"{here.settings.broker_url.partition(':')[0]} answers")


def store(here: Session) -> Report:
    """The store can do what snapshots rest on; asked now, and remembered for the nodes."""
    from workers.abilities import abilities
    from workers.clock import SystemClock

    began = time.monotonic()
    found, _ = abilities(here.system, SystemClock(), fresh=True)
    lacking = [one for one in found if not one.works]
    if not lacking:
        took = (time.monotonic() - began) * 1000
        return Report("store", "ok", f"{', '.join(one.name for one in found)}: all work, in {took:.0f} ms")
    verdict = "fail" if any(one.needed for one in lacking) else "warn"
    detail = "; ".join(f"{one.name}: {one.sentence}" for one in lacking)
    return Report("store", verdict, detail, "; ".join(one.next_step for one in lacking))


def replicas(here: Session) -> Report:
    """Every further store can do what copies rest on, and has all snapshots."""
    names = here.settings.replicas or {}
    if not names:
        return Report("replicas", "ok", "none are configured: snapshots are in one store")
    unfit = []
    for name in names:
        try:
            lacking = [one for one in here.system.examine_store(name) if one.needed and not one.works]
            unfit += [f"{name}: {one.name}: {one.sentence}" for one in lacking]
        except (BackstayError, OSError) as error:
            unfit.append(f"{name}: {error}")
    if unfit:
        return Report("replicas", "fail", "; ".join(unfit), "mend it, or take it out of BACKSTAY_REPLICAS")
    found = [here.database().copies.state_of(name) for name in names]
    late = [f"{one.replica} lacks {one.pending} ({one.trouble or 'under way'})" for one in found if one.pending]
    if late:
        return Report("replicas", "warn", "; ".join(late), "`backstay replicas` tells how far each one is")
    return Report("replicas", "ok", f"{len(names)} have every snapshot; policy {here.settings.replica_policy}")


def apps_root(here: Session) -> Report:
    """The services' directories can be written and have room for a restore beside them."""
    root = here.settings.apps_root
    if not os.path.isdir(root):
        return Report(
            "apps root", "warn", f"{root} does not exist", "it is made on first use, or set BACKSTAY_APPS_ROOT"
        )
    if not os.access(root, os.W_OK | os.X_OK):
        return Report("apps root", "fail", f"{root} cannot be written", "run as the user that owns the services' files")
    found = os.statvfs(root)
    free, total = found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
    detail = f"{root} has {free / 1e9:.1f} GB free of {total / 1e9:.1f} GB"
    if free < FREE_BYTES or free < total * FREE_SHARE:
        return Report("apps root", "warn", detail, "make room: a restore needs the size of the tree once more")
    return Report("apps root", "ok", detail)


def work(here: Session) -> Report:
    """Nothing is stuck and nothing has been waiting for long."""
    data = here.database()
    stuck = data.list_operations(states=[State.STUCK], limit=100)
    if stuck:
        ids = ", ".join(operation.op_id for operation in stuck[:3])
        return Report(
            "work",
            "fail",
            f"{len(stuck)} stuck: {ids}",
            f"`backstay operations explain {stuck[0].op_id}` tells what could not be put back, and why",
        )
    counts = data.counts()
    age = counts["oldest_queued_age"] / 1000
    detail = f"{counts['ready']} ready; the oldest that never started has waited {age:.0f} s"
    if age > OLD_SECONDS:
        return Report("work", "warn", detail, "`backstay operations list --state QUEUED` tells what each waits for")
    return Report("work", "ok", detail)


def dead_letters(here: Session) -> Report:
    """Nothing waits for a person."""
    count = here.database().counts()["dead_letters"]
    if count:
        return Report("dead letters", "warn", f"{count} unresolved", "`backstay dead-letters list` shows them")
    return Report("dead letters", "ok", "none unresolved")


def nodes(here: Session) -> Report:
    """Every node that ever ran a worker is there."""
    seen = here.database().nodes.list()
    away = [f"{node.node} ({node.age_ms // 1000} s)" for node in seen if node.age_ms > AWAY_SECONDS * 1000]
    if not seen:
        return Report("nodes", "warn", "no node has run a worker yet", "start one: `backstay worker`")
    if away:
        return Report(
            "nodes", "warn", f"not seen for a minute: {', '.join(away)}", "start their workers, or move their services"
        )
    return Report("nodes", "ok", f"{len(seen)} seen within a minute")


#: In the order in which one depends on another.
CHECKS: tuple[tuple[str, Callable[[Session], Report]], ...] = (
    ("configuration", configuration),
    ("keys", keys),
    ("encryption", encryption),
    ("database", database),
    ("sealed data", sealed),
    ("broker", broker),
    ("store", store),
    ("replicas", replicas),
    ("apps root", apps_root),
    ("work", work),
    ("dead letters", dead_letters),
    ("nodes", nodes),
)
