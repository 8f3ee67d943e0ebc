"""`backstay demo`: the story in `workers.demo.story`, told from the command line. Apart so that it loads late."""

from __future__ import annotations

import typer


def demo() -> None:
    """Show the promise on a real tree: snapshot, damage, restore, upgrade, rollback, kill -9. Takes about a minute."""
    from workers.demo.story import main

    raise typer.Exit(main())
