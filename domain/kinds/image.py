"""What runs: image reference, start command, build version, version, and where to pull from.

References are compared whole, build versions for being another, never for being greater.
"""

from __future__ import annotations

from domain.changeset import Effect, ItemChange
from domain.configuration import Items
from domain.differing import values
from domain.kind import Facts, Kind

KEYS = ("image", "cmd", "deploy_version", "version", "registry")


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """Whatever the version names otherwise."""
    return values("image", installed, target, KEYS)


def effect(change: ItemChange) -> Effect:
    """A version's name and a password alone need no build."""
    return Effect.NOTHING if change.key in ("version", "registry") else Effect.BUILD


kind = Kind(rank=10, compared=("value", "hub_url", "hub_user", "hub_password", "namespace"), diff=diff, effect=effect)
