"""`backstay support-bundle`: one file for whoever is asked for help, without secrets.

Apart from doctor, whose findings it holds, because it is read elsewhere and later. It is gathered from what the
command line shows anyway, so it has no values of configurations, no raw messages and no tracebacks; then every
secret that the installation knows is blackened once more. A part that cannot be had says why and hides no other.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

import typer

from domain.errors import BackstayError, NotFound, Refused
from domain.explain import story
from domain.operation import Operation, State
from workers.cli.doctor import findings
from workers.cli.documents import audit_document, letter_document, node_document, operation_document, service_document
from workers.cli.session import AsJson, Session, operator, session
from workers.scrub import scrubbed, secrets_of_document, secrets_of_settings

#: Operations and letters in the lists; those that are told step by step; bytes of each log.
LISTED, EXPLAINED, LOG_BYTES = 500, 50, 5 << 20

ABOUT = """A support bundle of Backstay, made by `backstay support-bundle`.

about.json         versions, host, time
config.json        settings with their origin; secrets are masked
doctor.json        what `backstay doctor` found, with next steps
metrics.txt        figures as Prometheus reads them
nodes.json         nodes: standing, room, slots, what they run
operations.json    the newest operations; operations/ID.json those that are open or asked for, step by step
dead-letters.json  the newest dead letters, without raw messages and tracebacks
services.json      names, nodes and directories, without configurations
schedules.json     what is asked for by itself, and when next
audit.json         who changed what, and why: the newest entries
logs/              files that were given with --log
missing.json       what could not be had, and why

It holds no values of configurations, no messages, no keys and no passwords. It does hold names: of tenants, services,
nodes, directories and hosts.
"""

Part = Callable[[Session], Any]


def support_bundle(
    output: Annotated[str | None, typer.Option(metavar="FILE", help="Where to; must not exist yet.")] = None,
    operation: Annotated[list[str] | None, typer.Option(metavar="ID", help="Tell this one whole; repeatable.")] = None,
    log: Annotated[list[str] | None, typer.Option(metavar="FILE", help="Take the end of this log along.")] = None,
    as_json: AsJson = False,
) -> None:
    """Gather what somebody needs who is asked for help, in one file without secrets."""
    with session(as_json) as here:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        path = os.path.abspath(output or f"backstay-support-{here.settings.node}-{stamp}.tar.gz")
        secrets, blind = _secrets(here)
        files, missing = _gathered(here, operation or [], log or [])
        missing |= blind
        files["README.txt"], files["missing.json"] = ABOUT, _json(missing)
        _write(path, {name: scrubbed(text, secrets) for name, text in files.items()})
        here.screen.document({"path": path, "bytes": os.path.getsize(path), "files": sorted(files), "missing": missing})
        here.screen.line(
            f"{path}: {len(files)} files, {os.path.getsize(path)} bytes; README.txt in it says what each is"
        )
        for name, why in missing.items():
            here.screen.line(f"missing: {name}: {why}", "yellow")


def _gathered(here: Session, operations: list[str], logs: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Texts by the name of their file, and what could not be had with the reason."""
    files: dict[str, str] = {}
    missing: dict[str, str] = {}
    parts: list[tuple[str, Callable[[], str]]] = [(name, partial(_part, part, here)) for name, part in PARTS.items()]
    parts.append(("metrics.txt", partial(_metrics, here)))
    parts += [(f"operations/{op_id}.json", partial(_told, here, op_id)) for op_id in operations]
    parts += [(f"logs/{number}-{os.path.basename(name)}", partial(_tail, name)) for number, name in enumerate(logs)]
    for name, make in parts:
        try:
            files[name] = make()
        except (BackstayError, OSError) as error:
            missing[name] = str(error)
    try:
        for one in _open_ones(here):
            files.setdefault(f"operations/{one.op_id}.json", _told(here, one.op_id))
    except (BackstayError, OSError) as error:
        missing["operations/"] = str(error)
    return files, missing


def _part(part: Part, here: Session) -> str:
    return _json(part(here))


def _about(here: Session) -> dict[str, Any]:
    import importlib.metadata
    import platform

    from workers.bootstrap import version

    names = ("sqlalchemy", "dramatiq", "kombu", "pydantic", "boto3", "psycopg", "amqp", "redis", "cryptography")
    found = {name: _version(importlib.metadata.version, name) for name in names}
    return {
        "version": version(),
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "made_by": operator().name,
        "node": here.settings.node,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "up_seconds": round(time.clock_gettime(time.CLOCK_BOOTTIME)),
        "processors": os.cpu_count(),
        "libraries": {name: text for name, text in found.items() if text},
    }


