"""`/api/v1/dead-letters`: what needs a person, by cause and one by one, what replaying would do, and doing it.

Apart from replays of many, which are rows of their own. What a message holds may be secret: only an admin reads it,
and that it was read is in the audit trail.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from domain.contracts import DeadLetter
from domain.errors import Refused
from domain.letters import LetterFilter, Verdict
from workers.cli.documents import letter_document, page
from workers.letter_documents import group_document, message_document, plan_document, whole_document
from workers.web import visible
from workers.web.access import Action, Caller
from workers.web.api.description import DocumentRoute
from workers.web.api.inputs import ID, NAME, Before, Here, Limit, OfTenant, Why, across
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.rerunning import require_edited, require_replay
from workers.wiring import replaying_of

routes = APIRouter(route_class=DocumentRoute, prefix="/dead-letters", tags=["dead letters"])

LetterId = Annotated[str, Path(pattern=ID)]
Text = Annotated[str | None, Query(max_length=200)]
OfService = Annotated[str | None, Query(pattern=NAME)]


class Again(BaseModel):
    """Which verdicts of the plan are wanted all the same."""

    model_config = ConfigDict(extra="forbid")

    include: list[Verdict] = Field(
        default=[], max_length=len(Verdict), description="Verdicts besides `safe` that shall not stop it."
    )


class Chosen(BaseModel):
    """Which letters are meant: by their ids, or all unresolved ones that match everything that is named."""

    model_config = ConfigDict(extra="forbid")

    dead_letter_ids: list[Annotated[str, Field(pattern=ID)]] = Field(default=[], max_length=10_000)
    fingerprint: str | None = Field(default=None, max_length=200, description="Of this cause.")
    reason_code: str | None = Field(default=None, max_length=200, description="With this reason code.")
    kind: str | None = Field(default=None, max_length=200, description="About messages of this type.")
    tenant_id: str | None = Field(default=None, pattern=NAME)
    service_id: str | None = Field(default=None, pattern=NAME)

    def wanted(self) -> LetterFilter:
        """As the rest of the program knows it."""
        return LetterFilter(self.fingerprint, self.reason_code, self.kind, self.tenant_id, self.service_id)


class Correction(Why):
    """What the message is to be."""

    text: str = Field(max_length=1 << 20, description="The data of a command that was accepted, or the whole body.")
    dry_run: bool = Field(default=False, description="Only say whether it would be accepted.")


@routes.get("")
def list_dead_letters(
    here: Here,
    who: Who,
    tenant: OfTenant = None,
    service: OfService = None,
    fingerprint: Text = None,
    reason: Text = None,
    kind: Text = None,
    resolved: bool = False,
    limit: Limit = 50,
    before: Before = None,
) -> dict[str, Any]:
    """Dead letters, newest first; those that nobody has resolved, unless `resolved`."""

    def find(name: str | None) -> list[DeadLetter]:
        wanted = LetterFilter(fingerprint, reason, kind, name, service)
        return here.database.dead_letters.list(resolved=resolved, limit=limit + 1, before=before, wanted=wanted)

    found = across(who, Action.DEAD_LETTERS_READ, tenant, find, lambda letter: letter.seq)
    documents = [letter_document(letter) for letter in found[: limit + 1]]
    return page("dead_letters", documents, limit, "dead_letter_id")


@routes.get("/groups")
def list_groups(
    here: Here, who: Who, tenant: OfTenant = None, service: OfService = None, reason: Text = None, kind: Text = None
) -> dict[str, Any]:
    """What nobody has resolved, by its cause: the same type, code and place in the program."""

    def find(name: str | None) -> list[Any]:
        return list(here.database.letter_questions.groups(LetterFilter(None, reason, kind, name, service)))

    found = across(who, Action.DEAD_LETTERS_READ, tenant, find, lambda group: group.letters)
    return {"groups": [group_document(group) for group in found], "next": None}


@routes.post("/plan")
def plan_replay(here: Here, who: Who, chosen: Chosen) -> dict[str, Any]:
    """What replaying each letter would do, and why; changes nothing. Without a tenant it takes a role everywhere."""
    allowed(here, who, Action.DEAD_LETTERS_READ, chosen)
    _, advice = replaying_of(here.system).choose(chosen.wanted(), (), chosen.dead_letter_ids)
    return plan_document(advice)


@routes.get("/{dead_letter_id}")
def show_dead_letter(here: Here, who: Who, dead_letter_id: LetterId) -> dict[str, Any]:
    """All about one dead letter but its message: cause, attempts, journal, evidence, what came of it, what to do."""
    letter = visible.dead_letter(here, who, dead_letter_id)
    return whole_document(here.database, replaying_of(here.system), letter)


@routes.get("/{dead_letter_id}/message")
def read_message(here: Here, who: Who, dead_letter_id: LetterId) -> dict[str, Any]:
    """The message of a letter, with whatever is secret in it. That it was read is in the audit trail."""
    letter = visible.dead_letter(here, who, dead_letter_id)
    who.require(Action.DEAD_LETTERS_RAW, visible.tenant_of(letter))
    entry = who.actor.entry(
        "dead-letter.read-raw", f"dead-letter/{dead_letter_id}", tenant_id=visible.tenant_of(letter) or ""
    )
    here.database.audit.record(entry)
    return message_document(replaying_of(here.system), letter)


@routes.post("/{dead_letter_id}/replay", status_code=202)
def replay_dead_letter(here: Here, who: Who, dead_letter_id: LetterId, again: Again) -> dict[str, Any]:
    """Run it again as a new operation: once, whoever asks. 409 when the plan says that it is not safe, unless that
    verdict is included."""
    letter = visible.dead_letter(here, who, dead_letter_id)
    work = replaying_of(here.system)
    require_replay(work, who, letter)
    made = None if letter.resolution else work.replay_if(letter, who.actor, again.include)
    letter = visible.dead_letter(here, who, dead_letter_id)
    if made is None and letter.resolution != "replayed":
        raise _resolved(letter)
    here.wake()
    return letter_document(letter) | {"replayed_now": made is not None}


@routes.post("/{dead_letter_id}/edit", status_code=202)
def edit_dead_letter(here: Here, who: Who, dead_letter_id: LetterId, correction: Correction) -> dict[str, Any]:
    """Correct the message of a letter and run that; the letter keeps the original, each names the other."""
    letter = visible.dead_letter(here, who, dead_letter_id)
    who.require(Action.DEAD_LETTERS_EDIT, visible.tenant_of(letter))
    if letter.resolution is not None:
        raise _resolved(letter)
    item = replaying_of(here.system).edited(letter, correction.text)
    require_edited(who, letter, item)
    if correction.dry_run:
        return letter_document(letter) | {"replayed_now": False}
    made = here.database.dead_letters.replay_edited(dead_letter_id, who.actor, item, correction.reason)
    here.wake()
    return letter_document(visible.dead_letter(here, who, dead_letter_id)) | {"replayed_now": made is not None}


@routes.post("/{dead_letter_id}/discard")
def discard_dead_letter(here: Here, who: Who, dead_letter_id: LetterId, why: Why) -> dict[str, Any]:
    """Put it aside without running it; it stays listed with `resolved`."""
    letter = visible.dead_letter(here, who, dead_letter_id)
    who.require(Action.DEAD_LETTERS_DISCARD, visible.tenant_of(letter))
    done = here.database.dead_letters.discard(dead_letter_id, who.actor, why.reason)
    return letter_document(visible.dead_letter(here, who, dead_letter_id)) | {"discarded_now": done}


def allowed(here: Desk, who: Caller, action: Action, chosen: Chosen) -> None:
    """Raise unless the caller may do this with every letter that is meant."""
    if not chosen.dead_letter_ids:
        who.require(action, chosen.tenant_id)
    elif not who.may(action, None):
        for dead_letter_id in chosen.dead_letter_ids:
            who.require(action, visible.tenant_of(visible.dead_letter(here, who, dead_letter_id)))


def _resolved(letter: DeadLetter) -> Refused:
    return Refused(
        f"dead letter {letter.dead_letter_id} had been {letter.resolution} by {letter.resolved_by}",
        code="already-resolved",
        next_step="give the command again under a new key",
    )
