"""A part of a snapshot: what was chosen is exactly what is built, whatever chunks and links it shares with the rest."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.contracts import Archive, SnapshotRequest
from domain.errors import Refused
from domain.restore import RestoreMode, Selection, Staged
from storage.archive import open_archive
from storage.sealing import KeyRing
from storage.store import open_store
from tests.chaos.world import Unwatched
from tests.fakes.trees import digest, grow

RING = KeyRing.parse(KeyRing.generate_text())


class Bench:
    """One tree, its snapshot, and restores of parts of it."""

    def __init__(self, home: Path) -> None:
        self.home, self.tree = home, home / "live"
        self.archive: Archive = open_archive(open_store(f"file://{home}/store"), RING)
        self._number = 0

    def snapshot(self) -> None:
        self.archive.create(SnapshotRequest("one", "acme", "web", str(self.tree), None), Unwatched())
        self.key = self.archive.manifest_key("acme", "web", "one")

    def restore(self, selection: Selection, *, onto: Path | None = None) -> Staged:
        self._number += 1
        target, staging = onto or self.home / "nowhere", self.home / f"staged-{self._number}"
        mode = RestoreMode.MERGE if selection.paths else RestoreMode.REPLACE
        return self.archive.stage(self.key, str(target), str(staging), mode, Unwatched(), selection)

    def names(self, selection: Selection) -> set[str]:
        root = Path(self.restore(selection).path)
        return {str(path.relative_to(root)) for path in root.rglob("*")}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    grow(made.tree)
    (made.tree / "lib" / "big").write_bytes(os.urandom(2_000_000))
    os.link(made.tree / "lib" / "big", made.tree / "static" / "again")
    with open(made.tree / "static" / "sparse", "wb") as file:
        file.truncate(5_000_000)
        file.write(b"start")
    made.snapshot()
    return made


def test_a_directory_comes_with_all_that_it_holds_and_nothing_else(bench: Bench) -> None:
    staged = bench.restore(Selection(("lib/deep",)))
    root = Path(staged.path)
    assert digest(root / "lib" / "deep") == digest(bench.tree / "lib" / "deep")
    assert [path.name for path in root.iterdir()] == ["lib"]
    assert [path.name for path in (root / "lib").iterdir()] == ["deep"]
    assert staged.files == len([path for path in (bench.tree / "lib" / "deep").rglob("*") if not path.is_dir()])


@pytest.mark.parametrize(("path", "other"), [("static/again", "lib/big"), ("lib/big", "static/again")])
def test_either_name_of_a_linked_file_brings_its_content(bench: Bench, path: str, other: str) -> None:
    root = Path(bench.restore(Selection((path,))).path)
    assert (root / path).read_bytes() == (bench.tree / other).read_bytes()
    assert not (root / other).exists()


def test_both_names_of_a_linked_file_stay_one_file(bench: Bench) -> None:
    root = Path(bench.restore(Selection(("static", "lib"))).path)
    assert (root / "static/again").stat().st_ino == (root / "lib/big").stat().st_ino


def test_what_is_beside_the_path_stays_as_it_is_live(bench: Bench) -> None:
    live = bench.home / "other"
    grow(live, seed=5)
    (live / "lib").chmod(0o711)
    before = {path: path.read_bytes() for path in live.rglob("*") if path.is_file()}
    root = Path(bench.restore(Selection(("lib/big",)), onto=live).path)
    assert (root / "lib" / "big").read_bytes() == (bench.tree / "lib" / "big").read_bytes()
    assert {path: (root / path.relative_to(live)).read_bytes() for path in before} == before
    assert (root / "lib").stat().st_mode & 0o777 == 0o711, "the way to it is the live tree's"


def test_the_way_is_not_looked_for_through_a_link(bench: Bench) -> None:
    live, outside = bench.home / "linked", bench.home / "outside"
    live.mkdir()
    (outside / "deep").mkdir(parents=True)
    (outside / "deep").chmod(0o711)
    (live / "lib").symlink_to(outside)
    path = next((bench.tree / "lib" / "deep").glob("*.txt")).relative_to(bench.tree)
    root = Path(bench.restore(Selection((str(path),)), onto=live).path)
    assert not (root / "lib").is_symlink()
    assert (root / "lib" / "deep").stat().st_mode & 0o777 == (bench.tree / "lib" / "deep").stat().st_mode & 0o777


def test_patterns_leave_out_what_they_name_and_all_beneath(bench: Bench) -> None:
    """RS-23."""
    everything = bench.names(Selection())
    found = bench.names(Selection(leave_out=("/lib/deep/", "again")))
    gone = {name for name in everything if name.startswith("lib/deep") or name == "static/again"}
    assert found == everything - gone
    assert len(gone) > 2


def test_a_path_that_the_snapshot_does_not_have_is_refused_before_anything_is_made(bench: Bench) -> None:
    with pytest.raises(Refused) as caught:
        bench.restore(Selection(("lib/deep", "no/such/file")))
    assert caught.value.code == "path-not-in-snapshot"
    assert not list(bench.home.glob("staged-*"))


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_any_choice_of_paths_brings_exactly_these(bench: Bench, draw: st.DataObject) -> None:
    every = sorted(str(path.relative_to(bench.tree)) for path in bench.tree.rglob("*"))
    chosen = draw.draw(st.lists(st.sampled_from(every), min_size=1, max_size=5, unique=True))
    below = {name for name in every for path in chosen if name == path or name.startswith(f"{path}/")}
    above = {str(parent) for name in below for parent in Path(name).parents} - {"."}
    root = Path(bench.restore(Selection(tuple(chosen))).path)
    assert {str(path.relative_to(root)) for path in root.rglob("*")} == below | above
    for name in below:
        if (bench.tree / name).is_file() and not (bench.tree / name).is_symlink():
            assert (root / name).read_bytes() == (bench.tree / name).read_bytes()
