"""The manifest: everything a snapshot is but the bytes of its files, as one object.

Apart from `check.py`, which refuses hostile ones, and from `freeze.py`, which makes them from a tree that
was read. This is only the form: header in JSON for people, tables in columns for machines, the sealed
configuration, and a digest over all of it. `decode` answers with a manifest that `check` has passed.

    magic | u32 n | n bytes header (JSON) | table (zstd of a column block) | sealed configuration | digest
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.errors import Damaged, FormatTooNew
from storage.archive import columns, digest
from storage.archive.compression import compress_table, decompress_table
from storage.archive.layout import COLUMNS_LIMIT, HEADER_LIMIT, MANIFEST_LIMIT, MANIFEST_MAGIC, NUMBER_LIMIT
from storage.archive.pack import SEGMENT_ROW

#: A manifest with sources has a number of its own: whoever does not know them would restore them as files.
FORMAT, WITH_SOURCES = 1, 3
Ints = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Header:
    """What is known of a snapshot without its tables. Sizes are bytes, `taken_at` UTC milliseconds."""

    snapshot_id: str
    tenant_id: str
    service_id: str
    parent_id: str | None
    taken_at: int  # when reading began: what changed later than this is read again next time
    labels: tuple[str, ...]
    include: tuple[str, ...]
    root_digest: str
    files: int  # names that are not directories
    logical_bytes: int  # of files, holes included, a hard-linked file once
    pack_bytes: int  # of the packs that this snapshot added
    sources: dict[str, str] = field(default_factory=dict)  # kind by name; each is a file of that name in SOURCES


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """The tables. One row per name, the root first; one extent per run of bytes of a file, in order."""

    names: list[bytes]
    parent: Ints
    mode: Ints
    uid: Ints
    gid: Ints
    mtime: Ints  # nanoseconds
    size: Ints  # these four are 0 but for files, and for further names of a file
    ctime: Ints
    inode: Ints
    extents: Ints  # how many
    extent_segment: Ints
    extent_offset: Ints
    extent_length: Ints
    segments: NDArray[np.void]  # SEGMENT_ROW, sorted by pack and offset
    packs: list[str]  # <snapshot id>/<token>, beneath the tenant's pack root
    pack_bytes: Ints
    links: dict[int, bytes]
    twins: dict[int, int]
    attributes: dict[int, bytes]
    skipped: list[bytes] = field(default_factory=list)
    unstable: list[bytes] = field(default_factory=list)
    sockets: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True, eq=False)
class Manifest:
    """Header, tree and, if it was asked for, the sealed configuration."""

    header: Header
    tree: Tree
    sealed: bytes | None


def encode(manifest: Manifest) -> bytes:
    """The object's bytes."""
    table = columns.encode(table_of(manifest.tree))
    stored = compress_table(table)
    header = manifest.header
    document = {
        "format": WITH_SOURCES if header.sources else FORMAT,
        "snapshot_id": header.snapshot_id,
        "tenant_id": header.tenant_id,
        "service_id": header.service_id,
        "parent_id": header.parent_id,
        "taken_at": header.taken_at,
        "labels": list(header.labels),
        "include": list(header.include),
        "root_digest": header.root_digest,
        "files": header.files,
        "logical_bytes": header.logical_bytes,
        "pack_bytes": header.pack_bytes,
        "table": {"stored": len(stored), "plain": len(table)},
        "configuration": None if manifest.sealed is None else len(manifest.sealed),
    }
    if header.sources:
        document["sources"] = header.sources
    text = json.dumps(document, separators=(",", ":")).encode("ascii")
    parts = [MANIFEST_MAGIC, struct.pack("<I", len(text)), text, stored, manifest.sealed or b""]
    return b"".join([*parts, digest.full(*parts)])


def table_of(tree: Tree) -> dict[str, columns.Column]:
    """The columns as they are stored: attributes of files only for files."""
    held = holders(tree.mode, tree.twins)
    rows: dict[str, columns.Column] = {
        "name": b"\0".join(tree.names),
        "parent": tree.parent.astype("<u4"),
        "mode": tree.mode.astype("<u4"),
        "uid": tree.uid.astype("<u4"),
        "gid": tree.gid.astype("<u4"),
        "mtime": tree.mtime.astype("<i8"),
    }
    files: dict[str, columns.Column] = {
        "size": tree.size[held].astype("<u8"),
        "ctime": tree.ctime[held].astype("<i8"),
        "inode": tree.inode[held].astype("<u8"),
        "extents": tree.extents[held].astype("<u4"),
        "extent.segment": tree.extent_segment.astype("<u4"),
        "extent.offset": tree.extent_offset.astype("<u4"),
        "extent.length": tree.extent_length.astype("<u4"),
    }
    places: dict[str, columns.Column] = {
        f"segment.{name}": np.ascontiguousarray(tree.segments[name]) for name in SEGMENT_ROW.names or ()
    }
    packs: dict[str, columns.Column] = {
        "pack.name": "\0".join(tree.packs).encode("ascii"),
        "pack.bytes": tree.pack_bytes.astype("<u4"),
    }
    rare: dict[str, columns.Column] = {
        "link.row": _numbers(tree.links),
        "link.target": b"\0".join(tree.links.values()),
        "twin.row": _numbers(tree.twins),
        "twin.of": np.array(list(tree.twins.values()), "<u4"),
        "attribute.row": _numbers(tree.attributes),
        "attribute.bytes": np.array([len(value) for value in tree.attributes.values()], "<u4"),
        "attribute.value": b"".join(tree.attributes.values()),
        "skipped": b"\0".join(tree.skipped),
        "unstable": b"\0".join(tree.unstable),
    }
    if tree.sockets:
        rare["sockets"] = b"\0".join(tree.sockets)
    return {**rows, **files, **places, **packs, **rare}


