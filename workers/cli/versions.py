"""`backstay versions`: what a service can be upgraded to.

Apart from services because a version belongs to an application, not to one installation of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from domain.errors import InvalidMessage
from workers.cli.documents import moment
from workers.cli.session import AsJson, Timeout, session

group = typer.Typer(no_args_is_help=True, help="Publish versions of applications, and look at them.")


@group.command("list")
def list_(
    tenant: Annotated[str, typer.Option(metavar="T", help="As this tenant sees them: its own and the public ones.")],
    group_key: Annotated[str | None, typer.Option(metavar="KEY", help="Of this application.")] = None,
    as_json: AsJson = False,
) -> None:
    """List versions."""
    with session(as_json) as here:
        found = here.database().versions.list(tenant, group_key)
        documents = [
            {"tenant_id": owner, "group_key": key, "version": version, "updated_at": moment(updated)}
            for owner, key, version, updated in found
        ]
        here.screen.document({"versions": documents, "next": None})
        rows = [(d["group_key"], d["version"], d["tenant_id"], d["updated_at"]) for d in documents]
        here.screen.table(("APPLICATION", "VERSION", "TENANT", "PUBLISHED"), rows, "no versions")


@group.command()
def publish(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The template: JSON, TOML or YAML, by its ending.")],
    tenant: Annotated[str, typer.Option(metavar="T", help="Whose version it is; `public` shows it to all.")],
    group_key: Annotated[str | None, typer.Option(metavar="KEY", help="Default: group_key of the template.")] = None,
    version: Annotated[str | None, typer.Option(metavar="V", help="Default: group_version of the template.")] = None,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Publish a version from a template's file."""
    with session(as_json) as here:
        from workers.cli.files import read_object
        from workers.cli.following import send_and_follow
        from workers.cli.sending import cloud_event

        template = read_object(file)
        key, number = group_key or template.get("group_key"), version or template.get("group_version")
        if not key or not number:
            raise InvalidMessage(
                "the template names no group_key or no group_version; give --group-key and --version", field="template"
            )
        data = {"group_key": str(key), "version": str(number), "template": template}
        event = cloud_event("publish-version", f"tenant/{tenant}/service/versions", data, None, None)
        send_and_follow(here, event, timeout)
