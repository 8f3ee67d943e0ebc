"""`backstay operations`: what is going on, why it waits, how it ended, and asking it to stop.

Apart from publishing because nothing here needs the broker: it reads SQL, and cancels there. Of a command's
data only names outside `configuration` are shown; what a service's configuration holds never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from domain.errors import NotFound, Refused
from domain.operation import Operation, State
from workers.cli.documents import ENDED, item_line, moment, operation_document, page, step_document
from workers.cli.exits import Exit
from workers.cli.screen import Screen
from workers.cli.session import AsJson, Before, Limit, Session, operator, session

if TYPE_CHECKING:
    from workers.bootstrap import Database

group = typer.Typer(no_args_is_help=True, help="Look at operations, follow them, ask them to stop.")

Id = Annotated[str, typer.Argument(metavar="OPERATION_ID")]
UNFINISHED = tuple(state for state in State if state not in ENDED)


@group.command("list")
def list_(
    service: Annotated[str | None, typer.Option(metavar="S", help="Of this service.")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="T", help="Of this tenant.")] = None,
    state: Annotated[list[State] | None, typer.Option(case_sensitive=False, help="In this state; repeatable.")] = None,
    kind: Annotated[list[str] | None, typer.Option(metavar="TYPE", help="Of this message type; repeatable.")] = None,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List operations, newest first."""
    with session(as_json) as here:
        database = here.database()
        found = database.list_operations(
            tenant_id=tenant, service_id=service, states=state or (), kinds=kind or (), limit=limit + 1, before=before
        )
        documents = [_document(database, operation) for operation in found]
        answer = page("operations", documents, limit, "operation_id")
        here.screen.document(answer)
        _table(here.screen, answer["operations"])
        if answer["next"]:
            here.screen.line(f"next: --before {answer['next']} shows older ones")


@group.command()
def show(operation_id: Id, as_json: AsJson = False) -> None:
    """Show one operation: its journal, what it waits for, its outcome."""
    with session(as_json) as here:
        database = here.database()
        operation = find(database, operation_id)
        document = _document(database, operation) | {
            "data_fields": sorted(set(operation.data) - {"configuration"}),
            "steps": [step_document(step) for step in database.ledger.steps(operation_id)],
        }
        here.screen.document(document)
        _details(here.screen, document)


@group.command()
def cancel(operation_id: Id, as_json: AsJson = False) -> None:
    """Ask an operation to stop; it puts back what it touched."""
    with session(as_json) as here:
        database = here.database()
        was = find(database, operation_id).state
        state = database.ledger.request_cancel(operation_id, operator())
        document = _document(database, find(database, operation_id))
        if state in ENDED - {State.CANCELLED}:
            _too_late(here.screen, document)
        here.screen.document(document)
        if state is State.CANCELLED:
            here.screen.line(f"operation {operation_id} is cancelled; nothing was changed")
        elif was is State.COMPENSATING:
            here.screen.line(f"operation {operation_id} is putting back what it touched already")
        else:
            here.screen.line(f"operation {operation_id} has been asked to stop; `backstay operations watch` follows it")


@group.command()
def watch(
    operation_id: Annotated[str | None, typer.Argument(metavar="[OPERATION_ID]")] = None, as_json: AsJson = False
) -> None:
    """Follow one operation to its outcome, or show the running ones until Ctrl-C."""
    with session(as_json) as here:
        if operation_id is not None:
            _watch_one(here, operation_id)
        if as_json:
            raise Refused(
                "--json needs an operation",
                code="usage",
                next_step="name one: its document is printed when it has ended",
            )
        _watch_all(here)


def find(database: Database, operation_id: str) -> Operation:
    """The operation; NotFound if there is none."""
    operation = database.ledger.get(operation_id)
    if operation is None:
        raise NotFound(
            f"operation {operation_id} does not exist",
            code="unknown-operation",
            next_step="`backstay operations list` shows the newest ones",
        )
    return operation


def _document(database: Database, operation: Operation) -> dict[str, Any]:
    return operation_document(operation, None if operation.state in ENDED else database.waits_for(operation))


