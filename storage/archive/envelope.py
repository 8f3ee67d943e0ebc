"""Format 2 of a manifest: format 1 as it is, sealed whole with the tenant's data key.

Apart from the manifest, because that one knows nothing of keys: whatever a header or a table comes to tell, it is
inside. Outside is only what finding and placing need: the ids, which the object's key spells anyway, and which
key opens it. The clear part is authenticated with the rest, so an envelope cannot be given to another snapshot.

    magic | u32 n | n bytes JSON | sealed part: a whole manifest of format 1 | digest
"""

from __future__ import annotations

import json
import struct

from domain.errors import Damaged, FormatTooNew, KeyUnavailable
from storage.archive import digest
from storage.archive.layout import ENVELOPE_LIMIT, ENVELOPE_MAGIC, MANIFEST_LIMIT
from storage.archive.manifest import Header
from storage.data_key import DataKey, Keys

FORMAT = 2
#: The clear part is in the first so many bytes.
HEAD_BYTES = len(ENVELOPE_MAGIC) + 4 + ENVELOPE_LIMIT
_IDS = ("snapshot_id", "tenant_id", "service_id")


def wrap(blob: bytes, header: Header, key: DataKey) -> bytes:
    """Seal an encoded manifest."""
    document = {"format": FORMAT, **{name: getattr(header, name) for name in _IDS}, "key": key.key_id}
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    clear = b"".join((ENVELOPE_MAGIC, struct.pack("<I", len(text)), text))
    sealed = key.seal(blob, clear)
    return b"".join((clear, sealed, digest.full(clear, sealed)))


def is_sealed(blob: bytes) -> bool:
    """Whether the object says that it is an envelope."""
    return blob[: len(ENVELOPE_MAGIC)] == ENVELOPE_MAGIC


def ids(blob: bytes) -> tuple[str, str, str]:
    """Tenant, service and snapshot as the clear part tells, which nothing vouches for before `unwrap`. Damaged."""
    document = _clear(_parts(blob)[1])
    return document["tenant_id"], document["service_id"], document["snapshot_id"]


def key_named(head: bytes) -> str | None:
    """The id of the key that an object says to be sealed with, by its first `HEAD_BYTES`, which nothing vouches for;
    None if it is no envelope."""
    start = len(ENVELOPE_MAGIC) + 4
    if not is_sealed(head) or len(head) < start:
        return None
    (length,) = struct.unpack_from("<I", head, len(ENVELOPE_MAGIC))
    try:
        return _clear(head[start : start + min(length, ENVELOPE_LIMIT)])["key"]
    except Damaged:
        return None


def unwrap(blob: bytes, keys: Keys) -> tuple[bytes, DataKey]:
    """The manifest inside and the key that opened it. Damaged for any change, KeyUnavailable."""
    clear, text, sealed = _parts(blob)
    document = _clear(text)
    key = keys.load(document["tenant_id"])
    if key.key_id != document["key"]:
        raise KeyUnavailable(
            f"snapshot {document['snapshot_id']} was sealed with key {document['key']} of its tenant, which is no more",
            code="key-destroyed",
            next_step="it cannot be read again; delete it",
        )
    return key.unseal(sealed, clear), key


def _parts(blob: bytes) -> tuple[bytes, bytes, memoryview]:
    """Everything before the sealed part, the JSON in it, and the sealed part; the digest was right. Damaged."""
    start = len(ENVELOPE_MAGIC) + 4
    if not start + digest.SEAL_BYTES <= len(blob) <= MANIFEST_LIMIT:
        raise Damaged("a sealed manifest has no possible length")
    body, mark = memoryview(blob)[: -digest.SEAL_BYTES], blob[-digest.SEAL_BYTES :]
    if digest.full(body) != mark:
        raise Damaged("a sealed manifest is not what was written")
    (length,) = struct.unpack_from("<I", blob, len(ENVELOPE_MAGIC))
    if length > min(ENVELOPE_LIMIT, len(body) - start):
        raise Damaged("the clear part of a sealed manifest does not fit into it")
    return bytes(body[: start + length]), bytes(body[start : start + length]), body[start + length :]


def _clear(text: bytes) -> dict[str, str]:
    try:
        document = json.loads(text.decode("ascii"))
        if document["format"] > FORMAT:
            raise FormatTooNew(f"a sealed manifest is of format {document['format']}, which came after this release")
        if document["format"] != FORMAT:
            raise Damaged("a sealed manifest is of a format that there never was")
        found = {name: document[name] for name in (*_IDS, "key")}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Damaged(f"the clear part of a sealed manifest cannot be read: {error}") from None
    if not all(isinstance(value, str) and len(value) <= 256 for value in found.values()):
        raise Damaged("the clear part of a sealed manifest holds something else than ids")
    return found
