"""Following a message to its end, and telling that end: what `--wait` and `operations watch` share.

Apart from sending because it reads SQL and nothing else. It follows the message's key, so it also finds the
operation that a repeat of the message had become before; under a key that was reused for other content it
waits for the dead letter and never reports somebody else's outcome as this one's.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from domain.errors import DatabaseUnavailable
from workers.cli.documents import ENDED, item_line, letter_document, operation_document
from workers.cli.exits import Exit, of_outcome
from workers.cli.screen import Screen

if TYPE_CHECKING:
    from domain.contracts import DeadLetter
    from domain.operation import Operation
    from workers.bootstrap import Database
    from workers.cli.sending import Sent
    from workers.cli.session import Session

#: Seconds between looks: soon at first, because most commands are short.
FIRST_LOOK, LAST_LOOK = 0.02, 0.5

Show = Callable[["Operation | None"], None]


def send_and_follow(session: Session, event: dict[str, Any], timeout: float) -> NoReturn:
    """Publish a command, follow it, show how it ended, and exit with what that means."""
    from workers.cli.sending import publish

    database = session.database()  # nothing is published that could not be followed
    before = {letter.dead_letter_id: letter.seen for letter in _letters(database, (event["source"], event["id"]))}
    watched: _Watched | None = None
    try:
        with patience() as sleep:
            sent = publish(session.settings, event)
            watched = _Watched(database, sent, before)
            with bar(session.screen, event["type"]) as show:
                found = until(watched.end, timeout, lambda: show(watched.operation), sleep)
    except KeyboardInterrupt:
        if watched is None:
            raise
        known = watched.operation
        document = operation_document(known, None) if known else _published(sent)
        detached(session.screen, "what was published goes on", _how_to_go_on(sent, known), document)
    if found is None:
        _gave_up(session, sent, watched.operation, timeout)
    if isinstance(found, str):
        tell_end(session, found)
    _buried(session.screen, sent, found)


@contextmanager
def patience() -> Iterator[Callable[[float], None]]:
    """A sleep in seconds that Ctrl-C ends for certain, for commands that look again and again.

    Python drops a KeyboardInterrupt that is raised while an object is being finalised; the next sleep
    then raises it again.
    """
    pressed = False

    def on_ctrl_c(_number: int, _frame: object) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    def sleep(seconds: float) -> None:
        if pressed:
            raise KeyboardInterrupt
        time.sleep(seconds)

    before = signal.signal(signal.SIGINT, on_ctrl_c)
    try:
        yield sleep
    finally:
        signal.signal(signal.SIGINT, before)


def until(
    look: Callable[[], str | DeadLetter | None],
    timeout: float | None,
    between: Callable[[], None],
    sleep: Callable[[float], None] | None = None,
) -> str | DeadLetter | None:
    """Look until there is an answer; None after `timeout` seconds (None: never give up). `sleep`: of a `patience`
    that began before."""
    deadline = None if timeout is None else time.monotonic() + timeout
    pause = FIRST_LOOK
    with patience() if sleep is None else nullcontext(sleep) as rest:
        while True:
            try:
                found = look()
            except DatabaseUnavailable:
                found = None  # what was published goes on without this process being able to see it
            if found is not None:
                return found
            between()
            left = LAST_LOOK if deadline is None else deadline - time.monotonic()
            if left <= 0:
                return None
            rest(min(pause, left))
            pause = min(pause * 1.3, LAST_LOOK)


def tell_end(session: Session, op_id: str) -> NoReturn:
    """Show an operation that has ended; exits with the code of its outcome."""
    database = session.system.database
    operation = database.ledger.get(op_id)
    assert operation is not None, "what has just ended is not forgotten yet"
    document = operation_document(operation, None)
    session.screen.document(document)
    show_outcome(session.screen, document)
    raise typer.Exit(of_outcome(operation.outcome or {"outcome": "failed", "complete": False, "code": None}))


def show_outcome(screen: Screen, document: dict[str, Any]) -> None:
    """The end of an operation for people: what happened, what was left out, what to do."""
    styles = {"succeeded": "green", "rolled-back": "yellow", "cancelled": "yellow"}
    screen.line(f"{document['outcome']}: {document['sentence']}", styles.get(document["outcome"], "red"))
    screen.facts([("operation", document["operation_id"]), ("code", document["error_code"])])
    screen.facts([("for the tenant", document["tenant_sentence"])])
    screen.facts(list(document["figures"].items()))
    for item in document["items"]:
        screen.line(item_line(document, item), "" if document["complete"] else "yellow")
    if document["next_step"]:
        screen.line(f"next: {document['next_step']}")


@contextmanager
def bar(screen: Screen, label: str) -> Iterator[Show]:
    """A way to show progress: a bar on stderr when that is a terminal, nothing otherwise."""
    if not screen.err.is_terminal:
        yield lambda operation: None
        return
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    described = TextColumn("{task.description}")
    columns = (described, BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=screen.err, transient=True) as progress:
        task = progress.add_task(label, total=None)

        def show(operation: Operation | None) -> None:
            done = (operation.progress if operation else None) or {}
            state = operation.state if operation else "not accepted yet"
            progress.update(
                task,
                description=f"{label} {state}",
                completed=done.get("bytes_done", 0),
                total=done.get("bytes_total"),
            )

        yield show


class _Watched:
    """A published command and what has become of it so far."""

    def __init__(self, database: Database, sent: Sent, before: dict[str, int]) -> None:
        self._database, self._sent, self._before = database, sent, before
        self._ours: bool | None = None
        self.operation: Operation | None = None

    def end(self) -> str | DeadLetter | None:
        """The id of the operation that has ended, the dead letter that the message became, or None yet."""
        found = self._database.find_by_message(*self._sent.key)
        if found is not None and self._is_ours(found):
            self.operation = found
            return found.op_id if found.state in ENDED else None
        for letter in _letters(self._database, self._sent.key):
            if letter.seen > self._before.get(letter.dead_letter_id, 0):
                return letter
        return None

    def _is_ours(self, found: Operation) -> bool:
        """Whether that operation asks for the same thing; otherwise the key was used before."""
        if self._ours is None:
            whole, command = self._database.ledger.get(found.op_id), self._sent.command
            self._ours = whole is not None and (whole.kind, whole.tenant_id, whole.service_id, whole.data) == (
                command.kind,
                command.subject.tenant_id,
                command.subject.service_id,
                command.data,
            )
        return self._ours


def _letters(database: Database, key: tuple[str, str]) -> list[DeadLetter]:
    """Letters about messages that never became an operation."""
    return [letter for letter in database.find_dead_letters(*key) if letter.op_id is None]


def _how_to_go_on(sent: Sent, operation: Operation | None) -> str:
    if operation is not None:
        return f"`backstay operations watch {operation.op_id}` follows it again"
    return f"`backstay operations list` shows it once a worker has accepted message {sent.command.message_id}"


def detached(screen: Screen, sentence: str, next_step: str, document: dict[str, Any]) -> NoReturn:
    """Ctrl-C while waiting: nothing is stopped by it; say so, how to watch again, and leave."""
    screen.failed(f"no longer waiting; {sentence}", next_step, "detached", document)
    raise typer.Exit(Exit.INTERRUPTED)


def _gave_up(session: Session, sent: Sent, operation: Operation | None, timeout: float) -> NoReturn:
    waits = _what_is_missing(session.system.database, operation)
    session.screen.failed(
        f"{sent.command.kind} has not ended within {timeout:g} s; it waits for {waits}",
        _how_to_go_on(sent, operation),
        "unknown-outcome",
        operation_document(operation, waits) if operation else _published(sent),
    )
    raise typer.Exit(Exit.UNKNOWN)


def _what_is_missing(database: Database, operation: Operation | None) -> str:
    if operation is None:
        return "a worker to accept the message"
    try:
        return database.waits_for(operation)
    except DatabaseUnavailable:
        # It was published all the same; "try later" would invite a second command under a new id.
        return "nobody knows what, because the database does not answer"


def _buried(screen: Screen, sent: Sent, letter: DeadLetter) -> NoReturn:
    screen.failed(
        letter.sentence,
        f"`backstay dead-letters show {letter.dead_letter_id}` has the details",
        letter.reason,
        _published(sent) | {"dead_letter": letter_document(letter)},
    )
    raise typer.Exit(Exit.FAILED)


def _published(sent: Sent) -> dict[str, Any]:
    return {"message_id": sent.command.message_id, "source": sent.command.source, "published": True}
