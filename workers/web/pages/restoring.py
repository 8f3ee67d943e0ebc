"""Restoring a snapshot in three pages: what and where, a dry run that changes nothing, and the word that starts it.

Apart from snapshots because it goes over several pages whose choices must stay the same: they travel in the address
and in hidden fields, and each page works by itself. Skipping the dry run is possible; typing the name is not skipped.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from domain.errors import NotFound, Refused
from domain.identity import Subject
from domain.restore import RestoreMode
from domain.service import Service
from domain.snapshot import Snapshot
from workers.command_event import uuid7
from workers.web import visible
from workers.web.access import Action, Caller
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, mistake, part, shown
from workers.web.pages.operation_view import View, view
from workers.web.pages.restore_choice import Choice, looked_at
from workers.web.pages.services import send_about

MODES = (
    (RestoreMode.REPLACE, "Exactly as in the snapshot", "Files that the snapshot does not have are removed."),
    (RestoreMode.MERGE, "Bring back what the snapshot has", "Files that it does not have stay."),
    (
        RestoreMode.REFUSE_NON_EMPTY,
        "Only into an empty directory",
        "If there is anything, it fails and changes nothing.",
    ),
)
PARTS = (
    ("data", "Data", "The service's directory."),
    ("configuration", "Configuration", "What the service is configured to be; the region is told if it differs."),
    ("sources", "Sources", "Databases and volumes beside the directory. They cannot be taken back afterwards."),
)
#: Items of a dry run that the page shows.
MOST = 200


def routes() -> APIRouter:
    """The wizard."""
    made = APIRouter(prefix="/snapshots/{snapshot_id}/restore", include_in_schema=False)
    made.add_api_route("", wizard, methods=["GET"])
    made.add_api_route("/dry-run", dry_run, methods=["POST"])
    made.add_api_route("", restore, methods=["POST"])
    return made


def wizard(
    request: Request, here: Here, who: Who, snapshot_id: str, service: str = "", mode: str = "",
    include: Annotated[list[str], Query()] = [], paths: str = "", verify: bool = False, clone: bool = False,  # noqa: B006
    dry: str = "", sure: bool = False, piece: Annotated[str, Query(alias="part")] = "",
) -> Response:  # fmt: skip
    """The page of the step that comes next."""
    snapshot = visible.snapshot(here, who, snapshot_id)
    who.require(Action.SNAPSHOTS_RESTORE, snapshot.tenant_id)
    choice = Choice(service or snapshot.service_id, mode, include or list(snapshot.include), paths, verify, clone)
    seen = _dry_run(here, who, dry, snapshot, choice) if dry else None
    if piece == "now":
        return part(here, "restore_dry.html", dry=seen, refreshing=True, counts=_counts(seen), most=MOST, choice=choice)
    return shown(
        request, here, who, "restore.html", section="snapshots", title=f"Restore a snapshot of {snapshot.service_id}",
        snapshot=snapshot, choice=choice, modes=MODES, parts_of=[one for one in PARTS if one[0] in snapshot.include],
        step=3 if sure or (seen is not None and seen.ended) else 2 if seen is not None else 1, dry=seen,
        counts=_counts(seen), most=MOST, refreshing=False, message_id=uuid7(), dry_id=dry,
        services=[one.service_id for one in here.database.list_services(snapshot.tenant_id)][:500],
        here_again=urlencode([*choice.pairs(), ("dry", dry)]), skip=urlencode([*choice.pairs(), ("sure", "true")]),
        can_clone=bool(here.settings.identity_files),
    )  # fmt: skip


def dry_run(
    here: Here, who: Who, snapshot_id: str, message_id: Annotated[str, Form()], service: Annotated[str, Form()],
    mode: Annotated[str, Form()] = "", include: Annotated[list[str], Form()] = [],  # noqa: B006
    paths: Annotated[str, Form()] = "", verify: Annotated[bool, Form()] = False, clone: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """Ask what would happen, and wait for it on the next page."""
    snapshot = visible.snapshot(here, who, snapshot_id)
    target = _target(here, who, service)
    choice = Choice(target.service_id, mode, include or snapshot.include, paths, verify, clone)
    if "data" not in choice.parts:  # a dry run compares directories, and nothing else
        onwards = urlencode([*choice.pairs(), ("sure", "true")])
        return RedirectResponse(f"/snapshots/{snapshot_id}/restore?{onwards}", status_code=303)
    subject = Subject(target.tenant_id, target.service_id)
    asked = choice.data(snapshot_id) | {"dry_run": True}
    done = here.submit(who, "restore-snapshot", subject, asked, message_id)
    onwards = urlencode([*choice.pairs(), ("dry", done.operation_id)])
    return RedirectResponse(f"/snapshots/{snapshot_id}/restore?{onwards}", status_code=303)


def restore(
    here: Here, who: Who, snapshot_id: str, message_id: Annotated[str, Form()], service: Annotated[str, Form()],
    typed: Annotated[str, Form()], mode: Annotated[str, Form()] = "",
    include: Annotated[list[str], Form()] = [], paths: Annotated[str, Form()] = "",  # noqa: B006
    verify: Annotated[bool, Form()] = False, clone: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """Do it."""
    visible.snapshot(here, who, snapshot_id)
    target = _target(here, who, service)
    if typed.strip() != target.service_id:
        raise mistake(f"to restore service {target.service_id}, type its id", "typed")
    data = Choice(service, mode, include, paths, verify, clone).data(snapshot_id)
    return send_about(here, who, "restore-snapshot", target.tenant_id, target.service_id, data, message_id)


def _target(here: Desk, who: Caller, service_id: str) -> Service:
    """The service that was typed; a mistake at its field when there is none that the caller may look at."""
    try:
        return visible.service(here, who, service_id.strip())
    except NotFound as error:
        raise mistake(str(error), "service") from None


def _dry_run(here: Desk, who: Caller, operation_id: str, snapshot: Snapshot, choice: Choice) -> View:
    """The dry run of exactly that choice: what it has not looked at must not be restored on its word."""
    operation = visible.operation(here, who, operation_id)
    known = looked_at(operation, snapshot.snapshot_id, snapshot.include)
    if known is None or (known.service, known.data("")) != (choice.service, choice.data("")):
        raise Refused(
            f"operation {operation_id} is no dry run of what is chosen here",
            code="other-dry-run",
            next_step="choose again on the page of the snapshot, and ask for a dry run of that",
        )
    return view(operation, (), "" if operation.outcome else here.database.waits_for(operation))


def _counts(seen: View | None) -> list[tuple[str, int]]:
    figures = seen.figures if seen is not None else {}
    return [(name, figures[name]) for name in ("restored", "updated", "deleted", "unchanged") if name in figures]
