"""Names, magic numbers and limits of snapshot format 1, in one place.

Apart from the code that writes and the code that reads, because both must agree and a reader must refuse
what no writer makes. `docs/format.md` says the same byte by byte.
"""

from __future__ import annotations

import re

from domain.errors import Damaged
from domain.identity import check_name

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30

#: First and last bytes of the objects. The last byte is the version of the format.
PACK_MAGIC = b"BKSPACK\x01"
MANIFEST_MAGIC = b"BKSMANI\x01"
#: Sealed ones: a pack whose segments and index are sealed, a manifest in its envelope, a tenant's key.
SEALED_PACK_MAGIC = b"BKSPACK\x02"
ENVELOPE_MAGIC = b"BKSMANI\x02"
KEY_MAGIC = b"BKSTKEY\x01"

#: Plain bytes of a segment: it is closed when it has this many, so it holds one chunk more at most.
SEGMENT_TARGET = 4 * MIB
SEGMENT_LIMIT = 8 * MIB
#: Stored bytes of a pack, the same way.
PACK_TARGET = 16 * MIB
PACK_LIMIT = 64 * MIB
#: A segment, and a pack, is closed too when it has so many chunks, as tiny files make: an index, of 20 bytes for each,
#: is to stay within what a reader takes.
SEGMENT_CHUNKS = 100_000
PACK_CHUNKS = 400_000
INDEX_LIMIT = 16 * MIB
#: A file below this is one chunk.
WHOLE_FILE = 1 * MIB
#: Average chunk of bigger files; the smallest is a quarter of it, the biggest four times it.
CHUNK_AVERAGE = 32 * KIB
CHUNK_LIMIT = WHOLE_FILE

#: What a reader accepts before it allocates.
MANIFEST_LIMIT = 1 * GIB
COLUMNS_LIMIT = 2 * GIB
#: A compressed table may unpack to this many times its size, or to the smaller of these; real ones, at most 100.
TABLE_RATIO = 1000
TABLE_ALWAYS = 16 * MIB
HEADER_LIMIT = 1 * MIB
ENVELOPE_LIMIT = 4 * KIB
NUMBER_LIMIT = 1 << 53
ENTRIES_LIMIT = 20_000_000
EXTENTS_LIMIT = 100_000_000
NAME_LIMIT = 255
LINK_LIMIT = 4095
DEPTH_LIMIT = 512
FILE_LIMIT = 1 << 50
HOLE_LIMIT = 1 << 30  # a longer hole is several extents

#: Where a manifest has the data that is not in the directory: one file for each source. Never in a live tree.
SOURCES = b".backstay-sources"
#: Bytes of a block of a volume: fixed, so that a page that changes in place is one block, or two.
VOLUME_BLOCK = CHUNK_AVERAGE

#: An extent of this segment number is a hole: bytes that read as zero and take no room.
HOLE = 0xFFFF_FFFF

#: Names the store; beside everything, because it is no tenant's.
STORE_ID = "store/identity"

_PACK = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}/[0-9a-f]{32}\Z")


def manifest_key(tenant_id: str, service_id: str, snapshot_id: str) -> str:
    """Where the manifest of that snapshot lives."""
    for value, what in ((tenant_id, "tenant"), (service_id, "service"), (snapshot_id, "snapshot")):
        check_name(value, what)
    return f"tenants/{tenant_id}/services/{service_id}/snapshots/{snapshot_id}/manifest"


def export_key(tenant_id: str, op_id: str) -> str:
    """Where the archive that an operation exports lives."""
    return f"tenants/{check_name(tenant_id, 'tenant')}/exports/{check_name(op_id, 'operation')}.tar.zst"


def pack_root(tenant_id: str) -> str:
    """The beginning of the keys of all packs of a tenant; a manifest names packs beneath it only."""
    return f"tenants/{check_name(tenant_id, 'tenant')}/packs/"


def pack_prefix(tenant_id: str, snapshot_id: str) -> str:
    """The beginning of the keys of all packs that attempts of that snapshot write."""
    return f"{pack_root(tenant_id)}{check_name(snapshot_id, 'snapshot')}/"


def check_pack_name(name: str) -> str:
    """`<snapshot id>/<32 hex digits>`, as in a manifest; else raise Damaged."""
    if not _PACK.match(name):
        raise Damaged(f"a manifest names the pack {name[:100]!r}, which no writer makes")
    return name
