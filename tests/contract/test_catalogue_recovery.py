"""Taking snapshots of the store back into the index: never twice, and never against what SQL knows better."""

from __future__ import annotations

import pytest

from domain.errors import Damaged
from domain.outcome import AbandonSnapshot, AddSnapshot, MarkDeleting
from domain.snapshot import PROTECTS, Label
from tests.contract.sql_bench import Bench, pack_key, snapshot

P1 = pack_key("s1", "a")
P2 = pack_key("s2", "a")


def keys(bench: Bench) -> list[str]:
    return [one.key for one in bench.database.catalogue.garbage(100)]


def test_a_recovered_snapshot_is_as_it_was_and_its_packs_are_counted(bench: Bench) -> None:
    catalogue = bench.database.catalogue
    first = snapshot("s1", (P1,), labels=(Label("a", "1"), Label("a", "2")))
    second = snapshot("s2", (P1, P2), parent_id="s1", taken_at=2_000)
    assert [catalogue.recover(record) for record in (first, second)] == [True, True]
    assert [catalogue.get("s1"), catalogue.get("s2")] == [first, second]
    bench.make(MarkDeleting("s1"))
    assert keys(bench) == [first.manifest_key], "the second snapshot still needs the pack"
    bench.make(MarkDeleting("s2"))
    assert set(keys(bench)) == {first.manifest_key, second.manifest_key, P1, P2}


def test_recovering_twice_or_what_is_known_changes_nothing(bench: Bench) -> None:
    catalogue = bench.database.catalogue
    bench.make(AddSnapshot(snapshot("s1", (P1,))))
    assert catalogue.recover(snapshot("s1", (P1,), files=99)) is False
    assert catalogue.get("s1") == snapshot("s1", (P1,))


def test_what_is_being_deleted_does_not_come_back(bench: Bench) -> None:
    record = snapshot("s1", (P1,))
    bench.make(AddSnapshot(record))
    bench.make(MarkDeleting("s1"))
    assert bench.database.catalogue.recover(record) is False


def test_what_a_failed_attempt_left_does_not_become_a_snapshot(bench: Bench) -> None:
    record = snapshot("s1", (P1,))
    bench.make(AbandonSnapshot(record.manifest_key, "tenants/acme/packs/s1/"))
    assert bench.database.catalogue.recover(record) is False


def test_a_snapshot_whose_operation_goes_on_is_left_to_it(bench: Bench) -> None:
    claim = bench.running()
    record = snapshot(claim.operation.op_id, (pack_key(claim.operation.op_id, "a"),))
    assert bench.database.catalogue.recover(record) is False


def test_a_snapshot_that_protects_an_operation_which_goes_on_is_left_to_it(bench: Bench) -> None:
    """Its id is not the operation's; found too early it would stand in the way of who has made it."""
    claim = bench.running()
    record = snapshot("way-back", (P1,), labels=(Label(PROTECTS, claim.operation.op_id),))
    assert bench.database.catalogue.recover(record) is False
    bench.succeed(claim)
    assert bench.database.catalogue.recover(record) is True


def test_what_is_in_the_catalogue_is_no_left_over(bench: Bench) -> None:
    """I14: no snapshot is available whose manifest is being removed, whoever gives up what."""
    record = snapshot("s1", (P1,))
    assert bench.database.catalogue.recover(record)
    bench.make(AbandonSnapshot(record.manifest_key, "tenants/acme/packs/s1/"))
    bench.now += 15 * 60_000
    assert record.manifest_key not in keys(bench)


def test_a_pack_that_the_collector_has_cannot_be_counted_and_nothing_is_written(bench: Bench) -> None:
    catalogue = bench.database.catalogue
    bench.make(AddSnapshot(snapshot("s1", (P1,))))
    bench.make(MarkDeleting("s1"))
    with pytest.raises(Damaged) as caught:
        catalogue.recover(snapshot("s2", (P1, P2)))
    assert caught.value.code == "pack-condemned"
    assert catalogue.get("s2") is None
    assert P2 not in catalogue.known_packs()
