"""Replicas as they are written in the settings.

Apart from the settings because the notation is its own. Refuses what could not be told apart later: a name that is
used twice, and one place under two names.
"""

from __future__ import annotations

import json

from domain.errors import InvalidMessage
from domain.identity import check_name

POLICIES = ("all", "primary")


def parse_replicas(text: str) -> dict[str, str]:
    """`name=URL,name=URL`, or a JSON object of the same; URLs by name, in order. ValueError says what is wrong."""
    pairs = _from_json(text) if text.lstrip().startswith("{") else _from_list(text)
    found: dict[str, str] = {}
    for name, url in pairs:
        try:
            check_name(name, "replica")
        except InvalidMessage:  # what was given instead may be an address with a password
            raise ValueError("a replica is NAME=URL, its name of a-z, 0-9 and . _ -") from None
        if name in found or url in found.values():
            raise ValueError(f"replica {name} or its place is there twice")
        if url.partition("://")[0] not in ("file", "s3"):
            raise ValueError(f"replica {name} must be a URL with one of the schemes file, s3")
        found[name] = url
    return found


def parse_policy(text: str) -> str:
    """One of `POLICIES`."""
    if text not in POLICIES:
        raise ValueError(f"must be {' or '.join(POLICIES)}")
    return text


def _from_list(text: str) -> list[tuple[str, str]]:
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, url = part.partition("=")
        if not equals:
            raise ValueError("must be name=URL[,name=URL]")
        pairs.append((name.strip(), url.strip()))
    return pairs


def _from_json(text: str) -> list[tuple[str, str]]:
    document = json.loads(text)
    if not all(isinstance(url, str) for url in document.values()):
        raise ValueError("must have a URL for each name")
    return list(document.items())
