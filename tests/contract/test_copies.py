"""The port `Copies`: what is owed to a replica is never forgotten, and never brought back after it was deleted."""

from __future__ import annotations

from domain.contracts import Copied
from domain.outcome import AddSnapshot, MarkCopyDamaged, MarkCorrupt, MarkDeleting, RemoveSnapshot
from tests.contract.sql_bench import Bench, pack_key, snapshot

HOLD, LATE = 600_000, 15 * 60_000


def taken(bench: Bench, replica: str = "b") -> str | None:
    owed = bench.database.copies.take(replica, HOLD)
    return None if owed is None else owed.snapshot_id


def test_every_available_snapshot_is_owed_to_every_replica_oldest_first(bench: Bench) -> None:
    """Also those that were there before the replica was."""
    bench.make(*[AddSnapshot(snapshot(f"s{n}", taken_at=n)) for n in (2, 1, 3, 4)])
    bench.make(MarkCorrupt("s3", "damaged"), MarkDeleting("s4"))
    assert [taken(bench), taken(bench), taken(bench)] == ["s1", "s2", None]
    assert taken(bench, "c") == "s1"


def test_what_was_copied_is_owed_no_more_and_what_nobody_holds_is_owed_again(bench: Bench) -> None:
    """A copier that was killed: I17."""
    bench.make(AddSnapshot(snapshot("s1", taken_at=1)), AddSnapshot(snapshot("s2", taken_at=2)))
    assert [taken(bench), taken(bench)] == ["s1", "s2"]
    bench.database.copies.done("s1", "b")
    bench.now += HOLD
    assert [taken(bench), taken(bench)] == ["s2", None]


def test_a_failure_is_tried_again_after_a_pause_that_grows_and_is_told(bench: Bench) -> None:
    copies = bench.database.copies
    bench.make(AddSnapshot(snapshot("s1", taken_at=bench.now - 5)))
    pauses = []
    for _ in range(12):
        assert taken(bench) == "s1"
        copies.failed("s1", "b", "replica b is away " + "x" * 300)
        began = bench.now
        while taken(bench) is None:
            bench.now += 5_000
        pauses.append(bench.now - began)
        bench.now += HOLD
    assert pauses == sorted(pauses) and pauses[0] == 10_000 and pauses[-1] == 3_600_000
    told = copies.state_of("b")
    assert (told.copied, told.pending, len(told.trouble)) == (0, 1, 255)
    assert told.oldest_pending_ms > 5
    copies.done("s1", "b")
    assert copies.state_of("b") == Copied("b", 1, 0, 0, 0, "")


def test_a_damaged_copy_is_owed_anew_until_it_is_there(bench: Bench) -> None:
    copies = bench.database.copies
    bench.make(AddSnapshot(snapshot("s1")))
    assert taken(bench) == "s1"
    copies.done("s1", "b")
    bench.make(MarkCopyDamaged("s1", "b", "a flipped bit"))
    assert copies.state_of("b").damaged == 1
    owed = copies.take("b", HOLD)
    assert owed is not None and owed.anew
    bench.now += HOLD  # whoever had it died
    owed = copies.take("b", HOLD)
    assert owed is not None and owed.anew
    copies.done("s1", "b")
    assert taken(bench) is None


def test_who_copies_a_snapshot_that_is_deleted_is_told_and_its_garbage_rests_until_late_writes_have_come(
    bench: Bench,
) -> None:
    """I17: nothing that was being written at that moment stays in the replica. Also when it is a shared pack."""
    copies, shared = bench.database.copies, pack_key("s1", "a")
    bench.make(AddSnapshot(snapshot("s1", (shared,), taken_at=1)), AddSnapshot(snapshot("s2", (shared,), taken_at=2)))
    assert taken(bench) == "s1"
    copies.done("s1", "b")
    assert taken(bench) == "s2"
    assert copies.hold("s2", "b", HOLD)
    bench.make(MarkDeleting("s2"), RemoveSnapshot("s2"))
    assert not copies.hold("s2", "b", HOLD)
    bench.make(MarkDeleting("s1"))
    assert bench.database.catalogue.garbage(10) == []
    bench.now += LATE
    assert len(bench.database.catalogue.garbage(10)) == 3
    assert taken(bench) is None  # forgets the row of s2, which nobody holds any more
    bench.make(AddSnapshot(snapshot("s3", (pack_key("s3", "a"),))), MarkDeleting("s3"))
    assert len(bench.database.catalogue.garbage(10)) == 5  # nobody copies: they go at once
