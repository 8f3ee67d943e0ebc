"""The port `Copies`: what is owed to a replica is never forgotten, and never brought back after it was deleted."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection, Select, select, text

from domain import failpoint
from domain.contracts import Copied, Owed
from domain.outcome import AddSnapshot, MarkCopyDamaged, MarkCorrupt, MarkDeleting, RemoveSnapshot, SetPacks
from storage.sql.copies import FORGET_MS, ROUND_MS, _owed
from storage.sql.replica_tables import snapshot_replica
from tests.contract.sql_bench import Bench, pack_key, snapshot

HOLD, LATE, DAY = 600_000, 15 * 60_000, 86_400_000


def taken(bench: Bench, replica: str = "b") -> str | None:
    owed = bench.database.copies.take(replica, HOLD)
    return None if owed is None else owed.snapshot_id


def take(bench: Bench, replica: str = "b") -> Owed:
    owed = bench.database.copies.take(replica, HOLD)
    assert owed is not None
    return owed


def latest(bench: Bench, name: str, replica: str = "b") -> Owed:
    """The last take of it, whoever has it."""
    row = (snapshot_replica.c.snapshot_id == name, snapshot_replica.c.replica == replica)
    with bench.database._engine.connect() as connection:
        number = connection.execute(select(snapshot_replica.c.updated_at).where(*row)).scalar_one()
    return Owed(name, "", False, number)


def done(bench: Bench, name: str, replica: str = "b") -> None:
    assert bench.database.copies.done(latest(bench, name, replica), replica)


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
    done(bench, "s1")
    bench.now += HOLD
    assert [taken(bench), taken(bench)] == ["s2", None]


def test_a_failure_is_tried_again_after_a_pause_that_grows_and_is_told(bench: Bench) -> None:
    copies = bench.database.copies
    bench.make(AddSnapshot(snapshot("s1", taken_at=bench.now - 5)))
    pauses = []
    for _ in range(12):
        assert taken(bench) == "s1"
        copies.failed(latest(bench, "s1"), "b", "replica b is away " + "x" * 300)
        began = bench.now
        while taken(bench) is None:
            bench.now += 5_000
        pauses.append(bench.now - began)
        bench.now += HOLD
    assert pauses == sorted(pauses) and pauses[0] == 10_000 and pauses[-1] == 3_600_000
    told = copies.state_of("b")
    assert (told.copied, told.pending, len(told.trouble)) == (0, 1, 255)
    assert told.oldest_pending_ms > 5
    done(bench, "s1")
    assert copies.state_of("b") == Copied("b", 1, 0, 0, 0, "")


def test_a_damaged_copy_is_owed_anew_until_it_is_there(bench: Bench) -> None:
    copies = bench.database.copies
    bench.make(AddSnapshot(snapshot("s1")))
    assert taken(bench) == "s1"
    done(bench, "s1")
    bench.make(MarkCopyDamaged("s1", "b", "a flipped bit"))
    assert copies.state_of("b").damaged == 1
    owed = copies.take("b", HOLD)
    assert owed is not None and owed.anew
    bench.now += HOLD  # whoever had it died
    owed = copies.take("b", HOLD)
    assert owed is not None and owed.anew
    done(bench, "s1")
    assert taken(bench) is None


def test_who_copies_a_snapshot_that_is_deleted_is_told_and_its_garbage_rests_until_late_writes_have_come(
    bench: Bench,
) -> None:
    """I17: nothing that was being written at that moment stays in the replica. Also when it is a shared pack."""
    copies, shared = bench.database.copies, pack_key("s1", "a")
    bench.make(AddSnapshot(snapshot("s1", (shared,), taken_at=1)), AddSnapshot(snapshot("s2", (shared,), taken_at=2)))
    assert taken(bench) == "s1"
    done(bench, "s1")
    being_made = take(bench)
    assert being_made.snapshot_id == "s2"
    assert copies.hold(being_made, "b", HOLD)
    bench.make(MarkDeleting("s2"), RemoveSnapshot("s2"))
    assert not copies.hold(being_made, "b", HOLD)
    bench.make(MarkDeleting("s1"))
    assert bench.database.catalogue.garbage(10) == []
    bench.now += LATE
    assert len(bench.database.catalogue.garbage(10)) == 3
    assert taken(bench) is None
    bench.make(AddSnapshot(snapshot("s3", (pack_key("s3", "a"),))), MarkDeleting("s3"))
    assert len(bench.database.catalogue.garbage(10)) == 5  # nobody copies: they go at once


def _replaced(bench: Bench) -> str:
    """s1 and s2 were copied, then a repack has replaced a pack of s1, which rests no more."""
    old = pack_key("s1", "old")
    bench.make(AddSnapshot(snapshot("s1", (old,))), AddSnapshot(snapshot("s2", (pack_key("s2", "a"),))))
    while (name := taken(bench)) is not None:
        done(bench, name)
    bench.make(SetPacks("s1", (pack_key("r1", "new"),), replace=True))
    bench.now += LATE
    return old


def _keys(bench: Bench, *replicas: str) -> list[str]:
    return [one.key for one in bench.database.catalogue.garbage(10, replicas)]


def test_what_a_repack_has_replaced_stays_until_every_replica_has_the_snapshot_anew(bench: Bench) -> None:
    """FZ-11: the copy that a replica holds still names it. Nothing else waits for that."""
    old = _replaced(bench)
    bench.make(MarkDeleting("s2"))
    bench.now += LATE
    assert _keys(bench, "b") == [snapshot("s2").manifest_key, pack_key("s2", "a")]
    assert old in _keys(bench), "without replicas nobody needs it"
    assert taken(bench) == "s1"
    assert old not in _keys(bench, "b"), "it is being copied"
    done(bench, "s1")
    assert _keys(bench, "b")[-1] == old


def test_the_copy_of_a_corrupt_snapshot_keeps_what_it_names(bench: Bench) -> None:
    """FZ-11: it is copied no more, and may be the only one that is whole."""
    old = _replaced(bench)
    bench.make(MarkCorrupt("s1", "a pack is damaged"))
    bench.now += 10 * DAY
    assert old not in _keys(bench, "b")
    bench.make(MarkDeleting("s1"))
    assert old in _keys(bench, "b")


@pytest.mark.parametrize("tried", [False, True])
def test_a_corrupt_snapshot_that_was_never_copied_holds_nothing_back_for_ever(bench: Bench, tried: bool) -> None:
    """It is copied no more: what a repack replaces later would never go from any store."""
    bench.make(AddSnapshot(snapshot("s0")))
    if tried:
        bench.database.copies.failed(take(bench), "b", "a pack is damaged")
    bench.make(MarkCorrupt("s0", "a pack is damaged"))
    bench.now += 2 * DAY
    old = _replaced(bench)
    assert old not in _keys(bench, "b"), "s1 is owed"
    assert taken(bench) == "s1"
    done(bench, "s1")
    assert old in _keys(bench, "b")


def test_what_is_replaced_long_after_its_snapshot_was_found_corrupt_stays_for_its_copy(bench: Bench) -> None:
    """The repack had begun before."""
    old = pack_key("s1", "old")
    bench.make(AddSnapshot(snapshot("s1", (old,))))
    assert taken(bench) == "s1"
    done(bench, "s1")
    bench.make(MarkCorrupt("s1", "a pack is damaged"))
    bench.now += 2 * DAY
    bench.make(SetPacks("s1", (pack_key("r1", "new"),), replace=True))
    bench.now += 2 * DAY
    assert old not in _keys(bench, "b")


def test_what_is_owed_of_others_or_was_taken_long_after_holds_nothing_back(bench: Bench) -> None:
    old = _replaced(bench)
    assert taken(bench) == "s1"
    done(bench, "s1")
    elsewhere = "tenants/umbrella/services/web/snapshots/u1/manifest"
    bench.make(AddSnapshot(snapshot("u1", tenant_id="umbrella", manifest_key=elsewhere)))
    bench.make(AddSnapshot(snapshot("s3", taken_at=bench.now + 2 * DAY)))
    assert _keys(bench, "b") == [old]


def test_whoever_has_copied_one_goes_on_behind_it_and_begins_anew_when_nothing_is_left_there(bench: Bench) -> None:
    """Or when it has gone on for long: what is older waits for no end."""
    bench.make(AddSnapshot(snapshot("s5", taken_at=5)))
    assert taken(bench) == "s5"
    bench.make(*[AddSnapshot(snapshot(f"s{n}", taken_at=n)) for n in (1, 2, 3, 6, 7)])
    assert [taken(bench) for _ in range(3)] == ["s6", "s7", "s1"]
    for copied in ("s1", "s5", "s6", "s7"):
        done(bench, copied)
    bench.make(AddSnapshot(snapshot("s0", taken_at=0)))
    assert taken(bench) == "s2"
    bench.now += ROUND_MS
    assert taken(bench) == "s0"


def test_looking_for_what_is_owed_writes_nothing_when_nothing_is(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every process of every node looks every few seconds, and all writers would wait for it. Rows of what is gone go
    all the same."""
    bench.make(AddSnapshot(snapshot("s1")))
    writes: list[str] = []
    monkeypatch.setattr(failpoint, "hook", writes.append)
    assert [taken(bench), taken(bench), taken(bench)] == ["s1", None, None]
    assert writes == ["take-copy.before-commit", "take-copy.after-commit"]
    bench.make(MarkDeleting("s1"), RemoveSnapshot("s1"))
    writes.clear()
    assert taken(bench) is None
    assert writes == [], "it has just looked for such rows"
    bench.now += FORGET_MS
    assert [taken(bench), taken(bench)] == [None, None]
    assert writes == ["forget-copies.before-commit", "forget-copies.after-commit"]
    bench.now += FORGET_MS
    assert taken(bench) is None
    assert len(writes) == 2


