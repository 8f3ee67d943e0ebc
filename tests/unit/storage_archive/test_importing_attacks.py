"""Archives made to harm whoever reads them, and damaged ones that Python's tarfile takes for whole ones.

Apart from the other tests of importing because these write headers byte by byte.
"""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from domain.errors import BackstayError, Damaged, Refused
from storage.archive import importing, tar_reader
from tests.unit.storage_archive.test_importing import archive, imported, member, restored
from tests.unit.storage_archive.workshop import Workshop

END = bytes(1024)
ROOT = (member(".", tarfile.DIRTYPE), b"")
BASE = archive(ROOT, (member("a", tarfile.DIRTYPE), b""), (member("a/f"), b"1"))


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def pax(*records: tuple[bytes, bytes]) -> bytes:
    """A header of records that tarfile itself would not write."""
    body = b""
    for key, value in records:
        length = len(key) + len(value) + 3
        while len(str(length)) + len(key) + len(value) + 3 != length:
            length = len(str(length)) + len(key) + len(value) + 3
        body += b"%d %s=%s\n" % (length, key, value)
    return block("x", tarfile.XHDTYPE, body)


def block(name: str = "a", kind: bytes = tarfile.REGTYPE, data: bytes = b"", size: int | None = None) -> bytes:
    header = member(name, kind, size=len(data) if size is None else size).tobuf(tarfile.GNU_FORMAT)
    return header + data + bytes(-len(data) % 512)


def increment(listing: bytes) -> bytes:
    return archive((member(".", b"D", size=len(listing)), listing))


def sparse(name: bytes, size: int, parts: bytes) -> bytes:
    records = {b"major": b"0", b"minor": b"1", b"name": name, b"size": b"%d" % size, b"numblocks": b"0", b"map": parts}
    return pax(*((b"GNU.sparse." + key, value) for key, value in records.items())) + block()


DEEP = "/".join("d" * 400)
ATTACKS = {
    "a directory moved into itself": (BASE, increment(b"Ra\0T\0R\0Tx\0R\0Tx/y\0Dx\0\0")),
    "a directory moved to a name of ours": (BASE, increment(b"Ra\0T.backstay-sources\0D.backstay-sources\0\0")),
    "directories moved too deep": (
        archive(ROOT, (member(f"p/{DEEP}/f"), b"1"), (member(f"q/{DEEP}/f"), b"1")),
        increment(b"Rq\0Tp/" + DEEP.encode() + b"/q\0Dp\0\0"),
    ),
    "a listing of gigabytes": (BASE, block(".", b"D", size=10 << 30)),
    "a time of a million digits": (pax((b"mtime", b"1e999999")) + block() + END,),
    "a time that takes minutes to write down": (pax((b"mtime", b"1e999980")) + block() + END,),
    "a time that is no number": (pax((b"mtime", b"nan")) + block() + END,),
    "a size below zero": (pax((b"size", b"-5")) + block() + END,),
    "a size below zero of something left out": (pax((b"size", b"-5000")) + block(kind=b"V") + END,),
    "an attribute whose name has an end": (pax((b"SCHILY.xattr.user.a\0b", b"1")) + block() + END,),
    "an attribute of a megabyte": (pax((b"SCHILY.xattr.user.a", bytes(1 << 20))) + block() + END,),
    "holes of petabytes": (b"".join(sparse(b"f%d" % n, 1 << 50, b"0,0") for n in range(60)) + END,),
    "a sparse file that overlaps": (sparse(b"f", 1 << 20, b"0,100,50,100") + END,),
    "a header of digits": (block("x", tarfile.XHDTYPE, b"1" * 100_000) + block() + END,),
    "something left out that goes on for ever": (block("a", b"V", size=1 << 50),),
    "something of ours that goes on for ever": (block(".backstay-x/a", size=1 << 50),),
}


@pytest.mark.parametrize("what", ATTACKS)
def test_an_attack_ends_soon_in_an_error_of_ours_or_in_a_snapshot_without_it(shop: Workshop, what: str) -> None:
    """RS-15, F-31: what is published can be read, nothing escapes as a bug, and nothing goes on without end."""
    try:
        summary = imported(shop, "s1", *ATTACKS[what])
    except BackstayError as error:
        assert error.code in ("hostile-archive", "archive-damaged")
        assert not [key for key in shop.objects if key.endswith("/manifest")]
    else:
        assert summary.skipped or what == "a directory moved into itself"
        shop.stage(summary)


