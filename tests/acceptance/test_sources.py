"""Data that is not in the directory: saved and restored with it, by programs and volumes of the node."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from domain.operation import Budget, State
from domain.snapshot import SnapshotState
from storage.objects.file import FileStore
from tests.acceptance.platform import Platform, code, digest, grow
from tests.chaos.victim import Death, run_node
from tests.command_line import answer_of, program
from tests.waiting import eventually
from workers.config import Settings, load

#: A restore program of the kind that a database has: all at once, at the end.
TAKES_ALL = 'cat > "$1.new" && mv "$1.new" "$1"'


class Site:
    """A platform whose node knows a "database", which is a file, and a volume."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.database, self.volume = home / "database", home / "disk.img"
        self.sources: dict[str, Any] = {
            "db": {
                "kind": "command",
                "save": ["cat", str(self.database)],
                "restore": ["sh", "-c", TAKES_ALL, "-", str(self.database)],
            },
            "disk": {"kind": "volume", "path": str(home / "disk.img")},
        }
        self.hooks: dict[str, Any] = {}
        self._platform: Platform | None = None

    @property
    def platform(self) -> Platform:
        if self._platform is None:
            self._platform = Platform(self.home / "data", **self.environment())
            self._platform.start(
                "web-1", budget=Budget(backoff_base=0.01, backoff_cap=0.05, max_undo_attempts=2, max_attempts=3)
            )
        return self._platform

    def environment(self) -> dict[str, str]:
        return {"BACKSTAY_SOURCES": json.dumps(self.sources), "BACKSTAY_HOOKS": json.dumps(self.hooks)}

    def close(self) -> None:
        if self._platform is not None:
            self._platform.close()
            self._platform = None

    def state(self) -> tuple[str, bytes, bytes]:
        return digest(self.platform.apps("web-1") / "web"), self.database.read_bytes(), self.volume.read_bytes()

    def node_settings(self) -> Settings:
        """Of the node, for one that is to die."""
        home = self.home / "data"
        more = {"BACKSTAY_DATA_DIR": str(home), "BACKSTAY_NODE": "web-1", "BACKSTAY_LOG_LEVEL": "error"}
        return load(self.environment() | more | {"BACKSTAY_APPS_ROOT": str(home / "nodes" / "web-1")})

    def left_to_others(self, snapshot_id: str) -> str:
        """Publish the wish to restore while no node runs; its message."""
        self.platform.stop("web-1")
        message = self.platform.publish("restore-snapshot", {"snapshot_id": snapshot_id}, service="web")
        self.close()
        return message

    def restore(self, snapshot_id: str, **data: Any) -> Any:
        return self.platform.run("restore-snapshot", {"snapshot_id": snapshot_id, **data}, service="web")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    made.database.write_bytes(random.Random(1).randbytes(3_000_000))
    made.volume.write_bytes(random.Random(2).randbytes(1 << 20) + bytes(1 << 20))
    yield made
    made.close()


def test_directory_database_and_volume_are_one_snapshot_and_come_back_together(site: Site) -> None:
    tree = site.platform.service("web", sources=["db", "disk"])
    before = site.state()
    first = site.platform.snapshot("web")
    assert first.include == ("configuration", "data", "sources")
    grow(tree, seed=9, files=4)
    site.database.write_bytes(b"another")
    site.volume.write_bytes(b"another")
    done = site.restore(first.snapshot_id)
    assert done.state is State.SUCCEEDED, done.outcome
    assert done.outcome["figures"]["sources"] == 2
    assert site.state() == before
    assert site.platform.run("verify-snapshot", {"snapshot_id": first.snapshot_id}, service="web").error_code is None
    assert not (tree / ".backstay-sources").exists()


def test_one_part_can_be_restored_and_the_others_stay(site: Site) -> None:
    site.platform.service("web", sources=["db"])
    before = site.state()
    taken = site.platform.snapshot("web")
    site.database.write_bytes(b"another")
    grow(site.platform.apps("web-1") / "web", seed=9, files=4)
    changed = site.state()
    assert site.restore(taken.snapshot_id, include=["data"]).state is State.SUCCEEDED
    assert site.state() == (before[0], *changed[1:])
    assert site.restore(taken.snapshot_id, include=["sources"]).state is State.SUCCEEDED
    assert site.state() == before


