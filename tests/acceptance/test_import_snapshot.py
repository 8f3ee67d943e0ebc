"""import-snapshot and `backstay snapshots import…`: archives of others, through real messages and a real worker."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.operation import State
from tests.acceptance.platform import Platform, code, digest, grow
from tests.chaos.victim import Death, run_node
from tests.command_line import Answer, answer_of
from workers.config import load

UUIDS = [f"0192f0c1-0000-4000-8000-00000000000{number}" for number in range(4)]


class Site:
    """A platform, and a folder in which somebody has left archives."""

    def __init__(self, home: Path) -> None:
        self.home, self.old = home / "data", home / "old"
        self.old.mkdir()
        places = {"old": {"url": f"file://{self.old}", "tenants": ["acme"]}}
        self.environment = {"BACKSTAY_PLACES": json.dumps(places), "BACKSTAY_DATA_DIR": str(self.home)}
        self.platform = Platform(self.home, **self.environment)
        self.platform.start("web-1")

    def archive(self, name: str, tree: Path, *options: str) -> None:
        target = self.old / name
        target.parent.mkdir(parents=True, exist_ok=True)
        whence = ["--force-local", f"--directory={tree}", "--create", "."]
        subprocess.run(["tar", "--format=posix", *options, f"--file={target}", *whence], check=True)

    def take_in(self, *keys: str, **data: Any) -> Any:
        return self.platform.run("import-snapshot", {"place": "old", "keys": list(keys), **data}, service="web")

    def cli(self, *arguments: str) -> Answer:
        return answer_of(["snapshots", *arguments, "--json"], self.environment | {"BACKSTAY_NODE": "web-1"})


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.platform.close()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    grow(tmp_path / "tree", seed=3)
    return tmp_path / "tree"


def test_an_archive_becomes_a_snapshot_like_any_other(site: Site, tree: Path) -> None:
    live = site.platform.service("web")
    site.archive("shop/full.tar.zst", tree, "--zstd")
    done = site.take_in("shop/full.tar.zst", labels=["reason:old"], taken_at="2020-02-03T04:05:06+00:00")
    assert done.state is State.SUCCEEDED, done.outcome
    row = site.platform.system.database.catalogue.get(done.op_id)
    assert row is not None
    assert (row.include, row.taken_at, [str(one) for one in row.labels]) == (("data",), 1580702706000, ["reason:old"])
    assert site.platform.run("verify-snapshot", {"snapshot_id": done.op_id}, service="web").error_code is None
    assert site.platform.run("restore-snapshot", {"snapshot_id": done.op_id}, service="web").state is State.SUCCEEDED
    assert digest(live) == digest(tree)


def test_a_chain_of_incremental_archives_becomes_one_snapshot(site: Site, tree: Path, tmp_path: Path) -> None:
    live = site.platform.service("web")
    incremental = f"--listed-incremental={tmp_path}/state"
    site.archive("full.tar", tree, incremental)
    (tree / "gone-tomorrow").write_text("x")
    site.archive("monday.tar", tree, incremental)
    (tree / "gone-tomorrow").unlink()
    grow(tree, seed=4, files=2)
    site.archive("tuesday.tar", tree, incremental)
    done = site.take_in("full.tar", "monday.tar", "tuesday.tar")
    assert done.state is State.SUCCEEDED, done.outcome
    site.platform.run("restore-snapshot", {"snapshot_id": done.op_id}, service="web")
    assert digest(live) == digest(tree)


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"no archive at all" * 100, "archive-damaged"), (b"", "archive-damaged"), (None, "archive-not-found")],
)
def test_what_cannot_be_imported_is_told_and_leaves_nothing(site: Site, body: bytes | None, reason: str) -> None:
    site.platform.service("web")
    if body is not None:
        (site.old / "a.tar").write_bytes(body)
    assert code(site.take_in("a.tar")) == (State.FAILED, reason)
    assert site.platform.listed("web") == []


def test_a_hostile_archive_is_refused_as_a_whole(site: Site, tree: Path) -> None:
    """RS-15."""
    site.platform.service("web")
    site.archive("a.tar", tree, "--transform=s,^./,/etc/,", "--absolute-names")
    assert code(site.take_in("a.tar")) == (State.FAILED, "hostile-archive")
    assert code(site.take_in("../secret.keys")) == (State.FAILED, "bad-key")
    assert code(site.platform.run("import-snapshot", {"place": "nowhere", "keys": ["a"]}, service="web")) == (
        State.FAILED, "unknown-place",
    )  # fmt: skip


def test_a_place_is_for_whom_it_is_named_and_nobody_else_learns_that_it_is_there(site: Site, tree: Path) -> None:
    """Whoever may publish for one tenant must not read the archives of another."""
    site.platform.service("web")
    site.archive("a.tar", tree)
    assert site.platform.run("register-service", {"node": "web-1"}, service="spy", tenant="rival").error_code is None
    ends = [
        site.platform.run("import-snapshot", {"place": place, "keys": ["a.tar"]}, service="spy", tenant="rival")
        for place in ("old", "nowhere")
    ]
    assert [code(end) for end in ends] == [(State.FAILED, "unknown-place")] * 2
    assert site.take_in("a.tar").state is State.SUCCEEDED


def test_nothing_is_read_through_a_link_that_lies_in_a_place(site: Site, tree: Path, tmp_path: Path) -> None:
    """RS-15: others write there; what they may not read they must not have imported either."""
    site.platform.service("web")
    site.archive("a.tar", tree)
    outside = tmp_path / "outside"
    outside.mkdir()
    (site.old / "a.tar").rename(outside / "a.tar")
    (site.old / "link.tar").symlink_to(outside / "a.tar")
    (site.old / "folder").symlink_to(outside)
    os.mkfifo(site.old / "pipe.tar")
    for key in ("link.tar", "folder/a.tar", "folder", "pipe.tar", "no/such.tar", "n" * 300):
        assert code(site.take_in(key)) == (State.FAILED, "archive-not-found"), key


@pytest.mark.parametrize("point", ["archive.before-publish", "archive.after-publish", "settle.before-commit"])
def test_whoever_is_killed_while_importing_another_finishes(site: Site, tree: Path, point: str) -> None:
    """I2, I13."""
    site.platform.service("web")
    site.archive("a.tar", tree)
    site.platform.stop("web-1")
    message = site.platform.publish("import-snapshot", {"place": "old", "keys": ["a.tar"]}, service="web")
    site.platform.close()
    more = {"BACKSTAY_NODE": "web-1", "BACKSTAY_APPS_ROOT": str(site.home / "nodes" / "web-1")}
    settings = load(site.environment | more | {"BACKSTAY_LOG_LEVEL": "error"})
    assert run_node(settings, lambda system: False, site.home / "trace", Death(point, 1)).killed
    site.platform = Platform(site.home, **site.environment)
    site.platform.start("web-1")
    done = site.platform.outcome(message)
    assert done.state is State.SUCCEEDED, done.outcome
    assert site.platform.run("verify-snapshot", {"snapshot_id": done.op_id}, service="web").error_code is None
    assert site.platform.listed("web") == [done.op_id]


# ---------------------------------------------------------------- rosti
def rosti(site: Site, tree: Path, number: int, app: str = "web", **metadata: Any) -> str:
    key = f"{app}:{UUIDS[number]}:42:with:colons:{1_500_000_000 + number}"
    site.archive(key, tree, "--zstd")
    document = {
        "uuid": UUIDS[number], "app_name": app, "ts": 1_500_000_000 + number,
        "labels": ["owner:42:with:colons", "size:12345"], **metadata,
    }  # fmt: skip
    (site.old / "_metadata").mkdir(exist_ok=True)
    (site.old / "_metadata" / UUIDS[number]).write_text(json.dumps(document))
    return key


def test_a_bucket_of_rosti_is_imported_once_however_often_it_is_asked_for(site: Site, tree: Path) -> None:
    """RS-01, RS-08: keys of four fields and their metadata; what is foreign or contradicts itself is passed over."""
    live = site.platform.service("web")
    rosti(site, tree, 0)
    grow(tree, seed=8, files=2)
    rosti(site, tree, 1)
    lying = rosti(site, tree, 2, ts=7)
    elsewhere = rosti(site, tree, 3, app="nobody")
    (site.old / "junk").write_text("junk")
    planned = site.cli("import-rosti", "old", "--tenant", "acme", "--dry-run")
    assert (planned.code, len(planned.document()["asked"])) == (3, 2)
    for _ in range(2):
        answer = site.cli("import-rosti", "old", "--tenant", "acme")
        assert {one["key"] for one in answer.document()["passed_over"]} == {lying, elsewhere}
    asked = [one["message"] for one in answer.document()["asked"]]
    database = site.platform.system.database
    done = [database.find_by_message(message["source"], message["id"]) for message in asked]
    rows = [site.platform.system.database.catalogue.get(found.op_id) for found in _ended(site, asked)]
    assert [[str(label) for label in row.labels] for row in rows if row] == [["owner:42:with:colons"]] * 2
    assert [row.taken_at for row in rows if row] == [1_500_000_000_000, 1_500_000_001_000]
    assert len(site.platform.listed("web")) == len(done) == 2
    newest = rows[1]
    assert newest is not None
    site.platform.run("restore-snapshot", {"snapshot_id": newest.snapshot_id}, service="web")
    assert digest(live) == digest(tree)


def _ended(site: Site, messages: list[dict[str, str]]) -> list[Any]:
    from tests.waiting import eventually

    def all_ended() -> list[Any]:
        found = [site.platform.system.database.find_by_message(one["source"], one["id"]) for one in messages]
        return found if all(one is not None and one.state is State.SUCCEEDED for one in found) else []

    return eventually(all_ended, what="all imports have succeeded")


def test_what_lies_in_a_place_is_listed(site: Site, tree: Path) -> None:
    site.archive("shop/full.tar", tree)
    assert [one["key"] for one in site.cli("import-list", "old").document()["objects"]] == ["shop/full.tar"]
    site.platform.service("web")
    answer = site.cli("import", "old", "shop/full.tar", "--service", "web")
    assert answer.code == 0, answer.err
