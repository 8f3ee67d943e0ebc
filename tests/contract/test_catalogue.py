"""The ports `Catalogue`, `Services` and `Nodes`: what can be restored, and what the store may forget."""

from __future__ import annotations

import pytest

from domain.errors import Damaged, NotFound
from domain.operation import State
from domain.outcome import (
    AbandonSnapshot,
    AddSnapshot,
    ExtendExport,
    MarkCorrupt,
    MarkDeleting,
    MarkSound,
    Outcome,
    RemoveSnapshot,
    SaveExport,
    SaveService,
    SetPacks,
)
from domain.service import Service
from domain.snapshot import Export, Label, Snapshot, SnapshotState
from tests.contract.sql_bench import LEASE, Bench, pack_key, snapshot

P1, P2 = pack_key("s1", "a"), pack_key("s1", "b")
Q1 = pack_key("s2", "a")
LATE = 15 * 60_000


def _ids(found: list[Snapshot]) -> list[str]:
    return [one.snapshot_id for one in found]


def _keys(bench: Bench) -> list[str]:
    return [one.key for one in bench.database.catalogue.garbage(100)]


def _live(bench: Bench) -> set[str]:
    with bench.database._engine.connect() as connection:
        return set(connection.exec_driver_sql("SELECT pack_key FROM pack WHERE state = 'LIVE'").scalars())


def test_a_snapshot_is_read_back_as_it_was_settled(bench: Bench) -> None:
    labels = (Label("b", "2"), Label("a", "1"), Label("a", "1"))
    record = snapshot("s1", (P1, P2), labels=labels, skipped=("a\0b", "sök"), parent_id="s0")
    bench.make(AddSnapshot(record))
    assert bench.database.catalogue.get("s1") == record
    assert bench.database.catalogue.get("s2") is None


def test_the_newest_snapshot_of_a_service_is_one_that_has_data(bench: Bench) -> None:
    bench.make(
        AddSnapshot(snapshot("old", taken_at=1)),
        AddSnapshot(snapshot("new", (pack_key("new", "x"),), taken_at=2)),
        AddSnapshot(snapshot("configuration", taken_at=3, include=("configuration",))),
        AddSnapshot(snapshot("other", taken_at=4, service_id="other")),
    )
    newest = bench.database.catalogue.newest("web")
    assert newest is not None and newest.snapshot_id == "new"
    assert newest.packs == (pack_key("new", "x"),)
    assert bench.database.catalogue.newest("none") is None


def test_no_snapshot_builds_on_a_pack_of_a_corrupt_one(bench: Bench) -> None:
    """Reading one has shown that something in it is damaged, and the others that have the pack still say available."""
    shared, apart = pack_key("s1", "shared"), pack_key("s0", "apart")
    bench.make(
        AddSnapshot(snapshot("s0", (apart,), taken_at=1)),
        AddSnapshot(snapshot("s1", (shared,), taken_at=2)),
        AddSnapshot(snapshot("s2", (shared, pack_key("s2", "own")), taken_at=3)),
        AddSnapshot(snapshot("o1", (pack_key("o1", "own"),), taken_at=4, service_id="other")),
    )

    def parent() -> str:
        found = bench.database.catalogue.parent("web")
        assert found is not None
        return found.snapshot_id

    assert parent() == "s2"
    bench.make(MarkCorrupt("o1", "a pack is missing"))
    assert parent() == "s2"
    bench.make(MarkCorrupt("s2", "a pack is damaged"))
    assert parent() == "s0"
    newest = bench.database.catalogue.newest("web")
    assert newest is not None and newest.snapshot_id == "s1", "it may still be restored"
    bench.make(MarkSound("s2", "hash", bench.now + 1))
    assert parent() == "s2"


def test_a_snapshot_that_is_being_deleted_is_neither_newest_nor_found(bench: Bench) -> None:
    bench.make(AddSnapshot(snapshot("s1")))
    bench.make(MarkDeleting("s1"))
    assert bench.database.catalogue.newest("web") is None
    assert bench.database.catalogue.find(None, [], [], 10, None) == []
    found = bench.database.catalogue.get("s1")
    assert found is not None and found.state is SnapshotState.DELETING


