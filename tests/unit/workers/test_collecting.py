"""What the store does not let go of stands in the way of nothing else, and is tried again."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any, cast

import pytest

from domain.contracts import Garbage
from domain.errors import DatabaseUnavailable, Refused, StoreUnavailable
from tests.fakes.clock import FakeClock
from workers import collecting
from workers.collecting import MOST_IN_A_ROW, REST_SECONDS, Collecting


class FakeStore:
    """Garbage of several tenants, in the order in which it may go."""

    replicas = ()

    def __init__(self, *keys: str) -> None:
        self.keys = list(keys)
        self.kept: dict[str, Exception] = {}
        self.tried: list[list[str]] = []
        self.fails: Exception | None = None

    def garbage(self, limit: int, _: object) -> list[Garbage]:
        return [Garbage(key, False, 0, key.endswith("/manifest")) for key in self.keys[:limit]]

    def live_packs(self, _: str) -> set[str]:
        return set()

    def forget_garbage(self, keys: Iterable[str]) -> None:
        if self.fails is not None:
            raise self.fails
        gone = set(keys)
        self.keys = [key for key in self.keys if key not in gone]

    def collect(self, rows: list[Garbage], _: object) -> list[str]:
        asked = [row.key for row in rows]
        self.tried.append(asked)
        for key in asked:
            if key in self.kept:
                raise self.kept[key]
        return asked


def pack(number: int, tenant: str = "acme") -> str:
    return f"tenants/{tenant}/packs/s1/{number}"


def manifest(tenant: str = "acme") -> str:
    return f"tenants/{tenant}/services/web/snapshots/s1/manifest"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def over(store: FakeStore, clock: FakeClock) -> Collecting:
    return Collecting(cast(Any, store), cast(Any, store), clock)


def collected(collector: Collecting) -> int | str:
    try:
        return collector.collect(threading.Event())
    except Refused as error:
        return str(error)


def test_one_object_that_stays_keeps_no_other_from_going(clock: FakeClock) -> None:
    store = FakeStore(*(pack(number) for number in range(7)))
    store.kept = {pack(2): Refused("locked")}
    collector = over(store, clock)
    assert collected(collector) == "locked"
    assert store.keys == [pack(2)]


def test_what_stays_is_left_alone_for_longer_each_time(clock: FakeClock) -> None:
    store = FakeStore(pack(1))
    store.kept = {pack(1): Refused("locked")}
    collector = over(store, clock)
    rounds = []
    for minute in range(16):
        before = len(store.tried)
        collected(collector)
        if len(store.tried) > before:
            rounds.append(minute)
        clock.pass_seconds(REST_SECONDS)
    assert rounds == [0, 1, 3, 7, 15]
    store.kept = {}
    clock.pass_seconds(3600)
    assert collected(collector) == 1


def test_more_that_stays_than_a_batch_holds_hides_nothing_behind_it(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collecting, "BATCH", 2)
    store = FakeStore(*(pack(number) for number in range(8)), pack(8, "other"))
    store.kept = {pack(number): Refused("locked") for number in range(8)}
    collector = over(store, clock)
    for _ in range(6):
        collected(collector)
    assert store.keys == [pack(number) for number in range(8)]


def test_packs_stay_for_as_long_as_a_manifest_of_their_tenant_does(clock: FakeClock) -> None:
    """Nothing may name what is gone."""
    store = FakeStore(manifest(), manifest("other"), pack(1), pack(2, "other"))
    store.kept = {manifest(): Refused("locked")}
    collector = over(store, clock)
    for _ in range(3):
        collected(collector)
    assert store.keys == [manifest(), pack(1)]
    store.kept = {}
    clock.pass_seconds(REST_SECONDS)
    assert collected(collector) == 2


def test_a_store_that_is_away_is_not_asked_for_each_object(clock: FakeClock) -> None:
    store = FakeStore(*(pack(number) for number in range(50)))
    store.kept = {pack(number): StoreUnavailable("away") for number in range(50)}
    with pytest.raises(StoreUnavailable):
        over(store, clock).collect(threading.Event())
    assert len(store.tried) == 1 + MOST_IN_A_ROW


def test_a_database_that_is_away_is_no_fault_of_the_objects(clock: FakeClock) -> None:
    store = FakeStore(pack(1))
    store.fails = DatabaseUnavailable("away")
    collector = over(store, clock)
    with pytest.raises(DatabaseUnavailable):
        collector.collect(threading.Event())
    store.fails = None
    assert collected(collector) == 1


def test_a_collection_ends_when_the_node_stops(clock: FakeClock) -> None:
    store, stopping = FakeStore(pack(1)), threading.Event()
    stopping.set()
    assert over(store, clock).collect(stopping) == 0
    assert store.keys == [pack(1)]
