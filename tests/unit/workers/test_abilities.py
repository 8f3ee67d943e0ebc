"""What the store can do is asked once a day; a node does not work on a store in which no snapshot is safe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from domain.contracts import Buffer
from domain.errors import Refused
from storage.objects.memory import MemoryStore
from storage.probe import examine
from tests.command_line import ROOT, finished, program
from tests.fakes.clock import FakeClock
from workers.abilities import abilities, unfit
from workers.bootstrap import System
from workers.cli.exits import Exit
from workers.clock import SystemClock
from workers.config import load
from workers.processes import REFUSED


class Overwrites(MemoryStore):
    """An endpoint that ignores the condition of a conditional write."""

    def create(self, key: str, parts: Sequence[Buffer]) -> bool:
        self.put(key, parts)
        return True


class Rounds(MemoryStore):
    """An endpoint that ignores ranges."""

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return super().get(key)


class Careless(MemoryStore):
    """An endpoint that takes what has not arrived as it was sent, and keeps what was given up."""

    def verifies_checksums(self, key: str) -> bool:
        self.put(key, [b"probe"])
        return False

    def gives_up_uploads(self, key: str) -> bool:
        return False


class Denies(Overwrites):
    """An endpoint of which the worker's credentials may ask nothing but what is needed."""

    def verifies_checksums(self, key: str) -> bool:
        raise Refused("403 to offering")

    def gives_up_uploads(self, key: str) -> bool:
        raise Refused("403 to listing parts", next_step="give ListMultipartUploadParts")

    def delete(self, keys: Iterable[str]) -> None:
        raise Refused("403 to deleting")


def test_a_good_store_can_do_everything_and_keeps_nothing_of_it() -> None:
    store = MemoryStore()
    assert [(one.name, one.works) for one in examine(store)] == [
        ("read-back", True), ("create-only", True), ("listing", True), ("removal", True)
    ]  # fmt: skip
    assert store.objects == {}


@pytest.mark.parametrize(("store", "lacking"), [(Overwrites(), "create-only"), (Rounds(), "read-back")])
def test_a_store_without_what_snapshots_rest_on_is_unfit(store: MemoryStore, lacking: str) -> None:
    found = list(examine(store))
    assert [one.name for one in found if not one.works] == [lacking]
    assert unfit(found).startswith(lacking)
    assert store.objects == {}


def test_what_is_only_worse_without_makes_no_store_unfit() -> None:
    found = list(examine(Careless()))
    assert [one.name for one in found if not one.works] == ["checksums", "give-up-uploads"]
    assert unfit(found) == ""


def test_a_missing_right_does_not_hide_that_no_snapshot_is_safe() -> None:
    """Two nodes could each make a tenant's key."""
    found = list(examine(Denies()))
    assert [(one.name, one.needed, one.sentence) for one in found if not one.works][1:] == [
        ("checksums", False, "403 to offering"),
        ("give-up-uploads", False, "403 to listing parts"),
        ("removal", False, "403 to deleting"),
    ]
    assert found[-2].next_step == "give ListMultipartUploadParts"
    assert unfit(found).startswith("create-only")


def test_the_rule_that_is_advised_for_uploads_cuts_no_export_that_goes_on() -> None:
    advice = next(one.next_step for one in examine(Careless()) if one.name == "give-up-uploads")
    assert "more days than the longest export takes" in advice


def test_a_store_is_asked_once_a_day_and_another_one_at_once(tmp_path: Path) -> None:
    clock = FakeClock()

    def asked_at(name: str, *, fresh: bool = False) -> int:
        store = {"BACKSTAY_STORE_URL": f"file://{tmp_path}/{name}"}
        return abilities(System(load({"BACKSTAY_DATA_DIR": str(tmp_path), **store})), clock, fresh=fresh)[1]

    first = asked_at("a")
    clock.pass_seconds(60)
    assert asked_at("a") == first
    assert asked_at("a", fresh=True) == first + 60_000
    clock.pass_seconds(86_400)
    assert asked_at("a") == first + 86_460_000
    clock.pass_seconds(1)
    assert asked_at("b") == first + 86_461_000


def test_a_node_never_begins_when_it_remembers_an_unfit_store_and_says_why(tmp_path: Path) -> None:
    """Also one of several processes: one that is started again for ever would claim something each time."""
    environment = {"BACKSTAY_DATA_DIR": str(tmp_path), "BACKSTAY_STORE_URL": f"file://{tmp_path}/store"}
    system = System(load(environment))
    system.database.migrate()
    abilities(system, SystemClock())
    system.close()
    remembered = tmp_path / "cache" / "store.json"
    kept = json.loads(remembered.read_text())
    kept["abilities"][1]["works"] = False
    remembered.write_text(json.dumps(kept))
    answer = finished(program(["worker", "--processes", "2"], environment))
    assert answer.code == Exit.UNFIT
    assert "not fit for snapshots: create-only" in answer.err
    assert "node.started" not in answer.err


#: A node on an endpoint that is found unfit only after the node has begun.
PROVES_UNFIT = """
import os, sys
from storage.probe import examine
from tests.unit.workers.test_abilities import Overwrites
from workers.bootstrap import System
from workers.config import load
from workers.runtime import run_worker
System.examine_store = lambda _self: examine(Overwrites())
sys.exit(run_worker(load(dict(os.environ)), http=None, migrate=True))
"""


def test_a_node_whose_store_proves_unfit_ends_with_the_code_that_ends_all_of_its_processes(tmp_path: Path) -> None:
    environment = {"BACKSTAY_DATA_DIR": str(tmp_path), "PATH": os.environ["PATH"]}
    node = subprocess.Popen(
        [sys.executable, "-c", PROVES_UNFIT],
        env=environment, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    answer = finished(node)
    assert answer.code == REFUSED == Exit.UNFIT
    assert "node.started" in answer.err
    assert "not fit for snapshots: create-only" in answer.err
