"""`backstay doctor`: look at everything that a node needs, and say what to do about what is wrong.

Apart from health because it may take seconds, writes a probe object and speaks to people. Each check
stands alone: one that fails never hides another.
"""

from __future__ import annotations

from collections.abc import Callable

import typer

from domain.errors import BackstayError
from workers.cli.checks import CHECKS, Report
from workers.cli.exits import Exit
from workers.cli.session import AsJson, Session, session


def doctor(as_json: AsJson = False) -> None:
    """Check configuration, database, broker, store, disk, keys and work that waits; exit 1 if any check fails."""
    with session(as_json) as here:
        reports = [_checked(name, check, here) for name, check in CHECKS]
        failed = any(report.verdict == "fail" for report in reports)
        fields = ("name", "verdict", "detail", "next_step")
        here.screen.document(
            {"ok": not failed, "checks": [{field: getattr(report, field) for field in fields} for report in reports]}
        )
        rows = [(report.verdict, report.name, report.detail) for report in reports]
        here.screen.table(("", "CHECK", "FOUND"), rows, "")
        for report in reports:
            if report.next_step:
                here.screen.line(f"next: {report.name}: {report.next_step}")
        raise typer.Exit(Exit.FAILED if failed else Exit.OK)


def _checked(name: str, check: Callable[[Session], Report], here: Session) -> Report:
    try:
        return check(here)
    except (BackstayError, OSError) as error:
        return Report(name, "fail", str(error), getattr(error, "next_step", ""))
