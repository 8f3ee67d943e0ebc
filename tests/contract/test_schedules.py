"""Schedules in SQL: definitions, pauses, rows of nominal times; on both databases."""

from __future__ import annotations

import dataclasses

import pytest

from domain.schedule import CatchUp, Firing, FiringState, Pause, Schedule
from domain.schedule_changes import PauseSchedule, RemoveSchedule, SaveSchedule
from tests.contract.diary import HOUR, NOON, hourly, make, pause, register, resume, saved, set_up
from tests.contract.sql_bench import Bench, accepted


def get(bench: Bench, name: str = "hourly") -> Schedule:
    found = bench.database.schedules.get("acme", name)
    assert found is not None
    return found


def row(schedule: Schedule, service: str = "web", hours: int = 1) -> Firing:
    nominal = NOON + hours * HOUR
    return Firing(schedule.schedule_id, "acme", schedule.name, service, nominal, nominal)


# ---------------------------------------------------------------- pages
def test_schedules_come_in_pages_by_tenant_and_name(bench: Bench) -> None:
    others = dataclasses.replace(hourly("a"), tenant_id="beta")
    set_up(bench, hourly("b"), hourly("a"), others, hourly("c", service_id="db"))
    page = bench.database.schedules.page
    assert [(one.tenant_id, one.name) for one in page(None, None, 9)] == [
        ("acme", "a"), ("acme", "b"), ("acme", "c"), ("beta", "a"),
    ]  # fmt: skip
    assert page(None, None, 2) + page(None, None, 9, ("acme", "b")) == bench.database.schedules.list()
    assert [one.name for one in page(["acme"], "web", 1, ("acme", "a"))] == ["b"]
    assert page([], None, 9) == page(None, None, 9, ("beta", "a")) == []


def test_a_history_comes_in_pages_also_when_many_services_have_the_same_time(bench: Bench) -> None:
    """And when the schedule was removed and made again for it."""
    set_up(bench, hourly())
    old = get(bench)
    bench.database.schedules.plan(
        old, NOON + 2 * HOUR, [row(old, name) for name in ("a", "b", "c")], decided_at=bench.now
    )
    make(bench, RemoveSchedule("acme", "hourly"))
    make(bench, SaveSchedule(hourly()))
    new = get(bench)
    bench.database.schedules.plan(new, NOON + 3 * HOUR, [row(new, "b"), row(new, "b", 2)], decided_at=bench.now)
    history = bench.database.schedules.history
    whole = history("acme", "hourly", 9)
    assert [(one.nominal_at - NOON, one.service_id) for one in whole] == [
        (2 * HOUR, "b"), (HOUR, "a"), (HOUR, "b"), (HOUR, "b"), (HOUR, "c"),
    ]  # fmt: skip
    behind = [(one.nominal_at, one.service_id, one.schedule_id) for one in whole]
    assert [history("acme", "hourly", 1, key) for key in (None, *behind)] == [*([one] for one in whole), []]


# ---------------------------------------------------------------- definitions
def test_a_schedule_comes_back_as_it_was_set(bench: Bench) -> None:
    wanted = hourly(zone="Europe/Berlin", jitter_seconds=60, catch_up=CatchUp.ALL, coalesce=False, data={"labels": []})
    set_up(bench, wanted)
    found = get(bench)
    identity = dataclasses.replace(wanted, schedule_id=found.schedule_id, seq=found.seq)
    assert found == dataclasses.replace(identity, changed_at=NOON, changed_by="/console")
    assert found.schedule_id and found.seq


def test_setting_again_keeps_the_identity_and_the_next_time_unless_the_times_differ(bench: Bench) -> None:
    set_up(bench, hourly())
    first = get(bench)
    make(bench, SaveSchedule(hourly(kind="restore-drill", next_at=NOON + 5 * HOUR)))
    second = get(bench)
    assert (second.kind, second.next_at) == ("restore-drill", NOON + HOUR)
    make(bench, SaveSchedule(hourly(cron="30", next_at=NOON + 5 * HOUR)))
    third = get(bench)
    assert third.next_at == NOON + 5 * HOUR
    assert first.schedule_id == second.schedule_id == third.schedule_id


def test_an_older_command_that_is_carried_out_later_undoes_no_newer_one(bench: Bench) -> None:
    """Commands about schedules reserve nothing, so that pausing one never waits."""
    bench.now = NOON
    older, newer = bench.running("a"), bench.running("b")
    bench.succeed(newer, SaveSchedule(hourly(kind="restore-drill")))
    bench.succeed(older, SaveSchedule(hourly(kind="create-snapshot")))
    assert get(bench).kind == "restore-drill"


