"""`backstay config`: what is set and where from, and a new key. Secrets are masked, always.

Apart from doctor because nothing is contacted: it answers even when no part of the system works.
"""

from __future__ import annotations

from typing import Annotated

import typer

from workers.cli.screen import reporting
from workers.cli.session import AsJson
from workers.config import load, shown

group = typer.Typer(no_args_is_help=True, help="The configuration in effect.")


@group.command()
def show(
    origin: Annotated[bool, typer.Option("--origin", help="Also where each value comes from.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show every setting; passwords and keys are masked."""
    with reporting(as_json) as screen:
        rows = shown(load())
        screen.document(
            {"settings": [dict(zip(("name", "value", "origin", "about"), row, strict=True)) for row in rows]}
        )
        if origin:
            screen.table(("SETTING", "VALUE", "FROM", "MEANING"), rows, "")
        else:
            screen.table(("SETTING", "VALUE"), [row[:2] for row in rows], "")


@group.command("new-key")
def new_key(as_json: AsJson = False) -> None:
    """Print a fresh key ring for BACKSTAY_SECRET_KEYS; keep it as you keep passwords."""
    with reporting(as_json) as screen:
        from workers.bootstrap import new_key as generate

        text = generate()
        screen.document({"secret_keys": text})
        screen.line(text)