def test_a_dump_that_changed_little_stores_little(site: Site) -> None:
    site.platform.service("web", sources=["db"])
    site.platform.snapshot("web")
    dump = site.database.read_bytes()
    site.database.write_bytes(dump[:1_000_000] + b"inserted" + dump[1_000_000:])
    second = site.platform.snapshot("web", include=["sources"])
    assert second.include == ("sources",)
    assert second.stored_bytes < len(dump) // 8
    site.database.write_bytes(b"")
    assert site.restore(second.snapshot_id).state is State.SUCCEEDED
    assert len(site.database.read_bytes()) == len(dump) + len(b"inserted")


@pytest.mark.parametrize(
    "program",
    [
        "echo half; echo 'no such table' >&2; exit 3",
        "printf half; kill -9 $$",
        "exec no-such-program",
        "head -c 1048576 /dev/zero >&2; exit 1",
    ],
)
def test_what_a_failing_program_has_said_is_no_snapshot(site: Site, program: str) -> None:
    """FZ-08: the exit code is part of the data, and a megabyte of errors holds nobody up."""
    site.sources["db"]["save"] = ["sh", "-c", program]
    site.platform.service("web", sources=["db"])
    operation = site.platform.run("create-snapshot", {}, service="web")
    assert code(operation) == (State.FAILED, "source-interrupted" if "kill" in program else "source-failed")
    assert operation.outcome is not None
    assert "saves source db of service web" in operation.outcome["sentence"]
    assert ("no such table" in operation.outcome["sentence"]) == ("table" in program)
    assert site.platform.listed("web") == []


def test_a_program_may_ask_to_be_run_again_later(site: Site, tmp_path: Path) -> None:
    """75 is EX_TEMPFAIL of sysexits.h."""
    script = 'if [ -e "$0" ]; then cat "$1"; else touch "$0"; exit 75; fi'
    site.sources["db"]["save"] = ["sh", "-c", script, str(tmp_path / "asked"), str(site.database)]
    site.platform.service("web", sources=["db"])
    assert "sources" in site.platform.snapshot("web").include
    assert (tmp_path / "asked").exists()


