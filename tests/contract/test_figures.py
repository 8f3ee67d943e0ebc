"""What a scrape asks of the database: ages, causes, and how well each service's data is backed up."""

from __future__ import annotations

from typing import Any

from domain.drill import Drill
from domain.outcome import AddSnapshot, MarkCorrupt, MarkDeleting, MarkSound, SaveService, SetPacks
from domain.schedule import Pause, Schedule
from domain.schedule_changes import PauseSchedule, SaveDrill, SaveSchedule
from domain.service import Service
from storage.sql.changes import LATE_WRITES_MS
from tests.contract.sql_bench import ANN, Bench, accepted, pack_key, rejected, snapshot


def registered(bench: Bench, *names: str) -> None:
    for name in names:
        bench.make(SaveService(Service(name, "acme", name, name, "n1")))


def taken(bench: Bench, snapshot_id: str, service: str, at: int, **more: Any) -> None:
    bench.make(AddSnapshot(snapshot(snapshot_id, service_id=service, taken_at=at, **more)))


def backed_up(bench: Bench, most: int = 10) -> list[tuple[str, int, int | None]]:
    rows = bench.database.figures(most)["standing"]
    return [(row["service"], row["newest"], row["verified_at"]) for row in rows]


def test_the_services_with_the_oldest_data_come_first_and_only_so_many(bench: Bench) -> None:
    registered(bench, "a", "b", "c", "never")
    for name, at in (("a", 300), ("b", 100), ("c", 200)):
        taken(bench, f"s-{name}", name, at)
    taken(bench, "s-a-old", "a", 50)
    assert backed_up(bench) == [("b", 100, None), ("c", 200, None), ("a", 300, None)]
    assert backed_up(bench, 1) == [("b", 100, None)]
    assert backed_up(bench, 0) == []


def test_a_service_without_data_in_a_snapshot_is_counted_and_not_named(bench: Bench) -> None:
    registered(bench, "a", "never", "configured")
    taken(bench, "s1", "a", 100)
    taken(bench, "s2", "configured", 100, include=("configuration",))
    found = bench.database.figures(10)
    assert (found["services"], found["services_without_snapshot"]) == (3, 2)
    assert [row["service"] for row in found["standing"]] == ["a"]


def test_what_cannot_be_restored_does_not_count_as_backed_up(bench: Bench) -> None:
    registered(bench, "web")
    for number in (1, 2, 3):
        taken(bench, f"s{number}", "web", number * 100)
    bench.make(MarkDeleting("s3"))
    bench.make(MarkCorrupt("s2", "a chunk is missing"))
    assert backed_up(bench) == [("web", 100, None)]
    assert bench.database.figures(1)["snapshots"] == {"available": 1, "corrupt": 1, "deleting": 1}


def test_only_reading_back_counts_as_verified(bench: Bench) -> None:
    registered(bench, "web")
    taken(bench, "s1", "web", 100)
    found = bench.database.catalogue.get("s1")
    assert found is not None
    bench.make(MarkSound("s1", "exists", found.changed_at))
    assert backed_up(bench) == [("web", 100, None)]
    bench.now += 1_000
    found = bench.database.catalogue.get("s1")
    assert found is not None
    bench.make(MarkSound("s1", "hash", found.changed_at))
    assert backed_up(bench) == [("web", 100, bench.now)]


def test_dead_letters_are_counted_by_reason_and_by_cause(bench: Bench) -> None:
    bench.database.inbox.accept([rejected(b"{"), rejected(b"[")])
    bench.accept(accepted("m1"))
    bench.fail(bench.claim(limit=1)[0])
    found = bench.database.figures(1)
    assert sum(found["dead_letters_by_reason"].values()) == found["dead_letters"] == 3
    assert found["dead_letters_by_reason"]["invalid"] == 2
    assert found["dead_letter_groups"] == 2


def test_the_oldest_operation_under_way_has_an_age_and_a_queued_one_has_not(bench: Bench) -> None:
    bench.accept(accepted("m1", "a"))
    bench.now += 1_000
    assert bench.database.figures(1)["oldest_running_age"] == 0
    bench.claim(limit=1)
    assert bench.database.figures(1)["oldest_running_age"] == 1_000


