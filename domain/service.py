"""A deployed component of a tenant: identity, where its directory is, and its configuration document."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field
from typing import Any

from domain.errors import PathEscape


@dataclass(frozen=True, slots=True)
class Service:
    """What SQL knows of a service. `document` may hold secrets: never print it."""

    service_id: str
    tenant_id: str
    alias: str
    directory: str  # relative to the apps root of its node
    node: str | None = None  # the node that holds the directory
    region: str | None = None
    generation: int = 1  # grows with every change of the record
    group_id: str | None = None  # the instance of an application that it is part of
    share_uuid: str | None = None  # what it is inside the templates of that application
    document: dict[str, Any] = field(default_factory=dict, repr=False)
    sources: tuple[str, ...] = ()  # names of data that is not in the directory; the node knows what they are
    retention: dict[str, Any] = field(default_factory=dict)  # which snapshots are kept; empty: all of them
    rpo_seconds: int = 0  # how old the newest good snapshot may become; 0: nobody has said
    rpo_since: int = 0  # UTC milliseconds; when that was said


def relative_directory(directory: str) -> str:
    """Normalise a service's directory; raise PathEscape if it is absolute or climbs out."""
    clean = posixpath.normpath(directory)
    if "\0" in directory or not directory or clean.startswith(("/", "../")) or clean in ("..", "."):
        raise PathEscape(f"directory must be a relative path beneath the node's apps root, got {directory[:120]!r}")
    if clean.split("/")[0].startswith(".backstay"):
        raise PathEscape("directory must not be Backstay's own staging folder .backstay")
    return clean
