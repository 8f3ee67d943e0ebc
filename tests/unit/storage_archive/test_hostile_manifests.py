"""Manifests that no writer makes: refused before anything is allocated or written for them. RS-15."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from domain.errors import Damaged, FormatTooNew
from storage.archive import columns, digest, manifest, published
from storage.archive.check import tree_from
from storage.archive.compression import compress_table
from storage.archive.layout import HOLE
from storage.archive.manifest import Manifest, Tree
from tests.unit.storage_archive.workshop import Workshop

Change = Callable[[Tree], dict[str, Any]]


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    """A snapshot of: d/ d/f d/g l -> f, x (two chunks' worth), y (hard link of x)."""
    made = Workshop(tmp_path)
    app = tmp_path / "app"
    (app / "d").mkdir(parents=True)
    (app / "d" / "f").write_bytes(b"f" * 100)
    (app / "d" / "g").write_bytes(b"g" * 100)
    (app / "l").symlink_to("d/f")
    (app / "x").write_bytes(b"x" * 500)
    (app / "y").hardlink_to(app / "x")
    made.create(app)
    return made


def _with(column: str, row: int, value: Any) -> Change:
    def change(tree: Tree) -> dict[str, Any]:
        changed = getattr(tree, column).copy()
        changed[row] = value
        return {column: changed}

    return change


def _segment(name: str, value: int) -> Change:
    def change(tree: Tree) -> dict[str, Any]:
        changed = tree.segments.copy()
        changed[name][0] = value
        return {"segments": changed}

    return change


def _name(row: int, name: bytes) -> Change:
    def change(tree: Tree) -> dict[str, Any]:
        return {"names": [*tree.names[:row], name, *tree.names[row + 1 :]]}

    return change


# Rows: 0 root, 1 d, 2 l, 3 x, 4 y, 5 d/f, 6 d/g
HOSTILE: dict[str, Change] = {
    "name with a slash": _name(5, b"a/b"),
    "absolute name": _name(5, b"/etc/passwd"),
    "dot": _name(5, b"."),
    "dot dot": _name(5, b".."),
    "empty name": _name(5, b""),
    "name with NUL": _name(5, b"e\0f"),
    "long name": _name(6, b"g" * 256),
    "same name twice": _name(6, b"f"),
    "names out of order": _name(6, b"a"),
    "root with a name": _name(0, b"root"),
    "directory inside itself": _with("parent", 1, 1),
    "cycle of directories": _with("parent", 1, 6),
    "entry beneath a file": _with("parent", 6, 3),
    "entry beneath a link": _with("parent", 6, 2),
    "entries of a directory apart": _with("parent", 3, 1),
    "device": _with("mode", 5, 0o020666),
    "fifo": _with("mode", 5, 0o010666),
    "no type at all": _with("mode", 5, 0o644),
    "mode beyond modes": _with("mode", 5, 0o100644 | 1 << 20),
    "root is a file": _with("mode", 0, 0o100644),
    "link without target": lambda tree: {"links": {}},
    "empty link": lambda tree: {"links": {2: b""}},
    "long link": lambda tree: {"links": {2: b"x" * 4096}},
    "target for a file": lambda tree: {"links": {2: b"x", 5: b"/etc/passwd"}},
    "hard link to a directory": lambda tree: {"twins": {4: 1}},
    "hard link to a link": lambda tree: {"twins": {4: 2}},
    "hard link to itself": lambda tree: {"twins": {4: 4}},
    "hard link forwards": lambda tree: {"twins": {4: 5}},
    "hard link to nowhere": lambda tree: {"twins": {4: 4_000_000_000}},
    "file of another size": _with("size", 5, 99),
    "file of an absurd size": _with("size", 5, 1 << 60),
    "extent outside of its segment": _with("extent_offset", 0, 8 << 20),
    "extent in no segment": _with("extent_segment", 0, 1),
    "extent of nothing": _with("extent_length", 0, 0),
    "hole that is too long": lambda tree: {
        "extent_segment": np.full_like(tree.extent_segment, HOLE),
        "extent_length": np.full_like(tree.extent_length, 0xFFFF_FFFF),
    },
    "more extents than there are": _with("extents", 5, 2),
    "segment that unpacks to too much": _segment("plain", 1 << 31),
    "segment that unpacks to nothing": _segment("plain", 0),
    "segment outside of its pack": _segment("offset", 1 << 31),
    "segment over the magic": _segment("offset", 0),
    "segment longer than its pack": _segment("stored", 700),
    "segment in no pack": _segment("pack", 5),
    "unknown flag": _segment("flags", 4),
    "sealed segment in a plain manifest": _segment("flags", 3),
    "pack elsewhere": lambda tree: {"packs": ["../../evil/packs/" + "0" * 32]},
    "pack by absolute key": lambda tree: {"packs": ["/" + "0" * 32]},
    "pack of an absurd size": _with("pack_bytes", 0, 1 << 30),
    "packs counted wrongly": lambda tree: {"packs": []},
    "privileged attribute": lambda tree: {"attributes": {5: b"\x13security.capability\x01\0\0\0x"}},
    "attribute cut short": lambda tree: {"attributes": {5: b"\x06user.a\xff\xff\0\0x"}},
}


def _republish(shop: Workshop, change: Change) -> str:
    key = shop.archive.manifest_key("acme", "web", "s1")
    found = published.read_manifest(shop.objects[key], key, shop.keys)
    changed = dataclasses.replace(found.tree, **change(found.tree))
    shop.objects[key] = manifest.encode(Manifest(found.header, changed, found.sealed))
    return key


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_manifest_is_refused(shop: Workshop, what: str) -> None:
    """RS-15"""
    key = _republish(shop, HOSTILE[what])

    with pytest.raises(Damaged):
        shop.archive.read(key)


def test_the_manifest_that_the_hostile_ones_are_made_from_is_accepted(shop: Workshop) -> None:
    assert shop.archive.read(_republish(shop, lambda tree: {})).files == 5


def _resealed(body: bytes) -> bytes:
    return body + digest.full(body)


def test_a_header_that_claims_a_gigabyte_table_allocates_nothing(shop: Workshop) -> None:
    """RS-15: a bomb is refused by what the frame itself states."""
    key = shop.archive.manifest_key("acme", "web", "s1")
    body = shop.objects[key][:-32]
    (length,) = struct.unpack_from("<I", body, 8)
    header = body[12 : 12 + length]
    start = header.index(b'"plain":') + 8
    forged = header[:start] + b"1999999999" + header[header.index(b"}", start) :]
    shop.objects[key] = _resealed(body[:8] + struct.pack("<I", len(forged)) + forged + body[12 + length :])

    with pytest.raises(Damaged, match="claims to unpack"):
        shop.archive.read(key)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"BKSMANI\x01",
        b"BKSMANI\x02" + b"\0" * 60,
        b"BKSMANI\x01\xff\xff\xff\xff{}",
        b"BKSMANI\x01\x02\0\0\0[]",
        b"BKSMANI\x01\x02\0\0\0{}",
    ],
)
def test_what_is_no_manifest_at_all_is_damage_and_no_crash(shop: Workshop, body: bytes) -> None:
    key = shop.archive.manifest_key("acme", "web", "s1")
    shop.objects[key] = _resealed(body)

    with pytest.raises(Damaged):
        shop.archive.read(key)