def _lost_to_another(bench: Bench) -> Owed:
    """The take of whoever was copying s1 when a repack replaced its packs; another has copied it anew since."""
    bench.make(AddSnapshot(snapshot("s1", (pack_key("s1", "old"),))))
    lost = take(bench)
    bench.make(SetPacks("s1", (pack_key("r1", "new"),), replace=True))
    assert taken(bench) is None, "the former manifest may be on its way until that hold ends"
    bench.now += HOLD
    assert take(bench).manifest_key == lost.manifest_key
    done(bench, "s1")
    return lost


def test_who_copies_packs_that_are_replaced_may_write_no_more_and_cannot_note_it_as_copied(bench: Bench) -> None:
    """Else the former manifest would come over the new one, whose packs stay, and its own packs go."""
    copies = bench.database.copies
    lost = _lost_to_another(bench)
    assert not copies.hold(lost, "b", HOLD)
    copies.let_go(lost, "b")
    assert copies.state_of("b") == Copied("b", 1, 0, 0, 0, ""), "what the other has noted stays"
    bench.make(SetPacks("s1", (pack_key("r2", "newer"),), replace=True))
    assert not copies.done(lost, "b")
    assert taken(bench) == "s1"


def test_who_finds_too_late_that_it_was_lost_leaves_it_owed(bench: Bench) -> None:
    """Whatever the other has noted: a former manifest may have come over the new one."""
    copies = bench.database.copies
    lost = _lost_to_another(bench)
    copies.failed(lost, "b", "its packs were rewritten while it was copied")
    assert pack_key("s1", "old") not in _keys(bench, "b"), "the replica's manifest may name it"
    told = copies.state_of("b")
    assert (told.copied, told.pending, told.trouble) == (0, 1, "its packs were rewritten while it was copied")
    again = take(bench)
    copies.failed(lost, "b", "its packs were rewritten while it was copied")
    assert not copies.hold(again, "b", HOLD), "nor does it count for who has it now"
    assert not copies.done(again, "b")