def test_snapshots_are_found_newest_first_page_by_page(bench: Bench) -> None:
    """Those taken in the same millisecond too."""
    bench.make(*[AddSnapshot(snapshot(f"s{n}", taken_at=n // 2)) for n in range(5)])
    find = bench.database.catalogue.find
    page = find("acme", ["web"], [], 2, None)
    assert _ids(page) == ["s4", "s3"]
    assert _ids(find("acme", ["web"], [], 2, "s3")) == ["s2", "s1"]
    assert _ids(find("acme", ["web"], [], 2, "s1")) == ["s0"]


def test_snapshots_are_found_by_tenant_service_and_all_labels(bench: Bench) -> None:
    bench.make(
        AddSnapshot(snapshot("s1", labels=(Label("owner", "42"), Label("why", "nightly")))),
        AddSnapshot(snapshot("s2", labels=(Label("owner", "42"),), service_id="db")),
        AddSnapshot(snapshot("s3", labels=(Label("owner", "43"),), tenant_id="other", service_id="mail")),
    )
    find = bench.database.catalogue.find
    assert sorted(_ids(find(None, [], [Label("owner", "42")], 10, None))) == ["s1", "s2"]
    assert _ids(find(None, [], [Label("owner", "42"), Label("why", "nightly")], 10, None)) == ["s1"]
    assert _ids(find("other", [], [], 10, None)) == ["s3"]
    assert sorted(_ids(find(None, ["db", "mail"], [], 10, None))) == ["s2", "s3"]


def test_a_page_by_label_is_as_one_without_and_names_each_snapshot_once(bench: Bench) -> None:
    """RS-24: newest first, page by page, one that carries a label twice too, and none that is being deleted."""
    twice = (Label("a", "1"), Label("b", "2"), Label("a", "1"))
    bench.make(*[AddSnapshot(snapshot(f"s{n}", taken_at=n // 2, labels=twice)) for n in range(6)])
    bench.make(AddSnapshot(snapshot("s6", taken_at=9, labels=twice[1:2])), MarkDeleting("s4"))
    scopes: list[tuple[str | None, list[str]]] = [(None, []), ("acme", []), (None, ["web"]), ("acme", ["web", "db"])]
    for tenant, services in scopes:
        for labels in ([Label("a", "1")], [Label("b", "2"), Label("a", "1")], [Label("a", "1")] * 2):
            found: list[str] = []
            before = None
            while page := bench.database.catalogue.find(tenant, services, labels, 2, before):
                before = page[-1].snapshot_id
                found += _ids(page)
            assert found == ["s5", "s3", "s2", "s1", "s0"]


def test_an_archive_is_kept_longer_but_never_shorter_and_only_while_it_is_the_one(bench: Bench) -> None:
    def until() -> int:
        found = bench.database.catalogue.export_of("s1")
        assert found is not None
        return found.expires_at

    archive = Export("s1", "acme", "exports/a", 7, "ab", bench.now + 10_000)
    bench.make(AddSnapshot(snapshot("s1")), SaveExport(archive))
    bench.make(ExtendExport("s1", "exports/a", bench.now + 90_000))
    bench.make(ExtendExport("s1", "exports/a", bench.now + 40_000))
    assert until() == bench.now + 90_000
    with pytest.raises(NotFound) as raised:
        bench.succeed(bench.running(), ExtendExport("s1", "exports/another", bench.now + 99_000))
    assert raised.value.code == "not-exported"
    assert until() == bench.now + 90_000


def test_found_snapshots_carry_their_labels_in_order(bench: Bench) -> None:
    labels = (Label("b", "2"), Label("a", "1"))
    bench.make(AddSnapshot(snapshot("s1", labels=labels)))
    (found,) = bench.database.catalogue.find(None, [], [], 10, None)
    assert found.labels == labels


def test_packs_become_garbage_with_their_last_snapshot(bench: Bench) -> None:
    """I14: a pack that another snapshot needs stays."""
    bench.make(AddSnapshot(snapshot("s1", (P1, P2))))
    bench.make(AddSnapshot(snapshot("s2", (P1, Q1))))
    bench.make(MarkDeleting("s1"))
    assert _keys(bench) == [snapshot("s1").manifest_key, P2]
    assert _live(bench) == {P1, Q1}
    bench.make(MarkDeleting("s2"))
    assert set(_keys(bench)) == {snapshot("s1").manifest_key, snapshot("s2").manifest_key, P1, P2, Q1}
    assert _live(bench) == set()


def test_what_is_deleted_rests_for_its_readers(database_url: str) -> None:
    """RS-10, I14: manifest and packs are due together, and marking again does not put it off."""
    with Bench.opened(database_url, readers_ms=1000) as bench:
        bench.make(AddSnapshot(snapshot("s1", (P1,))))
        bench.make(MarkDeleting("s1"), RemoveSnapshot("s1"))
        key = snapshot("s1").manifest_key
        assert (_keys(bench), bench.database.catalogue.condemned()) == ([], {key, P1})
        bench.now += 999
        bench.make(MarkDeleting("s1"))
        assert _keys(bench) == []
        bench.now += 1
        assert _keys(bench) == [key, P1]


def test_packs_that_are_replaced_are_counted_before_the_old_ones_go(bench: Bench) -> None:
    """I14: first both are counted; the old ones go with their last snapshot, after a rest."""
    bench.make(AddSnapshot(snapshot("s1", (P1, P2))))
    bench.make(AddSnapshot(snapshot("s2", (P1, P2))))
    bench.make(SetPacks("s1", (Q1,), replace=False), SetPacks("s2", (Q1,), replace=False))
    assert _live(bench) == {P1, P2, Q1}
    bench.make(SetPacks("s1", (Q1,), replace=True))
    assert _live(bench) == {P1, P2, Q1}
    bench.make(SetPacks("s2", (Q1, P2), replace=True), SetPacks("s2", (Q1, P2), replace=True))
    assert (_live(bench), _keys(bench)) == ({P2, Q1}, [])
    bench.now += LATE
    assert _keys(bench) == [P1]
    bench.make(MarkDeleting("s1"), SetPacks("s1", (P2,), replace=True))
    assert _live(bench) == {P2, Q1}
    with pytest.raises(Damaged):
        bench.make(SetPacks("s2", (P1,), replace=True))


def test_marking_twice_counts_once(bench: Bench) -> None:
    bench.make(AddSnapshot(snapshot("s1", (P1,))))
    bench.make(AddSnapshot(snapshot("s2", (P1,))))
    bench.make(MarkDeleting("s1"))
    bench.make(MarkDeleting("s1"))
    assert _live(bench) == {P1}


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_condemned_pack_is_never_used_again(bench: Bench, forgotten: bool) -> None:
    """I14: whether its object is still there or gone already, and nothing of the snapshot is written."""
    bench.make(AddSnapshot(snapshot("s1", (P1,))))
    bench.make(MarkDeleting("s1"))
    if forgotten:
        bench.database.catalogue.forget_garbage(_keys(bench))
    claim = bench.running()
    with pytest.raises(Damaged) as raised:
        bench.succeed(claim, AddSnapshot(snapshot("s2", (P1, Q1))))
    assert raised.value.code == "pack-condemned"
    assert bench.database.catalogue.get("s2") is None
    assert _live(bench) == set()
    assert bench.state(claim.operation.op_id) is State.RUNNING


def test_manifests_are_collected_before_the_packs_they_name(bench: Bench) -> None:
    bench.make(AddSnapshot(snapshot("s1", (P1,))))
    bench.make(AddSnapshot(snapshot("s2", (Q1,))))
    bench.make(MarkDeleting("s1"))
    bench.now += 1000
    bench.make(MarkDeleting("s2"))
    assert _keys(bench) == [snapshot("s1").manifest_key, snapshot("s2").manifest_key, P1, Q1]
    assert len(bench.database.catalogue.garbage(3)) == 3


def test_a_condemned_pack_is_not_collected_with_its_prefix(bench: Bench) -> None:
    """I14: a collector that listed the prefix before the mark would remove it before the manifest that names it."""
    bench.make(AddSnapshot(snapshot("s1", (P1,)), "tenants/acme/packs/s1/"))
    bench.make(MarkDeleting("s1"))
    assert _live(bench) == set()
    assert bench.database.catalogue.live_packs("tenants/acme/packs/s1/") == {P1}
    bench.database.catalogue.forget_garbage(_keys(bench))
    assert bench.database.catalogue.live_packs("tenants/acme/packs/s1/") == set()


def test_forgotten_garbage_is_gone_with_its_condemned_packs(bench: Bench) -> None:
    bench.make(AddSnapshot(snapshot("s1", (P1,))))
    bench.make(MarkDeleting("s1"))
    bench.database.catalogue.forget_garbage([*_keys(bench), "never/there"])
    assert _keys(bench) == []
    with bench.database._engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM pack").scalar() == 0


def test_forgetting_a_key_never_drops_a_live_pack(bench: Bench) -> None:
    bench.make(AddSnapshot(snapshot("s1", (P1,))))
    bench.database.catalogue.forget_garbage([P1])
    assert _live(bench) == {P1}


def test_a_removed_snapshot_is_forgotten_and_its_garbage_is_not(bench: Bench) -> None:
    bench.make(AddSnapshot(snapshot("s1", (P1,))))
    bench.make(MarkDeleting("s1"))
    bench.make(RemoveSnapshot("s1"))
    assert bench.database.catalogue.get("s1") is None
    assert _keys(bench) == [snapshot("s1").manifest_key, P1]


def test_a_deletion_is_journalled_before_any_object_is_removed(bench: Bench) -> None:
    bench.make(AddSnapshot(snapshot("s1", (P1,))))
    claim = bench.running()
    bench.database.ledger.intend(claim, 0, "mark-deleting", {}, (MarkDeleting("s1"),), LEASE)
    assert _keys(bench) == [snapshot("s1").manifest_key, P1]


def test_left_overs_of_an_earlier_attempt_are_collected_after_a_rest(bench: Bench) -> None:
    """The last writes of a holder that lost its lease must have arrived by then."""
    bench.make(AddSnapshot(snapshot("s1", (P1,)), "tenants/acme/packs/s1/"))
    assert _keys(bench) == []
    bench.now += LATE
    (found,) = bench.database.catalogue.garbage(10)
    assert (found.key, found.is_prefix) == ("tenants/acme/packs/s1/", True)
    assert bench.database.catalogue.live_packs(found.key) == {P1}


def test_an_abandoned_snapshot_leaves_its_manifest_key_and_its_prefix(bench: Bench) -> None:
    claim = bench.running()
    abandon = AbandonSnapshot("tenants/acme/services/web/snapshots/s1/manifest", "tenants/acme/packs/s1/")
    bench.database.ledger.settle(claim, Outcome(State.FAILED, "no", changes=(abandon,)))
    bench.now += LATE
    assert _keys(bench) == [abandon.manifest_key, abandon.pack_prefix]


def test_live_packs_are_those_beneath_the_prefix_and_no_neighbours(bench: Bench) -> None:
    bench.make(AddSnapshot(snapshot("s1", (P1,))), AddSnapshot(snapshot("s10", (pack_key("s10", "a"),))))
    assert bench.database.catalogue.live_packs("tenants/acme/packs/s1/") == {P1}
    assert bench.database.catalogue.live_packs("tenants/acme/packs/s2/") == set()


def test_a_service_is_read_back_as_it_was_saved_and_replaced(bench: Bench) -> None:
    first = Service("web", "acme", "Web", "web", node="n1", region="r", generation=1, document={"env": {"A": "ö"}})
    second = Service("web", "acme", "Web 2", "web2", generation=2)
    bench.make(SaveService(first))
    assert bench.database.services.get("web") == first
    bench.make(SaveService(second))
    assert bench.database.services.get("web") == second
    assert bench.database.services.get("none") is None


def test_services_are_listed_by_tenant_without_their_documents(bench: Bench) -> None:
    bench.make(
        SaveService(Service("a", "acme", "a", "a", document={"x": 1})), SaveService(Service("b", "other", "b", "b"))
    )
    (found,) = bench.database.list_services("acme")
    assert (found.service_id, found.document) == ("a", {})
    assert len(bench.database.list_services()) == 2


def test_a_node_is_as_old_as_its_last_beat(bench: Bench) -> None:
    bench.database.nodes.beat("n2", "boot", "1.0")
    bench.database.nodes.beat("n1", "boot", "1.0")
    bench.now += 5_000
    bench.database.nodes.beat("n1", "boot2", "1.1")
    first, second = bench.database.nodes.list()
    assert (first.node, first.age_ms, first.version) == ("n1", 0, "1.1")
    assert (second.node, second.age_ms) == ("n2", 5_000)


DAY = 86_400_000


def test_those_that_were_not_read_for_the_longest_time_are_due_a_share_each_day(bench: Bench) -> None:
    for number in range(6):
        bench.make(AddSnapshot(snapshot(f"s{number}", (), taken_at=bench.now - (20 - number) * DAY)))
    bench.make(MarkSound("s0", "hash", 0))
    bench.make(MarkSound("s1", "exists", 0))
    bench.make(MarkCorrupt("s2", "broken", "hash"))

    def due(days: int, since: int | None = None) -> list[str]:
        return _ids(bench.database.catalogue.longest_unread(days, bench.now + 1 if since is None else since))

    assert due(3) == ["s1", "s3"], "a third of five, the oldest first"
    assert due(1) == ["s1", "s3", "s4", "s5"]
    assert due(30) == []
    assert due(1, since=bench.now) == ["s1", "s3", "s4"], "two of five were read today, the damaged one included"
    assert due(3, since=bench.now) == [], "who asks later on a day asks for what is left of its share"
    bench.now += 2 * DAY
    assert due(1)[-1] == "s0", "what was read just now is due again some day"


def test_that_the_objects_exist_is_no_news_of_what_was_read_back_once(bench: Bench) -> None:
    bench.make(AddSnapshot(snapshot("s", ())), MarkSound("s", "exists", 0))
    assert _row(bench).verified_level == "exists"
    bench.make(MarkSound("s", "restore-test", 0))
    read_back = _row(bench).verified_at
    bench.now += DAY
    bench.make(MarkSound("s", "exists", 0))
    assert (_row(bench).verified_level, _row(bench).verified_at) == ("restore-test", read_back)


def test_damage_that_another_look_has_found_meanwhile_stands(bench: Bench) -> None:
    """I13: whichever of two looks ends last, the snapshot does not say `available`."""
    bench.make(AddSnapshot(snapshot("s", ())))
    began = _row(bench).changed_at
    bench.now += 1
    bench.make(MarkCorrupt("s", "a pack is missing", "hash"))
    for level in ("exists", "hash"):
        bench.now += 1
        bench.make(MarkSound("s", level, began))
        assert (_row(bench).state, _row(bench).fault) == (SnapshotState.CORRUPT, "a pack is missing")
    bench.make(MarkSound("s", "exists", _row(bench).changed_at))
    assert _row(bench).state is SnapshotState.CORRUPT, "that its objects exist does not make it well"
    bench.make(MarkSound("s", "hash", _row(bench).changed_at))
    assert (_row(bench).state, _row(bench).fault) == (SnapshotState.AVAILABLE, "")


def _row(bench: Bench) -> Snapshot:
    found = bench.database.catalogue.get("s")
    assert found is not None
    return found
