"""Dead letters on pages: groups by cause, one letter with all that is known, and putting it aside with a reason.

Apart from replaying, which is a way of several pages. A letter without a readable subject belongs to no tenant, so
only a role in all of them shows it; its raw message is shown to whoever may see what is secret, and to nobody else.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from domain.contracts import DeadLetter
from domain.errors import Damaged, KeyUnavailable
from domain.letters import LetterFilter, Verdict
from domain.operation import Operation
from domain.replay import Replay
from workers.judge import judge_with
from workers.replaying import Replaying
from workers.web import visible
from workers.web.access import Action, Caller
from workers.web.desk import Desk
from workers.web.entry import Who
from workers.web.pages.frame import Here, mistake, scope, shown
from workers.web.pages.operation_view import view
from workers.web.pages.wording import moment, of_tenant, size
from workers.web.rerunning import may_replay

#: Letters on a page of the list of all, and replays beneath the groups.
PAGE, FEW = 50, 5
#: verdict -> (word, tone, sign).
VERDICTS = {
    Verdict.SAFE: ("safe", "ok", "✓"),
    Verdict.APPLIED: ("already in effect", "quiet", "="),
    Verdict.SUPERSEDED: ("superseded", "warn", "↷"),
    Verdict.DANGEROUS: ("dangerous", "bad", "!"),
    Verdict.IMPOSSIBLE: ("impossible", "bad", "✕"),
}


def routes() -> APIRouter:
    """The pages about dead letters."""
    made = APIRouter(prefix="/dead-letters", include_in_schema=False)
    made.add_api_route("", listed, methods=["GET"])
    made.add_api_route("/{dead_letter_id}", one, methods=["GET"])
    made.add_api_route("/{dead_letter_id}/discard", discard, methods=["POST"])
    return made


def listed(
    request: Request, here: Here, who: Who, tenant: str = "", resolved: bool = False, before: str = ""
) -> Response:
    """The groups, or with `resolved` every letter ever, a page of it."""
    chosen = scope(who, Action.DEAD_LETTERS_READ, tenant)
    wanted = LetterFilter(tenant_id=chosen)
    found: list[DeadLetter] = []
    if resolved:
        found = here.database.dead_letters.list(resolved=True, limit=PAGE + 1, before=before or None, wanted=wanted)
    kept = [("resolved", "true"), *([("tenant", tenant)] if tenant else [])]
    more = found[PAGE - 1].dead_letter_id if len(found) > PAGE else ""
    return shown(
        request, here, who, "letters.html", section="dead-letters", title="Dead letters", tenant=chosen,
        resolved=resolved, groups=[] if resolved else here.database.letter_questions.groups(wanted),
        letters=found[:PAGE], replays=[] if resolved else replays_of(here, who),
        older=f"?{urlencode([*kept, ('before', more)])}" if more else "",
        newest=f"/dead-letters?{urlencode(kept)}" if before else "",
    )  # fmt: skip


def replays_of(here: Desk, who: Caller) -> list[Replay]:
    """The last replays that the caller may look at."""
    return here.database.replays.list(FEW, by=visible.whose_replays(who))


def one(request: Request, here: Here, who: Who, dead_letter_id: str, raw: bool = False) -> Response:
    """One letter, with what its operation did, what replaying it would do, and its lineage."""
    letter = visible.dead_letter(here, who, dead_letter_id)
    tenant = visible.tenant_of(letter)
    operation, closed = _operation_of(here, letter)
    opened = ""
    if raw:
        who.require(Action.DEAD_LETTERS_RAW, tenant)
        note_opened(here, who, letter)
        opened = replaying(here).editable(letter)
    advice = next(iter(replaying(here).plan([dead_letter_id])), None) if letter.resolution is None else None
    return shown(
        request, here, who, "letter.html", section="dead-letters", title="Dead letter", letter=letter, tenant=tenant,
        facts=facts(letter) + closed, opened=opened, advice=advice, verdicts=VERDICTS, refreshing=False,
        view=None if operation is None else view(operation, here.database.ledger.steps(operation.op_id), ""),
        may={
            "discard": who.may(Action.DEAD_LETTERS_DISCARD, tenant),
            "replay": letter.resolution is None and may_replay(replaying(here), who, letter),
            "edit": who.may(Action.DEAD_LETTERS_EDIT, tenant),
            "raw": who.may(Action.DEAD_LETTERS_RAW, tenant),
        },
    )  # fmt: skip


def _operation_of(here: Desk, letter: DeadLetter) -> tuple[Operation | None, list[tuple[str, str, str]]]:
    """Its operation; of one that does not open the fact that says so, for that may be what the letter is about."""
    try:
        return here.database.ledger.get(letter.op_id) if letter.op_id else None, []
    except (Damaged, KeyUnavailable) as error:
        return None, [("its operation", f"cannot be opened: {error}", "")]


def note_opened(here: Desk, who: Caller, letter: DeadLetter) -> None:
    """Write down that somebody looks at what may be secret, before it is shown."""
    subject, tenant = f"dead-letter/{letter.dead_letter_id}", visible.tenant_of(letter) or ""
    here.database.audit.record(who.actor.entry("dead-letter.read-raw", subject, tenant_id=tenant))


def replaying(here: Desk) -> Replaying:
    """What the command line uses too."""
    return Replaying(here.database, judge_with(here.subscriptions), here.subscriptions)


def facts(letter: DeadLetter) -> list[tuple[str, str, str]]:
    """(name, value, link) of what is known of it; nothing that is empty, and no byte of the message."""
    group = of_tenant(f"/dead-letters/groups/{letter.fingerprint}", visible.tenant_of(letter))
    same = "" if letter.resolution else group
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
    letter = visible.dead_letter(here, who, dead_letter_id)
    who.require(Action.DEAD_LETTERS_DISCARD, visible.tenant_of(letter))
    if not reason.strip():
        raise mistake("reason: say why nobody needs it any more", "reason")
    done = here.database.dead_letters.discard(dead_letter_id, who.actor, reason.strip())
    told = "discarded" if done else "before"
    return RedirectResponse(f"/dead-letters/{dead_letter_id}?told={told}", status_code=303)
