"""`backstay plan`: what an upgrade or a rollback would do, item by item, without doing anything.

Apart from publishing because it only reads. The plan comes from the same functions that the worker runs, so
what is shown is what would be executed if nothing changed in between. Values are masked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import Refused
from workers.cli.exits import Exit
from workers.cli.session import AsJson, Session, session

if TYPE_CHECKING:
    from domain.course import Course

group = typer.Typer(no_args_is_help=True, help="Show what an upgrade or a rollback would do.")

Service = Annotated[str, typer.Argument(metavar="SERVICE_ID")]
ExitCode = Annotated[bool, typer.Option("--exit-code", help="Exit with 3 when there would be changes.")]
#: --exit-code: the plan is not empty.
CHANGES = Exit.PARTIAL


@group.command()
def upgrade(
    service_id: Service,
    version: Annotated[str, typer.Option(metavar="V", help="To this version.")],
    group_key: Annotated[str | None, typer.Option(metavar="KEY", help="Of this application.")] = None,
    whole_group: Annotated[bool, typer.Option("--group", help="All services of its group.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Relations may be removed.")] = False,
    exit_code: ExitCode = False,
    as_json: AsJson = False,
) -> None:
    """Show what upgrade-service would do."""
    with session(as_json) as here:
        from domain.upgrading import Wish, upgrade_course
        from workers.planning import planning_context

        context = planning_context(here.system, service_id)
        wish = Wish(version=version, group_key=group_key, group=whole_group, delete=delete, ignore_hold=True)
        _show(here, upgrade_course(context, wish), exit_code, held=_held(context, service_id, version))


@group.command()
def rollback(
    service_id: Service,
    upgrade_id: Annotated[str | None, typer.Option("--upgrade", metavar="ID", help="Undo this upgrade.")] = None,
    snapshot_id: Annotated[str | None, typer.Option("--snapshot", metavar="ID", help="To this snapshot.")] = None,
    data: Annotated[bool, typer.Option("--data", help="Data as well.")] = False,
    exit_code: ExitCode = False,
    as_json: AsJson = False,
) -> None:
    """Show what rollback would do."""
    with session(as_json) as here:
        from domain.rolling_back import Retreat, rollback_course
        from workers.planning import planning_context

        if upgrade_id is not None and snapshot_id is not None:
            raise Refused("name an upgrade or a snapshot, not both", code="usage")
        context = planning_context(here.system, service_id)
        retreat = Retreat(upgrade=upgrade_id, snapshot_id=snapshot_id, data=data)
        _show(here, rollback_course(context, retreat), exit_code, held=None)


def _held(context: Any, service_id: str, version: str) -> str | None:
    held = [reason for _, name, reason in context.records.held(service_id) if name == version]
    return (held[0] or "it was rolled back") if held else None


def _show(here: Session, course: Course, exit_code: bool, *, held: str | None) -> None:
    from workers.planning import course_document

    document = course_document(here.system, course, held)
    here.screen.document(document)
    for service in document["services"]:
        _tell(here, service)
    if held is not None:
        here.screen.line(f"this version is held: {held}; upgrade-service will refuse it", "yellow")
    if exit_code and not course.is_idle():
        raise typer.Exit(CHANGES)


def _tell(here: Session, service: dict[str, Any]) -> None:
    versions = f"{service['from'] or 'no version'} -> {service['to'] or 'no version'}"
    here.screen.line(f"service {service['service_id']}: {versions}, action {service['action']}", "bold")
    marks = {"add": "+", "update": "~", "delete": "-"}
    for change in service["changes"]:
        note = f"  ({change['note']})" if change["note"] else ""
        here.screen.line(f"  {marks[change['verb']]} {change['kind']} {change['key']}{_fields(change)}{note}")
    for kept in service["kept"]:
        here.screen.line(f"  = {kept['kind']} {kept['key']}  ({kept['note'] or 'kept'})")
    for change in service["drift"]:
        done = {"add": "added", "update": "changed", "delete": "removed"}[change["verb"]]
        here.screen.line(f"  ! {change['kind']} {change['key']} was {done} by hand since the last upgrade", "yellow")
    for note in service["notes"]:
        here.screen.line(f"  note: {note}")
    if not service["changes"]:
        here.screen.line("  nothing to do")


def _fields(change: dict[str, Any]) -> str:
    """The columns that differ, `old -> new`, for an update."""
    if change["verb"] != "update":
        return ""
    before, after = change["before"], change["after"]
    parts = [f"{name}: {before.get(name)} -> {after[name]}" for name in after if before.get(name) != after[name]]
    return f"  {'; '.join(parts)}" if parts else "  (value changed)"