def test_a_program_that_hangs_is_killed_with_all_that_it_started(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time is over when it hangs, however long it takes to get there."""
    script = f"sleep 600 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/child; wait"
    site.sources["db"] |= {"save": ["sh", "-c", script], "seconds": 3600}

    def now() -> float:
        return time.monotonic() + (3601 if (tmp_path / "child").exists() else 0)

    monkeypatch.setattr("storage.sources.program.time", SimpleNamespace(monotonic=now))
    site.platform.service("web", sources=["db"])
    operation = site.platform.run("create-snapshot", {}, service="web")
    assert code(operation) == (State.FAILED, "source-interrupted")
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not _alive(child), what="the program's child is gone")


def test_a_program_sees_no_secret_of_the_worker(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTAY_CANARY", "secret")
    site.sources["db"]["save"] = ["env"]
    site.platform.service("web", sources=["db"])
    taken = site.platform.snapshot("web")
    assert site.restore(taken.snapshot_id).state is State.SUCCEEDED
    seen = dict(line.split("=", 1) for line in site.database.read_text().splitlines())
    assert seen.keys() <= {"PATH", "BACKSTAY_SERVICE", "BACKSTAY_TENANT", "BACKSTAY_DIRECTORY", "LC_CTYPE"}
    assert (seen["BACKSTAY_SERVICE"], seen["BACKSTAY_TENANT"]) == ("web", "acme")


def test_a_restore_whose_first_program_fails_changes_nothing(site: Site) -> None:
    site.sources["db"]["restore"] = ["sh", "-c", "cat > /dev/null; echo refused >&2; exit 1"]
    site.platform.service("web", sources=["db"])
    taken = site.platform.snapshot("web")
    grow(site.platform.apps("web-1") / "web", seed=9, files=4)
    before = site.state()
    operation = site.restore(taken.snapshot_id)
    assert code(operation) == (State.ROLLED_BACK, "source-failed"), operation.outcome
    assert "refused" in operation.outcome["sentence"]
    assert site.state() == before


@pytest.mark.parametrize("end", ["kill -9 $$", "sleep 600"])
def test_what_a_killed_program_may_have_taken_in_is_replaced_by_what_was_saved_of_it(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    """I5: it was ended, by the kernel or because its time was over, before it could say that it had done it all."""
    script = f'cat > "$2"; if [ ! -e "$1" ]; then touch "$1"; {end}; fi'
    hung = tmp_path / "hung"
    site.sources["db"] |= {"restore": ["sh", "-c", script, "sh", str(hung), str(site.database)], "seconds": 3600}
    monkeypatch.setattr(
        "storage.sources.program.time",
        SimpleNamespace(monotonic=lambda: time.monotonic() + (3601 if hung.exists() else 0)),
    )
    site.platform.service("web", sources=["db"])
    taken = site.platform.snapshot("web")
    site.database.write_bytes(b"written since")
    before = site.state()
    operation = site.restore(taken.snapshot_id)
    assert code(operation) == (State.ROLLED_BACK, "source-interrupted"), operation.outcome
    assert site.state() == before


def test_a_directory_that_was_filled_meanwhile_is_refused_and_what_was_replaced_comes_back(
    site: Site, tmp_path: Path
) -> None:
    """I15: what is in it then was never looked at, and refuse-non-empty has promised not to take it away."""
    tree = site.platform.service("web", sources=["db"])
    taken = site.platform.snapshot("web")
    once, late = tmp_path / "once", tree / "late.txt"
    script = 'cat > "$1"; if [ ! -e "$2" ]; then touch "$2"; mkdir -p "$3"; echo kept > "$3/late.txt"; fi'
    site.sources["db"]["restore"] = ["sh", "-c", script, "sh", str(site.database), str(once), str(tree)]
    shutil.rmtree(tree)
    site.database.write_bytes(b"written since")
    site.close()
    operation = site.restore(taken.snapshot_id, mode="refuse-non-empty")
    assert code(operation) == (State.ROLLED_BACK, "target-not-empty"), operation.outcome
    assert late.read_text() == "kept\n"
    assert site.database.read_bytes() == b"written since"


def test_when_a_later_source_fails_the_earlier_ones_hold_what_they_held_before(site: Site) -> None:
    """What a program has taken in is replaced by what was saved of it, and the directory was never exchanged."""
    site.sources["other"] = {"kind": "command", "save": ["echo", "other"], "restore": ["false"]}
    tree = site.platform.service("web", sources=["db", "disk", "other"])
    taken = site.platform.snapshot("web")
    site.database.write_bytes(b"written since")
    site.volume.write_bytes(b"so was this")
    grow(tree, seed=9, files=4)
    before = site.state()
    operation = site.restore(taken.snapshot_id)
    assert code(operation) == (State.ROLLED_BACK, "source-failed"), operation.outcome
    assert site.state() == before
    assert "source other" in operation.outcome["sentence"]


def test_what_a_restore_replaced_in_sources_is_a_snapshot_that_can_be_restored(site: Site) -> None:
    """Whoever has restored the wrong one goes back."""
    site.platform.service("web", sources=["db"])
    taken = site.platform.snapshot("web")
    site.database.write_bytes(b"written since")
    done = site.restore(taken.snapshot_id)
    assert done.state is State.SUCCEEDED and done.outcome["complete"] is True
    assert site.restore(done.outcome["figures"]["safety_snapshot"]).state is State.SUCCEEDED
    assert site.database.read_bytes() == b"written since"
    again = site.restore(taken.snapshot_id, safety_snapshot=False)
    assert "safety_snapshot" not in again.outcome["figures"]


def test_what_a_restore_has_saved_takes_no_place_from_what_was_restored(site: Site) -> None:
    """FZ-19: `last 1` used to keep only the snapshot of the broken database."""
    site.platform.service("web", sources=["db", "disk"])
    taken = site.platform.snapshot("web", include=["sources"])
    site.database.write_bytes(b"broken")
    safety = site.restore(taken.snapshot_id).outcome["figures"]["safety_snapshot"]
    site.platform.run("set-retention", {"policy": {"last": 1}}, service="web")
    assert site.platform.run("apply-retention", {}, service="web").state is State.SUCCEEDED
    assert site.platform.listed("web") == [safety, taken.snapshot_id]
    later = site.platform.snapshot("web", include=["sources"])
    home = {"BACKSTAY_DATA_DIR": str(site.home / "data"), "BACKSTAY_NODE": "observer"}
    assert "no rule counts what protects a change" in answer_of(["retention", "plan", "web"], home).out
    site.platform.run("apply-retention", {}, service="web")
    assert site.platform.listed("web") == [later.snapshot_id]


@pytest.mark.parametrize("safety", [True, False], ids=["cannot-be-saved", "not-wanted"])
def test_sources_that_are_not_saved_are_restored_and_a_later_failure_is_for_a_person(site: Site, safety: bool) -> None:
    """A broken database is what a restore is for; but nobody can take back what a program has taken in."""
    site.sources["other"] = {"kind": "command", "save": ["cat", str(site.home / "gone")], "restore": ["false"]}
    (site.home / "gone").write_bytes(b"not yet")
    site.platform.service("web", sources=["db", "other"])
    taken = site.platform.snapshot("web")
    if safety:
        (site.home / "gone").unlink()
    operation = site.restore(taken.snapshot_id, safety_snapshot=safety)
    assert operation.state is State.STUCK
    assert [item["name"] for item in operation.outcome["items"]] == ["web/db", "web/swap"]
    assert site.platform.system.database.catalogue.get(taken.snapshot_id) is not None


def test_a_cancel_after_the_first_source_puts_it_back_and_does_not_stop_halfway(site: Site) -> None:
    """What was touched is put back by the whole of the saved snapshot, which is fetched again: that is no new work."""
    going = site.home / "going"
    patience = f"cat > /dev/null; while [ ! -e {going} ]; do sleep 0.02; done; mkdir {going}.not-yet && exit 75; true"
    site.sources["other"] = {"kind": "command", "save": ["echo", "other"], "restore": ["sh", "-c", patience]}
    site.platform.service("web", sources=["db", "other"])
    taken = site.platform.snapshot("web")
    saved = site.database.read_bytes()
    site.database.write_bytes(b"written since")
    before = site.state()
    message = site.platform.publish("restore-snapshot", {"snapshot_id": taken.snapshot_id}, service="web")
    eventually(lambda: site.database.read_bytes() == saved, what="the first source was restored")
    operation = site.platform.find(message)
    assert operation is not None
    site.platform.run("cancel-operation", {"operation_id": operation.op_id}, service="web")
    going.touch()
    assert code(site.platform.outcome(message)) == (State.ROLLED_BACK, "cancelled")
    assert site.state() == before


def test_a_safety_snapshot_that_comes_to_harm_in_the_store_is_no_word_against_what_is_restored(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.platform.service("web", sources=["db", "disk"])
    taken = site.platform.snapshot("web")
    saved = site.database.read_bytes()
    site.database.write_bytes(b"written since")
    real = FileStore.create

    def harmful(store: FileStore, key: str, parts: Sequence[Any]) -> bool:
        return real(store, key, [*parts, b"?"] if key.endswith("/manifest") else parts)

    monkeypatch.setattr(FileStore, "create", harmful)
    operation = site.restore(taken.snapshot_id)
    assert operation.state is State.SUCCEEDED and "safety_snapshot" not in operation.outcome["figures"]
    assert site.database.read_bytes() == saved
    assert site.platform.listed("web") == [taken.snapshot_id]
    found = site.platform.system.database.catalogue.get(taken.snapshot_id)
    assert found is not None and found.state is SnapshotState.AVAILABLE


def test_what_asks_for_patience_while_it_is_saved_is_waited_for_and_the_way_without_is_named(site: Site) -> None:
    site.sources["other"] = {"kind": "command", "save": ["sh", "-c", f"cat {site.home}/there || exit 75"],
                             "restore": ["sh", "-c", "cat > /dev/null"]}  # fmt: skip
    (site.home / "there").write_bytes(b"ready")
    site.platform.service("web", sources=["db", "other"])
    taken = site.platform.snapshot("web")
    (site.home / "there").unlink()
    before = site.state()
    operation = site.restore(taken.snapshot_id)
    assert code(operation) == (State.FAILED, "source-unavailable")
    assert '"safety_snapshot": false' in operation.outcome["sentence"]
    assert site.state() == before
    assert site.restore(taken.snapshot_id, safety_snapshot=False).state is State.SUCCEEDED


@pytest.mark.parametrize("kind", ["db", "disk"])
def test_one_source_alone_is_saved_unless_a_program_takes_all_of_it_or_nothing(site: Site, kind: str) -> None:
    site.platform.service("web", sources=[kind])
    taken = site.platform.snapshot("web")
    done = site.restore(taken.snapshot_id, include=["sources"])
    assert done.state is State.SUCCEEDED
    assert ("safety_snapshot" in done.outcome["figures"]) == (kind == "disk")


def test_what_cannot_be_restored_here_is_refused_before_anything_is_changed(site: Site) -> None:
    del site.sources["db"]["restore"]
    site.platform.service("web", sources=["db"])
    taken = site.platform.snapshot("web")
    assert code(site.restore(taken.snapshot_id)) == (State.FAILED, "source-not-restorable")
    site.close()
    site.sources["db"] = {"kind": "volume", "path": str(site.volume)}
    assert code(site.restore(taken.snapshot_id)) == (State.FAILED, "source-kind-differs")
    site.close()
    del site.sources["db"]
    assert code(site.restore(taken.snapshot_id)) == (State.FAILED, "unknown-source")


def test_a_service_is_not_registered_with_a_source_that_its_node_does_not_know(site: Site) -> None:
    grow(site.platform.apps("web-1") / "web")
    operation = site.platform.run("register-service", {"node": "web-1", "sources": ["nobody"]}, service="web")
    assert code(operation) == (State.FAILED, "unknown-source")


# ---------------------------------------------------------------- volumes
def test_a_chain_of_a_volume_is_exact_on_a_new_and_on_an_existing_target(site: Site) -> None:
    """CN-11, CN-17, CN-19: changed, zeroed, growing and unchanged; each state comes back, whatever was there."""
    site.platform.service("web", sources=["disk"])
    draw = random.Random(5)
    image = bytearray(draw.randbytes(2 << 20))
    states, sizes = [], []
    for change in range(5):
        site.volume.write_bytes(image)
        taken = site.platform.snapshot("web", include=["sources"])
        states.append((taken.snapshot_id, bytes(image)))
        sizes.append(taken.stored_bytes)
        if change == 0:
            image[65_536:98_304] = draw.randbytes(32_768)
        if change == 1:
            image[524_288:1_048_576] = bytes(524_288)
        if change == 2:
            image += bytes(300_000) + draw.randbytes(1000) + bytes(70_001)
    assert sizes[1] < 40_000 and sizes[2] < 10_000 and sizes[4] < 5_000, "only what changed is stored, and no zeros"
    for snapshot_id, wanted in states:
        for there in (None, draw.randbytes(3 << 20)):
            site.volume.unlink()
            if there is not None:
                site.volume.write_bytes(there)
            assert site.restore(snapshot_id).state is State.SUCCEEDED
            assert site.volume.read_bytes() == wanted
    assert site.volume.stat().st_blocks * 512 < len(image) - 524_288, "zeros take no room"


def test_a_volume_that_changes_while_it_is_read_is_no_snapshot(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    growing = site.home / "growing"
    site.sources["disk"]["path"] = str(growing)
    growing.write_bytes(b"x")
    site.hooks["after_snapshot"] = ["true"]
    site.platform.service("web", sources=["disk"])
    real = os.preadv

    def read_and_written_to(handle: int, buffers: Any, offset: int) -> int:
        found = real(handle, buffers, offset)
        if offset == 0 and os.path.samestat(os.fstat(handle), growing.stat()):
            with growing.open("ab") as file:
                file.write(b"x")
        return found

    monkeypatch.setattr(os, "preadv", read_and_written_to)
    operation = site.platform.run("create-snapshot", {}, service="web")
    assert code(operation) == (State.FAILED, "source-unavailable")
    assert operation.outcome is not None and "changed while it was read" in operation.outcome["sentence"]


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Path]:
    """A real block device of 3 MiB, full of old bytes."""
    backing = tmp_path / "backing"
    backing.write_bytes(random.Random(3).randbytes(3 << 20))
    made = subprocess.run(["losetup", "--find", "--show", str(backing)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"this machine gives no loop device: {made.stderr.strip()}")
    subprocess.run(["blockdev", "--setrw", made.stdout.strip()], check=True)
    yield Path(made.stdout.strip())
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


def test_a_device_is_written_in_place_zeros_too_and_what_is_beyond_stays(site: Site, device: Path) -> None:
    """CN-18, CN-19."""
    site.platform.service("web", sources=["disk"])
    taken = site.platform.snapshot("web", include=["sources"])
    image, former = site.volume.read_bytes(), device.read_bytes()
    site.close()
    site.sources["disk"]["path"] = str(device)
    done = site.restore(taken.snapshot_id)
    assert done.state is State.SUCCEEDED, done.outcome
    assert device.read_bytes() == image + former[len(image) :]
    site.close()
    subprocess.run(["blockdev", "--setro", str(device)], check=True)
    assert code(site.restore(taken.snapshot_id)) == (State.FAILED, "source-not-restorable")
    subprocess.run(["blockdev", "--setrw", str(device)], check=True)


def test_a_device_that_is_too_small_is_refused_before_anything_is_written(site: Site, device: Path) -> None:
    """CN-18."""
    site.volume.write_bytes(bytes(4 << 20))
    site.platform.service("web", sources=["disk"])
    taken = site.platform.snapshot("web", include=["sources"])
    site.close()
    site.sources["disk"]["path"] = str(device)
    former = device.read_bytes()
    assert code(site.restore(taken.snapshot_id)) == (State.FAILED, "volume-too-small")
    assert device.read_bytes() == former


# ---------------------------------------------------------------- hooks
def test_a_service_rests_while_it_is_read_and_is_woken_also_when_that_fails(site: Site, tmp_path: Path) -> None:
    said = tmp_path / "said"
    for when in ("before_snapshot", "after_snapshot", "before_restore", "after_restore"):
        site.hooks[when] = ["sh", "-c", f"echo {when} $1 >> {said}", "-", "{service}"]
    site.sources["db"]["save"] = ["sh", "-c", f"echo saved >> {said}; cat {site.database}"]
    site.platform.service("web", sources=["db"])
    taken = site.platform.snapshot("web")
    assert site.restore(taken.snapshot_id).state is State.SUCCEEDED
    assert said.read_text().splitlines() == [
        "before_snapshot web", "saved", "after_snapshot web",
        "before_restore web", "saved", "after_restore web",
    ]  # fmt: skip
    said.unlink()
    site.close()
    site.sources["db"]["save"] = ["false"]
    assert site.platform.run("create-snapshot", {}, service="web").state is State.FAILED
    assert said.read_text().splitlines() == ["before_snapshot web", "after_snapshot web"]


def test_a_hook_that_says_no_prevents_the_work_and_one_that_fails_afterwards_is_told(site: Site) -> None:
    site.hooks["before_snapshot"] = ["sh", "-c", "echo 'still starting' >&2; exit 1"]
    site.platform.service("web")
    operation = site.platform.run("create-snapshot", {}, service="web")
    assert code(operation) == (State.FAILED, "source-failed")
    assert operation.outcome is not None and "still starting" in operation.outcome["sentence"]
    site.close()
    site.hooks = {"after_snapshot": ["false"]}
    operation = site.platform.run("create-snapshot", {}, service="web")
    assert operation.outcome is not None
    assert operation.state is State.SUCCEEDED and not operation.outcome["complete"]
    assert [item["code"] for item in operation.outcome["items"]] == ["hook-failed"]


# ---------------------------------------------------------------- kill it
@pytest.mark.parametrize("point", ["source.before-restore", "source.after-restore", "trees.before-swap"])
def test_whoever_is_killed_while_sources_are_restored_another_finishes(site: Site, point: str) -> None:
    """I5, I17."""
    site.platform.service("web", sources=["db", "disk"])
    before = site.state()
    taken = site.platform.snapshot("web")
    site.database.write_bytes(b"another")
    site.volume.write_bytes(b"another")
    grow(site.platform.apps("web-1") / "web", seed=9, files=4)
    message = site.left_to_others(taken.snapshot_id)
    assert run_node(site.node_settings(), lambda system: False, site.home / "trace", Death(point, 1)).killed
    done = site.platform.outcome(message)
    assert done.state is State.SUCCEEDED, done.outcome
    assert site.state() == before


@pytest.mark.parametrize(
    ("point", "hit"), [("archive.after-publish", 1), ("source.before-restore", 5), ("source.after-restore", 3)]
)
def test_whoever_is_killed_while_sources_are_saved_or_put_back_another_puts_them_back(
    site: Site, point: str, hit: int
) -> None:
    """I5, I17."""
    site.sources["other"] = {"kind": "command", "save": ["echo", "other"], "restore": ["false"]}
    site.platform.service("web", sources=["db", "disk", "other"])
    taken = site.platform.snapshot("web")
    site.database.write_bytes(b"written since")
    site.volume.write_bytes(b"so was this")
    before = site.state()
    message = site.left_to_others(taken.snapshot_id)
    assert run_node(site.node_settings(), lambda system: False, site.home / "trace", Death(point, hit)).killed
    done = site.platform.outcome(message)
    assert code(done) == (State.ROLLED_BACK, "source-failed"), done.outcome
    assert site.state() == before


def test_a_program_whose_worker_was_killed_is_waited_for_and_never_runs_twice_at_a_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that was left goes on only when somebody waits for it."""
    said, held = site.home / "said", site.home / "held"
    held.touch()
    slow = f"echo begin >> {said}; while [ -e {held} ]; do sleep 0.05; done; {TAKES_ALL}; echo end >> {said}"
    site.sources["db"]["restore"] = ["sh", "-c", slow, "-", str(site.database)]
    site.platform.service("web", sources=["db"])
    before = site.state()
    taken = site.platform.snapshot("web")
    site.database.write_bytes(b"another")
    message = site.left_to_others(taken.snapshot_id)
    more = {"BACKSTAY_DATA_DIR": str(site.home / "data"), "BACKSTAY_NODE": "web-1"}
    more["BACKSTAY_APPS_ROOT"] = site.node_settings().apps_root
    worker = program(["serve", "--http", "127.0.0.1:0"], site.environment() | more)
    eventually(said.exists, 60, "the program runs")
    worker.kill()
    worker.communicate()

    def wait(seconds: float) -> None:
        held.unlink(missing_ok=True)
        time.sleep(seconds)

    monkeypatch.setattr("storage.sources.lock.time", SimpleNamespace(monotonic=time.monotonic, sleep=wait))
    try:
        done = site.platform.outcome(message)
    finally:
        held.unlink(missing_ok=True)
    assert done.state is State.SUCCEEDED, done.outcome
    assert said.read_text().split() == ["begin", "end"] * 2, "the one that was left ends before the other begins"
    assert site.state() == before


def test_what_a_killed_worker_has_put_to_rest_is_woken(site: Site) -> None:
    said = site.home / "said"
    for when in ("before_snapshot", "after_snapshot"):
        site.hooks[when] = ["sh", "-c", f"echo {when} >> {said}"]
    site.platform.service("web")
    site.platform.stop("web-1")
    message = site.platform.publish("create-snapshot", {}, service="web")
    site.close()
    death = Death("archive.before-publish", 1)
    assert run_node(site.node_settings(), lambda system: False, site.home / "trace", death).killed
    assert said.read_text().split() == ["before_snapshot"]
    assert site.platform.outcome(message).state is State.SUCCEEDED
    assert said.read_text().split() == ["before_snapshot"] * 2 + ["after_snapshot"]


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
