"""`backstay replicas`, `doctor` and `keys` where snapshots are in several stores."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from domain.ability import Ability
from domain.errors import DatabaseUnavailable, KeyUnavailable
from storage.archive import TenantKeys
from storage.objects.file import FileStore
from storage.sealing import KeyRing
from tests.command_line import CommandLine
from workers.bootstrap import System
from workers.cli.exits import Exit
from workers.clock import SystemClock
from workers.config import load
from workers.wiring import metrics_of


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    line = CommandLine(tmp_path / "data", monkeypatch)
    line.environment["BACKSTAY_REPLICAS"] = f"b=file://{tmp_path}/b"
    monkeypatch.setenv("BACKSTAY_REPLICAS", line.environment["BACKSTAY_REPLICAS"])
    line.system = System(load(line.environment))
    line.system.database.migrate()
    return line


def test_a_replica_that_has_everything_is_current_and_one_that_does_not_answer_fails_doctor(
    cli: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    answer = cli.run("replicas", "--json").document()
    assert answer["policy"] == "all"
    assert answer["replicas"] == [
        {
            "replica": "b", "state": "current", "copied": 0, "pending": 0, "damaged": 0, "oldest_pending_seconds": 0,
            "trouble": "",
        }
    ]  # fmt: skip
    assert _doctor(cli)["verdict"] == "ok"
    shutil.rmtree(tmp_path / "b")
    (tmp_path / "b").write_text("no folder")
    assert _doctor(cli)["verdict"] == "fail"


def test_a_replica_that_only_denies_what_is_not_needed_is_warned_of_with_the_right_that_is_missing(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    denied = Ability("give-up-uploads", False, False, "the store answered 403", "give ListMultipartUploadParts")
    monkeypatch.setattr(System, "examine_store", lambda _system, name=None: (denied,) if name else ())
    told = _doctor(cli)
    assert (told["verdict"], told["detail"]) == ("warn", "b: give-up-uploads: the store answered 403")
    assert told["next_step"] == "b: give ListMultipartUploadParts"


def test_metrics_are_asked_for_garbage_that_waits_for_no_replica(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []

    def figures(_most_services: int, replicas: tuple[str, ...] = ()) -> None:
        asked.append(replicas)
        raise DatabaseUnavailable("enough")

    monkeypatch.setattr(cli.system.database, "figures", figures)
    metrics_of(cli.system, SystemClock()).render()
    assert asked == [("b",)]


def _doctor(cli: CommandLine) -> dict[str, str]:
    return next(one for one in cli.run("doctor", "--json").document()["checks"] if one["name"] == "replicas")


def test_a_rotation_and_the_end_of_a_key_reach_every_store(cli: CommandLine, tmp_path: Path) -> None:
    """The old ring key is removable only when no replica needs it, and a destroyed key opens nothing anywhere."""
    stores = FileStore(str(tmp_path / "data" / "store")), FileStore(str(tmp_path / "b"))
    first = TenantKeys(stores[0], cli.system.keyring)
    first.obtain("acme")
    first.copy_to(stores[1], "acme")
    cli.run("keys", "rotate")
    answer = cli.run("keys", "rewrap", "--json").document()
    assert answer["rewrapped"]["tenants"] == ["acme"]
    ring = KeyRing.parse((tmp_path / "data" / "secret.keys").read_text())
    assert [TenantKeys(store, ring).look("acme").ring_key for store in stores] == ["k2", "k2"]
    stores[1].put("tenants/acme/key", [stores[0].get("tenants/acme/key")])
    assert cli.run("keys", "destroy", "--tenant", "acme", "--yes").code == 0
    for store in stores:
        with pytest.raises(KeyUnavailable):
            TenantKeys(store, ring).load("acme")
    assert cli.run("keys", "destroy", "--tenant", "acme", "--yes").code == Exit.NOT_FOUND
