"""Snapshots on pages: found by service and label, one with all that is known of its health, and what to do with it.

Apart from restoring because that is a way of several pages. Reading lists costs SQL only; an address for a download is
given to whoever may export, for a quarter of an hour, and stands in the audit trail.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from domain.errors import NotFound
from domain.operation import State
from domain.snapshot import Label, Snapshot
from domain.verification import VerifyLevel
from workers.command_event import uuid7
from workers.web import visible
from workers.web.access import COMMANDS, Action, Caller
from workers.web.desk import Desk
from workers.web.downloads import Downloads
from workers.web.entry import Who
from workers.web.pages.frame import Here, mistake, scope, shown
from workers.web.pages.services import send_about

PAGE = 50
#: Seconds that an address for a download works.
LINK_SECONDS = 900
#: What the page's forms may ask for, and which fields each takes.
ASKS = {
    "verify": "verify-snapshot",
    "pin": "pin-snapshot",
    "unpin": "pin-snapshot",
    "export": "export-snapshot",
    "delete": "delete-snapshot",
}
LEVELS = (
    (VerifyLevel.EXISTS, "Is every object there", "Asks the store for sizes. Seconds."),
    (VerifyLevel.HASH, "Read every byte", "Compares every byte with what was written. Reads the whole snapshot."),
    (VerifyLevel.RESTORE_TEST, "Restore it for a test", "Builds the whole tree on a node, and removes it. Needs room."),
)


def routes() -> APIRouter:
    """The pages about snapshots."""
    made = APIRouter(prefix="/snapshots", include_in_schema=False)
    made.add_api_route("", listed, methods=["GET"])
    made.add_api_route("/{snapshot_id}", one, methods=["GET"])
    made.add_api_route("/{snapshot_id}/link", link, methods=["POST"])
    made.add_api_route("/{snapshot_id}/ask/{what}", ask, methods=["POST"])
    return made


def listed(
    request: Request,
    here: Here,
    who: Who,
    service: str = "",
    label: Annotated[str, Query(max_length=512)] = "",
    tenant: str = "",
    before: str = "",
) -> Response:
    """The list, a page of it, newest first; several labels are separated by blanks."""
    chosen = scope(who, Action.SNAPSHOTS_READ, tenant)
    wanted = [Label(*part.partition(":")[::2]) for part in label.split() if ":" in part]
    services = [service] if service else []
    found = here.database.catalogue.find(chosen, services, wanted, PAGE + 1, before or None)
    kept = [(name, value) for name, value in (("service", service), ("label", label), ("tenant", tenant)) if value]
    more = found[PAGE - 1].snapshot_id if len(found) > PAGE else ""
    return shown(
        request, here, who, "snapshots.html", section="snapshots", title="Snapshots", tenant=chosen, service=service,
        label=label, filtered=bool(kept), snapshots=found[:PAGE], with_service=True,
        bad_label=bool(label.split()) and not wanted,
        older=f"?{urlencode([*kept, ('before', more)])}" if more else "",
        newest=f"/snapshots?{urlencode(kept)}" if before else "",
    )  # fmt: skip


def one(request: Request, here: Here, who: Who, snapshot_id: str) -> Response:
    """One snapshot."""
    return _page(request, here, who, visible.snapshot(here, who, snapshot_id))


def ask(
    here: Here, who: Who, snapshot_id: str, what: str, message_id: Annotated[str, Form()],
    level: Annotated[str, Form()] = "", reason: Annotated[str, Form()] = "", typed: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Verify, pin, unpin, export or delete it."""
    snapshot = visible.snapshot(here, who, snapshot_id)
    if what not in ASKS:
        raise NotFound(f"there is no {what[:40]!r} to ask of a snapshot", code="no-such-page")
    if what == "delete" and typed.strip() != snapshot.service_id:
        raise mistake("to delete a snapshot, type the id of its service", "typed")
    data: dict[str, Any] = {"snapshot_id": snapshot_id}
    if what == "verify":
        data["level"] = level or VerifyLevel.HASH.value
    elif what == "pin":
        data["reason"] = reason.strip() or "asked for"
    elif what == "unpin":
        data["pinned"] = False
    return send_about(here, who, ASKS[what], snapshot.tenant_id, snapshot.service_id, data, message_id)


def link(request: Request, here: Here, who: Who, snapshot_id: str) -> Response:
    """The page again, with an address from which anybody can fetch the archive for a while."""
    snapshot = visible.snapshot(here, who, snapshot_id)
    who.require(Action.SNAPSHOTS_EXPORT, snapshot.tenant_id)
    found = here.database.catalogue.export_of(snapshot_id)
    if found is None or here.system.store.size(found.object_key) is None:
        raise NotFound(
            f"there is no archive of snapshot {snapshot_id}",
            code="not-exported",
            next_step="prepare one on the page of the snapshot",
        )
    detail = {"seconds": LINK_SECONDS}
    entry = who.actor.entry("snapshot.link", f"snapshot/{snapshot_id}", tenant_id=snapshot.tenant_id, detail=detail)
    here.database.audit.record(entry)
    url = here.system.store.link(found.object_key, LINK_SECONDS, f"{snapshot_id}.tar.zst")
    return _page(request, here, who, snapshot, link=url or _own_link(here, found))


def _page(request: Request, here: Desk, who: Caller, snapshot: Snapshot, link: str = "") -> Response:
    database, tenant = here.database, snapshot.tenant_id
    return shown(
        request, here, who, "snapshot.html", section="snapshots", title=f"Snapshot of {snapshot.service_id}",
        at=f"/snapshots/{snapshot.snapshot_id}",
        snapshot=snapshot, export=database.catalogue.export_of(snapshot.snapshot_id), link=link, levels=LEVELS,
        link_minutes=LINK_SECONDS // 60, preparing=_preparing(here, snapshot), message_id=uuid7(),
        made_by=database.ledger.get(snapshot.snapshot_id) is not None,
        may={what: who.may(COMMANDS[kind], tenant) for what, kind in ASKS.items()}
        | {"restore": who.may(Action.SNAPSHOTS_RESTORE, tenant)},
    )  # fmt: skip


def _preparing(here: Desk, snapshot: Snapshot) -> str:
    """The operation that makes an archive of it, if one does."""
    going = here.database.list_operations(
        tenant_id=snapshot.tenant_id, service_id=snapshot.service_id, kinds=["export-snapshot"],
        states=[State.QUEUED, State.RUNNING], limit=20,
    )  # fmt: skip
    for listed_one in going:
        whole = here.database.ledger.get(listed_one.op_id)  # lists do not open what was asked
        if whole is not None and whole.data.get("snapshot_id") == snapshot.snapshot_id:
            return whole.op_id
    return ""


def _own_link(here: Desk, found: Any) -> str:
    base = here.settings.public_url or f"http://{here.settings.http}"
    downloads = Downloads(here.database.catalogue, here.system.store, here.clock, here.system.keyring.fingerprint)
    return downloads.address(base, found, LINK_SECONDS)