def test_a_manifest_of_a_later_release_is_no_damage(shop: Workshop) -> None:
    """RS-15: its digest is right, so somebody has written it like that; a restore must not call it corrupt."""
    key = shop.archive.manifest_key("acme", "web", "s1")
    shop.objects[key] = _of_format(shop.objects[key], b"9")

    with pytest.raises(FormatTooNew, match="format 9"):
        shop.archive.read(key)

    shop.objects[key] = _of_format(shop.objects[key], b"0")
    with pytest.raises(Damaged, match="never was"):
        shop.archive.read(key)


def test_a_sealed_manifest_of_a_later_release_is_no_damage(tmp_path: Path) -> None:
    made = Workshop(tmp_path, encryption=True)
    (tmp_path / "app").mkdir()
    made.create(tmp_path / "app")
    key = made.archive.manifest_key("acme", "web", "s1")
    made.objects[key] = _of_format(made.objects[key], b"9")

    with pytest.raises(FormatTooNew, match="format 9"):
        made.archive.read(key)


def _of_format(blob: bytes, digit: bytes) -> bytes:
    start = blob.index(b'"format":') + 9
    return _resealed(blob[:start] + digit + blob[start + 1 : -digest.SEAL_BYTES])


def test_a_missing_column_is_damage(shop: Workshop) -> None:
    key = shop.archive.manifest_key("acme", "web", "s1")
    tree = published.read_manifest(shop.objects[key], key, shop.keys).tree
    table = manifest.table_of(tree)

    for name in table:
        block = columns.encode({other: column for other, column in table.items() if other != name})
        with pytest.raises(Damaged):
            tree_from(block)


def test_every_truncated_or_flipped_table_is_damage_or_a_table(shop: Workshop) -> None:
    """No input makes the parser raise anything else, or hang."""
    key = shop.archive.manifest_key("acme", "web", "s1")
    tree = published.read_manifest(shop.objects[key], key, shop.keys).tree
    block = columns.encode(manifest.table_of(tree))

    for position in range(len(block)):
        for broken in (block[:position], block[:position] + bytes([block[position] ^ 0x81]) + block[position + 1 :]):
            try:
                tree_from(broken)
            except Damaged:
                continue


def test_a_table_survives_its_own_encoding() -> None:
    table: dict[str, columns.Column] = {
        "bytes": b"any \0 bytes",
        "unsigned": np.array([3, 0, 4_000_000_000], "<u4"),
        "signed": np.array([-5, 2**62, -(2**62)], "<i8"),
        "records": np.frombuffer(bytes(32), "V16"),
        "none": np.zeros(0, "<u8"),
    }

    found = columns.decode(compress_and_back(columns.encode(table)))

    assert found["bytes"] == table["bytes"]
    for name in ("unsigned", "signed", "records", "none"):
        assert np.array_equal(np.asarray(found[name]), np.asarray(table[name]))


def compress_and_back(block: bytes) -> bytes:
    from storage.archive.compression import Decompressor

    return Decompressor().decompress(compress_table(block), len(block))
