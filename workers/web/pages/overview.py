"""The first page: what needs a person, what goes on, what has ended; made for whoever was woken by an alert.

Apart from the lists because it chooses. Its first line says in words whether anything is wrong, so that nobody has to
read figures to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from domain.contracts import DeadLetter
from domain.operation import TERMINAL, Operation, State
from domain.recovery_point import RecoveryPoint
from workers.web.access import Action
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages import waiting
from workers.web.pages.frame import Here, part, scope, shown
from workers.web.pages.operation_view import row
from workers.web.pages.wording import number, of_tenant, sentence, short, span

#: How many of each kind the page shows.
FEW = 8
UNDER_WAY = (State.RUNNING, State.COMPENSATING, State.QUEUED)


@dataclass(frozen=True, slots=True)
class Need:
    """Something that waits for a person."""

    title: str
    about: str
    sentence: str
    next_step: str
    href: str
    since: int


def routes() -> APIRouter:
    """The page, and the part of it that is refreshed."""
    made = APIRouter(include_in_schema=False)
    made.add_api_route("/", overview, methods=["GET"])
    return made


def overview(
    request: Request, here: Here, who: Who, tenant: str = "", piece: Annotated[str, Query(alias="part")] = ""
) -> Response:
    """The page."""
    chosen = scope(who, Action.OPERATIONS_READ, tenant)
    letters = waiting.letters(here, chosen) if who.tenants(Action.DEAD_LETTERS_READ) != [] else []
    stuck = waiting.stuck(here, chosen)
    nodes = waiting.away(here, who)
    away = None if nodes is None else [f"{one.node} ({span(one.age_ms)})" for one in nodes]
    late = waiting.late(here, chosen)
    seen = _now(here, chosen, stuck, letters, away, late)
    if piece == "now":
        return part(here, "overview_now.html", **seen)
    headline, lead = summary(len(stuck), len(letters), away, len(late))
    return shown(
        request, here, who, "overview.html", section="overview", title="Overview", headline=headline, lead=lead,
        **seen,
    )  # fmt: skip


def summary(stuck: int, letters: int, away: list[str] | None, late: int = 0) -> tuple[str, str]:
    """Whether anything is wrong, in words, and what to begin with. `away` is None for whoever may not see nodes."""
    waiting = []
    if stuck:
        waiting.append(f"{_many(stuck)} operation{'s' * (stuck > 1)} {'are' if stuck > 1 else 'is'} stuck")
    if letters:
        waiting.append(f"{_many(letters)} dead letter{'s' * (letters > 1)} {'wait' if letters > 1 else 'waits'}")
    if away:
        waiting.append(f"{_many(len(away))} node{'s' * (len(away) > 1)} {'are' if len(away) > 1 else 'is'} away")
    if late:
        waiting.append(f"{_many(late)} service{'s' * (late > 1)} {'are' if late > 1 else 'is'} saved too long ago")
    if not waiting:
        if away is None:
            return "Nothing needs you", "No operation is stuck, and no dead letter waits."
        return "Nothing needs you", "No operation is stuck, no dead letter waits, and every node has been seen."
    text = " and ".join([", ".join(waiting[:-1]), waiting[-1]]) if len(waiting) > 1 else waiting[0]
    if stuck:
        return sentence(text), "Begin with what is stuck: its service is reserved until a person decides."
    if away:
        return sentence(text), f"Begin with {away[0]}: work on its services waits until it is back or they move."
    if late and not letters:
        return sentence(text), "Find out why no snapshot succeeded: its operations say so, or its schedule is paused."
    return sentence(text), "Nothing is held up by them. Find their cause, plan, and replay with a canary."


def _now(
    here: Desk,
    tenant: str | None,
    stuck: list[Operation],
    letters: list[DeadLetter],
    away: list[str] | None,
    late: list[RecoveryPoint],
) -> dict[str, Any]:
    database = here.database
    going = database.list_operations(tenant_id=tenant, states=UNDER_WAY, limit=100)
    ended = database.list_operations(tenant_id=tenant, states=[*TERMINAL, State.STUCK], limit=FEW)
    running = sum(one.state is not State.QUEUED for one in going)
    nodes = [] if away is None else [_tile(len(away), "nodes away", "/nodes", "warn")]
    return {
        "tiles": [
            _tile(len(stuck), "stuck", of_tenant("/operations?state=STUCK", tenant), "bad"),
            _tile(len(letters), "dead letters", of_tenant("/dead-letters", tenant), "warn"),
            _tile(running, "running", of_tenant("/operations?state=RUNNING", tenant), "", "run"),
            _tile(len(going) - running, "queued", of_tenant("/operations?state=QUEUED", tenant), ""),
            *nodes,
            _tile(len(late), "goals missed", of_tenant("/services", tenant), "bad"),
        ],
        "tenant": tenant,
        "needs": _needs(stuck, letters, tenant) + [_late(point) for point in late[:FEW]],
        "under_way": [row(one, database.waits_for(one)) for one in going[:FEW]],
        "ended": [row(one, "") for one in ended],
    }


def _needs(stuck: list[Operation], letters: list[DeadLetter], tenant: str | None) -> list[Need]:
    found = [
        Need(
            f"{one.kind} is stuck",
            f"{short(one.service_id)}; it is a dead letter too",
            str((one.outcome or {}).get("sentence") or ""),
            str((one.outcome or {}).get("next_step") or "look at what could not be put back, and decide"),
            f"/operations/{one.op_id}",
            one.updated_at,
        )
        for one in stuck[:FEW]
    ]
    groups: dict[str, list[DeadLetter]] = {}
    for letter in letters:
        # A STUCK operation has a letter too; it is shown once, as what it is.
        if letter.op_id not in {one.op_id for one in stuck}:
            groups.setdefault(letter.fingerprint, []).append(letter)
    for fingerprint, same in list(groups.items())[:FEW]:
        found.append(
            Need(
                f"{number(len(same))} × {same[0].kind or 'a message that cannot be read'}",
                same[0].reason,
                same[0].sentence,
                "look at the group, put the cause right, and replay",
                of_tenant(f"/dead-letters/groups/{fingerprint}", tenant),
                min(letter.created_at for letter in same),
            )
        )
    return found


def _late(point: RecoveryPoint) -> Need:
    return Need(
        f"{short(point.service_id)} is saved too long ago",
        point.tenant_id,
        point.sentence(),
        "take a snapshot now, and find out why none has succeeded",
        f"/services/{point.service_id}",
        point.newest_at or point.since,
    )


def _tile(value: int, text: str, href: str, when_any: str, always: str = "") -> dict[str, str]:
    shown_as = "100+" if value >= 100 else str(value)
    return {
        "value": shown_as,
        "text": text,
        "href": href,
        "tone": when_any if value and when_any else always * bool(value),
    }


def _many(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return "a hundred or more" if count >= 100 else words[count] if count < len(words) else str(count)
