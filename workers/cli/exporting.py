"""`backstay snapshots export` and `link`: a snapshot as a plain archive, and an address to fetch it from.

Apart from the other commands about snapshots because these hand data out; the audit trail has every address given.
"""

from __future__ import annotations

from typing import Annotated

import typer

from domain.errors import WrongTenant
from workers.cli.exits import Exit
from workers.cli.session import AsJson, Timeout, operator, session
from workers.cli.snapshots import Id, ask, find, whom
from workers.cli.snapshots import group as group


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
        from workers.linking import link_to

        snapshot = find(here.database(), snapshot_id)
        if snapshot.tenant_id != tenant:
            raise WrongTenant(f"snapshot {snapshot_id} does not belong to tenant {tenant}")
        document = link_to(here.system, snapshot, ttl, operator())
        here.screen.document(document)
        if document["state"] == "preparing":
            here.screen.line("preparing")
            here.screen.note(f"`backstay operations watch {document['operation_id']}` follows it")
            raise typer.Exit(Exit.UNKNOWN)
        here.screen.line(document["url"])
