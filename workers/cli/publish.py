"""`backstay publish`: send any command, as any other system would, and follow it if asked.

Apart from the commands that publish for you (`snapshots create`, `services apply`) because this one knows
no message type: a new file in `handlers/` needs nothing here.
"""

from __future__ import annotations

from typing import Annotated

import typer

from domain.errors import InvalidMessage
from workers.cli.following import send_and_follow
from workers.cli.meant import meant
from workers.cli.session import AsJson, Timeout, session


def publish(
    kind: Annotated[str, typer.Argument(metavar="TYPE", help="create-snapshot, or backstay.create-snapshot.v1.")],
    subject: Annotated[str, typer.Option(metavar="tenant/T/service/S", help="Whom the command is about.")],
    data: Annotated[str, typer.Option(metavar="JSON|@FILE|-", help="The payload; - reads standard input.")] = "{}",
    message_id: Annotated[
        str | None, typer.Option("--id", help="Message id; publishing the same one again changes nothing.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="Who publishes; default /backstay/cli/USER@HOST.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Follow the operation to its outcome.")] = False,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Publish a command; with --wait its outcome is the exit code. `backstay messages` lists the types."""
    from workers.cli import sending

    with session(as_json) as here:
        _known(kind)
        event = sending.cloud_event(kind, subject, sending.read_data(data), message_id, source)
        if wait:
            sending.judged(event)  # a wrong payload is wrong with or without a database
            send_and_follow(here, event, timeout)
        sent = sending.publish(here.settings, event)
        here.screen.document({"message_id": event["id"], "source": event["source"], "published": True})
        here.screen.line(f"published {sent.command.kind} as message {event['id']} of {event['source']}")
        here.screen.line("next: `backstay operations list` shows it; --wait would have followed it")


def _known(kind: str) -> None:
    """InvalidMessage for a type that no file in `handlers/` defines, with the one that was probably meant."""
    from workers.cli.messages import names

    short = kind.removeprefix("backstay.").partition(".v")[0]
    if short not in names():
        raise InvalidMessage(f"type: there is no command {kind}{meant(short, names())}", field="type")
