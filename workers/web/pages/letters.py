"""Dead letters on pages: groups by cause, one letter with all that is known, and putting it aside with a reason.

Apart from replaying, which is a way of several pages. A letter without a readable subject belongs to no tenant, so
only a role in all of them shows it; its raw message is shown to whoever may see what is secret, and to nobody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from domain.audit import Actor
from domain.contracts import DeadLetter
from domain.errors import InvalidMessage, NotFound
from workers.web.access import Action, Caller
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, scope, shown
from workers.web.pages.waiting import letters as unresolved
from workers.web.pages.waiting import tenant_of
from workers.web.pages.wording import moment, size

#: How many letters the page of all groups looks at.
MOST = 1000


@dataclass(frozen=True, slots=True)
class Group:
    """Letters of one cause."""

    fingerprint: str
    kind: str
    reason: str
    sentence: str
    letters: list[DeadLetter]
    first_at: int
    last_at: int
    services: int


def routes() -> APIRouter:
    """The pages about dead letters."""
    made = APIRouter(prefix="/dead-letters", include_in_schema=False)
    made.add_api_route("", listed, methods=["GET"])
    made.add_api_route("/groups/{fingerprint}", group, methods=["GET"])
    made.add_api_route("/{dead_letter_id}", one, methods=["GET"])
    made.add_api_route("/{dead_letter_id}/discard", discard, methods=["POST"])
    return made


def grouped(found: list[DeadLetter]) -> list[Group]:
    """By fingerprint, the largest first."""
    by: dict[str, list[DeadLetter]] = {}
    for letter in found:
        by.setdefault(letter.fingerprint, []).append(letter)
    groups = [
        Group(
            fingerprint,
            same[0].kind or "",
            same[0].reason,
            same[0].sentence,
            same,
            min(letter.created_at for letter in same),
            max(letter.created_at for letter in same),
            len({letter.subject for letter in same if letter.subject}),
        )
        for fingerprint, same in by.items()
    ]
    return sorted(groups, key=lambda one: (-len(one.letters), -one.last_at))


def listed(request: Request, here: Here, who: Who, tenant: str = "", resolved: bool = False) -> Response:
    """The groups, or with `resolved` every letter ever."""
    chosen = scope(who, Action.DEAD_LETTERS_READ, tenant)
    found = [
        letter
        for letter in here.database.dead_letters.list(resolved=resolved, limit=MOST, before=None)
        if chosen is None or tenant_of(letter) == chosen
    ]
    return shown(
        request, here, who, "letters.html", section="dead-letters", title="Dead letters", tenant=chosen,
        resolved=resolved, groups=[] if resolved else grouped(found), letters=found if resolved else [],
        filtered=bool(tenant), more=len(found) == MOST,
    )  # fmt: skip


def group(request: Request, here: Here, who: Who, fingerprint: str, tenant: str = "") -> Response:
    """The letters of one cause."""
    chosen = scope(who, Action.DEAD_LETTERS_READ, tenant)
    found = [each for each in unresolved(here, chosen, MOST) if each.fingerprint == fingerprint]
    if not found:
        raise NotFound(
            "no unresolved dead letter has that cause any more", code="unknown-group", next_step="look at all of them"
        )
    return shown(
        request, here, who, "letter_group.html", section="dead-letters", title="Dead letters of one cause",
        group=grouped(found)[0],
    )  # fmt: skip


def one(request: Request, here: Here, who: Who, dead_letter_id: str) -> Response:
    """One letter, with its lineage."""
    letter = find(here, who, dead_letter_id)
    tenant = tenant_of(letter)
    return shown(
        request, here, who, "letter.html", section="dead-letters", title="Dead letter", letter=letter, tenant=tenant,
        facts=facts(letter),
        may={"discard": who.may(Action.DEAD_LETTERS_DISCARD, tenant)},
    )  # fmt: skip


def facts(letter: DeadLetter) -> list[tuple[str, str, str]]:
    """(name, value, link) of what is known of it; nothing that is empty, and no byte of the message."""
    same = "" if letter.resolution else f"/dead-letters/groups/{letter.fingerprint}"
    told = [
        ("operation", letter.op_id or "", f"/operations/{letter.op_id}"),
        ("replayed as", letter.replay_op_id or "", f"/operations/{letter.replay_op_id}"),
        ("of the same cause", letter.fingerprint, same),
        ("source", letter.source or "", ""),
        ("message", letter.message_id or "", ""),
        ("seen", f"{letter.seen} times" if letter.seen > 1 else "", ""),
        ("since", moment(letter.created_at), ""),
        ("raw message", size(len(letter.raw)) if letter.raw is not None else "", ""),
        ("headers", ", ".join(sorted(letter.headers)), ""),
    ]
    return [fact for fact in told if fact[1]]


def discard(here: Here, who: Who, dead_letter_id: str, reason: Annotated[str, Form()] = "") -> Response:
    """Put it aside, with a reason."""
    letter = find(here, who, dead_letter_id)
    who.require(Action.DEAD_LETTERS_DISCARD, tenant_of(letter))
    if not reason.strip():
        raise InvalidMessage("reason: say why nobody needs it any more", field="reason")
    done = here.database.dead_letters.discard(dead_letter_id, Actor(who.name, who.via), reason.strip())
    told = "discarded" if done else "before"
    return RedirectResponse(f"/dead-letters/{dead_letter_id}?told={told}", status_code=303)


def find(here: Desk, who: Caller, dead_letter_id: str) -> DeadLetter:
    """The letter with everything, if the caller may look at it."""
    letter = here.database.dead_letters.get(dead_letter_id)
    if letter is None or not who.may(Action.DEAD_LETTERS_READ, tenant_of(letter)):
        raise NotFound(
            f"there is no dead letter {dead_letter_id[:80]}, or not in a tenant that you may look at",
            code="unknown-dead-letter",
            next_step="the list of dead letters shows those that there are",
        )
    return letter
