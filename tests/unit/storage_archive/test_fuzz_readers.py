"""Every reader of stored objects, given anything: an error of ours, or a result that is safe to use. RS-15, CN-04, 15.

What is changed here vouches for itself: digests are made anew after each change, so the fuzz reaches what lies
behind them. What is accepted is restored, and nothing may come to be outside of the staging directory.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import struct
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from domain.errors import BackstayError, Damaged, Refused
from domain.restore import RestoreMode
from storage.archive import columns, digest, envelope, manifest, published
from storage.archive.check import tree_from
from storage.archive.compression import Compressor, compress_table
from storage.archive.layout import MANIFEST_MAGIC, PACK_MAGIC
from storage.archive.pack import SEGMENT_ROW, read_index
from storage.archive.segment import Closer, Opener
from storage.archive.tenant_keys import TenantKeys
from storage.data_key import DataKey
from storage.objects.memory import MemoryStore
from storage.sealing import KeyRing
from tests.unit.storage_archive.workshop import Workshop

QUICK = settings(max_examples=150, suppress_health_check=list(HealthCheck))
SLOW = settings(max_examples=60, suppress_health_check=list(HealthCheck))
KEY = DataKey("00" * 8, bytes(range(32)))
MIB = 1 << 20

Snapshot = tuple[Workshop, str]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A small snapshot with one of everything, plain, and the key of its manifest."""
    root = tmp_path_factory.mktemp("fuzz")
    app = root / "app"
    (app / "d").mkdir(parents=True)
    (app / "d" / "f").write_bytes(b"f" * 100)
    (app / "d" / "g").write_bytes(os.urandom(3000))
    os.setxattr(app / "d" / "g", "user.a", b"x")
    (app / "l").symlink_to("d/f")
    (app / "x").write_bytes(b"x" * 500)
    (app / "y").hardlink_to(app / "x")
    with open(app / "z", "wb") as file:
        file.truncate(2 * MIB)
        file.write(b"z")
    shop = Workshop(root, threads=1, cache=False)
    return shop, shop.create(app, configuration={"a": 1}).manifest_key


EDGES = (0, 1, 2, 7, 255, 256, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)
TYPES = ("u1", "<u2", "<u4", "<u8", "<i4", "<i8")


