"""Replaying dead letters on pages: what it would do to each, canaries first, then the rest; and editing one of them.

Apart from the letters because replaying goes over several pages. The form carries the letters that were looked at, so
one that arrives meanwhile is not replayed unseen; what is no longer safe when it is pressed is left out.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from domain.errors import InvalidMessage, NotFound
from domain.letters import INSISTABLE, Advice, LetterFilter, Verdict
from domain.replay import ItemState, Replay, ReplayState
from workers.web import visible
from workers.web.access import Action, NotAllowed
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, mistake, part, scope, shown
from workers.web.pages.letters import VERDICTS, note_opened, replaying
from workers.web.rerunning import may_stop, replayable, require_edited, require_replay, require_stop

#: Letters of a group that one form replays.
MOST = 2000
#: Lines of a replay that its page shows.
FEW = 200


def routes() -> APIRouter:
    """The pages of replaying."""
    made = APIRouter(prefix="/dead-letters", include_in_schema=False)
    made.add_api_route("/groups/{fingerprint}", group, methods=["GET"])
    made.add_api_route("/groups/{fingerprint}/replay", begin, methods=["POST"])
    made.add_api_route("/replays/{replay_id}", progress, methods=["GET"])
    made.add_api_route("/replays/{replay_id}/stop", stop, methods=["POST"])
    made.add_api_route("/{dead_letter_id}/replay", replay_one, methods=["POST"])
    made.add_api_route("/{dead_letter_id}/edit", editor, methods=["GET"])
    made.add_api_route("/{dead_letter_id}/edit", edit, methods=["POST"])
    return made


def group(request: Request, here: Here, who: Who, fingerprint: str, tenant: str = "") -> Response:
    """The letters of one cause, each with what replaying it would do, and the form that replays them."""
    chosen = scope(who, Action.DEAD_LETTERS_READ, tenant)
    wanted = LetterFilter(fingerprint=fingerprint, tenant_id=chosen)
    found = here.database.letter_questions.groups(wanted)
    if not found:
        raise NotFound(
            "no unresolved dead letter has that cause any more", code="unknown-group", next_step="look at all of them"
        )
    candidates = here.database.letter_questions.candidates(wanted, MOST)
    advice = replaying(here).plan([one.dead_letter_id for one in candidates])
    letters = here.database.dead_letters.list(resolved=False, limit=FEW, before=None, wanted=wanted)
    return shown(
        request, here, who, "letter_group.html", section="dead-letters", title="Dead letters of one cause",
        group=found[0], letters=letters, advice={one.dead_letter_id: one for one in advice}, verdicts=VERDICTS,
        counts=counted(advice), ids=" ".join(one.dead_letter_id for one in candidates), tenant=chosen or "",
        insistable=[one for one in INSISTABLE if any(each.verdict is one for each in advice)],
        more=max(0, found[0].letters - len(letters)), safe=sum(one.verdict is Verdict.SAFE for one in advice),
        may_replay=who.may(Action.DEAD_LETTERS_REPLAY, chosen),
    )  # fmt: skip


def begin(
    here: Here, who: Who, fingerprint: str, ids: Annotated[str, Form()], tenant: Annotated[str, Form()] = "",
    canary: Annotated[int, Form(ge=0, le=100)] = 1, per_minute: Annotated[int, Form(ge=0, le=60_000)] = 0,
    include: Annotated[list[str], Form()] = [], reason: Annotated[str, Form()] = "",  # noqa: B006
) -> Response:  # fmt: skip
    """Freeze the list and begin with the canaries."""
    chosen = scope(who, Action.DEAD_LETTERS_REPLAY, tenant)
    who.require(Action.DEAD_LETTERS_REPLAY, chosen)
    insisted = [Verdict(one) for one in include if one in {verdict.value for verdict in INSISTABLE}]
    wanted = LetterFilter(fingerprint=fingerprint, tenant_id=chosen)
    there = {one.dead_letter_id for one in here.database.letter_questions.candidates(wanted, MOST)}
    looked_at = [one for one in ids.split() if one in there]
    work = replaying(here)
    names = work.choose(wanted, insisted, looked_at)[0] if looked_at else []
    if not names:
        raise mistake("none of these letters can be replayed as it was asked for", "include")
    names = replayable(work, who, names)
    if not names:
        raise mistake("none of these letters holds a command that you may give", "include")
    chosen_by = wanted.document() | {"include": [one.value for one in insisted]}
    made = work.begin(
        who.actor, names, canary=min(canary, len(names)), per_minute=per_minute, reason=reason.strip(),
        chosen_by=chosen_by,
    )  # fmt: skip
    if made.canary:
        work.carry_on(made.replay_id)
    here.wake()
    return RedirectResponse(f"/dead-letters/replays/{made.replay_id}?told=changed", status_code=303)


def progress(
    request: Request, here: Here, who: Who, replay_id: str, piece: Annotated[str, Query(alias="part")] = ""
) -> Response:
    """How a replay goes on."""
    found = visible.replay(here, who, replay_id)
    seen = _seen(here, found)
    if piece == "now":
        return part(here, "replay_now.html", refreshing=True, **seen)
    return shown(
        request, here, who, "replay.html", section="dead-letters", title="Replay", refreshing=False,
        may_stop=found.state is ReplayState.RUNNING and may_stop(here, who, found), **seen,
    )  # fmt: skip


def stop(here: Here, who: Who, replay_id: str, reason: Annotated[str, Form()] = "") -> Response:
    """Leave what waits as it is."""
    found = visible.replay(here, who, replay_id)
    require_stop(here, who, found)
    done = here.database.replays.stop(replay_id, who.actor, reason.strip())
    return RedirectResponse(
        f"/dead-letters/replays/{replay_id}?told={'changed' if done else 'before'}", status_code=303
    )


def replay_one(
    here: Here,
    who: Who,
    dead_letter_id: str,
    insist: Annotated[list[str], Form()] = [],  # noqa: B006
) -> Response:
    """Replay a single letter; what is not safe only when somebody insists."""
    letter = visible.dead_letter(here, who, dead_letter_id)
    work = replaying(here)
    require_replay(work, who, letter)
    if letter.resolution is not None:
        return RedirectResponse(f"/dead-letters/{dead_letter_id}?told=before", status_code=303)
    insisted = [Verdict(one) for one in insist if one in {verdict.value for verdict in INSISTABLE}]
    made = work.replay_if(letter, who.actor, insisted)
    here.wake()
    if made is None:
        return RedirectResponse(f"/dead-letters/{dead_letter_id}?told=before", status_code=303)
    return RedirectResponse(f"/operations/{made}?told=sent", status_code=303)


def editor(request: Request, here: Here, who: Who, dead_letter_id: str) -> Response:
    """The payload for editing; it may hold secrets, so that it was opened is written down."""
    letter = visible.dead_letter(here, who, dead_letter_id)
    tenant = visible.tenant_of(letter)
    who.require(Action.DEAD_LETTERS_EDIT, tenant)
    who.require(Action.DEAD_LETTERS_RAW, tenant)
    note_opened(here, who, letter)
    return shown(
        request, here, who, "letter_edit.html", section="dead-letters", title="Edit and replay", letter=letter,
        text=replaying(here).editable(letter),
    )  # fmt: skip


def edit(
    here: Here, who: Who, dead_letter_id: str, text: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
) -> Response:  # fmt: skip
    """Replay it as edited; the letter keeps the original."""
    letter = visible.dead_letter(here, who, dead_letter_id)
    who.require(Action.DEAD_LETTERS_EDIT, visible.tenant_of(letter))
    work = replaying(here)
    try:
        item = work.edited(letter, text)
    except InvalidMessage as error:
        raise mistake(str(error), "text") from None
    if not reason.strip():
        raise mistake("reason: say what was wrong", "reason")
    try:
        require_edited(who, letter, item)
    except NotAllowed as error:
        raise mistake(f"{error}; {error.next_step}" if error.next_step else str(error), "text") from None
    made = here.database.dead_letters.replay_edited(dead_letter_id, who.actor, item, reason.strip())
    here.wake()
    if made is None:
        return RedirectResponse(f"/dead-letters/{dead_letter_id}?told=before", status_code=303)
    return RedirectResponse(f"/operations/{made}?told=sent", status_code=303)


def counted(advice: list[Advice]) -> list[tuple[Verdict, int]]:
    """How many letters have each verdict, in the order of the verdicts."""
    counts = Counter(one.verdict for one in advice)
    return [(verdict, counts[verdict]) for verdict in VERDICTS if counts[verdict]]


def _seen(here: Desk, found: Replay) -> dict[str, Any]:
    items = here.database.replays.items(found.replay_id)
    counts = Counter(item.state for item in items)
    real = [item for item in items if item.state is not ItemState.SKIPPED]
    canaries = {item.ordinal for item in real[: found.canary]}
    ends = Counter(item.op_state.value for item in items if item.op_state is not None)
    return {
        "replay": found,
        "ended": found.state is not ReplayState.RUNNING,
        "items": items[:FEW],
        "more": max(0, len(items) - FEW),
        "canaries": canaries,
        "total": len(items),
        "replayed": counts[ItemState.REPLAYED],
        "waiting": counts[ItemState.WAITING],
        "skipped": counts[ItemState.SKIPPED],
        "ends": sorted(ends.items()),
        "percent": (len(items) - counts[ItemState.WAITING]) * 100 // len(items) if items else 100,
    }
