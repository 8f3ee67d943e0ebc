"""What requests may say, described once: ids, names, pages and the key of a repeat.

Apart from the routes so that a parameter means the same everywhere, in the code and in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from workers.web.access import Action, Caller
from workers.web.desk import Desk, desk

T = TypeVar("T")

#: As domain/identity.py checks them.
NAME = "^[a-z0-9][a-z0-9._-]{0,62}$"
ID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"

Here = Annotated[Desk, Depends(desk)]
TenantId = Annotated[str, Path(pattern=NAME)]
ServiceId = Annotated[str, Path(pattern=NAME)]
OperationId = Annotated[str, Path(pattern=ID)]
SnapshotId = Annotated[str, Path(pattern=ID)]
LetterId = Annotated[str, Path(pattern=ID)]
OfTenant = Annotated[str | None, Query(pattern=NAME, description="Of this tenant; else of all that you may see.")]
Limit = Annotated[int, Query(ge=1, le=200, description="At most this many.")]
Before = Annotated[str | None, Query(pattern=ID, description="Go on after this id: `next` of the page before.")]
After = Annotated[str | None, Query(pattern=NAME, description="Go on after this id: `next` of the page before.")]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern="^[!-~]{1,200}$",
        description="The same key with the same command is the same command; with another one it is refused.",
    ),
]

Trace = Annotated[
    str | None,
    Header(
        alias="traceparent", description="The trace that the command is part of (W3C); one that is none is ignored."
    ),
]


class Why(BaseModel):
    """The reason for an act."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=1, max_length=1000, description="Why; kept in the audit trail.")


def across(
    who: Caller,
    action: Action,
    tenant: str | None,
    find: Callable[[str | None], Sequence[T]],
    order: Callable[[T], Any],
) -> list[T]:
    """What `find` has for that tenant, or for each in which the caller may do this, greatest first by `order`."""
    if tenant is not None:
        who.require(action, tenant)
        return list(find(tenant))
    tenants = who.tenants(action)
    if tenants is None:
        return list(find(None))
    return sorted((item for name in tenants for item in find(name)), key=order, reverse=True)