def test_nodes_that_take_work_tell_when_they_were_last_seen(bench: Bench) -> None:
    bench.database.nodes.beat("n1", "boot", "1")
    bench.database.nodes.beat("drained", "boot", "1")
    bench.database.nodes.drain("drained", ANN, "new disks")
    seen = bench.now
    bench.now += 5_000
    assert bench.database.figures(1)["nodes"] == {"n1": seen}


def test_garbage_is_late_only_from_when_it_may_be_removed(bench: Bench) -> None:
    registered(bench, "web")
    taken(bench, "s1", "web", 100)
    assert bench.database.figures(1)["garbage_due"] == 0
    bench.make(MarkDeleting("s1"))
    bench.now += 2_000
    found = bench.database.figures(1)
    assert found["garbage_due"] >= 1
    assert found["garbage_oldest_age"] == 2_000


def test_what_a_repack_has_replaced_is_late_once_no_replica_needs_it(bench: Bench) -> None:
    registered(bench, "web")
    taken(bench, "s1", "web", 100, packs=(pack_key("s1", "old"),))
    bench.make(SetPacks("s1", (pack_key("r1", "new"),), replace=True))
    bench.now += LATE_WRITES_MS + 2_000
    assert bench.database.figures(1, ["b"])["garbage_due"] == 0, "the copy may name it"
    alone = bench.database.figures(1)
    assert (alone["garbage_due"], alone["garbage_oldest_age"]) == (1, 2_000)
    owed = bench.database.copies.take("b", 1_000)
    assert owed is not None and bench.database.copies.done(owed, "b")
    found = bench.database.figures(1, ["b"])
    assert (found["garbage_due"], found["garbage_oldest_age"]) == (1, 2_000)


def test_who_misses_a_goal_is_named_before_who_has_older_data_and_no_goal(bench: Bench) -> None:
    hour = 3_600_000
    for name, goal in (("free", 0), ("late", 3600), ("good", 3600), ("bare", 3600)):
        row = Service(name, "acme", name, name, "n1", rpo_seconds=goal, rpo_since=bench.now - 2 * hour if goal else 0)
        bench.make(SaveService(row))
    for name, at in (("free", 9 * hour), ("late", 2 * hour), ("good", hour // 2)):
        taken(bench, f"s-{name}", name, bench.now - at)
    found = bench.database.figures(3)
    assert found["rpo_missed"] == 2
    assert {row["service"] for row in found["standing"][:2]} == {"bare", "late"}
    assert found["standing"][2]["service"] == "free"
    assert {row["service"]: row["goal_seconds"] for row in found["standing"]} == {
        "bare": 3600, "late": 3600, "free": None,
    }  # fmt: skip


def test_the_newest_drill_decides_and_the_newest_that_passed_is_measured(bench: Bench) -> None:
    registered(bench, "web", "api")
    for name in ("web", "api"):
        taken(bench, f"s-{name}", name, bench.now)

    def drilled(name: str, *, passed: bool, took: int, goal: int = 0) -> None:
        bench.now += 1_000
        row = Drill(
            f"d{bench.now}",
            "acme",
            name,
            f"s-{name}",
            "n1",
            passed,
            took,
            1,
            1,
            goal,
            "" if passed else "object-missing",
        )
        bench.make(SaveDrill(row))

    drilled("web", passed=True, took=2_500)
    assert bench.database.figures(9)["drills_failed"] == 0
    first = bench.now
    drilled("web", passed=False, took=0)
    drilled("api", passed=True, took=9_000, goal=5)
    found = bench.database.figures(9)
    assert found["drills_failed"] == 2
    by_name = {row["service"]: (row["drilled_at"], row["recovery_ms"]) for row in found["standing"]}
    assert by_name == {"web": (first, 2_500), "api": (bench.now, 9_000)}
    drilled("web", passed=True, took=100)
    assert bench.database.figures(9)["drills_failed"] == 1


def test_a_schedule_that_nobody_looks_after_grows_late_and_a_paused_one_does_not(bench: Bench) -> None:
    assert bench.database.figures(0)["schedule_late_age"] == 0
    nightly = Schedule("acme", "nightly", "create-snapshot", "0 3 * * *", next_at=bench.now + 1_000)
    bench.make(SaveSchedule(nightly))
    assert bench.database.figures(0)["schedule_late_age"] == 0
    bench.now += 5_000
    assert bench.database.figures(0)["schedule_late_age"] == 4_000
    bench.make(PauseSchedule("acme", "nightly", Pause("holidays", "anna", bench.now)))
    assert bench.database.figures(0)["schedule_late_age"] == 0
