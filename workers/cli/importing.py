"""`backstay snapshots import`, `import-list` and `import-rosti`: archives of others become snapshots.

Apart from the other commands about snapshots because these look into places where others have stored something.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from domain.errors import InvalidMessage
from domain.identity import check_name
from workers.cli.exits import Exit
from workers.cli.exporting import group
from workers.cli.session import AsJson, Limit, Session, Timeout, session
from workers.cli.snapshots import Labels, Service, Subject, ask, whom

Place = Annotated[str, typer.Argument(metavar="PLACE", help="A folder or bucket of this node's configuration.")]
SOURCE = "/import/rosti"


@group.command("import")
def import_(
    place: Place,
    keys: Annotated[list[str], typer.Argument(metavar="KEY…", help="The archive, or a chain of them, oldest first.")],
    service: Service = None,
    subject: Subject = None,
    label: Labels = None,
    strip: Annotated[int, typer.Option(metavar="N", min=0, max=64, help="Drop N leading components of names.")] = 0,
    taken_at: Annotated[str | None, typer.Option(metavar="TIME", help="When the data was as it is.")] = None,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Make a snapshot of tar archives and wait until it can be restored."""
    data = {"place": place, "keys": keys, "labels": label, "strip": strip or None, "taken_at": taken_at}
    with session(as_json) as here:
        ask(here, "import-snapshot", whom(here, service, subject, None), data, timeout)


@group.command("import-list")
def import_list(place: Place, limit: Limit = 1000, as_json: AsJson = False) -> None:
    """List what lies in a place."""
    with session(as_json) as here:
        found = sorted(here.system.places.list(place), key=lambda info: info.key)
        here.screen.document({"objects": [{"key": info.key, "bytes": info.size} for info in found[:limit]]})
        here.screen.table(("KEY", "BYTES"), [(info.key, str(info.size)) for info in found[:limit]], "nothing")
        if len(found) > limit:
            here.screen.note(f"{len(found) - limit} more: --limit {len(found)}")


@group.command("import-rosti")
def import_rosti(
    place: Place,
    tenant: Annotated[str, typer.Option(metavar="T", help="Whose services its apps are, by name.")],
    app: Annotated[list[str] | None, typer.Option(metavar="A", help="Only of these apps; repeatable.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be imported.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask for the import of every snapshot in a bucket of rosti; asking again imports none twice."""
    from workers.rosti import snapshots_in

    with session(as_json) as here:
        asked: list[dict[str, Any]] = []
        passed_over: list[dict[str, str]] = []
        for found in snapshots_in(here.system.places, place, tenant):
            if app and found.app not in app:
                continue
            if trouble := found.trouble or _trouble(here, tenant, found.app):
                passed_over.append({"key": found.key, "reason": trouble})
                continue
            data = {"place": place, "keys": [found.key], "labels": list(found.labels), "taken_at": found.taken_at}
            message = {"id": found.uuid, "source": f"{SOURCE}/{tenant}"}
            if not dry_run:
                _send(here, f"tenant/{tenant}/service/{found.app}", data, message)
            asked.append({"key": found.key, "message": message})
        here.screen.document({"dry_run": dry_run, "asked": asked, "passed_over": passed_over})
        verb = "would be imported" if dry_run else "are being imported; `backstay operations watch` follows them"
        here.screen.line(f"{len(asked)} snapshots {verb}", "bold")
        for one in passed_over:
            here.screen.line(f"  passed over: {one['key']}: {one['reason']}")
        if passed_over:
            raise typer.Exit(Exit.PARTIAL)


def _trouble(here: Session, tenant: str, app: str) -> str:
    try:
        check_name(app, "service")
    except InvalidMessage:
        return "its app has a name that no service can have; import it by hand with --service"
    service = here.database().services.get(app)
    if service is None or service.tenant_id != tenant:
        return f"tenant {tenant} has no service {app}: register it first"
    return ""


def _send(here: Session, subject: str, data: dict[str, Any], message: dict[str, str]) -> None:
    from workers.cli.sending import cloud_event, publish

    publish(here.settings, cloud_event("import-snapshot", subject, data, message["id"], message["source"]))