def _too_late(screen: Screen, document: dict[str, Any]) -> NoReturn:
    what, next_step = f"has already ended: {document['state']}", "`backstay operations show` tells how"
    if document["state"] == State.STUCK:
        what, next_step = "is STUCK", "a person has to put its service right"
    screen.failed(f"operation {document['operation_id']} {what}", next_step, "already-ended", document)
    raise typer.Exit(Exit.NOT_ALLOWED)


def _table(screen: Screen, documents: list[dict[str, Any]]) -> None:
    rows = [
        (d["operation_id"], d["kind"], d["service_id"], d["state"], d["created_at"], d["sentence"] or d["waits_for"])
        for d in documents
    ]
    screen.table(("ID", "TYPE", "SERVICE", "STATE", "CREATED", "OUTCOME, OR WAITS FOR"), rows, "no operations")


def _details(screen: Screen, document: dict[str, Any]) -> None:
    left_out = {"operation_id", "items", "figures", "progress", "steps", "data_fields"}
    if document["outcome"] != "succeeded":
        left_out.add("complete")  # of what did not happen nothing is left out
    screen.line(f"operation {document['operation_id']}", "bold")
    screen.facts([(name.replace("_", " "), value) for name, value in document.items() if name not in left_out])
    screen.facts([("data fields", ", ".join(document["data_fields"]))])
    screen.facts([(name, value) for name, value in ((document["progress"] or {}) | document["figures"]).items()])
    for item in document["items"]:
        screen.line(item_line(document, item), "yellow")
    rows = [(s["ordinal"], s["kind"], s["state"], _brief(s["request"]), _brief(s["reply"])) for s in document["steps"]]
    screen.line("")
    screen.table(("STEP", "KIND", "STATE", "REQUEST", "REPLY"), rows, "no steps in the journal")


def _brief(fields: dict[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in fields.items())


def _watch_one(here: Session, operation_id: str) -> NoReturn:
    from workers.cli.following import bar, detached, tell_end, until

    database = here.database()
    current = find(database, operation_id)
    said: list[State] = []

    def look() -> str | None:
        nonlocal current
        current = find(database, operation_id)
        return operation_id if current.state in ENDED else None

    def between() -> None:
        tell(current)
        if not here.screen.err.is_terminal and said[-1:] != [current.state]:
            said.append(current.state)
            here.screen.note(f"{moment(current.updated_at)} {current.state}: waits for {database.waits_for(current)}")

    try:
        with bar(here.screen, current.kind) as tell:
            until(look, None, between)
    except KeyboardInterrupt:
        again = f"`backstay operations watch {operation_id}` follows it again"
        detached(here.screen, "the operation goes on", again, _document(database, current))
    tell_end(here, operation_id)


def _watch_all(here: Session) -> NoReturn:
    """A table that follows on a terminal; a line for each change when piped. Ends with Ctrl-C."""
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

    from workers.cli.following import patience
    from workers.cli.screen import clean

    database = here.database()

    def running() -> list[tuple[str, ...]]:
        found = database.list_operations(states=UNFINISHED, limit=here.screen.out.height)
        return [(o.op_id, o.kind, o.service_id, o.state.value, clean(database.waits_for(o))) for o in found]

    def table() -> Table | Text:
        rows = running()
        if not rows:
            return Text("no unfinished operations; Ctrl-C ends this")
        shown = Table("ID", "TYPE", "SERVICE", "STATE", "WAITS FOR", box=None, pad_edge=False)
        for row in rows:
            shown.add_row(*(Text(cell) for cell in row))
        return shown

    with patience() as sleep:
        if here.screen.out.is_terminal:
            with Live(table(), console=here.screen.out, auto_refresh=False) as live:
                while True:
                    sleep(1.0)
                    live.update(table(), refresh=True)
        seen: dict[str, str] = {}
        while True:
            now = {row[0]: "  ".join(row) for row in running()}
            for op_id, text in now.items():
                if seen.get(op_id, "").split("  ")[:4] != text.split("  ")[:4]:
                    here.screen.line(text)
            for op_id in seen.keys() - now.keys():
                ended = find(database, op_id)
                here.screen.line("  ".join((op_id, ended.kind, ended.service_id, ended.state.value)))
            seen = now
            sleep(0.5)
