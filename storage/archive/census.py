"""Which stored snapshots are not sealed, and which key of the ring their configurations still need.

Apart from reading snapshots because it must answer for a hundred thousand of them: a few bytes of each manifest,
several at once, and nothing is checked or trusted beyond that.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from domain.contracts import ObjectStore
from domain.errors import Damaged
from storage.archive.layout import HEADER_LIMIT, MANIFEST_MAGIC
from storage.sealing import name_in

_START = len(MANIFEST_MAGIC) + 4
#: The longest beginning of a sealed value that names its key.
_HEAD = 34
_AT_ONCE = 16


def plain_manifests(store: ObjectStore, prefix: str) -> Iterator[tuple[str, str | None]]:
    """Keys of manifests beneath `prefix` that are not sealed, with the ring's key of their configuration, if any.
    What cannot be understood is left to `verify`."""
    found = [(info.key, info.size) for info in store.list(prefix) if info.key.endswith("/manifest")]
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="census") as pool:
        for (key, _), (plain, ring_key) in zip(found, pool.map(lambda item: _look(store, *item), found), strict=True):
            if plain:
                yield key, ring_key


def _look(store: ObjectStore, key: str, size: int) -> tuple[bool, str | None]:
    """Whether it is a plain manifest, and the key that its configuration names."""
    try:
        start = store.get(key, 0, min(size, _START))
        if len(start) < _START or start[: len(MANIFEST_MAGIC)] != MANIFEST_MAGIC:
            return False, None
        (length,) = struct.unpack_from("<I", start, len(MANIFEST_MAGIC))
        if length > min(HEADER_LIMIT, size):
            return True, None
        document = json.loads(store.get(key, _START, length))
        if not document["configuration"]:
            return True, None
        at = _START + length + int(document["table"]["stored"])
        return True, name_in(store.get(key, at, min(_HEAD, int(document["configuration"]))))
    except Damaged:
        return False, None  # deleted meanwhile, or cut
    except (ValueError, KeyError, TypeError, RecursionError):
        return True, None
