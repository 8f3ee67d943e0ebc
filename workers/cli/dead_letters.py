"""`backstay dead-letters`: what needs a person, by cause and one by one, put aside once, or handed on.

Apart from operations because a dead letter may be about a message that never became one, and from `again`, which
replays them. What a message holds may be secret: it is shown with --raw only, and that it was is audited.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidMessage
from domain.letters import LetterFilter, Verdict
from domain.operation import State
from workers.cli.documents import letter_document, page
from workers.cli.session import AsJson, Before, Limit, Session, operator, session

if TYPE_CHECKING:
    from domain.contracts import DeadLetter
    from workers.replaying import Replaying

#: Reasons that lie in the bytes of a message: replaying it would find the same.
NEVER_ACCEPTED = ("undecodable", "invalid", "too-large", "key-reused")
#: Letters that an export reads at a time.
BATCH = 200

group = typer.Typer(no_args_is_help=True, help="Messages and operations that need a person.")

Id = Annotated[str, typer.Argument(metavar="DEAD_LETTER_ID")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="[DEAD_LETTER_ID]...")]
Group = Annotated[str | None, typer.Option("--group", metavar="FINGERPRINT", help="Of this cause.")]
Code = Annotated[str | None, typer.Option(metavar="CODE", help="With this reason code.")]
Kind = Annotated[str | None, typer.Option(metavar="TYPE", help="About messages of this type.")]
Tenant = Annotated[str | None, typer.Option(metavar="T", help="Of this tenant.")]
Service = Annotated[str | None, typer.Option(metavar="S", help="Of this service.")]
Resolved = Annotated[bool, typer.Option("--all", help="Also those that were resolved.")]
Raw = Annotated[bool, typer.Option("--raw", help="With the messages themselves, secrets included; audited.")]


@group.command("list")
def list_(
    group_: Group = None,
    code: Code = None,
    kind: Kind = None,
    tenant: Tenant = None,
    service: Service = None,
    resolved: Resolved = False,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first; those that nobody resolved, unless --all."""
    with session(as_json) as here:
        wanted = LetterFilter(group_, code, kind, tenant, service)
        letters = here.database().dead_letters
        found = letters.list(resolved=resolved, limit=limit + 1, before=before, wanted=wanted)
        answer = page("dead_letters", [letter_document(letter) for letter in found], limit, "dead_letter_id")
        here.screen.document(answer)
        names = ("reason", "seen", "created_at", "resolution", "sentence")
        rows = [
            (x["dead_letter_id"], x["kind"], service_of(x["subject"]), *(x[name] for name in names))
            for x in answer["dead_letters"]
        ]
        titles = ("ID", "TYPE", "SERVICE", "REASON", "SEEN", "CREATED", "RESOLVED", "WHAT")
        here.screen.table(titles, rows, "no dead letters")
        if answer["next"]:
            here.screen.line(f"next: --before {answer['next']} shows older ones")


@group.command()
def groups(
    code: Code = None, kind: Kind = None, tenant: Tenant = None, service: Service = None, as_json: AsJson = False
) -> None:
    """Group what nobody resolved by its cause: the same type, code and place in the program."""
    with session(as_json) as here:
        from workers.letter_documents import group_document

        found = here.database().letter_questions.groups(LetterFilter(None, code, kind, tenant, service))
        documents = [group_document(one) for one in found]
        here.screen.document({"groups": documents, "next": None})
        rows = [
            (d["fingerprint"], d["letters"], d["services"], d["kind"], d["reason"], d["last_at"], d["sentence"])
            for d in documents
        ]
        titles = ("ID", "LETTERS", "SERVICES", "TYPE", "REASON", "LAST", "FOR EXAMPLE")
        here.screen.table(titles, rows, "no dead letters")
        if documents:
            here.screen.line("next: `backstay dead-letters plan --group ID` says what replaying a group would do")


@group.command()
def show(dead_letter_id: Id, raw: Raw = False, as_json: AsJson = False) -> None:
    """Show all about one dead letter: cause, attempts, journal, evidence, what came of it, and what to do."""
    with session(as_json) as here:
        letter = replaying(here).find(dead_letter_id)
        document = whole(here, letter, raw)
        here.screen.document(document)
        apart = ("traceback", "operation", "steps", "message", "advice")
        here.screen.facts([(name.replace("_", " "), document[name]) for name in document if name not in apart])
        _operation(here, document)
        for line in letter.traceback.splitlines():
            here.screen.line(line)
        if raw:
            here.screen.line(document["message"]["text"] or document["message"]["base64"])
        if document["advice"]:
            here.screen.line(f"{document['advice']['verdict']}: {document['advice']['why']}")
        if letter.resolution is None:
            here.screen.line(f"next: {_next(document)}")


