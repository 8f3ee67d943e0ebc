"""export-record and import-record: a snapshot that the database lost comes back, and nothing else does."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.operation import Operation, State
from domain.snapshot import SnapshotState
from storage.archive import records
from storage.archive.layout import STORE_ID
from storage.sealing import KeyRing
from tests.acceptance.platform import Platform, code, digest, grow
from tests.command_line import answer_of
from workers.cli.exits import Exit

KEYS = KeyRing.generate_text()


def platform_at(home: Path, store: Path, keys: str = KEYS) -> Platform:
    made = Platform(home, BACKSTAY_STORE_URL=f"file://{store}", BACKSTAY_SECRET_KEYS=keys)
    made.start("web-1")
    return made


def record_of(platform: Platform, snapshot_id: str, service: str = "web") -> str:
    done = platform.run("export-record", {"snapshot_id": snapshot_id}, service=service)
    assert done.state is State.SUCCEEDED, done.outcome
    assert done.outcome is not None
    return str(done.outcome["figures"]["record"])


def take_in(platform: Platform, record: str, **more: Any) -> Operation:
    return platform.run("import-record", {"record": record}, **({"service": "web"} | more))


@dataclasses.dataclass(frozen=True, slots=True)
class Lost:
    """A chain of snapshots of one service with their records and trees, in a store whose database is another one."""

    platform: Platform
    ids: tuple[str, ...]
    records: tuple[str, ...]
    digests: tuple[str, ...]


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lost]:
    home = tmp_path_factory.mktemp("records")
    before = platform_at(home / "before", home / "store")
    ids, texts, digests = [], [], []
    tree = before.service("web", configuration={"image": "shop:1.0"})
    for seed in (1, 7, 9):
        grow(tree, seed=seed, files=3)
        ids.append(before.snapshot("web", f"owner:{seed}", "owner:twice").snapshot_id)
        texts.append(record_of(before, ids[-1]))
        digests.append(digest(tree))
    before.close()
    after = platform_at(home / "after", home / "store")
    after.service("web", seed=99)
    yield Lost(after, tuple(ids), tuple(texts), tuple(digests))
    after.close()


def forged(lost: Lost, **changes: Any) -> str:
    """A record with other fields, well signed."""
    record = dataclasses.asdict(lost.platform.system.archive.read_record(lost.records[0])) | changes
    ours = {name: value for name, value in record.items() if value is not None}
    return records.sign(ours, lost.platform.system.keyring)


def opened(record: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(record))
    return found


def closed(document: Any) -> str:
    return base64.b64encode(json.dumps(document).encode()).decode()


def test_a_record_that_is_not_right_is_refused_by_what_is_wrong_and_nothing_is_taken_in(
    lost: Lost, subtests: pytest.Subtests
) -> None:
    """CN-28."""
    good, mine = lost.records[0], opened(lost.records[0])
    stranger = records.sign(json.loads(mine["record"]), KeyRing.parse(KeyRing.generate_text()))
    other_ring = records.sign(json.loads(mine["record"]), KeyRing.parse(KeyRing.generate_text("k9")))
    flipped = f"{mine['signature'][:-1]}{'0' if mine['signature'][-1] != '0' else '1'}"
    rivals = f"tenants/rival/services/web/snapshots/{lost.ids[0]}/manifest"
    bad = {
        "no base64": ("?" + good[1:], "record-unreadable"),
        "cut": (good[:-40], "record-unreadable"),
        "no JSON": (base64.b64encode(b"{").decode(), "record-unreadable"),
        "no object": (closed(["list"]), "record-unreadable"),
        "nested": (base64.b64encode(b"[" * 10_000).decode(), "record-unreadable"),
        "nothing in it": (closed({"format": 1}), "record-unreadable"),
        "a version that nobody knows": (closed(mine | {"format": 2}), "record-version"),
        "a version that is no number": (closed(mine | {"format": True}), "record-version"),
        "without a signature": (closed(mine | {"signature": ""}), "record-forged"),
        "no signature": (closed(mine | {"signature": "é"}), "record-unreadable"),
        "a flipped signature": (closed(mine | {"signature": flipped}), "record-forged"),
        "other content": (
            closed(mine | {"record": mine["record"].replace('"acme"', '"evil"')}), "record-forged",
        ),
        "another ring's key of the same name": (stranger, "record-forged"),
        "a key that the ring lacks": (other_ring, "unknown-key"),
        "a field too few": (forged(lost, root_digest=None), "record-unreadable"),
        "a field too many": (forged(lost, pinned="yes"), "record-unreadable"),
        "a number as text": (forged(lost, manifest_bytes="12"), "record-unreadable"),
        "another store": (forged(lost, store_id="0" * 32), "foreign-store"),
        "another id": (forged(lost, snapshot_id=lost.ids[1]), "record-unreadable"),
        "another's manifest": (forged(lost, manifest_key="tenants/rival/key"), "record-unreadable"),
        "an id that nothing has": (forged(lost, snapshot_id="../x"), "invalid"),
        "another tenant": (forged(lost, tenant_id="rival", manifest_key=rivals), "wrong-tenant"),
        "a manifest that was replaced": (forged(lost, manifest_sha256="0" * 64), "record-stale"),
        "a snapshot that is gone": (
            forged(lost, snapshot_id="gone", manifest_key="tenants/acme/services/web/snapshots/gone/manifest"),
            "object-missing",
        ),
    }  # fmt: skip
    for what, (record, reason) in bad.items():
        with subtests.test(msg=what):
            assert code(take_in(lost.platform, record)) == (State.FAILED, reason)
    assert code(take_in(lost.platform, good, service="shop")) == (State.FAILED, "other-service")
    assert code(take_in(lost.platform, good, tenant="rival")) == (State.FAILED, "wrong-tenant")
    assert lost.platform.listed(tenant="acme") == []


def test_a_snapshot_whose_pack_is_missing_or_short_does_not_become_available(lost: Lost) -> None:
    """CN-28: verified at level `exists` first; once the pack is back, the same record serves."""
    store = lost.platform.system.store
    pack = next(info for info in store.list(f"tenants/acme/packs/{lost.ids[0]}/"))
    kept = store.get(pack.key)
    store.delete([pack.key])
    assert code(take_in(lost.platform, lost.records[0])) == (State.FAILED, "object-missing")
    store.put(pack.key, [kept[:-1]])
    assert code(take_in(lost.platform, lost.records[0])) == (State.FAILED, "object-missing")
    assert lost.platform.listed("web") == []
    store.put(pack.key, [kept])


def test_a_chain_comes_back_by_its_records_in_any_order_and_restores_exactly(lost: Lost) -> None:
    """CN-28: nothing else of the chain is needed for a snapshot, and its parent may come later."""
    platform = lost.platform
    for number in (2, 0, 1):
        broken = "\r\n".join(lost.records[number][at : at + 76] for at in range(0, len(lost.records[number]), 76))
        done = take_in(platform, f"{broken}\n")
        assert done.state is State.SUCCEEDED, done.outcome
        row = platform.system.database.catalogue.get(lost.ids[number])
        assert row is not None
        assert (row.state, row.verified_level) == (SnapshotState.AVAILABLE, "exists")
        assert [label.value for label in row.labels][1:] == ["twice"]
        restored = platform.run("restore-snapshot", {"snapshot_id": lost.ids[number]}, service="web")
        assert restored.state is State.SUCCEEDED, restored.outcome
        assert digest(platform.apps("web-1") / "web") == lost.digests[number]
    # Counted like any other: what two snapshots share outlives the one that brought it.
    for number in (0, 1):
        platform.run("delete-snapshot", {"snapshot_id": lost.ids[number]}, service="web")
    verified = platform.run("verify-snapshot", {"snapshot_id": lost.ids[2]}, service="web")
    assert verified.state is State.SUCCEEDED, verified.outcome
    assert code(take_in(platform, lost.records[0])) == (State.FAILED, "object-missing")


def test_importing_twice_is_refused_and_the_first_is_unharmed(platform: Platform) -> None:
    """CN-28."""
    platform.service("rec-twice")
    snapshot = platform.snapshot("rec-twice")
    record = record_of(platform, snapshot.snapshot_id, "rec-twice")
    before = platform.system.database.catalogue.get(snapshot.snapshot_id)
    assert code(take_in(platform, record, service="rec-twice")) == (State.FAILED, "snapshot-known")
    assert platform.system.database.catalogue.get(snapshot.snapshot_id) == before


def test_only_what_can_be_restored_gets_a_record_and_only_its_owner(platform: Platform) -> None:
    platform.service("rec-bad")
    snapshot = platform.snapshot("rec-bad")
    wanted = {"snapshot_id": snapshot.snapshot_id}
    assert code(platform.run("export-record", wanted, service="rec-bad", tenant="rival"))[1] == "wrong-tenant"
    assert code(platform.run("export-record", wanted, service="rec-other"))[1] == "wrong-tenant"
    platform.system.store.delete(list(snapshot.packs))
    platform.run("verify-snapshot", wanted, service="rec-bad")
    assert code(platform.run("export-record", wanted, service="rec-bad")) == (State.FAILED, "snapshot-corrupt")


def test_the_name_of_a_store_is_given_once_and_is_no_foreign_object(platform: Platform) -> None:
    platform.service("rec-name")
    snapshot = platform.snapshot("rec-name")
    first = record_of(platform, snapshot.snapshot_id, "rec-name")
    name = platform.system.store.get(STORE_ID)
    assert record_of(platform, snapshot.snapshot_id, "rec-name") == first
    assert platform.system.store.get(STORE_ID) == name
    environment = {"BACKSTAY_DATA_DIR": str(platform.home), "BACKSTAY_NODE": "observer"}
    checked = answer_of(["catalogue", "check", "--json"], environment).document()
    assert checked["foreign"] == []


def test_the_command_line_prints_a_record_and_takes_it_back(platform: Platform, tmp_path: Path) -> None:
    platform.service("rec-cli")
    snapshot = platform.snapshot("rec-cli")
    environment = {"BACKSTAY_DATA_DIR": str(platform.home), "BACKSTAY_NODE": "observer"}
    printed = answer_of(["snapshots", "export-record", snapshot.snapshot_id], environment)
    (tmp_path / "record").write_text(printed.out, encoding="ascii")
    known = answer_of(["snapshots", "import-record", str(tmp_path / "record"), "--json"], environment)
    assert (known.code, known.document()["error_code"]) == (Exit.FAILED, "snapshot-known")
    (tmp_path / "record").write_text("no record", encoding="ascii")
    refused = answer_of(["snapshots", "import-record", str(tmp_path / "record")], environment)
    assert refused.code == Exit.FAILED
    assert "cannot be read" in refused.err