def _version(find: Callable[[str], str], name: str) -> str:
    from importlib.metadata import PackageNotFoundError

    try:
        return find(name)
    except PackageNotFoundError:
        return ""


def _config(here: Session) -> dict[str, Any]:
    from workers.config import shown

    names = ("setting", "value", "origin", "meaning")
    return {"settings": [dict(zip(names, row, strict=True)) for row in shown(here.settings)]}


def _nodes(here: Session) -> dict[str, Any]:
    return {"nodes": [node_document(node) for node in here.database().nodes.list()]}


def _operations(here: Session) -> dict[str, Any]:
    database = here.database()
    return {"operations": [operation_document(one, None) for one in database.list_operations(limit=LISTED)]}


def _letters(here: Session) -> dict[str, Any]:
    letters = here.database().dead_letters.list(resolved=True, limit=LISTED, before=None)
    return {"dead_letters": [letter_document(letter) for letter in letters]}


def _services(here: Session) -> dict[str, Any]:
    return {"services": [service_document(service) for service in here.database().list_services()]}


def _schedules(here: Session) -> dict[str, Any]:
    from workers.cli.schedules import document

    return {"schedules": [document(one) for one in here.database().schedules.list()]}


def _audit(here: Session) -> dict[str, Any]:
    return {"entries": [audit_document(entry) for entry in here.database().audit.list(limit=LISTED)]}


PARTS: dict[str, Part] = {
    "about.json": _about,
    "config.json": _config,
    "doctor.json": findings,
    "nodes.json": _nodes,
    "operations.json": _operations,
    "dead-letters.json": _letters,
    "services.json": _services,
    "schedules.json": _schedules,
    "audit.json": _audit,
}


def _metrics(here: Session) -> str:
    from workers.clock import SystemClock
    from workers.wiring import metrics_of

    here.database()
    return metrics_of(here.system, SystemClock()).render().decode()


def _open_ones(here: Session) -> Iterator[Operation]:
    """What is not over, and what went wrong last."""
    database = here.database()
    for states in ([State.STUCK], [State.COMPENSATING, State.RUNNING], [State.FAILED, State.ROLLED_BACK]):
        yield from database.list_operations(states=states, limit=EXPLAINED)


def _told(here: Session, op_id: str) -> str:
    """One operation with its story, as `operations explain` tells it."""
    database = here.database()
    found = database.ledger.get(op_id)
    if found is None:
        raise NotFound(f"operation {op_id} does not exist", code="unknown-operation")
    lines = story(database.ledger.steps(op_id))
    document = operation_document(found, database.waits_for(found))
    return _json(document | {"story": [line.document() for line in lines]})


def _tail(name: str) -> str:
    with open(name, "rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BYTES))
        return file.read().decode("utf-8", "replace")


def _secrets(here: Session) -> tuple[set[str], dict[str, str]]:
    """All that are known, and why some could not be read."""
    ring, blind = here.settings.secret_keys or "", {}
    try:
        with open(os.path.join(here.settings.data_dir, "secret.keys"), encoding="ascii") as file:
            ring = f"{ring},{file.read()}"
    except OSError:
        pass  # there is no embedded ring, or nobody here may read it: then nothing here can hold it
    found = secrets_of_settings(here.settings, ring)
    try:
        database = here.database()
        for service in database.list_services():
            whole = database.services.get(service.service_id)
            found |= secrets_of_document(whole.document if whole else {})
    except (BackstayError, OSError) as error:
        blind["(blackening of services' secrets)"] = str(error)
    return found, blind


def _json(document: Any) -> str:
    return json.dumps(document, indent=1, sort_keys=False)


def _write(path: str, files: dict[str, str]) -> None:
    """One archive, readable by nobody else, whole or not there."""
    made_at = int(time.time())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"{path} exists", code="file-exists", next_step="choose another --output") from None
    folder = os.path.basename(path).partition(".")[0]
    with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name, text in sorted(files.items()):
            data = text.encode()
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), made_at, 0o600
            archive.addfile(entry, io.BytesIO(data))
