"""`backstay catalogue`: the store alone is enough, and where it and the index differ is told."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Refused
from domain.operation import State
from storage.sealing import KeyRing
from storage.store import open_store
from tests.acceptance.platform import Platform, digest, grow
from tests.command_line import ROOT, Answer, CommandLine, answer_of
from workers.cataloguing import take_inventory

KEYS = KeyRing.generate_text()


class Site:
    """A platform whose store and keys outlive its database."""

    def __init__(self, home: Path, store: Path) -> None:
        self.store = store
        self.environment = {"BACKSTAY_STORE_URL": f"file://{store}", "BACKSTAY_SECRET_KEYS": KEYS}
        self.platform = Platform(home, **self.environment)
        self.platform.start("web-1")

    def run(self, *arguments: str) -> Answer:
        more = {"BACKSTAY_DATA_DIR": str(self.platform.home), "BACKSTAY_NODE": "observer"}
        return answer_of(["catalogue", *arguments, "--json"], self.environment | more)

    def rebuild(self, *arguments: str) -> dict[str, Any]:
        answer = self.run("rebuild", *arguments)
        assert answer.code in (0, 3), answer.err
        return answer.document()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "before", tmp_path / "store")
    yield made
    made.platform.close()


@pytest.fixture
def lost(site: Site, tmp_path: Path) -> Iterator[Site]:
    """The same store beside an empty database."""
    tree = site.platform.service("web", configuration={"image": "shop:1.0"})
    site.platform.snapshot("web", "owner:42")
    grow(tree, seed=7, files=3)
    site.platform.snapshot("web", "reason:nightly", "reason:again")
    site.platform.close()
    made = Site(tmp_path / "after", site.store)
    yield made
    made.platform.close()


def manifests(site: Site) -> list[Path]:
    return sorted(site.store.rglob("manifest"))


def test_everything_restorable_is_found_again_in_the_store(lost: Site, tmp_path: Path) -> None:
    """The database is gone; store and key ring are enough."""
    found = lost.rebuild()
    assert len(found["added"]) == 2
    rows = lost.platform.system.database.catalogue.find("acme", ["web"], (), 10, None)
    assert sorted(row.snapshot_id for row in rows) == sorted(found["added"])
    assert [str(label) for label in rows[0].labels] == ["reason:nightly", "reason:again"]
    lost.platform.service("web", seed=99)
    restored = lost.platform.run("restore-snapshot", {"snapshot_id": rows[0].snapshot_id}, service="web")
    assert restored.state is State.SUCCEEDED, restored.outcome
    former = tmp_path / "before" / "nodes" / "web-1" / "web"
    assert digest(lost.platform.apps("web-1") / "web") == digest(former)


def test_a_snapshot_taken_after_rebuilding_builds_on_what_was_found(lost: Site) -> None:
    lost.rebuild()
    lost.platform.service("web", seed=7)
    taken = lost.platform.snapshot("web")
    assert taken.parent_id is not None
    for row in lost.platform.system.database.catalogue.find("acme", ["web"], (), 10, None):
        assert lost.platform.run("verify-snapshot", {"snapshot_id": row.snapshot_id}, service="web").error_code is None


def test_rebuilding_again_changes_nothing_and_a_dry_run_writes_nothing(lost: Site) -> None:
    planned = lost.rebuild("--dry-run")
    assert lost.platform.system.database.catalogue.find("acme", ["web"], (), 10, None) == []
    done = lost.rebuild()
    assert planned["added"] == done["added"]
    again = lost.rebuild()
    assert (again["added"], again["known"]) == ([], 2)


def test_foreign_objects_and_damaged_manifests_are_told_and_the_rest_is_found(lost: Site) -> None:
    """RS-08, RS-09."""
    (lost.store / "junk").write_bytes(b"junk")
    damaged = manifests(lost)[0]
    damaged.write_bytes(damaged.read_bytes()[:-1])
    found = lost.rebuild()
    assert len(found["added"]) == 1
    assert found["foreign"] == ["junk"]
    assert "manifest" in found["passed_over"][0]["reason"]


def test_a_snapshot_whose_pack_is_missing_is_not_called_available(lost: Site) -> None:
    for pack in lost.store.rglob("packs/*/*"):
        if pack.is_file():
            pack.unlink()
    found = lost.rebuild()
    assert found["added"] == []
    assert all("is missing" in entry["reason"] for entry in found["passed_over"])


def test_a_pack_that_was_cut_short_is_found_by_its_size(site: Site, tmp_path: Path) -> None:
    """A pack of the wrong length is as good as none: neither is such a snapshot taken in, nor is it called whole."""
    site.platform.service("web")
    snapshot = site.platform.snapshot("web")
    pack = next(path for path in site.store.rglob("packs/*/*") if path.is_file())
    size = pack.stat().st_size
    pack.write_bytes(pack.read_bytes()[:-1])
    answer = site.run("check")
    assert answer.code == 13
    reason = f"has {size - 1} bytes instead of {size}"
    assert answer.document()["missing"] == [
        {"snapshot_id": snapshot.snapshot_id, "key": snapshot.packs[0], "reason": reason}
    ]
    lost = Site(tmp_path / "after", site.store)
    try:
        found = lost.rebuild()
    finally:
        lost.platform.close()
    assert found["added"] == []
    assert reason in found["passed_over"][0]["reason"]


def test_a_copy_of_a_manifest_in_the_wrong_place_hides_nothing(lost: Site) -> None:
    for manifest in manifests(lost):
        for tenant in ("aaa", "zzz"):
            stray = lost.store / "tenants" / tenant / manifest.relative_to(lost.store / "tenants" / "acme")
            stray.parent.mkdir(parents=True)
            stray.write_bytes(manifest.read_bytes())
    found = lost.rebuild()
    assert (len(found["added"]), found["passed_over"]) == (2, [])
    rows = lost.platform.system.database.catalogue.find(None, (), (), 10, None)
    assert {row.tenant_id for row in rows} == {"acme"}


#: `backstay catalogue rebuild`, killed when it comes to a failpoint for the n-th time.
DYING = """
import sys
from tests.dying import killed
from workers.__main__ import main

