"""The audit trail on a page: who changed what, when, by which way and why. Nothing on it can be changed.

Apart from operations because a change need not be one, and because who acted is asked for by name.
"""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from workers.web.access import Action
from workers.web.entry import Who
from workers.web.pages.frame import Here, scope, shown

PAGE = 50
#: What a subject begins with -> the section that its id leads to.
_PLACES = {"operation": "/operations/", "dead-letter": "/dead-letters/", "snapshot": "/snapshots/", "node": "/nodes/"}


def routes() -> APIRouter:
    """The one page."""
    made = APIRouter(prefix="/audit", include_in_schema=False)
    made.add_api_route("", trail, methods=["GET"])
    return made


def trail(
    request: Request, here: Here, who: Who, actor: str = "", action: str = "", subject: str = "", tenant: str = "",
    before: str = "",
) -> Response:  # fmt: skip
    """A page of it, newest first."""
    chosen = scope(who, Action.AUDIT_READ, tenant)
    found = here.database.audit.list(
        tenant_id=chosen, actor=actor or None, action=action or None, subject=subject or None, limit=PAGE + 1,
        before=int(before) if before.isdigit() and len(before) < 16 else None,
    )  # fmt: skip
    asked = (("actor", actor), ("action", action), ("subject", subject), ("tenant", tenant))
    kept = [(name, value) for name, value in asked if value]
    more = found[PAGE - 1].seq if len(found) > PAGE else 0
    rows = [
        {
            "entry": entry,
            "href": place(entry.subject),
            "operation": str(entry.detail.get("operation_id") or entry.detail.get("replay_operation_id") or ""),
        }
        for entry in found[:PAGE]
    ]
    return shown(
        request, here, who, "audit.html", section="audit", title="Audit trail", tenant=chosen, rows=rows,
        actor=actor, action=action, subject=subject, filtered=bool(kept),
        older=f"?{urlencode([*kept, ('before', more)])}" if more else "",
        newest=f"/audit?{urlencode(kept)}" if before else "",
    )  # fmt: skip


def place(subject: str) -> str:
    """The page of what an entry is about; "" when it has none."""
    kind, _, rest = subject.partition("/")
    if kind == "tenant":
        return f"/services/{rest.rpartition('/')[2]}" if "/service/" in rest else ""
    return f"{_PLACES[kind]}{rest}" if kind in _PLACES and rest else ""
