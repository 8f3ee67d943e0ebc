"""`backstay store`: the room that snapshots take.

Apart from `catalogue` because nothing is missing or unknown here: what is stored is right, and takes more than it must.
"""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli.session import AsJson, Timeout, session

group = typer.Typer(no_args_is_help=True, help="The room that snapshots take in the store.")


@group.callback()
def main() -> None:
    """The room that snapshots take in the store."""


@group.command()
def repack(
    service_id: Annotated[str, typer.Argument(metavar="SERVICE_ID")],
    below_percent: Annotated[
        int, typer.Option(metavar="N", min=1, max=99, help="Rewrite packs that are needed to less than this.")
    ] = 50,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many bytes would be won.")] = False,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Rewrite the packs of which a service's snapshots need little, and wait for the outcome."""
    with session(as_json) as here:
        from workers.cli.following import send_and_follow
        from workers.cli.sending import cloud_event
        from workers.cli.services import find

        service = find(here.database(), service_id)
        subject = f"tenant/{service.tenant_id}/service/{service.service_id}"
        data = {"below_percent": below_percent, "dry_run": dry_run}
        send_and_follow(here, cloud_event("repack-service", subject, data, None, None), timeout)
