"""Archives of others as snapshots: what GNU tar would unpack is what a restore brings; what is hostile is refused."""

from __future__ import annotations

import io
import os
import random
import shutil
import subprocess
import tarfile
import tempfile
from functools import partial
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, assume, given, settings

from domain.contracts import SnapshotRequest
from domain.errors import BackstayError, Damaged, Refused
from domain.restore import ManifestSummary
from storage.archive import tar_reader, tar_tree
from tests.unit.storage_archive.workshop import Workshop, describe, plant, row_of


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def imported(shop: Workshop, name: str, *archives: Path | bytes, strip: int = 0, **more: object) -> ManifestSummary:
    chain = [partial(io.BytesIO, data if isinstance(data, bytes) else data.read_bytes()) for data in archives]
    request = SnapshotRequest(name, "acme", "web", None, None, **more)  # type: ignore[arg-type]
    return shop.archive.import_tar(request, chain, strip, shop.watch)


def restored(shop: Workshop, summary: ManifestSummary) -> dict[bytes, tuple[object, ...]]:
    shop.stage(summary, name=summary.snapshot_id)
    return describe(shop.root / "staging" / summary.snapshot_id / "tree")


def tar(directory: Path, to: Path, *options: str) -> Path:
    subprocess.run(["tar", *options, f"--file={to}", f"--directory={directory}", "--create", "."], check=True)
    return to


@pytest.mark.parametrize("form", ["posix", "gnu"])
@pytest.mark.parametrize("compression", ["--zstd", "--gzip", ""])
def test_a_tree_of_everything_awkward_comes_back_from_an_archive(
    shop: Workshop, tmp_path: Path, form: str, compression: str
) -> None:
    (tmp_path / "app").mkdir()
    before = describe(plant(tmp_path / "app"))
    options = [f"--format={form}", "--sparse", *(["--xattrs"] if form == "posix" else []), *filter(None, [compression])]
    archive = tar(tmp_path / "app", tmp_path / "app.tar", *options)
    found = restored(shop, imported(shop, "s1", archive))
    if form == "posix":
        assert found == before
    else:
        assert found.keys() == before.keys(), "that format has no attributes, and times in seconds"


