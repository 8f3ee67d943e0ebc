"""`backstay dead-letters plan`, `replay`, `replays` and `stop`: letters again, one or many, safely.

Apart from looking at them because these make operations. A replay of many is a row that every node carries on: this
program may be killed meanwhile, and `replays` shows how far it is.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, NoReturn

import typer

from domain.errors import NotFound, Refused
from domain.letters import Advice, LetterFilter, Verdict
from domain.operation import State
from domain.replay import ItemState, Replay, ReplayItem, ReplayState
from workers.cli.dead_letters import (
    Code,
    Group,
    Ids,
    Kind,
    Service,
    Tenant,
    group,
    made_line,
    named,
    replaying,
    resolved_by,
    service_of,
)
from workers.cli.documents import ENDED, letter_document
from workers.cli.exits import Exit
from workers.cli.session import AsJson, Limit, Session, Timeout, operator, session

Include = Annotated[
    list[Verdict] | None,
    typer.Option(metavar="VERDICT", help="Also applied, superseded, dangerous ones; repeatable."),
]
Wait = Annotated[bool, typer.Option("--wait", help="Follow it until every operation has ended.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit trail.")]


@group.command()
def plan(
    ids: Ids = None,
    group_: Group = None,
    code: Code = None,
    kind: Kind = None,
    tenant: Tenant = None,
    service: Service = None,
    as_json: AsJson = False,
) -> None:
    """Say for each letter what replaying it would do, and why; changes nothing. Without a choice: for all."""
    with session(as_json) as here:
        from workers.letter_documents import plan_document

        wanted = LetterFilter(group_, code, kind, tenant, service)
        _, advice = replaying(here).choose(wanted, (), ids or ())
        here.screen.document(plan_document(advice))
        _tell_plan(here, advice)


@group.command()
def replay(
    ids: Ids = None,
    group_: Group = None,
    code: Code = None,
    kind: Kind = None,
    tenant: Tenant = None,
    service: Service = None,
    canary: Annotated[int, typer.Option(metavar="N", min=0, help="First so many; the rest if all succeed.")] = 0,
    rate: Annotated[int, typer.Option(metavar="N", min=0, help="At most so many a minute; 0: no limit.")] = 0,
    include: Include = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be replayed.")] = False,
    reason: Why = "",
    wait: Wait = False,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Run letters again as new operations: each once, whoever asks; of many those that are safe."""
    with session(as_json) as here:
        from workers.letter_documents import plan_document

        wanted = LetterFilter(group_, code, kind, tenant, service)
        chosen = named(here, ids, wanted)
        if ids and len(chosen) == 1 and not (canary or rate or dry_run or wait):
            _replay_one(here, chosen[0], include or [])
            return
        safe, advice = replaying(here).choose(wanted, include or (), chosen)
        if dry_run or not safe:
            here.screen.document(plan_document(advice) | _estimate(len(safe), canary, rate))
            _tell_plan(here, advice)
            here.screen.line(f"{len(safe)} would be replayed" if dry_run else "nothing was replayed: none is safe")
            return
        filters: dict[str, Any] = {**wanted.document()} or {"ids": len(chosen)}
        begun = replaying(here).begin(
            operator(), safe, canary=canary, per_minute=rate, reason=reason, chosen_by=filters
        )
        taken = set(safe)
        left_out = [one for one in advice if one.dead_letter_id not in taken]
        replaying(here).carry_on(begun.replay_id)
        _follow(here, begun.replay_id, wait, timeout, left_out)


