"""What stands around every page: who looks, which sections there are, what needs a person, and what was just done.

Apart from the pages because all of them have it. A section that the caller may not read is not offered; which
tenants' rows a list holds is decided here, so that no page can forget to ask.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends, Request
from fastapi.responses import Response

from domain.errors import InvalidMessage
from workers.web.access import EVERYWHERE, Action, Caller, NotAllowed
from workers.web.desk import Desk, desk
from workers.web.pages import waiting
from workers.web.pages.rendering import page

Here = Annotated[Desk, Depends(desk)]


@dataclass(frozen=True, slots=True)
class Section:
    """One entry of the navigation."""

    name: str
    title: str
    href: str
    needs: Action
    count: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What a change that was just made has come to."""

    sentence: str
    tone: str


@dataclass(frozen=True, slots=True)
class Frame:
    """The frame of one page for one caller."""

    caller: Caller
    sections: tuple[Section, ...]
    tenants: list[str] | None  # that may be looked at; None: all
    roles: str
    told: Told | None
    at: str  # the page's own address, which its forms carry


SECTIONS = (
    Section("overview", "Overview", "/", Action.OPERATIONS_READ),
    Section("operations", "Operations", "/operations", Action.OPERATIONS_READ),
    Section("services", "Services", "/services", Action.SERVICES_READ),
    Section("versions", "Versions", "/versions", Action.VERSIONS_READ),
    Section("snapshots", "Snapshots", "/snapshots", Action.SNAPSHOTS_READ),
    Section("dead-letters", "Dead letters", "/dead-letters", Action.DEAD_LETTERS_READ),
    Section("schedules", "Schedules", "/schedules", Action.SCHEDULES_READ),
    Section("nodes", "Nodes", "/nodes", Action.NODES_READ),
    Section("tokens", "Tokens", "/tokens", Action.TOKENS_CHANGE),
    Section("audit", "Audit trail", "/audit", Action.AUDIT_READ),
    Section("settings", "Settings", "/settings", Action.SETTINGS_READ),
)
#: What an address may say after a change. Only these words, so that nobody can put others on our page.
TOLD = {
    "sent": Told("Accepted. It is done as soon as a worker is free; this page follows it.", "ok"),
    "again": Told("This had been sent before. It is the same command, and nothing was done twice.", "quiet"),
    "stopping": Told("It has been asked to stop; what it touched is put back first.", "ok"),
    "resolved": Told("Noted, under your name.", "ok"),
    "discarded": Told("Discarded, with your reason. It stays listed among those that are resolved.", "ok"),
    "replayed": Told("Replayed as new operations; each stands beside its dead letter.", "ok"),
    "before": Told("Somebody had resolved this before; nothing was changed.", "warn"),
    "changed": Told("Done, and written down under your name.", "ok"),
}


def shown(
    request: Request,
    here: Desk,
    who: Caller,
    template: str,
    *,
    section: str,
    title: str,
    status: int = 200,
    at: str = "",
    **more: Any,
) -> Response:
    """A page in its frame. `at`: where it can be asked for, when that is not the address of this request."""
    told = TOLD.get(request.query_params.get("told", ""))
    tenants = who.tenants(Action.OPERATIONS_READ)
    frame = Frame(who, _sections(here, who, tenants), tenants, _roles(who), told, at or _address(request))
    return page(template, status, frame=frame, section=section, title=title, now=here.clock.wall_ms(), **more)


def part(here: Desk, template: str, **more: Any) -> Response:
    """A piece of a page, for the script that refreshes it."""
    return page(template, now=here.clock.wall_ms(), **more)


def mistake(sentence: str, field: str) -> InvalidMessage:
    """What a person has to correct in the form that they sent; nothing was done."""
    found = InvalidMessage(sentence, field=field)
    found.next_step = "correct it and send it again; nothing was done"
    return found


def scope(who: Caller, action: Action, wanted: str | None) -> str | None:
    """Whose rows a list shows: None for everybody's. NotAllowed when there is nobody's to show."""
    allowed = who.tenants(action)
    if allowed is None:
        return wanted or None
    if wanted:
        who.require(action, wanted)
        return wanted
    if not allowed:
        raise NotAllowed(f"{action.value} takes a role that {who.name} has in no tenant")
    return allowed[0]


def _address(request: Request) -> str:
    """Of this page, without what it says only once."""
    query = urlencode([(name, value) for name, value in request.query_params.multi_items() if name != "told"])
    return quote(request.url.path) + (f"?{query}" if query else "")


def _sections(here: Desk, who: Caller, tenants: list[str] | None) -> tuple[Section, ...]:
    found = []
    for section in SECTIONS:
        if who.tenants(section.needs) == []:
            continue
        of = [None] if tenants is None else tenants
        count = 0
        if section.name == "operations":
            count = sum(len(waiting.stuck(here, tenant)) for tenant in of)
        elif section.name == "dead-letters":
            count = sum(len(waiting.letters(here, tenant)) for tenant in of)
        badge = f"{waiting.MOST - 1}+" if count >= waiting.MOST else str(count or "")
        found.append(replace(section, count=badge))
    return tuple(found)


def _roles(who: Caller) -> str:
    named = [
        f"{role.value} in {'every tenant' if tenant == EVERYWHERE else tenant}" for tenant, role in who.roles.items()
    ]
    return ", ".join(named[:3]) + (f" and {len(named) - 3} more" if len(named) > 3 else "")
