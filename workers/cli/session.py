"""What most commands begin with: settings, the ports behind them, a screen, and an end for all three.

Apart from the screen because some commands need no configuration at all. Nothing is opened before a
command asks for it: publishing never touches the database, listing never the broker.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import DatabaseUnavailable, Refused
from workers.cli.screen import Screen, reporting

if TYPE_CHECKING:
    from domain.audit import Actor
    from workers.bootstrap import Database, System
    from workers.config import Settings

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Limit = Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="At most this many.")]
Before = Annotated[str | None, typer.Option(metavar="ID", help="Go on after this id: `next` of the page before.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=0, help="Seconds to wait for the outcome.")]


class Session:
    """One command with its configuration."""

    def __init__(self, settings: Settings, system: System, screen: Screen) -> None:
        self.settings, self.system, self.screen = settings, system, screen

    def database(self) -> Database:
        """The database with this program's schema; DatabaseUnavailable says what to do when it is not."""
        path = self.settings.database_url.removeprefix("sqlite:///")
        if path != self.settings.database_url and not os.path.exists(path):
            # Looking must not make an empty database, least of all in a directory that was misspelt.
            trouble: str | None = f"there is no database {path} yet; run `backstay migrate` or `backstay serve`"
        else:
            trouble = self.system.database.check_schema()
        if trouble:
            sentence, _, next_step = trouble.partition("; ")
            raise DatabaseUnavailable(sentence, code="schema-not-ready", next_step=next_step)
        return self.system.database

    def audit(self, action: str, subject: str, *, tenant_id: str = "", reason: str = "", **detail: Any) -> None:
        """Keep in the audit trail that whoever types asks for an effect outside SQL; call it before the effect."""
        detail["node"] = self.settings.node
        entry = operator().entry(action, subject, tenant_id=tenant_id, reason=reason, detail=detail)
        self.database().audit.record(entry)


@contextmanager
def session(as_json: bool = False) -> Iterator[Session]:
    """A session; errors of ours become messages and exit codes, and everything opened is closed."""
    with reporting(as_json) as screen:
        from workers.config import load

        settings = load()
        from workers.bootstrap import System

        system = System(settings)
        try:
            yield Session(settings, system, screen)
        finally:
            system.close()


def confirm(here: Session, meaning: str, yes: bool) -> None:
    """Go on only when the person means it; a program says --yes. Refused(code="usage") when nobody has."""
    if yes or (not here.screen.as_json and typer.confirm(f"{meaning}. Go on?", err=True)):
        return
    raise Refused(f"not confirmed: {meaning}", code="usage", next_step="nothing was changed; --yes confirms it")


def operator() -> Actor:
    """Who types: BACKSTAY_ACTOR, else the login name as `user@host`."""
    from domain.audit import Actor, check_actor
    from workers.config import actor_name

    return Actor(check_actor(actor_name()), "cli")