def test_what_was_exported_is_imported_again_as_it_was(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    before = describe(plant(tmp_path / "app"))
    exported = shop.archive.export(
        shop.create(tmp_path / "app").manifest_key, "tenants/acme/exports/one.tar.zst", shop.watch
    )
    found = restored(shop, imported(shop, "s2", shop.store.get(exported.key)))
    before.pop(b"sparse"), found.pop(b"sparse")  # an export has zeros for its holes
    assert found == before


def test_an_import_shares_what_an_earlier_snapshot_has_stored(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "big").write_bytes(random.Random(1).randbytes(5 << 20))
    (tmp_path / "app" / "small").write_bytes(random.Random(2).randbytes(50_000))
    first = shop.create(tmp_path / "app")
    second = imported(shop, "s2", tar(tmp_path / "app", tmp_path / "a.tar", "--format=posix"), parent=row_of(first))
    assert second.stored_bytes < 10_000
    assert restored(shop, second) == describe(tmp_path / "app")


def test_leading_components_are_dropped_like_tar_does(shop: Workshop, tmp_path: Path) -> None:
    (tmp_path / "srv" / "app" / "sub").mkdir(parents=True)
    (tmp_path / "srv" / "app" / "sub" / "file").write_text("kept")
    (tmp_path / "srv" / "other").write_text("not beneath two components")
    found = restored(shop, imported(shop, "s1", tar(tmp_path, tmp_path / "a.tar", "--exclude=./a.tar"), strip=2))
    assert b"sub/file" in found and not any(b"other" in name for name in found)


# ---------------------------------------------------------------- chains
NAMES = st.sampled_from(["a", "b", "c"])
EDIT = st.tuples(st.sampled_from(["write", "delete", "rename", "mkdir", "link"]), NAMES, NAMES, NAMES)


def edit(tree: Path, change: tuple[str, str, str, str], number: int) -> None:
    """One of the things that people do to a tree; what is not possible is left out."""
    what, one, two, three = change
    here, there = tree / one / two, tree / three / one
    try:
        if what == "write":
            here.parent.mkdir(exist_ok=True)
            here.write_text(f"content {number}")
        elif what == "delete":
            shutil.rmtree(tree / one) if (tree / one).is_dir() else (tree / one).unlink()
        elif what == "rename":
            (tree / one).rename(tree / three)
        elif what == "mkdir":
            here.mkdir(parents=True)
        else:
            there.symlink_to(two)
    except OSError:
        return


@settings(max_examples=20)
@given(st.lists(st.lists(EDIT, min_size=1, max_size=6), min_size=1, max_size=4), st.sampled_from(["gnu", "posix"]))
def test_a_chain_of_incremental_archives_is_what_gnu_tar_would_unpack(
    levels: list[list[tuple[str, str, str, str]]], form: str
) -> None:
    """What was deleted and renamed between two of them is, in the snapshot, deleted and renamed. Measured by tar and
    not by the tree, because tar 1.34 itself loses a directory that was renamed and made again."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        shop, tree = Workshop(home), home / "app"
        tree.mkdir()
        archives, states, number = [], [], 0
        for level, edits in enumerate(levels):
            for change in edits:
                number += 1
                edit(tree, change, number)
            options = [f"--listed-incremental={home}/state", f"--format={form}", "--no-check-device"]
            archives.append(tar(tree, home / f"{level}.tar", *options))
            unpacked = home / "unpacked"
            unpacked.mkdir(exist_ok=True)
            options = ["--extract", "--listed-incremental=/dev/null", f"--file={archives[-1]}"]
            done = subprocess.run(["tar", *options, f"--directory={unpacked}"], capture_output=True)
            assume(done.returncode == 0)  # what tar itself cannot unpack proves nothing
            states.append(_contents(unpacked))
        for upto, state in enumerate(states, 1):
            shop.stage(imported(shop, f"s{upto}", *archives[:upto]), name=str(upto))
            assert _contents(home / "staging" / str(upto) / "tree") == state


def _contents(tree: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in tree.rglob("*"):
        name = str(path.relative_to(tree))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_text() if path.is_file() else "directory"
    return found


# ---------------------------------------------------------------- hostile ones
def archive(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as out:
        for member, data in members:
            member.size = member.size or len(data)
            out.addfile(member, io.BytesIO(data))
    return made.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for key, value in fields.items():
        setattr(made, key, value)
    return made


HOSTILE = {
    "absolute": archive((member("/etc/cron.d/x"), b"x")),
    "upwards": archive((member("a/../../x"), b"x")),
    "write through a link": archive((member("a", tarfile.SYMTYPE, linkname="/etc"), b""), (member("a/x"), b"x")),
    "hard link out": archive((member("a", tarfile.LNKTYPE, linkname="/etc/shadow"), b"")),
    "hard link up": archive((member("a", tarfile.LNKTYPE, linkname="../../etc/shadow"), b"")),
    "write through a hard link to a link": archive(
        (member("a", tarfile.SYMTYPE, linkname="/etc"), b""),
        (member("b", tarfile.LNKTYPE, linkname="a"), b""),
        (member("b/x"), b"x"),
    ),
    "hard link to a directory": archive(
        (member("a", tarfile.DIRTYPE), b""), (member("b", tarfile.LNKTYPE, linkname="a"), b"")
    ),
    "a file for a full directory": archive((member("a/b"), b"x"), (member("a"), b"x")),
    "a file for the root": archive((member("."), b"x")),
    "an owner that is nobody": archive((member("a", uid=(1 << 32) - 1), b"x")),
    "a link to nothing": archive((member("a", tarfile.SYMTYPE), b"")),
    "a part of another volume": archive((member("a", b"M"), b"")),
    "a name too long": archive((member("n" * 256), b"x")),
    "an endless depth": archive((member("d/" * 600 + "x"), b"x")),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_archive_is_refused_and_nothing_is_published(shop: Workshop, what: str) -> None:
    """RS-15, FZ: nothing outside is touched, because nothing is ever unpacked."""
    with pytest.raises(Refused) as refused:
        imported(shop, "s1", HOSTILE[what])
    assert refused.value.code == "hostile-archive"
    assert not [key for key in shop.objects if key.endswith("/manifest")]


def test_a_hostile_listing_of_an_incremental_archive_reaches_nothing_outside(shop: Workshop) -> None:
    listing = b"R../../etc/passwd\0Tx\0\0"
    made = archive((member(".", tarfile.DIRTYPE), b""))
    chain = archive((member("a", b"D", size=len(listing)), listing))
    with pytest.raises(Refused, match="upwards"):
        imported(shop, "s1", made, chain)


def test_what_no_snapshot_holds_is_left_out_and_said(shop: Workshop) -> None:
    """RS-15: devices; a set-user-id bit is dropped when it is restored."""
    summary = imported(
        shop, "s1",
        archive(
            (member("dev", tarfile.CHRTYPE, devmajor=1, devminor=3), b""), (member("pipe", tarfile.FIFOTYPE), b""),
            (member(".backstay-sources/db"), b"a lie"), (member("kept", mode=0o4755), b"x"),
        ),
    )  # fmt: skip
    assert summary.skipped == (".backstay-sources/db", "dev", "pipe")
    shop.stage(summary)
    (kept,) = (shop.root / "staging" / "1" / "tree").iterdir()
    assert (kept.name, kept.stat().st_mode & 0o7777) == ("kept", 0o755)


def test_an_archive_that_unpacks_without_end_is_stopped(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """RS-15: some kilobytes that would be gigabytes."""
    monkeypatch.setattr(tar_reader, "ALWAYS", 1 << 20)
    packed = subprocess.run(
        ["zstd", "--stdout", "-q"],
        input=archive((member("zeros"), bytes(64 << 20))),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    with pytest.raises(Refused, match="1000 times its own size"):
        imported(shop, "s1", packed)


def test_more_entries_than_fit_into_memory_are_refused(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """RS-15: a million entries."""
    monkeypatch.setattr(tar_tree, "MOST_ENTRIES", 100)
    with pytest.raises(Refused, match="more than 100 entries"):
        imported(shop, "s1", archive(*((member(f"d{number}/f"), b"") for number in range(60))))


def test_a_header_of_gigabytes_is_refused_before_it_is_read(shop: Workshop) -> None:
    header = member("x", tarfile.XHDTYPE, size=10 << 30)
    with pytest.raises(Refused, match="a header of the archive has 10737418240 bytes"):
        imported(shop, "s1", header.tobuf(tarfile.GNU_FORMAT) + b"30 path=x\n".ljust(512, b"\0"))


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_an_archive_that_was_cut_or_changed_anywhere_ends_in_an_error_of_ours_or_in_a_snapshot(
    data: st.DataObject, sample: bytes
) -> None:
    """Nothing of it escapes as a bug, and no file is shorter than it says."""
    spoilt = bytearray(sample)
    for _ in range(data.draw(st.integers(1, 4))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    cut = spoilt[: data.draw(st.integers(0, len(spoilt)))] if data.draw(st.booleans()) else spoilt
    with tempfile.TemporaryDirectory() as home:
        shop = Workshop(Path(home))
        try:
            summary = imported(shop, "s1", bytes(cut))
        except BackstayError as error:
            assert isinstance(error, Damaged | Refused)
        else:
            shop.stage(summary)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    home = tmp_path_factory.mktemp("sample")
    (home / "app").mkdir()
    (home / "app" / "sparse").touch()
    os.truncate(home / "app" / "sparse", 200_000)
    for name in ("one", "two"):
        (home / "app" / name).write_text(name * 50)
    os.link(home / "app" / "one", home / "app" / "again")
    (home / "app" / "link").symlink_to("one")
    options = [f"--listed-incremental={home}/state", "--format=posix", "--sparse"]
    return tar(home / "app", home / "a.tar", *options).read_bytes()
