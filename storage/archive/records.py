"""Signed records of snapshots: written from what the store holds, read back without trusting anything, admitted.

Apart from verifying, because a record comes from outside: it names objects, and whoever could forge one could have
foreign objects restored, and later deleted. It is signed with a key of the ring that serves nothing else, and holds
for one store, tenant, service, snapshot and manifest.

    base64 of {"format": 1, "key": "<id in the ring>", "signature": "<hex>", "record": "<JSON of SnapshotRecord>"}
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import json
from typing import Any

from domain.contracts import ObjectStore, Watch
from domain.errors import Damaged, ObjectMissing, Refused
from domain.record import SnapshotRecord
from domain.restore import ManifestSummary
from storage.archive import layout, published, verify
from storage.archive.tenant_keys import TenantKeys
from storage.sealing import KeyRing
from storage.store_name import give_name, name_of

FORMAT = 1
#: Characters; a real one has about a thousand.
LIMIT = 16 << 10


def make(store: ObjectStore, keys: TenantKeys, manifest_key: str) -> str:
    """The signed record of a stored snapshot. Raises Damaged, ObjectMissing."""
    blob = published.fetch_manifest(store, manifest_key)
    header = published.read_manifest(blob, manifest_key, keys).header
    record = SnapshotRecord(
        store_id=name_of(store) or give_name(store),
        tenant_id=header.tenant_id,
        service_id=header.service_id,
        snapshot_id=header.snapshot_id,
        manifest_key=manifest_key,
        manifest_bytes=len(blob),
        manifest_sha256=hashlib.sha256(blob).hexdigest(),
        root_digest=header.root_digest,
        taken_at=header.taken_at,
    )
    return sign(dataclasses.asdict(record), keys.keyring)


def sign(record: dict[str, Any], keyring: KeyRing) -> str:
    """The text of a record."""
    inner = json.dumps(record, sort_keys=True, separators=(",", ":"))
    key_id, signature = keyring.sign(_signed(inner))
    document = {"format": FORMAT, "key": key_id, "signature": signature.hex(), "record": inner}
    return base64.b64encode(json.dumps(document, separators=(",", ":")).encode("ascii")).decode("ascii")


def read(store: ObjectStore, keyring: KeyRing, text: str) -> SnapshotRecord:
    """The record, if a node with this key ring wrote it, in a form that this version knows, of a snapshot in this
    store; line breaks in the text do not matter. Refused says which of these does not hold; KeyUnavailable when the
    ring has no longer the key."""
    document = _document(text)
    if type(document.get("format")) is not int or document["format"] != FORMAT:
        raise Refused(
            f"the record has a form that this version does not know; it knows {FORMAT}",
            code="record-version",
            next_step="import it with the version of Backstay that wrote it, or a later one",
        )
    record = _fields(_authentic(document, keyring))
    if record.store_id != name_of(store):
        raise Refused(
            f"snapshot {record.snapshot_id} lies in another store than this node's",
            code="foreign-store",
            next_step="import it on a node whose BACKSTAY_STORE_URL is the store of the record",
        )
    if record.manifest_key != layout.manifest_key(record.tenant_id, record.service_id, record.snapshot_id):
        raise Refused("the record names a manifest that belongs to another snapshot", code="record-unreadable")
    return record


def admit(store: ObjectStore, keys: TenantKeys, record: SnapshotRecord, watch: Watch) -> ManifestSummary:
    """What the store holds of an authentic record: the very manifest, and every pack of it with its size. Refused when
    the manifest is another one now; Damaged or ObjectMissing when something is not there."""
    blob = published.fetch_manifest(store, record.manifest_key)
    if (len(blob), hashlib.sha256(blob).hexdigest()) != (record.manifest_bytes, record.manifest_sha256):
        raise Refused(
            f"the manifest of snapshot {record.snapshot_id} is not the one that the record was made of",
            code="record-stale",
            next_step="export the record again where the snapshot is known; `backstay catalogue rebuild` reads the "
            "store without records",
        )
    found = published.read_manifest(blob, record.manifest_key, keys)
    if found.header.root_digest != record.root_digest:
        raise Damaged(f"snapshot {record.snapshot_id} has another digest than its record says")
    if faults := verify.missing(store, found, watch):
        raise ObjectMissing(
            f"{len(faults)} objects of snapshot {record.snapshot_id} are not whole: {faults[0].key}: "
            f"{faults[0].sentence}"
        )
    # Its configuration is opened when it is restored; nobody needs it for a row of the catalogue.
    return published.summary(record.manifest_key, len(blob), found.header, found.tree, None)


def _document(text: str) -> dict[str, Any]:
    try:
        if len(text) > LIMIT:
            raise ValueError
        document = json.loads(base64.b64decode("".join(text.split()), validate=True))
    except (ValueError, RecursionError, binascii.Error):
        document = None
    if not isinstance(document, dict):
        raise _unreadable("it is not base64 of a JSON object")
    return document


def _authentic(document: dict[str, Any], keyring: KeyRing) -> dict[str, Any]:
    """What was signed, after the signature was found right and not before."""
    key_id, signature, inner = (document.get(name) for name in ("key", "signature", "record"))
    if not (isinstance(key_id, str) and isinstance(signature, str) and isinstance(inner, str)):
        raise _unreadable("its key, signature or record is missing")
    try:
        tag = bytes.fromhex(signature)
    except ValueError:
        raise _unreadable("its signature is no hexadecimal number") from None
    if not keyring.is_signature(key_id, _signed(inner), tag):
        raise Refused(
            "the record was changed, or nobody with this key ring has made it",
            code="record-forged",
            next_step="take the record as `backstay snapshots export-record` printed it",
        )
    found: dict[str, Any] = json.loads(inner)
    return found


def _fields(found: dict[str, Any]) -> SnapshotRecord:
    """Every field, of its type, and none besides."""
    wanted = {item.name: int if item.type == "int" else str for item in dataclasses.fields(SnapshotRecord)}
    wrong = [name for name in wanted.keys() | found.keys() if type(found.get(name)) is not wanted.get(name)]
    if wrong:
        raise _unreadable(f"its field {min(wrong)!r} is missing or not what it must be")
    return SnapshotRecord(**found)


def _signed(inner: str) -> bytes:
    return b"backstay record %d|" % FORMAT + inner.encode("utf-8", "surrogatepass")


def _unreadable(why: str) -> Refused:
    return Refused(
        f"the record cannot be read: {why}",
        code="record-unreadable",
        next_step="take the record as `backstay snapshots export-record` printed it",
    )
