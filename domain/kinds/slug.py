"""The slug of a service that is built from source: its path, and where to fetch it. Paths are compared whole."""

from __future__ import annotations

from domain.changeset import Effect, ItemChange
from domain.configuration import Items
from domain.differing import delete, values
from domain.kind import Facts, Kind


def diff(installed: Items, target: Items, facts: Facts) -> list[ItemChange]:
    """Whatever the version names otherwise. It goes when the version has an image in its place: a slug would be built
    before any image."""
    image = facts.target.of("image").get("image", {}).get("value")
    if image and "slug_path" in installed and "slug_path" not in target:
        return [delete("slug", key, row, "the version has an image in its place") for key, row in installed.items()]
    return values("slug", installed, target, ("slug_path", "registry"))


def effect(change: ItemChange) -> Effect:
    """Another path is another build."""
    return Effect.BUILD if change.key == "slug_path" else Effect.NOTHING


kind = Kind(
    rank=15, compared=("value", "ftp_host", "ftp_port", "ftp_username", "ftp_password"), diff=diff, effect=effect
)
