"""`/api/v1/replays`: many dead letters again, canaries first, at a rate; a row that every node carries on.

Apart from single letters because this is about a frozen list: it goes on whatever becomes of who began it. One sees
the replays that one has begun; all of them with a role everywhere.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from domain.errors import Refused
from domain.letters import Verdict
from domain.replay import Replay
from workers.cli.documents import page
from workers.letter_documents import advice_documents, replay_document, replay_item_document
from workers.web import visible
from workers.web.access import Action
from workers.web.api.dead_letters import Chosen, allowed
from workers.web.api.description import DocumentRoute
from workers.web.api.inputs import ID, Before, Here, Limit, Why
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.rerunning import require_replays, require_stop
from workers.wiring import replaying_of

routes = APIRouter(route_class=DocumentRoute, prefix="/replays", tags=["dead letters"])

ReplayId = Annotated[str, Path(pattern=ID)]


class Wanted(Chosen):
    """Which letters, and how."""

    canary: int = Field(default=0, ge=0, le=10_000, description="First so many; the rest if all of them succeed.")
    per_minute: int = Field(default=0, ge=0, le=1_000_000, description="At most so many a minute; 0: no limit.")
    include: list[Verdict] = Field(default=[], description="Verdicts besides `safe` that are replayed, too.")
    reason: str = Field(min_length=1, max_length=1000, description="Why; kept in the audit trail.")


@routes.post("", status_code=202)
def begin_replay(here: Here, who: Who, wanted: Wanted) -> dict[str, Any]:
    """Freeze the list; the nodes replay it, and this waits for none of them. Only letters whose verdict is safe, or
    included, are in it; `left_out` has the others. Without ids and without a tenant it takes a role everywhere. Sent
    again it makes a list of its own, in which each letter is replayed once all the same."""
    allowed(here, who, Action.DEAD_LETTERS_REPLAY, wanted)
    replaying = replaying_of(here.system)
    safe, advice = replaying.choose(wanted.wanted(), wanted.include, wanted.dead_letter_ids)
    if not safe:
        raise Refused(
            "none of the letters that are meant can be replayed safely",
            code="nothing-to-replay",
            next_step="POST /api/v1/dead-letters/plan says why; name in `include` what is wanted all the same",
        )
    require_replays(replaying, who, safe)
    chosen_by: dict[str, Any] = {**wanted.wanted().document()} or {"ids": len(wanted.dead_letter_ids)}
    begun = replaying.begin(
        who.actor, safe, canary=wanted.canary, per_minute=wanted.per_minute, reason=wanted.reason, chosen_by=chosen_by
    )
    taken = set(safe)
    left_out = [one for one in advice if one.dead_letter_id not in taken]
    return _whole(here, visible.replay(here, who, begun.replay_id)) | {"left_out": advice_documents(left_out)}


@routes.get("")
def list_replays(here: Here, who: Who, limit: Limit = 50, before: Before = None) -> dict[str, Any]:
    """Replays of many letters, newest first: one's own, with a role everywhere all of them."""
    found = here.database.replays.list(limit + 1, before, visible.whose_replays(who))
    documents = [replay_document(one, here.database.replays.items(one.replay_id)) for one in found]
    return page("replays", documents, limit, "replay_id")


@routes.get("/{replay_id}")
def show_replay(here: Here, who: Who, replay_id: ReplayId) -> dict[str, Any]:
    """One replay with each of its letters."""
    return _whole(here, visible.replay(here, who, replay_id)) | {"left_out": []}


@routes.post("/{replay_id}/stop")
def stop_replay(here: Here, who: Who, replay_id: ReplayId, why: Why) -> dict[str, Any]:
    """What still waits in it stays a dead letter; what was replayed goes on. Takes the role in each waiting letter's
    tenant."""
    require_stop(here, who, visible.replay(here, who, replay_id))
    done = here.database.replays.stop(replay_id, who.actor, why.reason)
    found = visible.replay(here, who, replay_id)
    return replay_document(found, here.database.replays.items(replay_id)) | {"stopped_now": done}


def _whole(here: Desk, replay: Replay) -> dict[str, Any]:
    items = here.database.replays.items(replay.replay_id)
    return replay_document(replay, items) | {"items": [replay_item_document(item) for item in items]}
