"""Commands that run until they are told to stop, and `migrate`, which has to come before them.

Apart from the rest because these work and the rest asks. Their exit code is 0 after SIGTERM or Ctrl-C:
stopping is what they were asked for.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from domain.errors import Refused
from workers.cli.screen import Screen, reporting
from workers.cli.session import AsJson, session
from workers.config import Settings, load

Http = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Address to serve HTTP on; port 0: any.")]
Count = Annotated[int | None, typer.Option(min=1, help="Instead of the configured number.")]


def serve(
    data_dir: Annotated[str | None, typer.Option(metavar="DIR", help="Where everything embedded lives.")] = None,
    http: Http = None,
    as_json: AsJson = False,
) -> None:
    """Run everything in this one process: migrate, worker, HTTP API, console, health and metrics."""
    with reporting(as_json) as screen:
        settings = load(data_dir=data_dir, http=http, processes="1")
        from workers.runtime import run_worker

        raise typer.Exit(run_worker(settings, http=settings.http, migrate=True, ready=_announce(screen, settings)))


def worker(processes: Count = None, threads: Count = None, http: Http = None, as_json: AsJson = False) -> None:
    """Run this node: intake, executors, relay, sweeper. Needs a migrated database."""
    with reporting(as_json) as screen:
        settings = load(processes=_text(processes), threads=_text(threads), http=http)
        if http is not None and settings.processes > 1:
            raise Refused(
                "several processes cannot share one HTTP address",
                code="one-process-only",
                next_step="leave --http out and run `backstay web` beside the worker, or run one process",
            )
        from workers.runtime import run_worker

        address = settings.http if http else None
        raise typer.Exit(run_worker(settings, http=address, migrate=False, ready=_announce(screen, settings)))


def web(http: Http = None, as_json: AsJson = False) -> None:
    """Serve the HTTP API, the console, health and metrics without working."""
    with reporting(as_json) as screen:
        settings = load(http=http)
        from workers.runtime import run_web

        raise typer.Exit(run_web(settings, settings.http, ready=_announce(screen, settings)))


def migrate(as_json: AsJson = False) -> None:
    """Bring the database's schema up to date; safe when several nodes do it at once."""
    with session(as_json) as here:
        here.system.database.migrate()
        here.screen.document({"migrated": True})
        here.screen.line("the database has this program's schema")


def _announce(screen: Screen, settings: Settings) -> Callable[[str | None], None]:
    """With --json: one document as soon as everything runs, for whoever has started it and waits."""

    def ready(address: str | None) -> None:
        screen.document({"node": settings.node, "http": address, "pid": os.getpid()})

    return ready


def _text(number: int | None) -> str | None:
    return None if number is None else str(number)