def test_headers_that_come_before_one_another_without_end_do_not_fill_memory(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RS-15: each long name is read while the one before it is held."""
    monkeypatch.setattr(tar_reader, "HEADER_LIMIT", 4 << 20)
    names = block("x", b"L", b"n" * (1 << 20)) * 8
    with pytest.raises(Refused, match="without end"):
        imported(shop, "s1", names + block() + END)
    records = pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.realsize", b"9"))
    parts = b"%d\n" % (4 << 20) + b"1\n" * (4 << 20)
    with pytest.raises(Refused, match="without end"):
        imported(shop, "s2", records + block("f", data=parts) + END)


def test_what_is_left_out_counts_as_an_entry(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """RS-15: a million pipes fill memory like a million files."""
    monkeypatch.setattr("storage.archive.tar_tree.MOST_ENTRIES", 50)
    with pytest.raises(Refused, match="more than 50 entries"):
        imported(shop, "s1", b"".join(block(f"f{n}", tarfile.FIFOTYPE) for n in range(60)) + END)


def test_many_parts_are_counted_over_the_whole_archive(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MOST_RUNS", 100)
    fine = b"".join(sparse(b"f%d" % n, 1 << 20, b"0,0") for n in range(40))
    assert imported(shop, "s1", fine + END).files == 40
    with pytest.raises(Refused, match="more than 100 parts"):
        imported(shop, "s2", fine + sparse(b"big", 200 << 30, b"0,0") + END)


# ---------------------------------------------------------------- damage that looks like an end
def packed(data: bytes, program: str, *options: str) -> bytearray:
    return bytearray(subprocess.run([program, "-c", *options], input=data, capture_output=True, check=True).stdout)


def test_an_archive_that_was_cut_anywhere_is_never_taken_for_a_shorter_one(shop: Workshop) -> None:
    """RS-16: between two members as well, where tarfile sees nothing but an end."""
    whole = archive(*((member(f"f{n}"), b"x" * 700) for n in range(5)))
    for end in range(0, 5 * (512 + 1024) + 1, 256):
        with pytest.raises(Damaged) as caught:
            imported(shop, f"s{end}", whole[:end])
        assert caught.value.code == "archive-damaged"
    assert imported(shop, "marked", whole[: 5 * (512 + 1024) + 512]).files == 5


@pytest.mark.parametrize("program", ["zstd", "gzip"])
def test_a_compressed_archive_that_was_cut_is_damaged(shop: Workshop, program: str) -> None:
    """RS-16: also where what was cut would have been unpacked to whole members."""
    whole = archive(*((member(f"f{n}"), os.urandom(3000)) for n in range(20)))
    good = bytes(packed(whole[: 10 * (512 + 3072)], program))
    for damaged in (good, bytes(packed(whole, program))[:-30_000]):
        with pytest.raises(Damaged):
            imported(shop, "s1", damaged)


def test_a_header_that_was_changed_is_no_end_either(shop: Workshop) -> None:
    """RS-16: one bit, and everything behind it would be missing."""
    spoilt = bytearray(archive((member("a"), b"x" * 600), (member("b"), b"y")))
    spoilt[512 + 1024 + 20] ^= 1
    with pytest.raises(Damaged, match="checksum"):
        imported(shop, "s1", bytes(spoilt))


@pytest.mark.parametrize("program", ["zstd", "gzip"])
def test_a_check_sum_of_the_compression_is_looked_at_though_tar_has_ended(shop: Workshop, program: str) -> None:
    data = packed(archive((member("a"), os.urandom(5000))), program, *(["--check"] if program == "zstd" else []))
    data[-8 if program == "gzip" else -1] ^= 1  # behind gzip's sum there is a length
    with pytest.raises(Damaged):
        imported(shop, "s1", bytes(data))


# ---------------------------------------------------------------- what honest archives hold
def test_hard_links_to_links_and_to_what_is_left_out_are_honest(shop: Workshop, tmp_path: Path) -> None:
    tree = tmp_path / "app"
    tree.mkdir()
    (tree / "a").symlink_to("nowhere")
    os.link(tree / "a", tree / "b", follow_symlinks=False)
    os.mkfifo(tree / "p")
    os.link(tree / "p", tree / "q")
    subprocess.run(["tar", f"--file={tmp_path}/t", f"--directory={tree}", "--create", "."], check=True)
    summary = imported(shop, "s1", tmp_path / "t")
    assert summary.skipped == ("p", "q")
    shop.stage(summary)
    found = shop.root / "staging" / "1" / "tree"
    assert {path.name: os.readlink(path) for path in found.iterdir()} == {"a": "nowhere", "b": "nowhere"}


def test_what_a_chain_says_is_there_and_no_archive_of_it_had_is_said(shop: Workshop, tmp_path: Path) -> None:
    """FZ-10: the first archive of a chain is missing, or one in the middle; or tar could not read a file."""
    tree, archives = tmp_path / "app", []
    tree.mkdir()
    for level in range(3):
        (tree / f"of{level}").write_text("x")
        archives.append(tmp_path / f"{level}.tar")
        listed = f"--listed-incremental={tmp_path}/state"
        subprocess.run(["tar", f"--file={archives[-1]}", listed, f"--directory={tree}", "--create", "."], check=True)
    assert imported(shop, "whole", *archives).skipped == ()
    assert imported(shop, "headless", *archives[1:]).skipped == ("of0",)
    assert imported(shop, "gap", archives[0], archives[2]).skipped == ("of1",)


def test_an_attribute_whose_name_is_no_text_is_kept(shop: Workshop) -> None:
    summary = imported(shop, "s1", pax((b"SCHILY.xattr.user.\xff", b"1")) + block(data=b"x") + END)
    assert summary.files == 1
    assert restored(shop, summary)
