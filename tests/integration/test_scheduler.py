"""The scheduler over a real database: each time is asked for once, whoever looks and whatever the clock does."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from domain.contracts import Turn
from domain.errors import DatabaseUnavailable, InvalidMessage
from domain.operation import State
from domain.outcome import MarkSound
from domain.schedule import CatchUp, Schedule
from domain.schedule_changes import RemoveSchedule
from tests.contract.diary import HOUR, NOON, Node, asked, at, hourly, make, pause, register, resume, saved, set_up
from tests.contract.sql_bench import Bench
from tests.fakes.even_calendar import EvenCalendar
from workers import scheduler
from workers.scheduler import LEASE_MS


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """What the statements do on PostgreSQL is the contract's affair."""
    with Bench.opened(f"sqlite:///{tmp_path}/backstay.db") as opened:
        opened.now = NOON
        register(opened, "web", "db")
        yield opened


def test_each_time_is_asked_for_once_at_its_time(bench: Bench) -> None:
    set_up(bench, hourly(coalesce=False))
    node = Node(bench, "n1")
    for _ in range(10):
        bench.now += HOUR // 4
        node.look()
        node.look()
    assert asked(bench) == [("web", at(1)), ("web", at(2))]
    assert node.woken == 2


def test_a_schedule_of_the_tenant_is_about_all_of_its_services_of_that_moment(bench: Bench) -> None:
    set_up(bench, hourly(service_id="", coalesce=False))
    node = Node(bench, "n1")
    bench.now += HOUR
    node.look()
    register(bench, "api")
    bench.now += HOUR
    node.look()
    assert asked(bench) == [("db", at(1)), ("web", at(1)), ("api", at(2)), ("db", at(2)), ("web", at(2))]


def test_commands_are_what_a_publisher_would_have_sent(bench: Bench) -> None:
    register(bench, "shop", node="n7")
    set_up(bench, hourly("nightly", service_id="shop", data={"labels": ["by:schedule"]}))
    bench.now += HOUR
    Node(bench, "n1").look()
    (listed,) = [one for one in bench.database.list_operations(limit=50) if one.source.startswith("/backstay/")]
    operation = bench.get(listed.op_id)
    assert operation.state is State.QUEUED
    assert (operation.kind, operation.data, operation.node) == ("create-snapshot", {"labels": ["by:schedule"]}, "n7")
    assert (operation.source, operation.correlation_id) == ("/backstay/schedules/acme/nightly", f"nightly/{at(1)}")


