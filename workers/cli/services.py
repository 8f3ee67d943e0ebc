"""`backstay services`: make services known from a file, and look at what is known.

Apart from snapshots because a service exists before its first one. A configuration is read from the file
and sent; it is shown nowhere.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidMessage, NotFound
from workers.cli.documents import service_document
from workers.cli.meant import meant
from workers.cli.session import AsJson, Timeout, session

if TYPE_CHECKING:
    from domain.service import Service
    from workers.bootstrap import Database

group = typer.Typer(no_args_is_help=True, help="Make services known, and look at them.")

#: What becomes the payload of register-service; `tenant` and `service` become its subject.
FIELDS = ("alias", "directory", "node", "region", "sources", "configuration")


@group.command()
def apply(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON, TOML or YAML, by its ending.")],
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Register one service from a file: tenant, service, and what register-service takes."""
    with session(as_json) as here:
        from workers.cli.following import send_and_follow
        from workers.cli.sending import cloud_event

        subject, data = read(file)
        send_and_follow(here, cloud_event("register-service", subject, data, None, None), timeout)


@group.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(metavar="T", help="Of this tenant.")] = None, as_json: AsJson = False
) -> None:
    """List services."""
    with session(as_json) as here:
        points = {point.service_id: point for point in here.database().recovery_points.list(tenant)}
        services = here.database().list_services(tenant)
        documents = [service_document(service, points.get(service.service_id)) for service in services]
        here.screen.document({"services": documents, "next": None})
        rows = [
            (one.service_id, one.tenant_id, one.alias, one.node, one.directory, *points[one.service_id].words())
            for one in services
            if one.service_id in points
        ]
        titles = ("SERVICE", "TENANT", "ALIAS", "NODE", "DIRECTORY", "LAST SAVED", "GOAL", "")
        here.screen.table(titles, rows, "no services")


@group.command()
def show(service_id: Annotated[str, typer.Argument(metavar="SERVICE_ID")], as_json: AsJson = False) -> None:
    """Show one service and its newest snapshot; of its configuration nothing but whether there is one."""
    with session(as_json) as here:
        database = here.database()
        service = find(database, service_id)
        newest = database.catalogue.newest(service_id)
        (point,) = database.recovery_points.list(service_id=service_id)
        document = service_document(service, point) | {
            "has_configuration": bool(service.document),
            "newest_snapshot_id": newest.snapshot_id if newest else None,
        }
        here.screen.document(document)
        facts = document | {"rpo": point.sentence() + (": missed" if point.missed else "")}
        here.screen.facts([(name.replace("_", " "), value) for name, value in facts.items()])


def find(database: Database, service_id: str) -> Service:
    """The service; NotFound if it is not registered."""
    service = database.services.get(service_id)
    if service is None:
        raise NotFound(
            f"service {service_id} is not registered"
            + meant(service_id, (known.service_id for known in database.list_services())),
            code="unknown-service",
            next_step="`backstay services list` shows what is; `backstay services apply FILE` registers one",
        )
    return service


def read(file: Path) -> tuple[str, dict[str, Any]]:
    """Subject and payload from a file; InvalidMessage names what is wrong, never a value."""
    from workers.cli.files import read_object

    found = read_object(file)
    if unknown := sorted(found.keys() - {"tenant", "service", *FIELDS}):
        raise InvalidMessage(f"{unknown[0]}: is none of tenant, service, {', '.join(FIELDS)}", field=unknown[0])
    if missing := [name for name in ("tenant", "service") if not isinstance(found.get(name), str)]:
        raise InvalidMessage(f"{missing[0]}: must be a text", field=missing[0])
    subject = f"tenant/{found['tenant']}/service/{found['service']}"
    return subject, {name: found[name] for name in FIELDS if name in found}