def holders(mode: Ints, twins: dict[int, int]) -> NDArray[np.bool_]:
    """Which rows have content of their own: regular files, but for further names of one."""
    held: NDArray[np.bool_] = (mode & 0o170000) == 0o100000
    if twins:
        held[list(twins)] = False
    return held


def decode(blob: bytes) -> tuple[Header, bytes, bytes | None]:
    """Header, plain table block and sealed configuration of a whole manifest. Raises Damaged."""
    document, position = _header(blob)
    try:
        sizes, sealed_bytes = document["table"], document["configuration"]
        stored, plain = _number(sizes["stored"]), _number(sizes["plain"])
        end = position + stored + (0 if sealed_bytes is None else _number(sealed_bytes))
        header = Header(
            snapshot_id=_text(document["snapshot_id"]),
            tenant_id=_text(document["tenant_id"]),
            service_id=_text(document["service_id"]),
            parent_id=None if document["parent_id"] is None else _text(document["parent_id"]),
            taken_at=_number(document["taken_at"]),
            labels=tuple(map(_text, document["labels"])),
            include=tuple(map(_text, document["include"])),
            root_digest=_text(document["root_digest"]),
            files=_number(document["files"]),
            logical_bytes=_number(document["logical_bytes"]),
            pack_bytes=_number(document["pack_bytes"]),
            sources=_sources(document),
        )
    except (KeyError, TypeError) as error:
        raise Damaged(f"the header of a manifest is incomplete: {error}") from None
    if plain > COLUMNS_LIMIT or end + digest.SEAL_BYTES != len(blob):
        raise Damaged("a manifest has another length than its header says")
    table = decompress_table(memoryview(blob)[position : position + stored], plain)
    sealed = blob[position + stored : end] if sealed_bytes is not None else None
    return header, table, sealed


def _number(value: object) -> int:
    """A count, a size or a time: never negative, and small enough for every database."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < NUMBER_LIMIT:
        raise Damaged(f"the header of a manifest has {str(value)[:40]!r} for a number")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Damaged("the header of a manifest has something else for a text")
    return value


def _sources(document: dict[str, Any]) -> dict[str, str]:
    found = document["sources"] if document["format"] == WITH_SOURCES else {}
    if not isinstance(found, dict) or not all(isinstance(kind, str) for kind in found.values()):
        raise Damaged("the header of a manifest describes its sources wrongly")
    return found


def _header(blob: bytes) -> tuple[dict[str, Any], int]:
    """The JSON header and where it ends, after the digest over everything was found right."""
    start = len(MANIFEST_MAGIC) + 4
    if len(blob) > MANIFEST_LIMIT or len(blob) < start + digest.SEAL_BYTES or blob[:8] != MANIFEST_MAGIC:
        raise Damaged("an object is not a manifest of format 1")
    body, mark = memoryview(blob)[: -digest.SEAL_BYTES], blob[-digest.SEAL_BYTES :]
    if digest.full(body) != mark:
        raise Damaged("a manifest is not what was written")
    (length,) = struct.unpack_from("<I", blob, len(MANIFEST_MAGIC))
    if length > min(HEADER_LIMIT, len(body) - start):
        raise Damaged("the header of a manifest does not fit into it")
    try:
        document = json.loads(blob[start : start + length].decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise Damaged(f"the header of a manifest cannot be read: {error}") from None
    if not isinstance(document, dict) or type(document.get("format")) is not int:
        raise Damaged("the header of a manifest does not say its format")
    if document["format"] > WITH_SOURCES:
        raise FormatTooNew(f"a manifest is of format {document['format']}, which came after this release")
    if document["format"] not in (FORMAT, WITH_SOURCES):
        raise Damaged("a manifest is of a format that there never was")
    return document, start + length


def root_digest(tree: Tree, configuration: bytes | None) -> str:
    """Hex digest that commits to names, metadata, every byte of content and the configuration.

    Content is named by segment digest, offset and length: equal digests mean equal snapshots; the same
    files stored in another arrangement have another digest. `configuration` is its keyed fingerprint.
    """
    table = table_of(tree)
    marks = np.zeros(len(tree.segments) + 1, "V16")
    marks[:-1] = tree.segments["digest"]
    at = np.minimum(tree.extent_segment, len(tree.segments)).astype(np.int64)
    kept = ("name", "parent", "mode", "uid", "gid", "mtime", "size", "extents", "extent.offset", "extent.length")
    rare = ("link.row", "link.target", "twin.row", "twin.of", "attribute.row", "attribute.value")
    block = columns.encode({name: table[name] for name in kept + rare})
    return digest.full(block, marks[at].tobytes(), b"\0" if configuration is None else b"\1" + configuration).hex()


def _numbers(rows: dict[int, Any]) -> Ints:
    return np.array(list(rows), "<u4")
