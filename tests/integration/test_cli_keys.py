"""`backstay keys`: the whole rotation, and the destruction of a tenant's key, as an operator does them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.contracts import Archive, SnapshotRequest
from domain.errors import Refused, StoreUnavailable
from storage.archive import open_archive
from storage.sealing import KeyRing
from tests.command_line import CommandLine
from tests.dying import dying
from tests.unit.storage_archive.workshop import QuietWatch
from workers.bootstrap import System
from workers.cli.exits import Exit
from workers.config import load


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    line = CommandLine(tmp_path / "data", monkeypatch)
    line.system.database.migrate()
    yield line
    line.system.close()


def _snapshot(archive: Archive, name: str) -> str:
    request = SnapshotRequest(
        snapshot_id=name, tenant_id="acme", service_id="web", directory=None, configuration={"a": name},
        labels=(), exclude=(), parent=None,
    )  # fmt: skip
    return archive.create(request, QuietWatch()).manifest_key


def _row(cli: CommandLine, key: str, *options: str) -> dict[str, object]:
    rows = cli.run("keys", "list", "--json", *options).document()["ring"]
    return next(row for row in rows if row["key"] == key)


def test_a_rotation_from_the_new_key_to_the_removal_of_the_old_one(cli: CommandLine) -> None:
    """A node that was not restarted reads the ring again when it meets the new key."""
    cli.accept(data={"secret": 1})
    manifest = _snapshot(cli.system.archive, "s1")
    ring = cli.data_dir / "secret.keys"
    assert _row(cli, "k1") == {
        "key": "k1", "current": True, "values": 1, "tenants": ["acme"], "snapshots": None, "removable": False,
    }  # fmt: skip

    rotated = cli.run("keys", "rotate", "--json")
    assert (rotated.code, rotated.document()) == (0, {"current": "k2"})
    assert ring.stat().st_mode & 0o777 == 0o600
    answer = cli.run("keys", "rewrap", "--json").document()
    assert answer["rewrapped"] == {"current": "k2", "values": 1, "tenants": ["acme"], "values_not_opened": 0}
    assert _row(cli, "k1", "--snapshots")["removable"] is True
    assert cli.system.archive.read(manifest).configuration == {"a": "s1"}
    assert cli.system.keyring.current == "k2"

    ring.write_text(ring.read_text().split(",")[0])
    fresh = System(load(cli.environment))
    assert fresh.archive.read(manifest).configuration == {"a": "s1"}
    assert fresh.database.ledger.get(fresh.database.list_operations()[0].op_id) is not None
    fresh.close()


def test_a_plain_snapshot_keeps_the_old_key_of_the_ring(cli: CommandLine) -> None:
    _snapshot(open_archive(cli.system.store, cli.system.keyring, encryption=False), "plain")
    cli.run("keys", "rotate")

    answer = cli.run("keys", "rewrap", "--json")
    assert answer.code == 0
    old = next(row for row in answer.document()["ring"] if row["key"] == "k1")
    assert (old["snapshots"], old["removable"]) == (1, False)


def test_what_is_sealed_with_a_key_that_the_ring_lacks_is_told(cli: CommandLine) -> None:
    cli.accept()
    _snapshot(cli.system.archive, "s1")
    cli.run("keys", "rotate")
    ring = cli.data_dir / "secret.keys"
    ring.write_text(ring.read_text().split(",")[0])

    answer = cli.run("keys", "list", "--json")
    assert answer.code == Exit.FAILED
    assert answer.document()["not_in_ring"] == {"values": 1, "tenants": ["acme"], "snapshots": None}
    rewrap = cli.run("keys", "rewrap", "--json")
    assert rewrap.code == Exit.PARTIAL and "acme" in rewrap.document()["failed"]


def test_a_configured_ring_is_not_changed_and_the_way_is_told(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKSTAY_SECRET_KEYS", KeyRing.generate_text())

    refused = cli.run("keys", "rotate")
    assert refused.code == Exit.FAILED and "keys rotate --entry" in refused.err
    entry = cli.run("keys", "rotate", "--entry").out.strip()
    assert KeyRing.parse(entry).names == ("k2",)


@pytest.mark.parametrize("point", ["keys.before-rotate", "keys.after-rotate"])
def test_killed_while_rotating_the_ring_is_the_old_or_the_new_one(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    sealed = cli.system.keyring.seal(b"x", b"")

    with dying(point):
        cli.system.rotate_embedded_keys()

    after = System(load(cli.environment)).keyring
    assert after.names == (("k1",) if point == "keys.before-rotate" else ("k2", "k1"))
    assert after.unseal(sealed, b"") == b"x"
    cli.system.rotate_embedded_keys()


def test_destroying_a_tenants_key_needs_a_yes_and_is_logged_and_final(cli: CommandLine) -> None:
    """FZ-24: a new process with the ring and the cache reads nothing of it; plain snapshots are named."""
    manifest = _snapshot(cli.system.archive, "s1")
    plain = _snapshot(open_archive(cli.system.store, cli.system.keyring, encryption=False), "plain")
    cli.system.store.put("tenants/acme/exports/s1/aa.tar.zst", [b"plain"])

    assert cli.run("keys", "destroy", "--tenant", "acme").code == Exit.FAILED
    assert cli.system.archive.read(manifest).configuration == {"a": "s1"}

    answer = cli.run("keys", "destroy", "--tenant", "acme", "--yes", "--json")
    assert answer.code == 0
    document = answer.document()
    assert document["still_readable"] == [plain] and len(document["destroyed"]) == 16
    (told,) = cli.system.database.audit.list(action="keys.destroy")
    assert (told.subject, told.tenant_id, told.way) == ("tenant/acme", "acme", "cli")
    assert list(cli.system.store.list("tenants/acme/exports/")) == []
    with pytest.raises(Refused, match="no key"):
        System(load(cli.environment)).archive.read(manifest)

    assert cli.run("keys", "destroy", "--tenant", "acme", "--yes").code == Exit.NOT_FOUND


def test_a_destruction_is_on_record_also_when_the_store_goes_away_right_after_it(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key was gone and no line said who did it."""
    _snapshot(cli.system.archive, "s1")

    def away(system: System, prefix: str = "") -> Iterator[tuple[str, str | None]]:
        raise StoreUnavailable("the store is away")

    monkeypatch.setattr(System, "plain_snapshots", away)
    answer = cli.run("keys", "destroy", "--tenant", "acme", "--yes")
    assert answer.code != 0
    assert "is destroyed" in answer.out
    assert [entry.action for entry in cli.system.database.audit.list()] == ["keys.destroy"]