@group.command()
def discard(
    ids: Ids = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it needs nobody any more; kept with it.")] = "",
    group_: Group = None,
    code: Code = None,
    kind: Kind = None,
    tenant: Tenant = None,
    service: Service = None,
    as_json: AsJson = False,
) -> None:
    """Put letters aside without running them; they stay listed with --all."""
    with session(as_json) as here:
        if not reason.strip():
            raise InvalidMessage("--reason: say why nobody has to do anything any more", field="reason")
        letters = here.database().dead_letters
        wanted = LetterFilter(group_, code, kind, tenant, service)
        if ids and len(ids) == 1:
            replaying(here).find(ids[0])
            done = letters.discard(ids[0], operator(), reason)
            letter = replaying(here).find(ids[0])
            here.screen.document(letter_document(letter) | {"discarded_now": done})
            here.screen.line(f"discarded {ids[0]}" if done else f"{resolved_by(letter)}; nothing was changed")
            return
        chosen = named(here, ids, wanted)
        gone = [name for name in chosen if letters.discard(name, operator(), reason)]
        here.screen.document({"discarded": gone})
        here.screen.line(f"discarded {len(gone)} dead letters; `backstay dead-letters list --all` still has them")


@group.command()
def export(
    group_: Group = None,
    code: Code = None,
    kind: Kind = None,
    tenant: Tenant = None,
    service: Service = None,
    resolved: Resolved = False,
    raw: Raw = False,
    as_json: AsJson = False,
) -> None:
    """Print letters whole, one JSON document a line; with --json all in one."""
    with session(as_json) as here:
        wanted = LetterFilter(group_, code, kind, tenant, service)
        letters = here.database().dead_letters
        documents, last = [], None
        while found := letters.list(resolved=resolved, limit=BATCH, before=last, wanted=wanted):
            last = found[-1].dead_letter_id
            for listed in found:
                document = whole(here, replaying(here).find(listed.dead_letter_id), raw)
                if as_json:
                    documents.append(document)
                else:
                    typer.echo(json.dumps(document))
        here.screen.document({"dead_letters": documents, "next": None})


def replaying(here: Session) -> Replaying:
    """What is done with dead letters, on this session's database."""
    from workers.wiring import replaying_of

    here.database()
    return replaying_of(here.system)


def named(here: Session, ids: list[str] | None, wanted: LetterFilter) -> list[str]:
    """The ids that were given, or of all letters that match; one of the two must be there."""
    if bool(ids) == bool(wanted.document()):
        raise InvalidMessage("give either ids, or --group or another filter", field="dead_letter_id")
    if ids:
        return list(dict.fromkeys(replaying(here).find(name).dead_letter_id for name in ids))
    return replaying(here).matching(wanted)


def whole(here: Session, letter: DeadLetter, raw: bool) -> dict[str, Any]:
    """Everything about a letter; its message only if asked for, and that it was is audited."""
    from workers.letter_documents import message_document, whole_document

    document = whole_document(here.database(), replaying(here), letter)
    if raw:
        here.audit("dead-letter.read-raw", f"dead-letter/{letter.dead_letter_id}")
        document["message"] = message_document(replaying(here), letter)
    return document


def resolved_by(letter: DeadLetter) -> str:
    """What became of a letter, and who did it."""
    into = f" into operation {letter.replay_op_id}" if letter.replay_op_id else ""
    note = f" ({letter.resolved_note})" if letter.resolved_note else ""
    return f"dead letter {letter.dead_letter_id} had been {letter.resolution}{into} by {letter.resolved_by}{note}"


def made_line(letter: DeadLetter, made: str | None) -> str:
    """That it was replayed, or by whom it had been resolved before."""
    if made is None:
        return f"{resolved_by(letter)}; nothing was changed"
    return f"replayed into operation {made}; `backstay operations watch {made}` follows it"


def _operation(here: Session, document: dict[str, Any]) -> None:
    operation = document["operation"]
    if operation is None:
        return
    names = ("state", "attempts", "owner", "created_at", "updated_at", "next_step")
    here.screen.facts([(f"operation {name.replace('_', ' ')}", operation[name]) for name in names])
    evidence = operation["figures"].get("evidence") or {}
    here.screen.facts([(f"evidence: {name}", value) for name, value in evidence.items()])
    for item in operation["items"]:
        here.screen.line(f"{item['code']}: {item['name']}: {item['sentence']}", "yellow")
    for step in document["steps"]:
        here.screen.line(f"{step['ordinal']:>3}  {step['what']}")
        here.screen.line(f"     {step['state']}: {step['meaning']}")


def service_of(subject: str | None) -> str | None:
    """The service in `tenant/T/service/S`, for a line of a list; None for what has no such subject."""
    return subject.rpartition("/")[2] if subject else None


def _next(document: dict[str, Any]) -> str:
    """What to do about it: the operation's own next step first, and never a replay of what is STUCK."""
    letter_id, operation = document["dead_letter_id"], document["operation"]
    if document["reason"] in NEVER_ACCEPTED:
        return f"`backstay dead-letters edit {letter_id}` corrects it, or discard it with a reason"
    own = operation["next_step"] if operation else None
    if operation and operation["state"] == State.STUCK:
        resolve = f"`backstay operations resolve {operation['operation_id']} --retry` once the cause is mended"
        return own or resolve
    if document["advice"] and document["advice"]["verdict"] != Verdict.SAFE:
        discard = f"`backstay dead-letters discard {letter_id} --reason …` when nobody needs it any more"
        return f"{own}; {discard}" if own else discard
    return f"{own or 'put the cause right'}; then `backstay dead-letters replay {letter_id}`"
