"""`backstay demo`: the stories in `workers.demo`, told from the command line. Apart so that they load late."""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli.screen import reporting
from workers.cli.session import AsJson

Broken = Annotated[bool, typer.Option("--broken", help="Set up an installation that is broken, to be repaired.")]


def demo(broken: Broken = False, as_json: AsJson = False) -> None:
    """Show the promise on a real tree: snapshot, damage, restore, upgrade, rollback, kill -9. Takes about a minute.

    With --broken: an installation in which several things are broken. Find and repair them with the commands
    and pages that you have everywhere; it ends when nothing is left.
    """
    with reporting(as_json) as screen:
        if broken:
            from workers.demo.broken import main
        else:
            from workers.demo.story import main

        def told(ok: bool, claims: list[str]) -> None:
            screen.document({"ok": ok, "claims": claims})

        raise typer.Exit(main(told if as_json else None))
