"""`backstay snapshots export` and `link`: a snapshot as a plain archive, and an address to fetch it from.

Apart from the other commands about snapshots because these hand data out; every address that was given is logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import NotFound, WrongTenant
from domain.operation import State
from workers.cli.exits import Exit
from workers.cli.session import AsJson, Session, Timeout, session
from workers.cli.snapshots import Id, ask, find, whom
from workers.cli.snapshots import group as group

if TYPE_CHECKING:
    from domain.snapshot import Export, Snapshot

_GOING_ON = (State.QUEUED, State.RUNNING)
#: Exports of one service that are looked at; there are hardly ever two.
_MOST_AT_ONCE = 100


@group.command()
def export(
    snapshot_id: Id,
    keep_seconds: Annotated[int, typer.Option(metavar="N", help="How long it can be fetched.")] = 86_400,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Make a plain .tar.zst of a snapshot's data and wait until it can be fetched."""
    data = {"snapshot_id": snapshot_id, "keep_seconds": keep_seconds}
    with session(as_json) as here:
        ask(here, "export-snapshot", whom(here, None, None, snapshot_id), data, timeout)


@group.command()
def link(
    snapshot_id: Id,
    tenant: Annotated[str, typer.Option(metavar="T", help="Whose snapshot it must be.")],
    ttl: Annotated[int, typer.Option(metavar="SECONDS", min=1, max=3600, help="How long the address works.")] = 900,
    as_json: AsJson = False,
) -> None:
    """Print an address from which the exported archive can be fetched, by anybody who has it."""
    with session(as_json) as here:
        database, snapshot = here.database(), find(here.database(), snapshot_id)
        if snapshot.tenant_id != tenant:
            raise WrongTenant(f"snapshot {snapshot_id} does not belong to tenant {tenant}")
        found = database.catalogue.export_of(snapshot_id)
        if found is None or here.system.store.size(found.object_key) is None:
            _preparing(here, snapshot)
            raise NotFound(
                f"there is no archive of snapshot {snapshot_id}",
                code="not-exported",
                next_step=f"`backstay snapshots export {snapshot_id}` makes one",
            )
        here.audit("snapshot.link", f"snapshot/{snapshot_id}", tenant_id=tenant, seconds=ttl)
        url = here.system.store.link(found.object_key, ttl, f"{snapshot_id}.tar.zst") or _local_link(here, found, ttl)
        here.screen.document(
            {"state": "ready", "url": url, "seconds": ttl, "bytes": found.bytes, "sha256": found.sha256}
        )
        here.screen.line(url)


def _preparing(here: Session, snapshot: Snapshot) -> None:
    """Say so and leave, if an archive of it is being made."""
    database = here.database()
    for listed in database.list_operations(
        tenant_id=snapshot.tenant_id, service_id=snapshot.service_id, kinds=["export-snapshot"], states=_GOING_ON,
        limit=_MOST_AT_ONCE,
    ):  # fmt: skip
        operation = database.ledger.get(listed.op_id)  # lists do not open what it was asked
        if operation is not None and operation.data.get("snapshot_id") == snapshot.snapshot_id:
            here.screen.document(
                {"state": "preparing", "operation_id": operation.op_id, "progress": operation.progress}
            )
            here.screen.line("preparing")
            here.screen.note(f"`backstay operations watch {operation.op_id}` follows it")
            raise typer.Exit(Exit.UNKNOWN)


def _local_link(here: Session, found: Export, seconds: int) -> str:
    from workers.serving import downloads_of

    base = here.settings.public_url or f"http://{here.settings.http}"
    return downloads_of(here.system).address(base, found, seconds)
