"""`backstay snapshots`: find them by service and label; make, restore and delete them and see how it ends.

Apart from `publish` because these know what they ask for: the tenant is looked up, and every command that
changes something is followed to its outcome, which is the exit code. Listing reads SQL and no store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidMessage, NotFound
from domain.restore import RestoreMode
from domain.snapshot import Label, Snapshot
from workers.cli.documents import page, snapshot_document
from workers.cli.session import AsJson, Before, Limit, Session, Timeout, session

if TYPE_CHECKING:
    from workers.bootstrap import Database

group = typer.Typer(no_args_is_help=True, help="Find, make, restore and delete snapshots.")

Id = Annotated[str, typer.Argument(metavar="SNAPSHOT_ID")]
Labels = Annotated[list[str] | None, typer.Option("--label", metavar="NAME:VALUE", help="Repeatable.")]
Include = Annotated[list[str] | None, typer.Option(help="configuration, data; repeatable. Default: both.")]


@group.command("list")
def list_(
    service: Annotated[list[str] | None, typer.Option(metavar="S", help="Of any of these services.")] = None,
    label: Labels = None,
    tenant: Annotated[str | None, typer.Option(metavar="T", help="Of this tenant.")] = None,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List snapshots that can be restored, newest first; with several labels those that carry all of them."""
    with session(as_json) as here:
        wanted = [_wanted(text) for text in label or ()]
        found = here.database().catalogue.find(tenant, service or (), wanted, limit + 1, before)
        answer = page("snapshots", [snapshot_document(snapshot) for snapshot in found], limit, "snapshot_id")
        here.screen.document(answer)
        titles = ("ID", "SERVICE", "TAKEN", "FILES", "BYTES", "ADDED", "STATE", "LABELS")
        here.screen.table(titles, [_row(document) for document in answer["snapshots"]], "no snapshots")
        if answer["next"]:
            here.screen.line(f"next: --before {answer['next']} shows older ones")


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
    service: Annotated[str, typer.Option(metavar="S")],
    label: Labels = None,
    include: Include = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Like .gitignore; repeatable.")] = None,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Take a snapshot of a service and wait until it can be restored."""
    data = {"labels": label, "include": include, "exclude": exclude}
    with session(as_json) as here:
        _ask(here, "create-snapshot", service, data, timeout)


@group.command()
def restore(
    snapshot_id: Id,
    service: Annotated[str | None, typer.Option(metavar="S", help="The service to change; default: its own.")] = None,
    mode: Annotated[RestoreMode, typer.Option(help="What happens to files that the snapshot does not have.")] = (
        RestoreMode.REPLACE
    ),
    include: Include = None,
    target_node: Annotated[str | None, typer.Option(metavar="NODE", help="Restore there, and move it there.")] = None,
    target_directory: Annotated[str | None, typer.Option(metavar="DIR", help="Restore a copy there instead.")] = None,
    timeout: Timeout = 3600,
    as_json: AsJson = False,
) -> None:
    """Put a service back to a snapshot and wait for the outcome."""
    target = _given({"node": target_node, "directory": target_directory})
    data = {"snapshot_id": snapshot_id, "mode": mode.value, "include": include, "target": target or None}
    with session(as_json) as here:
        _ask(here, "restore-snapshot", service or find(here.database(), snapshot_id).service_id, data, timeout)


@group.command()
def delete(snapshot_id: Id, timeout: Timeout = 600, as_json: AsJson = False) -> None:
    """Delete a snapshot and wait until its objects are gone."""
    with session(as_json) as here:
        service = find(here.database(), snapshot_id).service_id
        _ask(here, "delete-snapshot", service, {"snapshot_id": snapshot_id}, timeout)


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


def _ask(here: Session, kind: str, service_id: str, data: dict[str, Any], timeout: float) -> None:
    """Publish for the service in the name of its tenant, and follow."""
    from workers.cli.following import send_and_follow
    from workers.cli.sending import cloud_event
    from workers.cli.services import find as find_service

    service = find_service(here.database(), service_id)
    subject = f"tenant/{service.tenant_id}/service/{service.service_id}"
    send_and_follow(here, cloud_event(kind, subject, _given(data), None, None), timeout)


def _given(data: dict[str, Any]) -> dict[str, Any]:
    """Only what was asked for: defaults are the handler's."""
    return {name: value for name, value in data.items() if value not in (None, [], {})}


def _wanted(text: str) -> Label:
    """A label to look for; unlike one to set, it may be one that Backstay itself sets."""
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
        document["consistency"],
        " ".join(document["labels"]),
    )
