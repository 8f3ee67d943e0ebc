"""An address from which a snapshot's archive can be fetched, for whoever was found entitled to it.

Apart from the ways of asking, which are the command line, the HTTP API and the console: on all of them an address is
in the audit trail before it is handed out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from domain.audit import Actor
from domain.errors import NotFound
from domain.operation import State
from workers.serving import downloads_of

if TYPE_CHECKING:
    from domain.snapshot import Snapshot
    from workers.bootstrap import System

_GOING_ON = (State.QUEUED, State.RUNNING)
#: Exports of one service that are looked at; there are hardly ever two.
_MOST_AT_ONCE = 100


def link_to(system: System, snapshot: Snapshot, seconds: int, by: Actor) -> dict[str, Any]:
    """`{"state": "ready", "url", "seconds", "bytes", "sha256"}`, or while the archive is being made `{"state":
    "preparing", "operation_id", "progress"}`; NotFound when nobody has asked for one."""
    snapshot_id = snapshot.snapshot_id
    found = system.database.catalogue.export_of(snapshot_id)
    if found is None or system.store.size(found.object_key) is None:
        return _preparing(system, snapshot)
    entry = by.entry(
        "snapshot.link", f"snapshot/{snapshot_id}", tenant_id=snapshot.tenant_id, detail={"seconds": seconds}
    )
    system.database.audit.record(entry)
    url = system.store.link(found.object_key, seconds, f"{snapshot_id}.tar.zst")
    if url is None:
        base = system.settings.public_url or f"http://{system.settings.http}"
        url = downloads_of(system).address(base, found, seconds)
    return {"state": "ready", "url": url, "seconds": seconds, "bytes": found.bytes, "sha256": found.sha256}


def _preparing(system: System, snapshot: Snapshot) -> dict[str, Any]:
    database = system.database
    for listed in database.list_operations(
        tenant_id=snapshot.tenant_id, service_id=snapshot.service_id, kinds=["export-snapshot"], states=_GOING_ON,
        limit=_MOST_AT_ONCE,
    ):  # fmt: skip
        operation = database.ledger.get(listed.op_id)  # lists do not open what it was asked
        if operation is not None and operation.data.get("snapshot_id") == snapshot.snapshot_id:
            return {"state": "preparing", "operation_id": operation.op_id, "progress": operation.progress}
    raise NotFound(
        f"there is no archive of snapshot {snapshot.snapshot_id}",
        code="not-exported",
        next_step=f"`backstay snapshots export {snapshot.snapshot_id}` makes one",
    )
