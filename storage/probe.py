"""What a store can do, found out by doing it: an endpoint that only looks like S3 may lack what snapshots rest on.

Apart from the backends, because the questions are the same for all of them. Objects are written beneath `probes/`
and removed again; a store that does not answer raises, and nothing is said about it. One that refuses what is not
needed is judged by the rest: a right that is missing must not hide that no snapshot is safe.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from domain.ability import Ability
from domain.contracts import ObjectStore
from domain.errors import Refused


@runtime_checkable
class Endpoint(Protocol):
    """A store that is reached over a network, and has more to ask."""

    def verifies_checksums(self, key: str) -> bool:
        """Whether an object that does not arrive as it was sent is refused."""

    def gives_up_uploads(self, key: str) -> bool:
        """Whether an upload in parts that is given up leaves nothing behind."""


def examine(store: ObjectStore) -> tuple[Ability, ...]:
    """Try everything. Raises StoreUnavailable, and Refused when it may not be written, read or listed."""
    key = f"probes/{secrets.token_hex(16)}"
    body, other = secrets.token_bytes(64), b"another"
    try:
        found = [_writes(store, key, body), _creates(store, key + "-new", body, other)]
        found.append(_lists(store, key))
        if isinstance(store, Endpoint):
            found.append(_checks(store, key + "-sum"))
            found.append(_gives_up(store, key + "-parts"))
    finally:
        removal = _removes(store, [key, key + "-new", key + "-sum", key + "-parts"])
    return (*found, removal)


def _writes(store: ObjectStore, key: str, body: bytes) -> Ability:
    store.put(key, [body])
    same = store.get(key) == body and store.get(key, 5, 7) == body[5:12] and store.size(key) == len(body)
    return Ability(
        "read-back",
        same,
        True,
        "an object, or a part of it, came back changed",
        "do not use this store; check its disks",
    )


def _creates(store: ObjectStore, key: str, body: bytes, other: bytes) -> Ability:
    first, second = store.create(key, [body]), store.create(key, [other])
    return Ability(
        "create-only",
        first and not second and store.get(key) == body,
        True,
        "an object that is to be made once was overwritten: conditional writes (If-None-Match) are ignored",
        "use a store that honours them (AWS S3, Ceph from 18, MinIO from 2024): two nodes could each make a key",
    )


def _lists(store: ObjectStore, key: str) -> Ability:
    shown = any(info.key == key for info in store.list("probes/"))
    return Ability(
        "listing",
        shown,
        False,
        "an object that was just written is not listed yet",
        "nothing that is kept rests on it, but left-overs may be collected late",
    )


def _checks(store: Endpoint, key: str) -> Ability:
    return _unless_refused(
        "checksums",
        lambda: store.verifies_checksums(key),
        "an object whose checksum was wrong was taken",
        "nothing: manifests are read back, packs are measured, and every byte is verified when it is restored",
    )


def _gives_up(store: Endpoint, key: str) -> Ability:
    return _unless_refused(
        "give-up-uploads",
        lambda: store.gives_up_uploads(key),
        "an upload that was given up is still listed",
        "add a lifecycle rule to the bucket that aborts incomplete uploads, after more days than the longest "
        "export takes (7)",
    )


def _removes(store: ObjectStore, keys: Sequence[str]) -> Ability:
    def attempt() -> bool:
        store.delete(keys)
        return True

    return _unless_refused("removal", attempt, "", "")


def _unless_refused(name: str, attempt: Callable[[], bool], sentence: str, next_step: str) -> Ability:
    """What is not needed; a refusal says itself what is wrong."""
    try:
        works = attempt()
    except Refused as error:
        return Ability(name, False, False, str(error), error.next_step)
    return Ability(name, works, False, sentence, next_step)
