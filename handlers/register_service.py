"""Make a service known: who owns it, on which node its directory is, and its configuration.

    {"alias": "Shop", "directory": "acme/shop", "node": "web-1", "sources": ["postgres"],
     "configuration": {"image": "shop:1.4", "envs": [{"name": "DB_PASSWORD", "value": "…", "secret": true}]}}

Publishing it again replaces the record (a new directory or node included) and changes no file. Without
`node` the service lives on the node that takes the message; without `directory` in a folder of its own
name. `configuration` is kept sealed and becomes part of every snapshot; it may also be a platform console's
export of the service, or a backup that such a console has stored. `sources` names data that is not in the
directory; what a name means, the configuration of the node says.
"""

from __future__ import annotations

from typing import Annotated, Any

import pydantic

from domain.context import Context
from domain.errors import InvalidMessage, PathEscape, Refused, WrongTenant
from domain.formats import configuration_from
from domain.outcome import Outcome, SaveService
from domain.service import Service, relative_directory
from domain.subscription import Subscription
from handlers import Name, Payload


def _inside(value: str) -> str:
    try:
        return relative_directory(value)
    except PathEscape as error:
        raise ValueError(str(error)) from None


class RegisterService(Payload):
    """`directory` is relative to the apps root of the node."""

    alias: str | None = pydantic.Field(default=None, max_length=200)
    directory: Annotated[str, pydantic.AfterValidator(_inside)] | None = pydantic.Field(default=None, max_length=1024)
    node: Name | None = None
    region: Name | None = None
    sources: tuple[Name, ...] = pydantic.Field(default=(), max_length=32, strict=False, fail_fast=True)
    configuration: dict[str, Any] | list[Any] = pydantic.Field(default_factory=dict, repr=False)

    @pydantic.field_validator("configuration")
    @classmethod
    def _readable(cls, configuration: dict[str, Any] | list[Any]) -> dict[str, Any] | list[Any]:
        try:
            configuration_from(configuration)
        except (InvalidMessage, Refused) as error:
            raise ValueError(str(error)) from None
        return configuration


def handle(command: RegisterService, context: Context) -> Outcome:
    """Write the record; a service that belongs to another tenant is refused."""
    operation = context.operation
    known = context.services.get(operation.service_id)
    if known is not None and known.tenant_id != operation.tenant_id:
        raise WrongTenant(f"service {operation.service_id} does not belong to tenant {operation.tenant_id}")
    directory = command.directory or operation.service_id
    node = command.node or context.node
    if node == context.node:
        context.trees.resolve(directory)
    configuration = configuration_from(command.configuration)
    wanted = Service(
        service_id=operation.service_id,
        tenant_id=operation.tenant_id,
        alias=command.alias or operation.service_id,
        directory=directory,
        node=node,
        region=command.region,
        generation=known.generation + 1 if known else 1,
        group_id=None if configuration.origin.get("group") is None else str(configuration.origin["group"]),
        share_uuid=configuration.origin.get("share_uuid"),
        document=configuration.document(),
        retention=known.retention if known else {},
        rpo_seconds=known.rpo_seconds if known else 0,
        rpo_since=known.rpo_since if known else 0,
        sources=tuple(sorted(set(command.sources))),
    )
    if node == context.node:
        context.sources.of(wanted, wanted.sources)

    return Outcome.succeeded(
        f"service {wanted.service_id} is registered on node {node} with directory {directory}",
        changes=(SaveService(wanted),),
        service_id=wanted.service_id,
        node=node,
        generation=wanted.generation,
    )


subscription = Subscription(RegisterService, handle, node=lambda payload: payload.node)