def test_two_nodes_that_both_believe_to_lead_ask_once(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is no lock: without it everything is still asked for once."""
    set_up(bench, hourly(coalesce=False), hourly("tenant", service_id="", coalesce=False, jitter_seconds=60))
    schedules = bench.database.schedules
    monkeypatch.setattr(schedules, "lead", lambda *_: Turn(bench.now, False))
    nodes, draw = [Node(bench, "n1"), Node(bench, "n2")], random.Random(1)
    for _ in range(41):
        bench.now += HOUR // 10
        for node in draw.sample(nodes, 2):
            node.look()
    hours = [at(hour) for hour in range(1, 5)]
    assert sorted(asked(bench)) == sorted([(name, hour) for name in ("web", "web", "db") for hour in hours])


@pytest.mark.parametrize(
    ("jump", "catch_up"),
    [
        (-30_000, CatchUp.ONE),
        (-HOUR - 1, CatchUp.ONE),
        (-30 * HOUR, CatchUp.ALL),
        (30 * HOUR, CatchUp.ONE),
        (30 * HOUR, CatchUp.ALL),
    ],
)
def test_a_clock_that_jumps_and_comes_back_asks_for_no_time_twice(bench: Bench, jump: int, catch_up: CatchUp) -> None:
    set_up(bench, hourly(catch_up=catch_up, coalesce=False))
    nodes = [Node(bench, "n1"), Node(bench, "n2")]

    def pass_hours(count: int) -> None:
        for _ in range(2 * count):
            bench.now += HOUR // 2
            for node in nodes:
                node.look()

    pass_hours(3)
    bench.now += jump
    pass_hours(1)
    bench.now -= jump
    pass_hours(4)
    times = [nominal for _, nominal in asked(bench)]
    assert len(times) == len(set(times)), "a nominal time was asked for twice"
    assert {at(hour) for hour in (1, 2, 3)} <= set(times)
    now = (bench.now - NOON) / HOUR
    assert set(times) & {at(int(now)), at(int(now) - 1)}, "it goes on after the jump, without waiting for the clock"


@pytest.mark.parametrize("back_at", [0.5, 1.5, 10.5])
@pytest.mark.parametrize("catch_up", [CatchUp.ALL, CatchUp.ONE])
def test_times_that_a_clock_ahead_has_planned_and_not_asked_for_are_asked_for_when_they_come(
    bench: Bench, catch_up: CatchUp, back_at: float
) -> None:
    """I25: with jitter their rows wait, and would be in the way of the right ones for as long as the clock jumped."""
    set_up(bench, hourly(catch_up=catch_up, coalesce=False, jitter_seconds=600))
    node = Node(bench, "n1")
    bench.now += 100 * HOUR
    node.look()
    assert asked(bench) == [], "they wait for their jitter"
    bench.now = NOON + round(back_at * HOUR)
    node.look()
    first = int(back_at) + 1
    while bench.now < NOON + (first + 3) * HOUR:
        bench.now += HOUR // 4
        node.look()
    hours = [at(hour) for hour in range(first, first + 3)]
    caught_up = [at(hour) for hour in range(1, first)] if catch_up is CatchUp.ALL else []
    assert [nominal for _, nominal in asked(bench)] == caught_up + hours


@pytest.mark.parametrize("successor", ["n1", "n2"])
def test_when_putting_back_fails_half_way_the_next_look_does_it_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, successor: str
) -> None:
    """I25: none is forgotten. Whether the same node looks again or, after its death, another one."""
    names = ["first", "second", "third"]
    set_up(bench, *(hourly(name, coalesce=False) for name in names))
    schedules = bench.database.schedules
    go_back, calls = schedules.go_back, itertools.count(1)

    def fails_once(ahead: Schedule, next_at: int) -> bool:
        if next(calls) == 2:
            raise DatabaseUnavailable("the connection broke")
        return go_back(ahead, next_at)

    bench.now += 30 * HOUR
    node = Node(bench, "n1")
    node.look()
    bench.now -= 30 * HOUR
    monkeypatch.setattr(schedules, "go_back", fails_once)
    with pytest.raises(DatabaseUnavailable):
        node.look()
    bench.now += LEASE_MS
    leader = node if successor == "n1" else Node(bench, successor)
    leader.look()
    found = [schedules.get("acme", name) for name in names]
    assert [one.next_at for one in found if one] == [NOON + HOUR] * 3
    assert asked(bench).count(("web", at(30))) == 3, "each once"
    turn = schedules.lead(str(leader.owner), LEASE_MS, leader.owner.is_dead)
    assert turn is not None and not turn.went_back, "it is over"


def test_a_schedule_that_is_moved_while_it_is_put_back_is_put_back_all_the_same(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I25: it would rest until the clock is there again, and no time before that would ever be asked for."""
    set_up(bench, hourly(coalesce=False))
    schedules = bench.database.schedules
    node, go_back, calls = Node(bench, "n1"), schedules.go_back, itertools.count(1)

    def moved_before(seen: Schedule, next_at: int) -> bool:
        if next(calls) == 1:  # by somebody who began while the clock was still ahead
            schedules.plan(seen, seen.next_at + 9 * HOUR, decided_at=bench.now)
        return go_back(seen, next_at)

    bench.now += 30 * HOUR
    node.look()
    bench.now -= 30 * HOUR
    monkeypatch.setattr(schedules, "go_back", moved_before)
    node.look()
    found = schedules.get("acme", "hourly")
    assert found is not None and found.next_at == NOON + HOUR


def test_what_was_missed_while_nobody_looked_is_made_up_for_as_the_policy_says(bench: Bench) -> None:
    set_up(
        bench,
        *(hourly(policy.value, catch_up=policy, coalesce=False, service_id="web") for policy in CatchUp),
    )
    bench.now += 5 * HOUR + HOUR // 2
    Node(bench, "n1").look()
    by_name = {name: len(bench.database.schedules.history("acme", name, 50)) for name in CatchUp}
    assert by_name == {CatchUp.NONE: 0, CatchUp.ONE: 1, CatchUp.ALL: 5}
    bench.now += HOUR // 2
    Node(bench, "n1").look()
    assert sum(1 for _, nominal in asked(bench) if nominal == at(6)) == 3


def test_a_paused_schedule_asks_for_nothing_and_then_follows_its_policy(bench: Bench) -> None:
    set_up(bench, hourly(coalesce=False))
    pause(bench)
    node = Node(bench, "n1")
    for _ in range(3):
        bench.now += HOUR
        node.look()
    assert asked(bench) == []
    resume(bench)
    node.look()
    assert asked(bench) == [("web", at(3))]


def test_a_pause_ends_by_itself_at_its_time(bench: Bench) -> None:
    set_up(bench, hourly(catch_up=CatchUp.NONE, coalesce=False))
    pause(bench, until=NOON + 2 * HOUR + HOUR // 2)
    node = Node(bench, "n1")
    for _ in range(3):
        bench.now += HOUR
        node.look()
    assert asked(bench) == [("web", at(3))]


def test_resuming_with_what_was_missed_let_pass_begins_with_the_next_time(bench: Bench) -> None:
    set_up(bench, hourly(coalesce=False))
    pause(bench)
    node = Node(bench, "n1")
    bench.now += 3 * HOUR
    resume(bench, next_at=NOON + 4 * HOUR)
    node.look()
    assert asked(bench) == []
    bench.now += HOUR
    node.look()
    assert asked(bench) == [("web", at(4))]


def test_jitter_begins_later_and_a_pause_in_between_is_heeded(bench: Bench) -> None:
    set_up(bench, hourly(service_id="", jitter_seconds=1800))
    node = Node(bench, "n1")
    bench.now += HOUR
    node.look()
    before = len(asked(bench))
    pause(bench)
    bench.now += HOUR // 2
    node.look()
    states = [one.state.value for one in bench.database.schedules.history("acme", "hourly", 10)]
    assert len(asked(bench)) == before
    assert sorted(states) == sorted(["asked"] * before + ["skipped"] * (2 - before))


def test_a_slow_service_has_one_command_waiting_and_no_more(bench: Bench) -> None:
    set_up(bench, hourly())
    node = Node(bench, "n1")
    bench.now += HOUR
    node.look()
    (running,) = bench.claim()
    for _ in range(5):
        bench.now += HOUR
        node.look()
    assert [nominal for _, nominal in asked(bench)] == [at(1), at(2)]
    bench.succeed(running)
    states = [one.state.value for one in bench.database.schedules.history("acme", "hourly", 10)]
    assert states == ["coalesced"] * 4 + ["asked"] * 2


def test_verification_takes_the_snapshots_that_were_not_read_for_the_longest_time(bench: Bench) -> None:
    ids = {number: f"0192f0c1-7c9a-7c3f-b7a5-00000000000{number}" for number in range(1, 5)}
    for number in ids:
        saved(bench, ids[number], taken_at=number)
    make(bench, MarkSound(ids[1], "hash", bench.now))
    set_up(bench, hourly(kind="verify-snapshot", data={"percent": 50, "level": "exists"}))
    bench.now += HOUR
    Node(bench, "n1").look()
    listed = [one for one in bench.database.list_operations(limit=50) if one.kind == "verify-snapshot"]
    data = [bench.get(one.op_id).data for one in reversed(listed)]
    assert data == [{"snapshot_id": ids[number], "level": "exists"} for number in (2, 3)]
    assert not listed[0].exclusive


def test_what_there_is_nothing_to_do_for_is_skipped_with_the_reason(bench: Bench) -> None:
    set_up(bench, hourly(kind="verify-snapshot"), hourly("odd", data={"no-such": "field"}))
    bench.now += HOUR
    Node(bench, "n1").look()
    whys = {name: bench.database.schedules.history("acme", name, 1)[0].why for name in ("hourly", "odd")}
    assert whys["hourly"] == "the service has no snapshot"
    assert "no-such" in whys["odd"]


def test_retention_of_a_tenant_is_about_services_with_a_policy(bench: Bench) -> None:
    register(bench, "kept", retention={"last": 3})
    set_up(
        bench,
        hourly("own", kind="apply-retention", service_id=""),
        hourly("given", kind="apply-retention", service_id="", data={"policy": {"last": 9}}),
    )
    bench.now += HOUR
    Node(bench, "n1").look()
    history = bench.database.schedules.history
    assert [one.service_id for one in history("acme", "own", 9)] == ["kept"]
    assert sorted(one.service_id for one in history("acme", "given", 9)) == ["db", "kept", "web"]


class Moody(EvenCalendar):
    """Cannot read the first expression that it is asked about."""

    asked = False

    def after(self, cron: str, zone: str, at: int) -> int:
        if not self.asked:
            self.asked = True
            raise InvalidMessage("no time zone", field="zone")
        return super().after(cron, zone, at)


def test_a_schedule_that_cannot_be_read_keeps_no_other_from_its_time(bench: Bench) -> None:
    set_up(bench, hourly("broken"), hourly("sound", next_at=NOON + HOUR + 1))
    node = Node(bench, "n1", Moody())
    bench.now += HOUR + 1
    node.look()
    assert [len(bench.database.schedules.history("acme", name, 9)) for name in ("broken", "sound")] == [0, 1]


def test_rows_of_a_schedule_that_was_removed_ask_for_nothing(bench: Bench) -> None:
    set_up(bench, hourly(jitter_seconds=1800, service_id=""))
    node = Node(bench, "n1")
    bench.now += HOUR
    node.look()
    before = asked(bench)
    make(bench, RemoveSchedule("acme", "hourly"))
    bench.now += HOUR // 2
    node.look()
    assert asked(bench) == before
    assert not [one for one in bench.database.schedules.history("acme", "hourly", 9) if one.state == "planned"]


def test_only_the_leader_looks_and_another_follows_when_it_stops(bench: Bench) -> None:
    set_up(bench, hourly(coalesce=False))
    first, second = Node(bench, "n1"), Node(bench, "n2")
    first.look()
    bench.now += HOUR // 2
    first.look()
    second.look()
    bench.now += HOUR // 2 - 5_000
    first.look()
    bench.now += 5_000
    second.look()
    assert asked(bench) == [], "the lease is the first node's"
    first.scheduler.stop()
    second.look()
    assert asked(bench) == [("web", at(1))]


def test_what_only_a_later_version_can_ask_for_waits_for_it_and_holds_up_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I25: while nodes are updated one by one, the older one may look after schedules."""
    monkeypatch.setattr(scheduler, "MOST_ASKED", 1)
    set_up(bench, hourly("a", kind="repack-service", service_id="db"), hourly("b", coalesce=False))
    old = Node(bench, "n1", unknown="repack-service")
    for _ in range(3):
        bench.now += HOUR
        old.look()
        old.look()
        old.look()
    assert asked(bench) == [("web", at(hour)) for hour in (1, 2, 3)]
    bench.now += LEASE_MS + 1
    new = Node(bench, "n2")
    for _ in range(3):
        new.look()
    assert [service for service, _ in asked(bench)] == ["web"] * 3 + ["db"], "equal commands that wait are one"
