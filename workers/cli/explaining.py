"""`backstay operations explain` and `resolve`: understand what happened, and decide what a program cannot.

Apart from the other questions about operations because these two are about steps, and because resolving is
the only command that says what is true: who said it is kept with the operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import Refused
from domain.operation import Operation, State
from workers.cli.documents import moment, operation_document
from workers.cli.operations import Id, find, group
from workers.cli.session import AsJson, Session, confirm, operator, session

if TYPE_CHECKING:
    from domain.chronicle import Moment
    from domain.explain import Line


@group.command()
def explain(operation_id: Id, as_json: AsJson = False) -> None:
    """Tell an operation from its acceptance on: steps, replies, what was put back, how it ended, what to do next."""
    from domain.chronicle import attempts
    from workers.explained import explained

    with session(as_json) as here:
        database = here.database()
        operation = find(database, operation_id)
        found = explained(database, operation)
        here.screen.document(found.document())
        waiting = f"it waits for {found.waits_for}" if found.waits_for else ""
        sentences = [*found.summary, waiting, attempts(operation)]
        for sentence in filter(None, sentences):
            here.screen.line(sentence)
        for item in (operation.outcome or {}).get("items", ()):
            here.screen.line(f"{item['code']}: {item['name']}: {item['sentence']}", "yellow")
        _evidence(here, operation)
        here.screen.line("")
        _tell_moments(here, found.moments[:1])
        for line in found.lines:
            _tell(here, line)
        _tell_moments(here, found.moments[1:])
        for choice in found.choices:
            here.screen.line(f"next: {choice}")


@group.command()
def resolve(
    operation_id: Id,
    retry: Annotated[
        bool,
        typer.Option("--retry", help="Go on with it once more: put back, or delete to the end."),
    ] = False,
    accept: Annotated[bool, typer.Option("--accept", help="I have put it back by hand: it is as before.")] = False,
    force: Annotated[bool, typer.Option("--force", help="I have finished it by hand: the target holds.")] = False,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; kept with the operation.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """End what is STUCK, or let it try again. Its service stays reserved until then."""
    with session(as_json) as here:
        chosen = [name for name, on in (("retry", retry), ("accept", accept), ("force", force)) if on]
        if len(chosen) != 1:
            raise Refused(
                "say exactly one of --retry, --accept and --force",
                code="usage",
                next_step="`backstay operations resolve --help` tells what each states",
            )
        database = here.database()
        operation = find(database, operation_id)
        if operation.state is not State.STUCK:
            raise Refused(
                f"operation {operation_id} is {operation.state}, not STUCK",
                code="not-stuck",
                next_step="`backstay operations explain` tells how it stands",
            )
        from workers.resolving import stated_rows

        _show_open(here, operation)
        _ask(here, chosen[0], yes)
        changes = stated_rows(database, operation_id, chosen[0])
        state = database.ledger.resolve_stuck(operation_id, chosen[0], operator(), reason, changes)
        here.screen.document(operation_document(find(database, operation_id), None) | {"resolved": chosen[0]})
        ends = {"retry": "is tried once more", "accept": "is as before", "force": "holds its target"}
        here.screen.line(f"operation {operation_id} {ends[chosen[0]]}, by your word; it is {state}")


def _show_open(here: Session, operation: Operation) -> None:
    for item in (operation.outcome or {}).get("items", ()):
        here.screen.note(f"open: {item['name']}: {item['sentence']}")


def _ask(here: Session, how: str, yes: bool) -> None:
    meanings = {
        "retry": "it is tried again by the worker",
        "accept": "you state that region and directory are as before the operation",
        "force": "you state that region and directory are as the operation wanted them; its rows are written",
    }
    confirm(here, f"{how}: {meanings[how]}", yes or how == "retry")


def _evidence(here: Session, operation: Operation) -> None:
    evidence = (operation.outcome or {}).get("figures", {}).get("evidence") or {}
    here.screen.facts([(f"evidence: {name}", value) for name, value in evidence.items()])


def _tell_moments(here: Session, moments: Sequence[Moment]) -> None:
    for one in moments:
        here.screen.line(f"     {moment(one.at)}  {one.what}")


def _tell(here: Session, line: Line) -> None:
    when = moment(line.began_at) if line.began_at else "-"
    took = f", {line.ended_at - line.began_at} ms" if line.began_at and line.ended_at else ""
    here.screen.line(f"{line.ordinal:>3}  {when}  {line.what}")
    here.screen.line(f"     {line.state}: {line.meaning}{took}")
    for remark in line.remarks:
        here.screen.line(f"     - {remark}")
