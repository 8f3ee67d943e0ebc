"""Make a version of an application known, so that its services can be upgraded to it.

    {"group_key": "7c27bc7c69994ba99de15a99f3001fa8", "version": "v2.0",
     "template": {"template_version": "v2", "apps": [{"service_share_uuid": "…", "share_image": "…"}]}}

Takes Rainbond's template v2, or an object of `services`: the name of each, and what it shall be in the plain
form of `register-service`. What the tenant `public` publishes can be seen by all; a tenant's own version of the same
name comes first. Publishing it again replaces it; upgrades that have begun go on with what they have planned.
"""

from __future__ import annotations

from typing import Any

import pydantic

from domain.context import Context
from domain.errors import InvalidMessage
from domain.formats import check_template
from domain.outcome import Outcome, SaveVersion
from domain.subscription import Subscription
from handlers import Payload


class PublishVersion(Payload):
    """The subject's service may be any name: a version belongs to the tenant."""

    group_key: str = pydantic.Field(min_length=1, max_length=128)
    version: str = pydantic.Field(min_length=1, max_length=64)
    template: dict[str, Any] = pydantic.Field(repr=False)

    @pydantic.field_validator("template")
    @classmethod
    def _readable(cls, template: dict[str, Any]) -> dict[str, Any]:
        try:
            check_template(template)
        except InvalidMessage as error:
            raise ValueError(str(error)) from None
        return template


def handle(command: PublishVersion, context: Context) -> Outcome:
    """Write the version down."""
    tenant = context.operation.tenant_id
    return Outcome.succeeded(
        f"version {command.version} of {command.group_key} is published for tenant {tenant}",
        changes=(SaveVersion(tenant, command.group_key, command.version, command.template),),
        group_key=command.group_key,
        version=command.version,
    )


subscription = Subscription(PublishVersion, handle, exclusive=False)
