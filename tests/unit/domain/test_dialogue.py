"""The rules of every call to a region: room in the lease, seals, retries, the breaker."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import cast

import pytest

from domain.breaker import Breakers, Limits
from domain.classify import Verdict
from domain.contracts import Watch
from domain.dialogue import TRIES, Dialogue
from domain.errors import LeaseLost, Postponed, RegionUnavailable
from domain.journal import Journal
from domain.region import Call, Place, Repeat, Reply, Trouble
from tests.fakes.clock import FakeClock

PLACE = Place("eu-1", "acme", "svc", "web")
ENV = Call("add-env", "POST", "/env", {}, Repeat.EXISTS, optional=True)
BUILD = Call("build", "POST", "/build", {}, Repeat.ONCE)
OK, CUT, AWAY = Reply(200), Reply(trouble=Trouble.CUT), Reply(trouble=Trouble.NOT_SENT)
LONGEST = 4.0


class FakeJournal:
    """The fence of one holder."""

    def __init__(self) -> None:
        self.fence = 1

    def bump(self) -> None:
        self.fence += 1


class FakeWatch:
    """A lease that lasts as long as it is asked to, until `lost`."""

    def __init__(self) -> None:
        self.asked: list[float] = []
        self.lost = False

    def keep(self, seconds: float) -> None:
        self.asked.append(seconds)
        if self.lost:
            raise LeaseLost("lost")


class ScriptedRegion:
    """Answers with `replies` in order, then with success; keeps what it was sent."""

    def __init__(self, clock: FakeClock, *, fenced: bool) -> None:
        self.clock, self.fenced = clock, fenced
        self.replies: list[Reply] = []
        self.sent: list[tuple[str, int]] = []
        self.takes = 0.1

    def send(self, place: Place, call: Call, fence: int) -> Reply:
        self.sent.append((call.name, fence))
        self.clock.pass_seconds(self.takes)
        if call.name == "seal":
            return OK
        return self.replies.pop(0) if self.replies else OK

    def longest_call(self, place: Place) -> float:
        return LONGEST

    def retry_seconds(self, place: Place) -> float:
        return 10.0

    def honours_fences(self, place: Place) -> bool:
        return self.fenced

    def settle_seconds(self, place: Place) -> float:
        return 30.0


class Stage:
    """A dialogue and everything around it."""

    def __init__(self, *, fenced: bool = False, limits: Limits | None = None) -> None:
        self.clock = FakeClock()
        self.counted: list[tuple[str, object]] = []
        self.region = ScriptedRegion(self.clock, fenced=fenced)
        self.journal, self.watch = FakeJournal(), FakeWatch()
        self.breakers = Breakers(self.clock, random.Random(1), limits)
        self.dialogue = self.fresh()

    def count(self, name: str, amount: float = 1.0, **labels: str) -> None:
        self.counted.append((name, labels.get("result", amount)))

    def fresh(self) -> Dialogue:
        """The dialogue of the next attempt in the same process."""
        journal, watch = cast(Journal, self.journal), cast(Watch, self.watch)
        return Dialogue(self.region, journal, watch, self.breakers, self.clock, self.count)


@pytest.fixture(params=[False, True], ids=["settle", "fenced"])
def stage(request: pytest.FixtureRequest) -> Stage:
    return Stage(fenced=request.param)


def test_a_lost_reply_is_asked_for_again_and_remembered_as_unknown(stage: Stage) -> None:
    stage.region.replies = [CUT]
    said = stage.dialogue.send(PLACE, ENV)
    assert (said.answer.verdict, said.unknown, len(said.tries)) == (Verdict.APPLIED, True, 2)
    told = [result for name, result in stage.counted if name == "region_requests"]
    assert told.count("unknown") == 1 and told[-1] == "applied"


def test_what_certainly_did_not_arrive_is_not_unknown(stage: Stage) -> None:
    stage.region.replies = [AWAY, AWAY]
    said = stage.dialogue.send(PLACE, ENV)
    assert (said.answer.verdict, said.unknown, len(said.tries)) == (Verdict.APPLIED, False, 3)


def test_the_start_of_work_is_never_repeated_on_an_unknown_outcome(stage: Stage) -> None:
    stage.region.replies = [CUT]
    said = stage.dialogue.send(PLACE, BUILD)
    assert (said.answer.verdict, len(said.tries)) == (Verdict.UNKNOWN, 1)


def test_it_exists_after_a_lost_try_means_that_the_try_arrived(stage: Stage) -> None:
    stage.region.replies = [CUT, Reply(400, message="record already exist")]
    assert stage.dialogue.send(PLACE, ENV).answer.verdict is Verdict.APPLIED


def test_tries_are_bounded(stage: Stage) -> None:
    stage.region.replies = [CUT] * 10
    assert len(stage.dialogue.send(PLACE, ENV).tries) == TRIES


def test_a_slow_region_gets_no_further_try_once_the_time_for_retries_is_over(stage: Stage) -> None:
    stage.region.replies, stage.region.takes = [CUT] * 10, 11.0
    assert len(stage.dialogue.send(PLACE, ENV).tries) == 1


def test_nothing_is_sent_unless_a_whole_call_still_fits_into_the_lease(stage: Stage) -> None:
    stage.watch.lost = True
    with pytest.raises(LeaseLost):
        stage.dialogue.send(PLACE, ENV)
    assert stage.region.sent == []
    assert stage.watch.asked[0] > LONGEST


def test_a_fence_is_sealed_once_before_anything_else_is_said() -> None:
    stage = Stage(fenced=True)
    stage.dialogue.send(PLACE, ENV)
    stage.dialogue.send(PLACE, ENV)
    assert stage.region.sent == [("seal", 1), ("add-env", 1), ("add-env", 1)]


def test_an_unknown_outcome_raises_the_fence_and_seals_it_before_the_next_try() -> None:
    stage = Stage(fenced=True)
    stage.region.replies = [CUT]
    stage.dialogue.send(PLACE, ENV)
    assert stage.region.sent == [("seal", 1), ("add-env", 1), ("seal", 2), ("add-env", 2)]


def test_a_region_that_knows_a_later_holder_ends_the_attempt() -> None:
    stage = Stage(fenced=True)
    stage.region.replies = [Reply(412, fenced=True)]
    with pytest.raises(LeaseLost):
        stage.dialogue.send(PLACE, ENV)


def test_a_region_that_does_not_take_the_fence_is_no_judgement_on_the_operation() -> None:
    stage = Stage(fenced=True)
    refuse: Callable[..., Reply] = lambda place, call, fence: Reply(500, message="broken")  # noqa: E731
    stage.region.send = refuse  # type: ignore[method-assign]
    with pytest.raises(RegionUnavailable) as caught:
        stage.dialogue.send(PLACE, ENV)
    assert caught.value.code == "not-sealed"


@pytest.mark.parametrize(("tries", "certain"), [([], [True]), ([AWAY], [True]), ([CUT], [])])
def test_what_is_held_back_is_told_from_what_may_have_been_sent(tries: list[Reply], certain: list[bool]) -> None:
    """The breaker opens before the first try, or after one that left, or did not leave."""
    stage = Stage(limits=Limits(window=60.0, least=1 + len(tries), share=0.5, rest=15.0))
    stage.region.replies = [Reply(503, retry_after=1.0), *tries]
    stage.dialogue.send(PLACE, BUILD)
    told: list[bool] = []
    with pytest.raises(Postponed):
        stage.fresh().send(PLACE, ENV, unsent=lambda: told.append(True))
    assert told == certain


def test_a_call_that_was_sent_before_is_never_told_as_unsent() -> None:
    stage = Stage(limits=Limits(window=60.0, least=1, share=0.5, rest=15.0))
    stage.region.replies = [Reply(503, retry_after=1.0)]
    stage.dialogue.send(PLACE, BUILD)
    told: list[bool] = []
    with pytest.raises(Postponed):
        stage.fresh().send(PLACE, ENV, sent_before=True, unsent=lambda: told.append(True))
    assert told == []


def test_without_fences_an_end_waits_until_nothing_can_land_and_keeps_its_lease() -> None:
    stage = Stage()
    before = stage.clock.boottime()
    assert stage.dialogue.settle([PLACE], unsettled=True) is True
    assert stage.clock.boottime() - before >= 30.0
    assert len(stage.watch.asked) > 10


def test_with_fences_or_without_doubt_an_end_waits_for_nothing() -> None:
    for stage, unsettled in ((Stage(fenced=True), True), (Stage(), False)):
        before = stage.clock.boottime()
        assert stage.dialogue.settle([PLACE], unsettled=unsettled) is False
        assert stage.clock.boottime() - before < 1.0


def test_a_region_that_does_not_answer_is_left_alone_and_its_operations_are_postponed_not_failed() -> None:
    """The breaker through the door that operations use: it opens, rests, lets one probe through, and closes."""
    stage = Stage(limits=Limits(window=60.0, least=4, share=0.5, rest=15.0))
    stage.region.replies = [Reply(503)] * 4
    stage.dialogue.send(PLACE, ENV)
    with pytest.raises(Postponed) as caught:
        stage.fresh().send(PLACE, ENV)
    assert len(stage.region.sent) == 4
    assert 0 < caught.value.delay <= 22.5
    stage.clock.pass_seconds(caught.value.delay)
    assert stage.fresh().send(PLACE, ENV).answer.verdict is Verdict.APPLIED
    assert stage.breakers.resting() == []
