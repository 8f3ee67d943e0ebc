"""`/api/v1/snapshots`: find them by service and label, look at one, and get an address to fetch its archive from.

Apart from the commands that make, restore, verify and delete them. Lists read SQL and no store.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from domain.snapshot import Label, Snapshot
from workers.cli.documents import page, snapshot_document
from workers.linking import link_to
from workers.web import visible
from workers.web.access import Action
from workers.web.api.description import DocumentRoute
from workers.web.api.inputs import NAME, Before, Here, Limit, OfTenant, SnapshotId, across
from workers.web.entry import Who

routes = APIRouter(route_class=DocumentRoute, prefix="/snapshots", tags=["snapshots"])

Services = Annotated[list[Annotated[str, Field(pattern=NAME)]], Query(alias="service", max_length=100)]
Labels = Annotated[
    list[Annotated[str, Field(pattern="^[^:]+:.*$", max_length=400)]],
    Query(alias="label", max_length=20, description="NAME:VALUE; with several those that carry all of them."),
]


class Wanted(BaseModel):
    """How long an address shall work."""

    model_config = ConfigDict(extra="forbid")

    seconds: int = Field(default=900, ge=1, le=3600)


@routes.get("")
def list_snapshots(
    here: Here,
    who: Who,
    tenant: OfTenant = None,
    service: Services = [],  # noqa: B006 - FastAPI copies it
    label: Labels = [],  # noqa: B006
    limit: Limit = 50,
    before: Before = None,
) -> dict[str, Any]:
    """Snapshots, newest first."""
    wanted = [Label(*text.split(":", 1)) for text in label]

    def find(name: str | None) -> list[Snapshot]:
        return here.database.catalogue.find(name, service, wanted, limit + 1, before)

    found = across(who, Action.SNAPSHOTS_READ, tenant, find, lambda snapshot: (snapshot.taken_at, snapshot.snapshot_id))
    return page("snapshots", [snapshot_document(snapshot) for snapshot in found[: limit + 1]], limit, "snapshot_id")


@routes.get("/{snapshot_id}")
def show_snapshot(here: Here, who: Who, snapshot_id: SnapshotId) -> dict[str, Any]:
    """One snapshot, in whatever state."""
    return snapshot_document(visible.snapshot(here, who, snapshot_id))


@routes.post("/{snapshot_id}/link")
def link_snapshot(here: Here, who: Who, snapshot_id: SnapshotId, wanted: Wanted) -> dict[str, Any]:
    """An address from which anybody who has it can fetch the exported archive. 404 when there is none: the command
    export-snapshot makes one."""
    snapshot = visible.snapshot(here, who, snapshot_id)
    who.require(Action.SNAPSHOTS_EXPORT, snapshot.tenant_id)
    return link_to(here.system, snapshot, wanted.seconds, who.actor)