def test_a_removed_schedule_is_not_brought_back_by_an_older_command(bench: Bench) -> None:
    set_up(bench, hourly())
    older, newer = bench.running("a"), bench.running("b")
    bench.succeed(newer, RemoveSchedule("acme", "hourly"))
    bench.succeed(older, SaveSchedule(hourly()))
    assert bench.database.schedules.get("acme", "hourly") is None
    assert bench.database.schedules.list() == []


def test_a_schedule_that_is_made_again_is_another_one_and_not_paused(bench: Bench) -> None:
    set_up(bench, hourly())
    first = get(bench)
    pause(bench)
    make(bench, RemoveSchedule("acme", "hourly"))
    make(bench, SaveSchedule(hourly()))
    assert get(bench).schedule_id != first.schedule_id
    assert get(bench).pause is None


def test_an_older_pause_undoes_no_newer_word(bench: Bench) -> None:
    set_up(bench, hourly())
    older, newer = bench.running("a"), bench.running("b")
    bench.succeed(newer, PauseSchedule("acme", "hourly", None))
    bench.succeed(older, PauseSchedule("acme", "hourly", Pause("a move", "/cli/anna", NOON)))
    assert get(bench).pause is None


def test_a_pause_survives_a_new_definition(bench: Bench) -> None:
    set_up(bench, hourly())
    pause(bench, until=NOON + 9 * HOUR)
    make(bench, SaveSchedule(hourly(cron="30")))
    assert get(bench).pause == Pause("a move", "/cli/anna", NOON, NOON + 9 * HOUR)


def test_lists_are_by_tenant_and_of_a_service_hold_those_of_its_whole_tenant(bench: Bench) -> None:
    other = dataclasses.replace(hourly(), tenant_id="other")
    set_up(bench, hourly("b", service_id="db"), hourly("a", service_id=""), hourly("c"), other)
    schedules = bench.database.schedules
    assert [(one.tenant_id, one.name) for one in schedules.list()] == [
        ("acme", "a"), ("acme", "b"), ("acme", "c"), ("other", "hourly"),
    ]  # fmt: skip
    assert [one.name for one in schedules.list("acme", "web")] == ["a", "c"]


def test_only_what_is_awake_is_due(bench: Bench) -> None:
    set_up(bench, hourly("a"), hourly("b"), hourly("c"), hourly("late", next_at=NOON + 9 * HOUR))
    pause(bench, "b")
    pause(bench, "c", until=NOON + HOUR)
    assert [one.name for one in bench.database.schedules.due(NOON + HOUR - 1)] == []
    assert [one.name for one in bench.database.schedules.due(NOON + HOUR)] == ["a", "c"]


# ---------------------------------------------------------------- nominal times
def test_whoever_is_second_to_plan_a_time_writes_nothing(bench: Bench) -> None:
    set_up(bench, hourly())
    seen = get(bench)
    schedules = bench.database.schedules
    assert schedules.plan(seen, NOON + 2 * HOUR, [row(seen), row(seen, "db")], decided_at=bench.now) == 2
    assert schedules.plan(seen, NOON + 2 * HOUR, [row(seen), row(seen, "api")], decided_at=bench.now) is None
    assert {one.service_id for one in schedules.ripe(NOON + HOUR, 10)} == {"web", "db"}
    assert get(bench).next_at == NOON + 2 * HOUR


def test_a_time_that_has_a_row_gets_no_second_one(bench: Bench) -> None:
    """A clock that went back names times again."""
    set_up(bench, hourly())
    schedules, seen = bench.database.schedules, get(bench)
    schedules.plan(seen, NOON + 2 * HOUR, [row(seen)], decided_at=bench.now)
    schedules.plan(get(bench), NOON + HOUR, decided_at=bench.now)
    assert schedules.plan(get(bench), NOON + 2 * HOUR, [row(seen)], decided_at=bench.now) == 0


def test_going_back_forgets_what_is_still_to_come_and_keeps_what_was_asked_for(bench: Bench) -> None:
    set_up(bench, hourly(jitter_seconds=60))
    schedules, seen = bench.database.schedules, get(bench)
    late = NOON + 9 * HOUR
    rows = [dataclasses.replace(row(seen, hours=hours), run_at=late) for hours in (1, 2, 3)]
    schedules.plan(seen, NOON + 4 * HOUR, rows, decided_at=bench.now)
    schedules.ask(rows[2], [accepted("m1")], coalesce=False)
    bench.now = NOON + HOUR + 1
    schedules.go_back(get(bench), NOON + 2 * HOUR)
    found = {one.nominal_at: one for one in schedules.history("acme", "hourly", 9)}
    assert {nominal: one.state for nominal, one in found.items()} == {
        NOON + 3 * HOUR: FiringState.ASKED, NOON + HOUR: FiringState.PLANNED,
    }  # fmt: skip
    assert found[NOON + HOUR].run_at <= bench.now + 60_000, "it is due by this clock, too"
    assert get(bench).next_at == NOON + 2 * HOUR


