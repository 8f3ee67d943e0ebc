"""`backstay demo`: the stories in `workers.demo`, told from the command line. Apart so that they load late."""

from __future__ import annotations

from typing import Annotated

import typer

Broken = Annotated[bool, typer.Option("--broken", help="Set up an installation that is broken, to be repaired.")]


def demo(broken: Broken = False) -> None:
    """Show the promise on a real tree: snapshot, damage, restore, upgrade, rollback, kill -9. Takes about a minute.

    With --broken: an installation in which several things are broken. Find and repair them with the commands
    and pages that you have everywhere; it ends when nothing is left.
    """
    if broken:
        from workers.demo.broken import main
    else:
        from workers.demo.story import main

    raise typer.Exit(main())
