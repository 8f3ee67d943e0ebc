"""`backstay dead-letters`: what needs a person, run again once or put aside once.

Apart from operations because a dead letter may be about a message that never became one. Raw bytes are
shown nowhere: they may hold secrets. A second replay or discard says who came first and changes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidMessage, NotFound, Refused
from workers.cli.documents import letter_document, page
from workers.cli.session import AsJson, Before, Limit, operator, session

if TYPE_CHECKING:
    from domain.contracts import DeadLetter
    from workers.bootstrap import Database

#: Reasons that lie in the bytes of a message: replaying it would find the same.
NEVER_ACCEPTED = ("undecodable", "invalid", "too-large", "key-reused")

group = typer.Typer(no_args_is_help=True, help="Messages and operations that need a person.")

Id = Annotated[str, typer.Argument(metavar="DEAD_LETTER_ID")]


@group.command("list")
def list_(
    resolved: Annotated[bool, typer.Option("--all", help="Also those that were resolved.")] = False,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, newest first; those that nobody resolved, unless --all."""
    with session(as_json) as here:
        found = here.database().dead_letters.list(resolved=resolved, limit=limit + 1, before=before)
        answer = page("dead_letters", [letter_document(letter) for letter in found], limit, "dead_letter_id")
        here.screen.document(answer)
        rows = [
            (x["dead_letter_id"], x["reason"], x["seen"], x["created_at"], x["resolution"], x["sentence"])
            for x in answer["dead_letters"]
        ]
        here.screen.table(("ID", "REASON", "SEEN", "CREATED", "RESOLVED", "WHAT"), rows, "no dead letters")
        if answer["next"]:
            here.screen.line(f"next: --before {answer['next']} shows older ones")


@group.command()
def show(dead_letter_id: Id, as_json: AsJson = False) -> None:
    """Show one dead letter; of a raw message its size and the names of its headers only."""
    with session(as_json) as here:
        letter = _find(here.database(), dead_letter_id)
        document = letter_document(letter) | {
            "raw_bytes": None if letter.raw is None else len(letter.raw),
            "header_names": sorted(letter.headers),
            "traceback": letter.traceback or None,
        }
        here.screen.document(document)
        names = [name for name in document if name != "traceback"]
        here.screen.facts([(name.replace("_", " "), document[name]) for name in names])
        for line in letter.traceback.splitlines():
            here.screen.line(line)
        if letter.resolution is None:
            here.screen.line(f"next: {_advice(letter)}")


@group.command()
def replay(dead_letter_id: Id, as_json: AsJson = False) -> None:
    """Run it again as a new operation; once, whoever asks."""
    with session(as_json) as here:
        database = here.database()
        letter = _find(database, dead_letter_id)
        made = None if letter.resolution else _replay(database, letter)
        letter = _find(database, dead_letter_id)
        if made is None and letter.resolution != "replayed":
            raise Refused(_resolved(letter), code="already-discarded", next_step="publish the command again")
        here.screen.document(letter_document(letter) | {"replayed_now": made is not None})
        if made is None:
            here.screen.line(f"{_resolved(letter)}; nothing was changed")
        else:
            here.screen.line(f"replayed into operation {made}; `backstay operations watch {made}` follows it")


@group.command()
def discard(
    dead_letter_id: Id,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it needs nobody any more; kept with it.")],
    as_json: AsJson = False,
) -> None:
    """Put it aside without running it; it stays listed with --all."""
    with session(as_json) as here:
        database = here.database()
        _find(database, dead_letter_id)
        done = database.dead_letters.discard(dead_letter_id, operator(), reason)
        letter = _find(database, dead_letter_id)
        here.screen.document(letter_document(letter) | {"discarded_now": done})
        here.screen.line(f"discarded {dead_letter_id}" if done else f"{_resolved(letter)}; nothing was changed")


def _find(database: Database, dead_letter_id: str) -> DeadLetter:
    letter = database.dead_letters.get(dead_letter_id)
    if letter is None:
        raise NotFound(
            f"dead letter {dead_letter_id} does not exist",
            code="unknown-dead-letter",
            next_step="`backstay dead-letters list --all` shows them",
        )
    return letter


def _advice(letter: DeadLetter) -> str:
    if letter.reason in NEVER_ACCEPTED:
        discard = f"`backstay dead-letters discard {letter.dead_letter_id} --reason …`"
        return f"its bytes cannot change: publish it corrected under a new id, then {discard}"
    return f"put the cause right, then `backstay dead-letters replay {letter.dead_letter_id}`"


def _replay(database: Database, letter: DeadLetter) -> str | None:
    """The id of the new operation; None when somebody else was faster. Raw messages are judged again first."""
    if letter.op_id is not None:
        return database.dead_letters.replay_operation(letter.dead_letter_id, operator())
    import handlers
    from domain.contracts import Rejected
    from domain.message import Envelope
    from workers.judge import judge_with

    verdict = judge_with(handlers.subscriptions())(Envelope(letter.raw or b"", letter.headers))
    if isinstance(verdict, Rejected):
        raise InvalidMessage(f"the message still cannot be accepted: {verdict.sentence}", code=verdict.reason)
    return database.dead_letters.replay_message(letter.dead_letter_id, operator(), verdict)


def _resolved(letter: DeadLetter) -> str:
    into = f" into operation {letter.replay_op_id}" if letter.replay_op_id else ""
    note = f" ({letter.resolved_note})" if letter.resolved_note else ""
    return f"dead letter {letter.dead_letter_id} had been {letter.resolution}{into} by {letter.resolved_by}{note}"
