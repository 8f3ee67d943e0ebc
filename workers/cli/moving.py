"""`backstay operations move` and `give-up`: what to do about an operation whose node is lost or drained.

Apart from cancelling and resolving because both say something about a node: that a directory is elsewhere now, or
that it will never be seen again. Whoever says so is kept.
"""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli.documents import operation_document
from workers.cli.operations import Id, find, group
from workers.cli.session import AsJson, confirm, operator, session

Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why; audited.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@group.command()
def move(
    operation_id: Id,
    to: Annotated[str, typer.Option("--to", metavar="NODE", help="Where its service lives from now on.")],
    reason: Reason = "",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Give an operation to another node, and its service with it. Its node must be away or drained."""
    with session(as_json) as here:
        database = here.database()
        before = find(database, operation_id)
        confirm(
            here,
            f"service {before.service_id} lives on node {to} from now on, with whatever waits for its directory. "
            "Nothing is copied: its files are there already, or a restore brings them",
            yes,
        )
        services = database.moves.move(operation_id, to, operator(), reason)
        after = find(database, operation_id)
        waits = database.waits_for(after)
        here.screen.document(operation_document(after, waits) | {"moved_services": services})
        here.screen.line(f"operation {operation_id} is bound to node {to} and waits for {waits}")
        if services:
            here.screen.line(f"services that live there now: {', '.join(services)}")


@group.command("give-up")
def give_up(operation_id: Id, reason: Reason = "", yes: Yes = False, as_json: AsJson = False) -> None:
    """Make STUCK what only a lost node could finish, so that `resolve` can end it."""
    with session(as_json) as here:
        database = here.database()
        before = find(database, operation_id)
        confirm(here, f"node {before.node} will not come back, and you will say with `resolve` how it ended", yes)
        database.moves.give_up(operation_id, operator(), reason)
        after = find(database, operation_id)
        here.screen.document(operation_document(after, None))
        for item in (after.outcome or {}).get("items", ()):
            here.screen.line(f"open: {item['name']}: {item['sentence']}", "yellow")
        here.screen.line(f"operation {operation_id} is STUCK; `backstay operations resolve {operation_id}` ends it")
