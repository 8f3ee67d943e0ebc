"""`backstay dead-letters edit`: correct the message of a letter and run that, in an editor or from a file.

Apart from replaying because a person sees and changes what may be secret.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import InvalidMessage, Refused
from workers.cli.dead_letters import Id, group, made_line, replaying, resolved_by
from workers.cli.documents import letter_document
from workers.cli.session import AsJson, Session, operator, session
from workers.config import editor_name

if TYPE_CHECKING:
    from domain.contracts import DeadLetter

Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the audit trail.")]


@group.command()
def edit(
    dead_letter_id: Id,
    data: Annotated[
        str | None,
        typer.Option(metavar="TEXT|@FILE|-", help="The whole message; of an operation its data. Else $EDITOR."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say whether it would be accepted.")] = False,
    reason: Why = "",
    as_json: AsJson = False,
) -> None:
    """Correct the message of a letter and run that; the letter keeps the original, each names the other."""
    with session(as_json) as here:
        letter = replaying(here).find(dead_letter_id)
        if letter.resolution is not None:
            raise Refused(f"{resolved_by(letter)}", code="already-resolved", next_step="publish a new command")
        item = replaying(here).edited(letter, _text(here, letter, data))
        if dry_run:
            here.screen.document(letter_document(letter) | {"replayed_now": False})
            here.screen.line("it would be accepted; nothing was changed")
            return
        made = here.database().dead_letters.replay_edited(dead_letter_id, operator(), item, reason or "no reason given")
        letter = replaying(here).find(dead_letter_id)
        here.screen.document(letter_document(letter) | {"replayed_now": made is not None})
        here.screen.line(made_line(letter, made))


def _text(here: Session, letter: DeadLetter, given: str | None) -> str:
    """What the message is to be: given, or as the editor left it."""
    from workers.cli.sending import read_text

    if given is not None:
        return read_text(given)
    here.audit("dead-letter.read-raw", f"dead-letter/{letter.dead_letter_id}")
    before = replaying(here).editable(letter)
    changed = _in_editor(before)
    if changed == before:
        raise InvalidMessage("nothing was changed in the editor, so nothing is replayed", field="data")
    return changed


def _in_editor(text: str) -> str:
    """The text as a person leaves it; in a file that nobody else can read, and that is removed."""
    with tempfile.TemporaryDirectory() as folder:  # mode 0700
        path = os.path.join(folder, "message.json")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        ended = subprocess.run([*shlex.split(editor_name()), path], check=False)
        if ended.returncode:
            raise InvalidMessage(f"the editor ended with {ended.returncode}, so nothing was changed", field="data")
        with open(path, encoding="utf-8") as file:
            return file.read()