@group.command()
def replays(
    replay_id: Annotated[str | None, typer.Argument(metavar="[REPLAY_ID]")] = None,
    wait: Wait = False,
    timeout: Timeout = 600,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """Show how replays of many letters stand, or one of them with each of its letters."""
    with session(as_json) as here:
        from workers.letter_documents import replay_document

        if replay_id is not None:
            _find(here, replay_id)
            _follow(here, replay_id, wait, timeout, ())
            return
        database = here.database()
        documents = [
            replay_document(one, database.replays.items(one.replay_id)) for one in database.replays.list(limit)
        ]
        here.screen.document({"replays": documents, "next": None})
        rows = [
            (d["replay_id"], d["state"], d["letters"], d["waiting"], d["succeeded"], d["not_succeeded"], d["actor"])
            for d in documents
        ]
        titles = ("ID", "STATE", "LETTERS", "WAITING", "SUCCEEDED", "NOT SUCCEEDED", "BY")
        here.screen.table(titles, rows, "no replay of many letters has been asked for")


@group.command()
def stop(
    replay_id: Annotated[str, typer.Argument(metavar="REPLAY_ID")], reason: Why = "", as_json: AsJson = False
) -> None:
    """Stop a replay of many: what still waits in it stays a dead letter, what was replayed goes on."""
    with session(as_json) as here:
        from workers.letter_documents import replay_document

        _find(here, replay_id)
        done = here.database().replays.stop(replay_id, operator(), reason or "no reason given")
        found = _find(here, replay_id)
        document = replay_document(found, here.database().replays.items(replay_id))
        here.screen.document(document | {"stopped_now": done})
        here.screen.line(f"replay {replay_id} is {found.state}; {document['waiting']} letters were left as they were")


def _replay_one(here: Session, dead_letter_id: str, include: list[Verdict]) -> None:
    letter = replaying(here).find(dead_letter_id)
    made = None if letter.resolution else replaying(here).replay_if(letter, operator(), include)
    letter = replaying(here).find(dead_letter_id)
    if made is None and letter.resolution != "replayed":
        raise Refused(resolved_by(letter), code="already-discarded", next_step="publish the command again")
    here.screen.document(letter_document(letter) | {"replayed_now": made is not None})
    here.screen.line(made_line(letter, made))


def _find(here: Session, replay_id: str) -> Replay:
    found = here.database().replays.get(replay_id)
    if found is None:
        raise NotFound(
            f"replay {replay_id} does not exist",
            code="unknown-replay",
            next_step="`backstay dead-letters replays` shows the newest ones",
        )
    return found


def _follow(here: Session, replay_id: str, wait: bool, timeout: float, left_out: Any) -> None:
    """Show how it stands, after waiting if that was asked for; carries it on meanwhile, as every node does."""
    from workers.letter_documents import advice_documents, replay_document, replay_item_document

    ended = True
    if wait:
        from workers.cli.following import until

        def look() -> str | None:
            replaying(here).carry_on(replay_id)
            return replay_id if _over(_find(here, replay_id), here.database().replays.items(replay_id)) else None

        try:
            ended = until(look, timeout, lambda: None) is not None
        except KeyboardInterrupt:
            here.screen.note(f"no longer waiting; `backstay dead-letters replays {replay_id} --wait` follows it again")
            raise typer.Exit(Exit.INTERRUPTED) from None
    found, items = _find(here, replay_id), here.database().replays.items(replay_id)
    document = replay_document(found, items)
    document |= {"items": [replay_item_document(item) for item in items], "left_out": advice_documents(left_out)}
    here.screen.document(document)
    _tell(here, document)
    if wait:
        _leave(document, ended)


def _leave(document: dict[str, Any], ended: bool) -> NoReturn:
    if not ended:
        raise typer.Exit(Exit.UNKNOWN)
    if document["state"] == ReplayState.STOPPED:
        raise typer.Exit(Exit.FAILED)
    raise typer.Exit(Exit.PARTIAL if document["not_succeeded"] or document["skipped"] else Exit.OK)


def _over(found: Replay, items: list[ReplayItem]) -> bool:
    going = any(item.op_state is not None and item.op_state not in ENDED for item in items)
    return found.state is not ReplayState.RUNNING and not going


def _tell(here: Session, document: dict[str, Any]) -> None:
    names = ("replay_id", "state", "why", "letters", "waiting", "going_on", "succeeded", "not_succeeded", "skipped")
    here.screen.facts([(name.replace("_", " "), document[name]) for name in names])
    for item in document["items"]:
        if item["state"] == ItemState.SKIPPED or item["operation_state"] not in (None, State.SUCCEEDED):
            what = item["why"] or f"operation {item['operation_id']} is {item['operation_state']}"
            here.screen.line(f"{item['dead_letter_id']}: {what}")
    for one in document["left_out"]:
        here.screen.line(f"left out: {one['dead_letter_id']} is {one['verdict']}: {one['why']}", "yellow")
    if document["state"] == ReplayState.RUNNING:
        here.screen.line(f"next: `backstay dead-letters replays {document['replay_id']} --wait` follows it")
    if document["state"] == ReplayState.STOPPED:
        here.screen.line("next: put the cause right, then replay the group again: what waits is still a dead letter")


def _estimate(letters: int, canary: int, rate: int) -> dict[str, Any]:
    rest = max(0, letters - canary)
    return {"would_replay": letters, "seconds_at_this_rate": max(0, rest - 1) * 60 // rate if rate else 0}


def _whose(here: Session, one: Advice) -> tuple[str | None, str | None]:
    letter = here.database().dead_letters.get(one.dead_letter_id)
    return (letter.kind, service_of(letter.subject)) if letter else (None, None)


def _tell_plan(here: Session, advice: list[Advice]) -> None:
    rows = [(one.dead_letter_id, *_whose(here, one), one.verdict.value, one.why) for one in advice]
    here.screen.table(("ID", "TYPE", "SERVICE", "REPLAYING IT IS", "BECAUSE"), rows, "no dead letters")
    counts = Counter(one.verdict.value for one in advice)
    if counts:
        here.screen.line(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())), "bold")
