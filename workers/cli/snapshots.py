"""`backstay snapshots`: find them by service and label; make, restore, verify and delete them and see how it ends.

Apart from `publish` because these know what they ask for: the tenant is looked up, and every command that
changes something is followed to its outcome, which is the exit code. Listing reads SQL and no store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidMessage, NotFound
from domain.restore import RestoreMode
from domain.verification import VerifyLevel
from workers.cli.documents import moment, page, snapshot_document
from workers.cli.session import AsJson, Before, Limit, Session, Timeout, session

if TYPE_CHECKING:
    from domain.snapshot import Label, Snapshot
    from workers.bootstrap import Database

group = typer.Typer(no_args_is_help=True, help="Find, make, restore and delete snapshots.")

Id = Annotated[str, typer.Argument(metavar="SNAPSHOT_ID")]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="NAME:VALUE", help="Repeatable.")]
Service = Annotated[str | None, typer.Option(metavar="S", help="The service; its tenant is looked up.")]
Subject = Annotated[str | None, typer.Option(metavar="tenant/T/service/S", help="The same, with nothing looked up.")]
Include = Annotated[
    list[str] | None, typer.Option(metavar="PART", help="configuration, data or sources; repeatable. Default: all.")
]


@group.command("list")
def list_(
    service: Annotated[list[str] | None, typer.Option(metavar="S", help="Of any of these services.")] = None,
    label: Labels = None,
    tenant: Annotated[str | None, typer.Option(metavar="T", help="Of this tenant.")] = None,
    limit: Limit = 50,
    before: Before = None,
    keys: Annotated[bool, typer.Option("--keys", help="As service:id:index value:seconds, for older tools.")] = False,
    as_json: AsJson = False,
) -> None:
    """List snapshots, newest first; with several labels those that carry all of them."""
    with session(as_json) as here:
        wanted = [_wanted(text) for text in label or ()]
        found = here.database().catalogue.find(tenant, service or (), wanted, limit + 1, before)
        documents = [snapshot_document(snapshot) for snapshot in found]
        if keys:
            from domain import compatibility

            for snapshot, document in zip(found, documents, strict=True):
                document["key"] = compatibility.key(snapshot, here.settings.index_label)
                document["metadata"] = compatibility.metadata(snapshot)
        answer = page("snapshots", documents, limit, "snapshot_id")
        here.screen.document(answer)
        if keys:  # one a line and nothing else, for programs
            for document in answer["snapshots"]:
                here.screen.line(document["key"])
        else:
            titles = ("ID", "SERVICE", "TAKEN", "FILES", "BYTES", "ADDED", "STATE", "LABELS")
            here.screen.table(titles, [_row(document) for document in answer["snapshots"]], "no snapshots")
        if answer["next"]:
            tell = here.screen.note if keys else here.screen.line
            tell(f"next: --before {answer['next']} shows older ones")


@group.command()
def show(snapshot_id: Id, as_json: AsJson = False) -> None:
    """Show one snapshot."""
    with session(as_json) as here:
        document = snapshot_document(find(here.database(), snapshot_id))
        here.screen.document(document)
        facts = document | {name: ", ".join(document[name]) for name in ("labels", "include", "skipped")}
        here.screen.facts([(name.replace("_", " "), value) for name, value in facts.items()])


@group.command()
def create(
    service: Service = None,
    subject: Subject = None,
    label: Labels = None,
    include: Include = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Like .gitignore; repeatable.")] = None,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Take a snapshot of a service and wait until it can be restored."""
    data = {"labels": label, "include": include, "exclude": exclude}
    with session(as_json) as here:
        ask(here, "create-snapshot", whom(here, service, subject, None), data, timeout)