@st.composite
def a_column(draw: st.DrawFn) -> columns.Column:
    """Any column that the encoding can hold."""
    kind = draw(st.sampled_from(["bytes", "records", *TYPES]))
    if kind == "bytes":
        return draw(st.binary(max_size=80) | st.lists(st.sampled_from(NAMES), max_size=9).map(b"\0".join))
    if kind == "records":
        return np.frombuffer(draw(st.binary(max_size=64).map(lambda data: data[: len(data) // 16 * 16])), "V16")
    values = draw(st.lists(st.sampled_from(EDGES) | st.integers(0, 12), max_size=9))
    mask = (1 << 8 * np.dtype(kind).itemsize) - 1
    return np.array([value & mask for value in values], f"<u{np.dtype(kind).itemsize}").view(kind)


NAMES = (b"", b".", b"..", b"/etc/passwd", b"../../x", b"a", b"b", b"d", b"f", b"a/b", b"\xff", b"e" * 256, b"d/f")


@st.composite
def a_change(draw: st.DrawFn, table: dict[str, columns.Column]) -> dict[str, columns.Column]:
    """The table with a few values changed, columns replaced, left out or cut."""
    changed = dict(table)
    for name in draw(st.lists(st.sampled_from(sorted(table)), min_size=1, max_size=3)):
        column = changed.get(name)
        how = draw(st.sampled_from(["value", "value", "value", "cut", "other", "none"]))
        if column is None or how == "none":
            changed.pop(name, None)
        elif how == "other":
            changed[name] = draw(a_column())
        elif how == "cut":
            changed[name] = column[: draw(st.integers(0, len(column)))]
        elif isinstance(column, bytes):
            names = column.split(b"\0")
            names[draw(st.integers(0, len(names) - 1))] = draw(st.sampled_from(NAMES))
            changed[name] = b"\0".join(names)
        elif len(column) and column.dtype.kind in "iu":
            copy = column.copy()
            mask = (1 << 8 * copy.dtype.itemsize) - 1
            value = np.array([draw(st.sampled_from(EDGES) | st.integers(0, 12)) & mask], f"<u{copy.dtype.itemsize}")
            copy[draw(st.integers(0, len(copy) - 1))] = value.view(copy.dtype)[0]
            changed[name] = copy
    return changed


@st.composite
def edited(draw: st.DrawFn, whole: bytes) -> bytes:
    """The bytes with some of them changed, cut, or put in twice."""
    data = bytearray(whole)
    for at in draw(st.lists(st.integers(0, max(0, len(data) - 1)), max_size=6)):
        data[at] = draw(st.integers(0, 255))
    start, end = sorted((draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))))
    return bytes(draw(st.sampled_from([data, data[:end], data[start:], data[:end] + data[start:]])))


# ---------------------------------------------------------------- tables
@QUICK
@given(st.data())
def test_any_block_is_a_table_or_damage(made: Snapshot, data: st.DataObject) -> None:
    block = data.draw(st.binary(max_size=200) | edited(columns.encode(manifest.table_of(_tree(made)))))
    try:
        columns.decode(block)
        tree_from(block)
    except Damaged:
        return


@QUICK
@given(st.data())
def test_any_columns_are_a_tree_that_restores_inside_its_staging_or_an_error_of_ours(
    made: Snapshot, data: st.DataObject
) -> None:
    """RS-15: also with every digest right."""
    shop, place = made
    header = published.read_manifest(shop.objects[place], place, shop.keys).header
    block = columns.encode(data.draw(a_change(manifest.table_of(_tree(made)))))
    _restore_or_refuse(shop, place, _object(header, compress_table(block), len(block)))


def _tree(made: Snapshot) -> manifest.Tree:
    shop, place = made
    return published.read_manifest(shop.objects[place], place, shop.keys).tree


def _object(header: manifest.Header, table: bytes, plain: int, changes: dict[str, Any] | None = None) -> bytes:
    document = dataclasses.asdict(header) | {
        "format": 1, "table": {"stored": len(table), "plain": plain}, "configuration": None,
    }  # fmt: skip
    text = json.dumps(document | (changes or {})).encode("ascii")
    body = MANIFEST_MAGIC + struct.pack("<I", len(text)) + text + table
    return body + digest.full(body)


def _restore_or_refuse(shop: Workshop, place: str, blob: bytes) -> None:
    """Restore a manifest in a world of its own; nothing but the staging directory may change."""
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)
        store = MemoryStore()
        store.objects = {**shop.objects, place: blob}
        there = Workshop(world, store=store, threads=1, cache=False)
        (world / "target").mkdir()
        (world / "target" / "live").write_bytes(b"as it was")
        staging = world / "staging" / "tree"
        try:
            there.archive.read(place)
            there.archive.stage(place, str(world / "target"), str(staging), RestoreMode.REPLACE, there.watch)
        except (Damaged, Refused):
            assert not staging.exists()
        assert sorted(os.listdir(world)) in (["staging", "target"], ["target"])
        assert os.listdir(world / "target") == ["live"] and (world / "target" / "live").read_bytes() == b"as it was"
        for path in staging.rglob("*"):
            status = path.lstat()
            assert path.is_symlink() or path.is_dir() or (path.is_file() and not status.st_mode & 0o6000)
        shutil.rmtree(world / "staging", ignore_errors=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.sampled_from(EDGES) | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@QUICK
@given(st.data())
def test_any_header_is_read_or_an_error_of_ours(made: Snapshot, data: st.DataObject) -> None:
    """CN-04, CN-15: a missing field, another type, another version, a number beyond everything."""
    shop, place = made
    header = published.read_manifest(shop.objects[place], place, shop.keys).header
    fields = [*(field.name for field in dataclasses.fields(header)), "format", "table", "configuration"]
    block = columns.encode(manifest.table_of(_tree(made)))
    table = compress_table(block)
    changes = data.draw(st.dictionaries(st.sampled_from(fields), JSON, min_size=1, max_size=3))
    blob = _object(header, table, len(block), changes)
    store = MemoryStore()
    store.objects = {place: blob}
    try:
        summary = Workshop(shop.root, store=store, cache=False).archive.read(place)
    except (Damaged, Refused):
        return
    assert 0 <= summary.logical_bytes < 1 << 53 and 0 <= summary.taken_at < 1 << 53
    assert all(isinstance(label, str) for label in summary.labels)


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"format":' * 9000, b'{"format":1,"taken_at":1e999}', b"NaN", b"1" * 5000]
)
def test_json_that_harms_its_parser_is_damage(text: bytes) -> None:
    body = MANIFEST_MAGIC + struct.pack("<I", len(text)) + text
    with pytest.raises(Damaged):
        manifest.decode(body + digest.full(body))


# ---------------------------------------------------------------- packs
@QUICK
@given(st.data())
def test_any_index_of_a_pack_is_read_or_damage(made: Snapshot, data: st.DataObject) -> None:
    shop, _ = made
    (pack,) = (blob for key, blob in shop.objects.items() if "/packs/" in key)
    index = read_index(pack[-_tail(pack) :], len(pack), "s1/x", None)
    counts = np.bincount(index.chunk_segment, minlength=len(index.segments)).astype("<u4")
    table: dict[str, columns.Column] = {
        **{name: np.ascontiguousarray(index.segments[name]) for name in SEGMENT_ROW.names or () if name != "pack"},
        "chunks": counts, "length": index.chunk_length.astype("<u4"), "id": index.chunk_id,
    }  # fmt: skip
    block = columns.encode(data.draw(a_change(table)))
    stored = compress_table(block)
    tail = stored + struct.pack("<II32s8s", len(stored), len(block), digest.full(stored), PACK_MAGIC)
    try:
        found = read_index(tail, len(pack), "s1/x", None)
    except Damaged:
        return
    end = found.segments["offset"].astype(int) + found.segments["stored"]
    assert (end <= len(pack)).all() and len(found.chunk_id) == len(found.chunk_length)
    assert (found.chunk_offset + found.chunk_length <= found.segments["plain"][found.chunk_segment]).all()


def _tail(pack: bytes) -> int:
    return int.from_bytes(pack[-48:-44], "little") + 48


@QUICK
@given(st.data())
def test_any_bytes_for_the_end_of_a_pack_are_damage_unless_they_are_what_was_written(
    made: Snapshot, data: st.DataObject
) -> None:
    shop, _ = made
    (pack,) = (blob for key, blob in shop.objects.items() if "/packs/" in key)
    whole = pack[-_tail(pack) :]
    tail = data.draw(st.binary(max_size=100) | edited(whole))
    if tail != whole:
        with pytest.raises(Damaged):
            read_index(tail, data.draw(st.sampled_from([len(pack), len(tail), 0, 1 << 40])), "s1/x", None)


@QUICK
@given(st.data())
def test_any_segment_is_its_plain_bytes_or_damage(data: st.DataObject) -> None:
    """CN-12: with any row of a table, sealed or not."""
    plain = b"some text that repeats, some text that repeats" * 3
    sealed_with = data.draw(st.sampled_from([None, KEY]))
    made = Closer(sealed_with).close(memoryview(plain))
    row = np.zeros(1, SEGMENT_ROW)[0]
    row["plain"] = data.draw(st.sampled_from([made.plain_bytes, 0, 1, 8 * MIB, (1 << 32) - 1]))
    row["flags"] = data.draw(st.sampled_from([made.flags, 0, 1, 2, 3, 4, 255]))
    row["digest"] = np.frombuffer(data.draw(st.sampled_from([made.digest, bytes(16)])), "V16")[0]
    stored = data.draw(st.just(bytes(made.stored)) | edited(bytes(made.stored)) | st.binary(max_size=90))
    try:
        opened = Opener(data.draw(st.sampled_from([None, KEY]))).open(memoryview(stored), row)
    except Damaged:
        return
    assert bytes(opened) == plain


# ---------------------------------------------------------------- sealed values
@QUICK
@given(st.data())
def test_any_sealed_value_opens_as_it_was_or_is_an_error_of_ours(data: st.DataObject) -> None:
    ring = KeyRing({"k1": bytes(32)})
    for whole, unseal in ((ring.seal(b"plain", b"aad"), ring.unseal), (bytes(KEY.seal(b"plain", b"aad")), KEY.unseal)):
        blob = data.draw(edited(whole) | st.binary(max_size=90))
        try:
            assert unseal(blob, data.draw(st.sampled_from([b"aad", b""]))) == b"plain" and blob == whole
        except (Damaged, Refused):
            continue


@SLOW
@given(st.data())
def test_any_bytes_for_a_sealed_manifest_or_its_key_are_an_error_of_ours(made: Snapshot, data: st.DataObject) -> None:
    """FZ-24, with every digest right."""
    shop, place = made
    store = MemoryStore()
    keys = TenantKeys(store, shop.keyring)
    key = keys.obtain("acme")
    header = published.read_manifest(shop.objects[place], place, shop.keys).header
    whole = envelope.wrap(shop.objects[place], header, key)
    body = data.draw(edited(whole[:-32]))
    inner = data.draw(edited(shop.objects[place]))
    tried = data.draw(
        st.sampled_from(
            [body + digest.full(body), envelope.wrap(inner, header, key), envelope.wrap(whole, header, key)]
        )
    )
    if data.draw(st.booleans()):
        store.objects["tenants/acme/key"] = data.draw(edited(store.objects["tenants/acme/key"]))
    store.objects[place] = tried
    with pytest.raises(BackstayError) if tried != whole else _anything():
        Workshop(shop.root, store=store, keyring=shop.keyring, cache=False).archive.read(place)


class _anything:
    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        return error is None or isinstance(error, BackstayError)


# ---------------------------------------------------------------- memory
def _peak(call: Any) -> int:
    tracemalloc.start()
    try:
        with pytest.raises(Damaged):
            call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("plain", [17 * MIB, 1999 * MIB])
def test_a_small_object_that_claims_a_big_table_costs_nothing(made: Snapshot, plain: int) -> None:
    """RS-15: a ratio beyond any writer's is refused before the frame is opened, whatever it states itself."""
    shop, place = made
    header = published.read_manifest(shop.objects[place], place, shop.keys).header
    table = Compressor().compress(bytes(min(plain, 17 * MIB)))  # no writer of tables: those stay within the ratio

    assert _peak(lambda: manifest.decode(_object(header, table, plain))) < 1 * MIB


@pytest.mark.parametrize("what", ["rows", "names", "records"])
def test_a_table_of_what_costs_little_to_store_is_refused_in_bounded_memory(made: Snapshot, what: str) -> None:
    """RS-15: as big as a small object may unpack to: millions of rows of one byte, of names, of nothing."""
    shop, place = made
    header = published.read_manifest(shop.objects[place], place, shop.keys).header
    table = manifest.table_of(_tree(made))
    bombs: dict[str, columns.Column] = {
        "rows": np.zeros(15 * MIB, "u1"), "names": bytes(15 * MIB), "records": np.zeros(MIB, "V16"),
    }  # fmt: skip
    column = {"rows": "mode", "names": "name", "records": "segment.digest"}[what]
    block = columns.encode(table | {column: bombs[what]})
    blob = _object(header, compress_table(block), len(block))
    assert len(blob) < 64 << 10

    assert _peak(lambda: tree_from(manifest.decode(blob)[1])) < 320 * MIB


def test_an_index_that_counts_to_two_to_the_62nd_allocates_nothing() -> None:
    """Four counts whose sum wraps around to the number of chunks."""
    none = np.zeros(4, "<u4")
    block = columns.encode(
        {
            "offset": none, "stored": none, "plain": none, "flags": np.zeros(4, "u1"), "digest": np.zeros(4, "V16"),
            "chunks": np.full(4, 1 << 62, "<u8"), "length": none[:0], "id": np.zeros(0, "V16"),
        }
    )  # fmt: skip
    stored = compress_table(block)
    tail = stored + struct.pack("<II32s8s", len(stored), len(block), digest.full(stored), PACK_MAGIC)

    assert _peak(lambda: read_index(tail, len(tail) + 100, "s1/x", None)) < 1 * MIB
