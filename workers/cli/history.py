"""`backstay history`: what has ended long ago. A node forgets it by itself when BACKSTAY_HISTORY_DAYS is set.

Apart from operations because it is about all of them, and about room in the database.
"""

from __future__ import annotations

from typing import Annotated

import typer

from domain.contracts import Pruned
from workers.cli.session import AsJson, session

group = typer.Typer(no_args_is_help=True, help="What has ended long ago, and forgetting it.")

DAY_MS = 86_400_000
#: Operations that go in one transaction.
BATCH = 500
EVERYTHING = 1_000_000_000


@group.callback()
def main() -> None:
    """What has ended long ago, and forgetting it."""


@group.command()
def prune(
    days: Annotated[int, typer.Option("--older-than", metavar="DAYS", min=7, help="Days since they have ended.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget operations that ended longer ago than that, with their steps and the events that were sent.

    Kept whatever their age: what dead letters, snapshots and the versions of a service go back to.
    """
    with session(as_json) as here:
        history = here.database().history
        if not dry_run:
            here.audit("history.prune", "history", days=days)
        total, limit = Pruned(), EVERYTHING if dry_run else BATCH
        for forget in (history.prune, history.prune_events):
            total += (gone := forget(days * DAY_MS, limit, dry_run=dry_run))
            while gone.after:
                total += (gone := forget(days * DAY_MS, limit, after=gone.after))
        here.screen.document(
            {"dry_run": dry_run, "operations": total.operations, "steps": total.steps, "events": total.events}
        )
        verb = "would be forgotten" if dry_run else "are forgotten"
        here.screen.line(f"{total.operations} operations {verb}, with {total.steps} steps and {total.events} events")