@group.command()
def restore(
    snapshot_id: Annotated[str | None, typer.Argument(metavar="[SNAPSHOT_ID]")] = None,
    service: Service = None,
    subject: Subject = None,
    mode: Annotated[RestoreMode, typer.Option(help="What happens to files that the snapshot does not have.")] = (
        RestoreMode.REPLACE
    ),
    include: Include = None,
    target_node: Annotated[str | None, typer.Option(metavar="NODE", help="Restore there, and move it there.")] = None,
    target_directory: Annotated[str | None, typer.Option(metavar="DIR", help="Restore a copy there instead.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="The newest from then or before, with --service.")] = (
        None
    ),
    path: Annotated[list[str] | None, typer.Option(metavar="PATH", help="Only this; repeatable.")] = None,
    clone: Annotated[bool, typer.Option("--clone", help="Without the files that identify the service.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read the restored tree back before it goes live.")] = False,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Put a service back to a snapshot and wait for the outcome; by default the service that it is of."""
    target = _given({"node": target_node, "directory": target_directory})
    with session(as_json) as here:
        chosen = _chosen(here, snapshot_id, service, at)
        data = {
            "snapshot_id": chosen, "mode": mode.value, "include": include, "target": target or None, "paths": path,
            "profile": "clone" if clone else None, "verify": verify or None,
        }  # fmt: skip
        ask(here, "restore-snapshot", whom(here, service, subject, chosen), data, timeout)


def _chosen(here: Session, snapshot_id: str | None, service: str | None, at: str | None) -> str:
    """The snapshot that is named, or the newest of the service at that time, which is told first."""
    from domain.restore import moment_of

    if (snapshot_id is None) == (at is None):
        raise InvalidMessage("give either a snapshot's id, or --at and --service", field="snapshot_id")
    if at is None:
        assert snapshot_id is not None
        return snapshot_id
    if service is None:
        raise InvalidMessage("--at needs --service", field="service")
    try:
        found = here.database().catalogue.newest_at(service, moment_of(at))
    except ValueError as error:
        raise InvalidMessage(f"--at: {error}", field="at") from None
    if found is None:
        raise NotFound(f"service {service} has no snapshot from {at} or before", code="snapshot-not-found")
    here.screen.line(f"snapshot {found.snapshot_id}, taken {moment(found.taken_at)}")
    return found.snapshot_id


@group.command()
def diff(
    snapshot_id: Id,
    service: Service = None,
    subject: Subject = None,
    path: Annotated[list[str] | None, typer.Option(metavar="PATH", help="Only this; repeatable.")] = None,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Tell what restoring it would restore, update and delete, by names, sizes and times; changes nothing."""
    data = {"snapshot_id": snapshot_id, "paths": path, "dry_run": True}
    with session(as_json) as here:
        ask(here, "restore-snapshot", whom(here, service, subject, snapshot_id), data, timeout)


@group.command()
def delete(
    snapshot_id: Id,
    service: Service = None,
    subject: Subject = None,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Delete a snapshot and wait until its objects are gone."""
    with session(as_json) as here:
        ask(here, "delete-snapshot", whom(here, service, subject, snapshot_id), {"snapshot_id": snapshot_id}, timeout)


@group.command()
def verify(
    snapshot_id: Id,
    level: Annotated[VerifyLevel, typer.Option(help="How closely to look.")] = VerifyLevel.HASH,
    replica: Annotated[str | None, typer.Option(metavar="NAME", help="Look at its copy, not at the store's.")] = None,
    service: Service = None,
    subject: Subject = None,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Read a snapshot back on a node and wait for the finding; exits with 13 when it is damaged."""
    data = {"snapshot_id": snapshot_id, "level": level.value, "replica": replica}
    with session(as_json) as here:
        ask(here, "verify-snapshot", whom(here, service, subject, snapshot_id), data, timeout)


@group.command()
def pin(
    snapshot_id: Id,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why it must be kept.")],
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Keep a snapshot whatever the retention policy says; it cannot be deleted either."""
    data = {"snapshot_id": snapshot_id, "reason": reason}
    with session(as_json) as here:
        ask(here, "pin-snapshot", whom(here, None, None, snapshot_id), data, timeout)


@group.command()
def unpin(snapshot_id: Id, timeout: Timeout = 600, as_json: AsJson = False) -> None:
    """Let a pinned snapshot be an ordinary one again."""
    data = {"snapshot_id": snapshot_id, "pinned": False}
    with session(as_json) as here:
        ask(here, "pin-snapshot", whom(here, None, None, snapshot_id), data, timeout)


def find(database: Database, snapshot_id: str) -> Snapshot:
    """The snapshot in any state; NotFound if there is none."""
    snapshot = database.catalogue.get(snapshot_id)
    if snapshot is None:
        raise NotFound(
            f"snapshot {snapshot_id} does not exist",
            code="snapshot-not-found",
            next_step="`backstay snapshots list` shows what can be restored",
        )
    return snapshot


def whom(here: Session, service: str | None, subject: str | None, snapshot_id: str | None) -> str:
    """The subject of the command: as given, else of the service, else of the one that the snapshot is of."""
    from workers.cli.services import find as find_service

    if subject is not None and service is None:
        return subject
    if subject is not None or (service is None and snapshot_id is None):
        raise InvalidMessage("give either --service or --subject", field="subject")
    owner = find(here.database(), snapshot_id or "") if service is None else find_service(here.database(), service)
    return f"tenant/{owner.tenant_id}/service/{owner.service_id}"


def ask(here: Session, kind: str, subject: str, data: dict[str, Any], timeout: float) -> None:
    """Publish, and follow."""
    from workers.cli.following import send_and_follow
    from workers.cli.sending import cloud_event

    send_and_follow(here, cloud_event(kind, subject, _given(data), None, None), timeout)


def _given(data: dict[str, Any]) -> dict[str, Any]:
    """Only what was asked for: defaults are the handler's."""
    return {name: value for name, value in data.items() if value not in (None, [], {})}


def _wanted(text: str) -> Label:
    """A label to look for; unlike one to set, it may be one that Backstay itself sets."""
    from domain.snapshot import Label

    name, colon, value = text.partition(":")
    if not colon:
        raise InvalidMessage(f"--label must be NAME:VALUE, got {text!r}", field="label")
    return Label(name, value)


def _row(document: dict[str, Any]) -> tuple[Any, ...]:
    return (
        document["snapshot_id"],
        document["service_id"],
        document["taken_at"],
        document["files"],
        document["logical_bytes"],
        document["stored_bytes"],
        _condition(document),
        " ".join(document["labels"]),
    )


def _condition(document: dict[str, Any]) -> str:
    """Its state; `partial` beside it when files were left out. A corrupt one must not look like any other."""
    partial = ", partial" if document["consistency"] == "partial" else ""
    return f"{document['state']}{partial}"
