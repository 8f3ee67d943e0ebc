"""The one hash function of the archive, BLAKE3, in its two lengths.

Apart from what is hashed, so that the choice, its bound and the keyed form have one home. Chunk and
segment digests have 128 bits: among n chunks of one service the chance of any accidental collision is
below n**2 / 2**129, which for 2**32 chunks (128 TiB at the average size) is 2**-65. Somebody who
can write a service's files could look for a collision with 2**64 work, and would damage that service only:
chunks are shared inside one service's chain of snapshots, never between services or tenants.

In sealed snapshots short digests are keyed with a key of the tenant: who reads them, in whatever copy, cannot
tell whether a file that he knows is among them, and cannot look for a collision.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from blake3 import blake3

from domain.contracts import Buffer

ID_BYTES = 16
SEAL_BYTES = 32


def short(data: Buffer) -> bytes:
    """16 bytes: the id of a chunk, the digest of a segment."""
    return blake3(data).digest(ID_BYTES)


Namer = Callable[[Buffer], bytes]


def namer(key: bytes | None) -> Namer:
    """`short` for those who hold `key` (32 bytes), or plain `short`."""
    return short if key is None else partial(_keyed, key)


def _keyed(key: bytes, data: Buffer) -> bytes:
    return blake3(data, key=key).digest(ID_BYTES)


def full(*parts: Buffer) -> bytes:
    """32 bytes over the parts in order: the digest of a manifest, of an index, of a tree."""
    hasher = blake3()
    for part in parts:
        hasher.update(part)
    return hasher.digest(SEAL_BYTES)
