"""A place with archives of others: its address, and whose archives lie there.

Apart from sources, which a service names itself: whoever may publish a message may name any place, so a place says
whose messages it is for.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Stands for every tenant.
EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class PlaceSettings:
    """A folder or bucket of a node's configuration."""

    url: str  # file:///FOLDER or s3://BUCKET
    tenants: frozenset[str]  # who may import from it, or EVERYBODY

    def is_open_to(self, tenant_id: str) -> bool:
        """Whether a message of that tenant may have an archive of this place."""
        return tenant_id in self.tenants or EVERYBODY in self.tenants
