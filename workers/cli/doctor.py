"""`backstay doctor`: look at everything that a node needs, and say what to do about what is wrong.

Apart from health because it may take seconds, writes a probe object and speaks to people. Each check
stands alone: one that fails never hides another. Every finding that is not ok has its next step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer

from domain.errors import BackstayError
from workers.cli import checks, checks_here, checks_of_schedules, checks_of_work
from workers.cli.exits import Exit
from workers.cli.reports import Report
from workers.cli.session import AsJson, Session, session

Check = Callable[[Session], Report | list[Report]]

#: In the order in which one depends on another.
CHECKS: tuple[tuple[str, Check], ...] = (
    ("configuration", checks.configuration),
    ("keys", checks.keys),
    ("encryption", checks.encryption),
    ("database", checks.database),
    ("sealed data", checks.sealed),
    ("broker", checks.broker),
    ("store", checks.store),
    ("replicas", checks.replicas),
    ("regions", checks_here.regions),
    ("data directory", checks_here.data_directory),
    ("apps root", checks_here.apps_root),
    ("room", checks_here.room),
    ("programs", checks_here.programs),
    ("work", checks_of_work.work),
    ("dead letters", checks_of_work.dead_letters),
    ("events", checks_of_work.events),
    ("nodes", checks_of_work.nodes),
    ("schedules", checks_of_schedules.schedules),
    ("recovery points", checks_of_schedules.recovery_points),
    ("drills", checks_of_schedules.drills),
)


def doctor(as_json: AsJson = False) -> None:
    """Check configuration, database, broker, store, regions, disks, keys, nodes and work; exit 1 if any check fails."""
    with session(as_json) as here:
        document = findings(here)
        here.screen.document(document)
        rows = [(found["verdict"], found["name"], found["detail"]) for found in document["checks"]]
        here.screen.table(("", "CHECK", "FOUND"), rows, "")
        for found in document["checks"]:
            if found["next_step"]:
                about = f" {found['about']}" if found["about"] else ""
                here.screen.line(f"next: {found['name']}{about}: {found['next_step']}")
        raise typer.Exit(Exit.OK if document["ok"] else Exit.FAILED)


def findings(here: Session) -> dict[str, Any]:
    """What all checks have found, as the document that is printed."""
    reports = [report for name, check in CHECKS for report in _checked(name, check, here)]
    fields = ("name", "about", "verdict", "detail", "next_step")
    return {
        "ok": not any(report.verdict == "fail" for report in reports),
        "checks": [{field: getattr(report, field) for field in fields} for report in reports],
    }


def _checked(name: str, check: Check, here: Session) -> list[Report]:
    try:
        found = check(here)
    except (BackstayError, OSError) as error:
        next_step = getattr(error, "next_step", "") or "mend what it says, then `backstay doctor` again"
        return [Report(name, "fail", str(error), next_step)]
    return found if isinstance(found, list) else [found]