@pytest.mark.parametrize("how", ["planned", "resumed"])
def test_going_back_moves_and_forgets_nothing_of_a_schedule_that_has_changed_meanwhile(bench: Bench, how: str) -> None:
    """I25: a time of which the row is gone, and that the schedule is past, would never be asked for."""
    set_up(bench, hourly())
    bench.now += HOUR
    schedules, seen = bench.database.schedules, get(bench)
    if how == "planned":
        schedules.plan(seen, NOON + 9 * HOUR, [row(seen)], decided_at=bench.now)
    else:
        schedules.plan(seen, NOON + 2 * HOUR, [row(seen)], decided_at=bench.now)
        seen = get(bench)
        pause(bench)
        resume(bench, next_at=NOON + 9 * HOUR)
    bench.now = NOON
    assert not schedules.go_back(seen, NOON + HOUR)
    assert get(bench).next_at == NOON + 9 * HOUR
    assert schedules.ripe(NOON + HOUR, 9) == [dataclasses.replace(row(seen), updated_at=NOON + HOUR)]
    assert schedules.go_back(get(bench), NOON + HOUR)
    assert (get(bench).next_at, schedules.ripe(NOON + HOUR, 9)) == (NOON + HOUR, [])


def test_what_lies_before_the_next_time_is_kept_when_the_clock_goes_back(bench: Bench) -> None:
    """I25: the schedule would not come by it again."""
    set_up(bench, hourly())
    schedules, seen = bench.database.schedules, get(bench)
    bench.now += 2 * HOUR
    schedules.plan(seen, NOON + 3 * HOUR, [row(seen), row(seen, hours=2)], decided_at=bench.now)
    bench.now = NOON
    assert schedules.go_back(get(bench), NOON + 2 * HOUR)
    assert [one.nominal_at - NOON for one in schedules.ripe(NOON + 9 * HOUR, 9)] == [HOUR]


def test_nothing_is_planned_by_a_clock_that_was_ahead(bench: Bench) -> None:
    """I25: whoever wakes up after all was put right would move the schedule away once more, and nobody would notice."""
    set_up(bench, hourly())
    schedules, seen, ahead = bench.database.schedules, get(bench), NOON + 30 * HOUR
    bench.now = NOON + HOUR
    for rows in ([row(seen, hours=30)], []):
        assert schedules.plan(seen, ahead + HOUR, rows, decided_at=ahead) is None
    assert (get(bench).next_at, schedules.ripe(ahead, 9)) == (NOON + HOUR, [])
    assert schedules.plan(seen, NOON + 2 * HOUR, [row(seen)], decided_at=bench.now) == 1


def test_what_was_changed_or_paused_meanwhile_is_not_planned(bench: Bench) -> None:
    set_up(bench, hourly("a"), hourly("b"), hourly("c"))
    schedules = bench.database.schedules
    seen = {name: get(bench, name) for name in "abc"}
    make(bench, SaveSchedule(hourly("a", kind="restore-drill")))
    pause(bench, "b")
    make(bench, RemoveSchedule("acme", "c"))
    assert [schedules.plan(one, NOON + 2 * HOUR, [row(one)], decided_at=bench.now) for one in seen.values()] == [
        None,
        None,
        None,
    ]


def test_planning_ends_a_pause_whose_time_is_over(bench: Bench) -> None:
    set_up(bench, hourly())
    pause(bench, until=NOON + HOUR)
    seen = get(bench)
    bench.now = NOON + HOUR
    assert bench.database.schedules.plan(seen, NOON + 2 * HOUR, [row(seen)], decided_at=bench.now) == 1
    assert get(bench).pause is None


def test_a_pause_that_is_over_is_shown_as_none_before_anything_is_planned(bench: Bench) -> None:
    set_up(bench, hourly())
    pause(bench, until=NOON + 1)
    assert get(bench).pause is not None
    bench.now = NOON + 1
    assert get(bench).pause is None
    assert [one.pause for one in bench.database.schedules.list()] == [None]


