"""Progress keeps a lease alive; a hung worker, a cancel, a deadline or a lost lease ends the work."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from domain.contracts import Claim
from domain.errors import Cancelled, DatabaseUnavailable, DeadlineExceeded, LeaseLost, ShuttingDown
from domain.lease import Lease, Taken
from domain.operation import Operation, State
from tests.fakes.clock import FakeClock
from workers.watch import LeaseWatch

TTL_MS = 60_000


class Renewals:
    """A ledger that only renews, and answers as it is told to."""

    def __init__(self) -> None:
        self.progress: list[dict[str, Any] | None] = []
        self.cancel = False
        self.error: Exception | None = None

    def renew(self, claim: Claim, lease_ms: int, progress: dict[str, Any] | None = None) -> bool:
        if self.error:
            raise self.error
        self.progress.append(progress)
        return self.cancel


class Work:
    """A claim under watch, with its collaborators at hand."""

    def __init__(self, deadline_in_ms: int = 0) -> None:
        self.clock, self.ledger, self.stopping = FakeClock(), Renewals(), threading.Event()
        now = 5_000_000
        operation = Operation(
            1, "op", "s", "m", "create-snapshot", "acme", "web", State.RUNNING, {},
            lease_until=now + TTL_MS, deadline_at=now + deadline_in_ms if deadline_in_ms else 0,
        )  # fmt: skip
        started = self.clock.boottime()
        self.lease = Lease(self.clock, TTL_MS, started)
        self.taken = Taken(Claim(operation, takeover=False), started, started)
        self.watch = LeaseWatch(self.ledger, self.taken, self.lease, self.clock, self.stopping)  # type: ignore[arg-type]


def test_progress_renews_the_lease_once_a_second_and_not_more_often() -> None:
    work = Work()
    for _ in range(100):
        work.clock.pass_seconds(0.1)
        work.watch.advance(bytes_done=10)
    assert 9 <= len(work.ledger.progress) <= 10
    assert work.lease.left() > 58
    last = work.ledger.progress[-1]
    assert last is not None and last["bytes_done"] > 900


def test_waiting_without_progress_renews_but_does_not_count_as_progress() -> None:
    """A worker that dies before any progress must still be counted as poison."""
    work = Work()
    work.clock.pass_seconds(2)
    work.watch.check()
    assert work.ledger.progress == [None]


def test_a_cancel_request_ends_the_work_at_the_next_check() -> None:
    work = Work()
    work.ledger.cancel = True
    work.clock.pass_seconds(2)
    with pytest.raises(Cancelled):
        work.watch.check()


def test_what_is_being_put_back_is_neither_cancelled_nor_late_and_still_ends_with_its_process() -> None:
    work = Work(deadline_in_ms=1_000)
    work.ledger.cancel = True
    work.watch.insist()
    work.clock.pass_seconds(2)
    work.watch.advance(bytes_done=1)
    assert work.ledger.progress  # and the lease is renewed
    work.stopping.set()
    with pytest.raises(ShuttingDown):
        work.watch.check()


def test_the_deadline_is_counted_on_this_process_s_own_clock() -> None:
    work = Work(deadline_in_ms=30_000)
    work.clock.pass_seconds(29)
    work.watch.check()
    work.clock.pass_seconds(2)
    with pytest.raises(DeadlineExceeded):
        work.watch.check()


def test_a_stopping_process_gives_the_work_up() -> None:
    work = Work()
    work.stopping.set()
    with pytest.raises(ShuttingDown):
        work.watch.check()


def test_a_stopping_process_renews_and_tells_first_whether_the_lease_is_lost() -> None:
    work = Work()
    work.stopping.set()
    work.clock.pass_seconds(40)
    with pytest.raises(ShuttingDown):
        work.watch.keep(10)
    assert work.lease.left() > 58
    work.clock.pass_seconds(40)
    work.ledger.error = LeaseLost("another worker")
    with pytest.raises(LeaseLost):
        work.watch.keep(10)


def test_what_stays_keeps_its_lease_in_a_stopping_process_and_is_not_given_back() -> None:
    work = Work()
    with work.watch.staying():
        work.stopping.set()
        assert not work.taken.hold.give_back()
        work.clock.pass_seconds(40)
        work.watch.keep(10)
        assert work.lease.left() > 58
    with pytest.raises(ShuttingDown):
        work.watch.keep(10)
    assert work.taken.hold.give_back()


def test_what_was_given_back_cannot_stay_any_more() -> None:
    """Its lease seems to last for a while, and somebody else holds it."""
    work = Work()
    assert work.taken.hold.give_back()
    with pytest.raises(LeaseLost), work.watch.staying():
        raise AssertionError("it begins something")
    assert work.taken.hold.give_back()


def test_another_holder_ends_the_work() -> None:
    work = Work()
    work.ledger.error = LeaseLost("another worker")
    work.clock.pass_seconds(2)
    with pytest.raises(LeaseLost):
        work.watch.advance(1)


def test_a_short_database_outage_is_ridden_out_and_a_long_one_ends_the_work_before_the_lease() -> None:
    work = Work()
    work.ledger.error = DatabaseUnavailable("gone")
    work.clock.pass_seconds(50)
    work.watch.check()
    work.clock.pass_seconds(6)
    assert work.lease.left() > 0
    with pytest.raises(LeaseLost, match="could not be renewed"):
        work.watch.check()


def test_totals_are_kept_with_the_progress() -> None:
    work = Work()
    work.watch.expect(bytes_total=100, files_total=3)
    work.clock.pass_seconds(2)
    work.watch.advance(bytes_done=40, files_done=1)
    assert work.ledger.progress == [{"bytes_done": 40, "files_done": 1, "bytes_total": 100, "files_total": 3}]
