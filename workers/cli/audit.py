"""`backstay audit`: who changed what, when and why; whether by this program, the HTTP API or the console.

Apart from operations because much of it is about none: letters that were discarded, keys that were destroyed.
"""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli.documents import audit_document, page
from workers.cli.session import AsJson, Limit, session

group = typer.Typer(no_args_is_help=True, help="Who changed what, when and why.")


@group.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(metavar="T", help="About this tenant.")] = None,
    actor: Annotated[str | None, typer.Option(metavar="NAME", help="By this person or token.")] = None,
    action: Annotated[str | None, typer.Option(metavar="ACTION", help="Such as dead-letter.discard.")] = None,
    subject: Annotated[str | None, typer.Option(metavar="SUBJECT", help="Such as operation/ID.")] = None,
    limit: Limit = 50,
    before: Annotated[int | None, typer.Option(metavar="SEQ", help="Go on after this one.")] = None,
    as_json: AsJson = False,
) -> None:
    """List what people have done, newest first."""
    with session(as_json) as here:
        found = here.database().audit.list(
            tenant_id=tenant, actor=actor, action=action, subject=subject, limit=limit + 1, before=before
        )
        answer = page("entries", [audit_document(entry) for entry in found], limit, "seq")
        here.screen.document(answer)
        rows = [(x["at"], x["actor"], x["way"], x["action"], x["subject"], x["reason"]) for x in answer["entries"]]
        here.screen.table(("AT", "WHO", "WAY", "WHAT", "TO", "WHY"), rows, "nobody has changed anything")
        if answer["next"]:
            here.screen.line(f"next: --before {answer['next']} shows older ones")