def test_a_take_is_told_from_the_next_one_while_the_clock_stands_or_goes_back(bench: Bench) -> None:
    copies = bench.database.copies
    bench.make(AddSnapshot(snapshot("s1")))
    first = take(bench)
    copies.let_go(first, "b")
    bench.now += HOLD
    second = take(bench)
    bench.make(MarkCopyDamaged("s1", "b", "a flipped bit"))
    bench.now -= 3 * HOLD
    assert not copies.done(first, "b")
    assert not copies.done(second, "b"), "what is there is not believed"
    bench.now += 4 * HOLD
    third = take(bench)
    assert third.anew and len({first.take, second.take, third.take}) == 3
    assert copies.hold(third, "b", HOLD) and copies.done(third, "b")


def test_rows_of_a_replica_that_there_is_no_more_go_with_their_snapshots(bench: Bench) -> None:
    bench.make(*[AddSnapshot(snapshot(f"s{n}", taken_at=n)) for n in (1, 2)])
    assert [taken(bench, "former"), taken(bench, "former")] == ["s1", "s2"]
    done(bench, "s1", "former")
    bench.make(MarkDeleting("s1"), RemoveSnapshot("s1"), MarkDeleting("s2"), RemoveSnapshot("s2"))
    assert rows_of(bench) == ["s2"], "somebody may be writing it at this moment"
    bench.now += HOLD
    assert taken(bench) is None
    assert rows_of(bench) == []


def rows_of(bench: Bench) -> list[str]:
    with bench.database._engine.connect() as connection:
        return list(connection.scalars(select(snapshot_replica.c.snapshot_id)))


def test_a_deleted_snapshot_that_is_taken_back_is_owed_to_its_replicas_again(bench: Bench) -> None:
    """Its copies went with it, whether or not their rows have gone yet."""
    catalogue, record = bench.database.catalogue, snapshot("s1")
    bench.make(AddSnapshot(record))
    assert taken(bench) == "s1"
    done(bench, "s1")
    bench.make(MarkDeleting("s1"), RemoveSnapshot("s1"))
    bench.now += LATE
    catalogue.forget_garbage([one.key for one in catalogue.garbage(10)])
    assert catalogue.recover(record)
    assert taken(bench) == "s1"


def test_what_is_owed_is_found_in_an_index_in_order(bench: Bench) -> None:
    """Behind the last one it begins there, so that filling a replica does not read all of it for each snapshot."""
    bench.make(*[AddSnapshot(snapshot(f"s{n:03}", taken_at=n)) for n in range(500)])
    with bench.database._engine.connect() as connection:
        connection.execute(text("ANALYZE"))
        all_of_it, rest = (plan_of(connection, _owed("b", bench.now, behind)) for behind in (None, (490, "s490")))
        on_sqlite = connection.dialect.name == "sqlite"
    assert "snapshot_newest" in rest, rest
    if on_sqlite:  # PostgreSQL decides anew with every size
        assert "SEARCH" in rest.splitlines()[0]
        assert "snapshot_newest" in all_of_it
        assert "TEMP B-TREE" not in all_of_it + rest


def plan_of(connection: Connection, statement: Select[tuple[str, str, int, str | None]]) -> str:
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    explain = "EXPLAIN" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {compiled}"))
