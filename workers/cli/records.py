"""`backstay snapshots export-record` and `import-record`: signed records, for a catalogue that loses a snapshot.

Apart from exporting because no data leaves: a record is of use to a node with the same store and key ring only.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import InvalidMessage
from workers.cli.session import AsJson, Session, Timeout, session
from workers.cli.snapshots import Id, Service, Subject, ask, find, group, whom


@group.command("export-record")
def export_record(snapshot_id: Id, as_json: AsJson = False) -> None:
    """Print the signed record of a snapshot: one line, without data and without secrets."""
    from domain.standing import Use, permit

    with session(as_json) as here:
        snapshot = find(here.database(), snapshot_id)
        permit(Use.RECORD, snapshot.state, snapshot_id)
        record = here.system.archive.export_record(snapshot.manifest_key)
        here.screen.document({"snapshot_id": snapshot_id, "record": record})
        here.screen.line(record)


@group.command("import-record")
def import_record(
    file: Annotated[Path, typer.Argument(metavar="FILE|-", help="What export-record printed.")],
    service: Service = None,
    subject: Subject = None,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Take a snapshot back into the catalogue by its record and wait; by default as of the service it was of."""
    text = _text(file)
    with session(as_json) as here:
        to = _owner(here, text) if service is None and subject is None else whom(here, service, subject, None)
        ask(here, "import-record", to, {"record": text}, timeout)


def _text(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="ascii")
    except OSError as error:
        raise InvalidMessage(f"cannot read {file}: {error.strerror}", field="record") from None
    except UnicodeDecodeError:
        raise InvalidMessage(f"{file} holds no record", field="record") from None


def _owner(here: Session, text: str) -> str:
    record = here.system.archive.read_record(text)
    return f"tenant/{record.tenant_id}/service/{record.service_id}"
