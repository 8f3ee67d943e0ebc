"""Restoring a snapshot in three pages: what and where, a dry run that changes nothing, and the word that starts it.

Apart from snapshots because it goes over several pages whose choices must stay the same: they travel in the address
and in hidden fields, and each page works by itself. Skipping the dry run is possible; typing the name is not skipped.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from domain.errors import NotFound
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


class Choice:
    """What was chosen so far, from an address or a form."""

    def __init__(self, service: str, mode: str, include: list[str], paths: str, verify: bool, clone: bool) -> None:
        self.service = service
        self.mode = mode if mode in {one.value for one in RestoreMode} else RestoreMode.REPLACE.value
        self.include = [name for name, _, _ in PARTS if name in include]
        self.paths = [line.strip() for line in paths.splitlines() if line.strip()]
        self.verify, self.clone = verify, clone

    def data(self, snapshot: Snapshot) -> dict[str, Any]:
        """The payload of the command; what is as the handler would have it is left out."""
        found: dict[str, Any] = {"snapshot_id": snapshot.snapshot_id, "mode": self.mode}
        if self.include and set(self.include) != set(snapshot.include) and not self.paths:
            found["include"] = self.include
        if self.paths:
            found["paths"] = self.paths
        if self.verify:
            found["verify"] = True
        if self.clone:
            found["profile"] = "clone"
        return found

    def pairs(self) -> list[tuple[str, str]]:
        """As fields of an address or a form."""
        found = [("service", self.service), ("mode", self.mode), *(("include", one) for one in self.include)]
        found += [("paths", "\n".join(self.paths))] if self.paths else []
        return found + [(name, "true") for name, on in (("verify", self.verify), ("clone", self.clone)) if on]


def wizard(
    request: Request, here: Here, who: Who, snapshot_id: str, service: str = "", mode: str = "",
    include: Annotated[list[str], Query()] = [], paths: str = "", verify: bool = False, clone: bool = False,  # noqa: B006
    dry: str = "", sure: bool = False, piece: Annotated[str, Query(alias="part")] = "",
) -> Response:  # fmt: skip
    """The page of the step that comes next."""
    snapshot = visible.snapshot(here, who, snapshot_id)
    who.require(Action.SNAPSHOTS_RESTORE, snapshot.tenant_id)
    choice = Choice(service or snapshot.service_id, mode, include or list(snapshot.include), paths, verify, clone)
    seen = _dry_run(here, who, dry) if dry else None
    if piece == "now":
        return part(here, "restore_dry.html", dry=seen, refreshing=True, counts=_counts(seen), most=MOST)
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
    choice = Choice(service, mode, include, paths, verify, clone)
    asked = {name: value for name, value in choice.data(snapshot).items() if name not in ("include", "verify")}
    subject = Subject(target.tenant_id, target.service_id)
    done = here.submit(who, "restore-snapshot", subject, asked | {"dry_run": True}, message_id)
    onwards = urlencode([*choice.pairs(), ("dry", done.operation_id)])
    return RedirectResponse(f"/snapshots/{snapshot_id}/restore?{onwards}", status_code=303)


def restore(
    here: Here, who: Who, snapshot_id: str, message_id: Annotated[str, Form()], service: Annotated[str, Form()],
    typed: Annotated[str, Form()], mode: Annotated[str, Form()] = "",
    include: Annotated[list[str], Form()] = [], paths: Annotated[str, Form()] = "",  # noqa: B006
    verify: Annotated[bool, Form()] = False, clone: Annotated[bool, Form()] = False,
) -> Response:  # fmt: skip
    """Do it."""
    snapshot = visible.snapshot(here, who, snapshot_id)
    target = _target(here, who, service)
    if typed.strip() != target.service_id:
        raise mistake(f"to restore service {target.service_id}, type its id", "typed")
    data = Choice(service, mode, include, paths, verify, clone).data(snapshot)
    return send_about(here, who, "restore-snapshot", target.tenant_id, target.service_id, data, message_id)


def _target(here: Desk, who: Caller, service_id: str) -> Service:
    """The service that was typed; a mistake at its field when there is none that the caller may look at."""
    try:
        return visible.service(here, who, service_id.strip())
    except NotFound as error:
        raise mistake(str(error), "service") from None


def _dry_run(here: Desk, who: Who, operation_id: str) -> View:
    operation = visible.operation(here, who, operation_id)
    return view(operation, (), "" if operation.outcome else here.database.waits_for(operation))


def _counts(seen: View | None) -> list[tuple[str, int]]:
    figures = seen.figures if seen is not None else {}
    return [(name, figures[name]) for name in ("restored", "updated", "deleted", "unchanged") if name in figures]