hit, point = int(sys.argv.pop()), sys.argv.pop()
killed(point, main, hit)
"""


@pytest.mark.parametrize(("point", "hit"), [("recover.after-commit", 1), ("recover.before-commit", 2)])
def test_a_rebuild_that_is_killed_is_finished_by_another(lost: Site, point: str, hit: int) -> None:
    more = {
        "BACKSTAY_DATA_DIR": str(lost.platform.home), "BACKSTAY_NODE": "observer", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    environment = {**os.environ, **lost.environment, **more}
    arguments = [sys.executable, "-c", DYING, "catalogue", "rebuild", point, str(hit)]
    died = subprocess.run(arguments, env=environment, cwd=ROOT, capture_output=True, timeout=60)
    assert died.returncode == 0, died.stderr.decode()
    found = lost.rebuild()
    assert len(found["added"]) == 1 and found["known"] == 1, "what was committed is known, the rest is taken in"
    assert lost.run("check").document()["missing"] == []
    for row in lost.platform.system.database.catalogue.find("acme", ["web"], (), 10, None):
        gone = lost.platform.run("delete-snapshot", {"snapshot_id": row.snapshot_id}, service="web")
        assert gone.state is State.SUCCEEDED
    assert lost.platform.system.database.catalogue.known_packs() == set(), "each pack was counted once"


def test_a_tenant_whose_key_was_destroyed_does_not_end_the_rebuilding_of_the_others(lost: Site) -> None:
    """FZ-24: what cannot be read any more is passed over, and said."""
    (lost.store / "tenants" / "acme" / "key").unlink()
    found = lost.rebuild()
    assert found["added"] == [] and len(found["passed_over"]) == 2
    assert all("there is no key" in entry["reason"] for entry in found["passed_over"])


def test_a_deleted_snapshot_does_not_come_back(site: Site) -> None:
    site.platform.service("web")
    snapshot = site.platform.snapshot("web")
    manifest = manifests(site)[0]
    kept = manifest.read_bytes()
    site.platform.run("delete-snapshot", {"snapshot_id": snapshot.snapshot_id}, service="web")
    manifest.parent.mkdir(parents=True, exist_ok=True)
    manifest.write_bytes(kept)  # a listing that lags, or a replica that comes back
    assert site.rebuild()["added"] == []


def test_the_check_names_what_is_missing_and_what_nobody_knows(site: Site) -> None:
    site.platform.service("web")
    snapshot = site.platform.snapshot("web")
    assert site.run("check").code == 0
    pack = next(path for path in site.store.rglob("packs/*/*") if path.is_file())
    orphan = pack.with_name("0" * 32)
    pack.rename(orphan)
    answer = site.run("check")
    assert answer.code == 13
    document = answer.document()
    (missing,) = document["missing"]
    assert missing == {"snapshot_id": snapshot.snapshot_id, "key": snapshot.packs[0], "reason": "is missing"}
    assert document["unknown_packs"] == [str(orphan.relative_to(site.store))]


def test_a_store_that_refuses_to_be_listed_is_not_an_empty_one(tmp_path: Path) -> None:
    """FZ-30."""
    (tmp_path / "store").write_bytes(b"a file where the folder should be")
    with pytest.raises(Refused):
        take_inventory(open_store(f"file://{tmp_path}/store"))


def test_nothing_is_taken_in_while_an_operation_is_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cli = CommandLine(tmp_path / "data", monkeypatch)
    assert cli.run("migrate").code == 0
    op_id = cli.accept()
    cli.claim()
    answer = cli.run("catalogue", "rebuild")
    assert answer.code == 11
    assert op_id in answer.err