def test_rows_are_ripe_when_their_jitter_is_over(bench: Bench) -> None:
    set_up(bench, hourly())
    seen = get(bench)
    late = dataclasses.replace(row(seen, "db"), run_at=NOON + HOUR + 60_000)
    bench.database.schedules.plan(seen, NOON + 2 * HOUR, [late, row(seen)], decided_at=bench.now)
    assert [one.service_id for one in bench.database.schedules.ripe(NOON + HOUR, 10)] == ["web"]
    assert [one.service_id for one in bench.database.schedules.ripe(NOON + HOUR + 60_000, 10)] == ["web", "db"]


def planned(bench: Bench) -> Firing:
    """A schedule, and its first time as a row."""
    set_up(bench, hourly())
    seen = get(bench)
    bench.database.schedules.plan(seen, NOON + 2 * HOUR, [row(seen)], decided_at=bench.now)
    return row(seen)


def test_a_row_ends_in_the_transaction_that_accepts_its_commands_and_only_once(bench: Bench) -> None:
    firing = planned(bench)
    schedules = bench.database.schedules
    assert schedules.ask(firing, [accepted("m1")], coalesce=True) is FiringState.ASKED
    assert schedules.ask(firing, [accepted("m2")], coalesce=True) is None
    (kept,) = schedules.history("acme", "hourly", 10)
    assert [bench.get(op_id).message_id for op_id in kept.operations] == ["m1"]
    assert bench.database.find_by_message("/console", "m2") is None


def test_an_equal_command_that_waits_already_is_enough(bench: Bench) -> None:
    firing = planned(bench)
    waiting = bench.accept_one("m0", digest="same")
    schedules = bench.database.schedules
    assert schedules.ask(firing, [accepted("m1", digest="same")], coalesce=True) is FiringState.COALESCED
    (kept,) = schedules.history("acme", "hourly", 10)
    assert kept.operations == (waiting,)


@pytest.mark.parametrize("how", ["not wanted", "differs", "begun", "another service"])
def test_nothing_else_stands_for_a_command(bench: Bench, how: str) -> None:
    """One that has begun may have read the files before the time for which it is asked."""
    firing = planned(bench)
    bench.accept_one("m0", "db" if how == "another service" else "web", digest="other" if how == "differs" else "same")
    if how == "begun":
        bench.claim_one()
    state = bench.database.schedules.ask(firing, [accepted("m1", digest="same")], coalesce=how != "not wanted")
    assert state is FiringState.ASKED


def test_while_it_is_paused_or_after_it_was_removed_planned_rows_are_skipped_with_the_reason(bench: Bench) -> None:
    firing = planned(bench)
    seen = get(bench)
    other = row(seen, "db")
    bench.database.schedules.plan(seen, NOON + 3 * HOUR, [other], decided_at=bench.now)
    pause(bench)
    assert bench.database.schedules.ask(firing, [accepted("m1")], coalesce=True) is FiringState.SKIPPED
    make(bench, RemoveSchedule("acme", "hourly"))
    assert bench.database.schedules.ask(other, [accepted("m2")], coalesce=True) is FiringState.SKIPPED
    whys = {one.service_id: one.why for one in bench.database.schedules.history("acme", "hourly", 10)}
    assert whys == {"web": "paused: a move", "db": "the schedule was removed"}


def test_resuming_may_let_what_was_missed_pass(bench: Bench) -> None:
    set_up(bench, hourly())
    pause(bench)
    resume(bench, next_at=NOON + 7 * HOUR)
    assert (get(bench).pause, get(bench).next_at) == (None, NOON + 7 * HOUR)


def test_what_ended_long_ago_is_forgotten_and_what_is_planned_is_not(bench: Bench) -> None:
    firing = planned(bench)
    seen = get(bench)
    bench.database.schedules.plan(seen, NOON + 3 * HOUR, [row(seen, "db")], decided_at=bench.now)
    bench.database.schedules.ask(firing, [], coalesce=True, why="no reason")
    assert bench.database.schedules.prune(NOON) == 0
    assert bench.database.schedules.prune(NOON + 1) == 1
    assert [one.service_id for one in bench.database.schedules.history("acme", "hourly", 10)] == ["db"]


# ---------------------------------------------------------------- which snapshots are read back
def test_the_share_that_nobody_has_read_for_the_longest_time_comes_first(bench: Bench) -> None:
    register(bench, "web", "db")
    for number in range(1, 6):
        saved(bench, f"s{number}", taken_at=number)
    saved(bench, "other", "db")
    catalogue = bench.database.catalogue
    assert [one.snapshot_id for one in catalogue.least_read("web", 40)] == ["s1", "s2"]
    assert [one.snapshot_id for one in catalogue.least_read("web", 1)] == ["s1"], "at least one"
    assert len(catalogue.least_read("web", 100)) == 5
    assert catalogue.least_read("nobody", 50) == []
