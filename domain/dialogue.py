"""Talking to a region on behalf of one claimed operation: fences, seals, retries, the breaker, the record.

Apart from the saga, which decides what to say, because these rules hold for every call in both directions:
a call is sent only while a whole one fits into the lease; after an unknown outcome nothing is believed
before the region knows a newer fence; and every try leaves a line for whoever has to understand it later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from domain.breaker import Breakers
from domain.classify import Answer, Verdict, classify
from domain.contracts import Clock, Watch
from domain.errors import LeaseLost, Postponed, RegionUnavailable, ShuttingDown
from domain.failpoint import failpoint
from domain.journal import Journal
from domain.region import Call, Place, Region, Repeat, Reply, Trouble
from domain.retry import region_call

#: Seconds of lease that must be left beyond the longest call.
MARGIN = 5.0
#: Tries of one call within one attempt of the operation.
TRIES = 3

SEAL = Call("seal", "POST", "/seal")


@dataclass(slots=True)
class Said:
    """What came of one call, all tries together."""

    answer: Answer
    reply: Reply
    unknown: bool  # some try may have been applied without our knowing
    tries: list[dict[str, Any]] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """The line for the journal: no body, no value."""
        echo = self.answer.verdict is Verdict.APPLIED and self.answer.code == "exists"
        found: dict[str, Any] = {"verdict": self.answer.verdict.value, "unknown": self.unknown, "tries": self.tries}
        return found | ({"echo": True} if echo else {})


class Dialogue:
    """Used by one thread, for one attempt."""

    def __init__(
        self,
        region: Region,
        journal: Journal,
        watch: Watch,
        breakers: Breakers,
        clock: Clock,
        count: Callable[..., None],
    ) -> None:
        """`count(name, …)` is for metrics: every try, by what its reply was taken for."""
        self._region, self._journal, self._watch = region, journal, watch
        self._breakers, self._clock, self._count = breakers, clock, count
        self._sealed: set[tuple[str, int]] = set()

    def send(
        self,
        place: Place,
        call: Call,
        *,
        sent_before: bool = False,
        undoing: bool = False,
        unsent: Callable[[], None] | None = None,
    ) -> Said:
        """Send until the answer is definite, or tries and time are used up. LeaseLost when fenced out.

        `unsent()` is called when something else than a reply ends it (the breaker, a seal, a stop) before any byte of
        the call can have arrived.
        """
        said = Said(Answer(Verdict.NOT_SENT), Reply(), unknown=sent_before)

        def once() -> Answer:
            self.seal(place)
            reply = self._try(place, call)
            answer = classify(call, reply, sent_before=said.unknown, undoing=undoing)
            said.answer, said.reply = answer, reply
            said.tries.append(_line(reply, answer))
            self._note(place, call, reply, answer)
            if answer.verdict is Verdict.FENCED:
                raise LeaseLost(f"the region has seen a later holder of service {place.service_id}")
            if answer.verdict is Verdict.UNKNOWN:
                said.unknown = True
                if self._region.honours_fences(place):
                    self._journal.bump()
            return answer

        try:
            self._retrying(place, call.repeat)(once)
        except (RegionUnavailable, Postponed, ShuttingDown):
            if unsent is not None and not said.unknown:
                unsent()
            raise
        return said

    def seal(self, place: Place) -> None:
        """Make sure that nothing sent under an earlier fence can take effect any more; where fences are honoured."""
        if not self._region.honours_fences(place) or (place.service_id, self._journal.fence) in self._sealed:
            return

        def once() -> Answer:
            reply = self._try(place, SEAL)
            answer = classify(SEAL, reply, undoing=True)
            self._note(place, SEAL, reply, answer)
            if answer.verdict is Verdict.FENCED:
                raise LeaseLost(f"the region has seen a later holder of service {place.service_id}")
            return answer

        answer = self._retrying(place, Repeat.SAFE)(once)
        if answer.verdict is not Verdict.APPLIED:
            # Whatever a region says to a seal, it is no judgement on the operation.
            raise RegionUnavailable(
                f"region {place.region} did not take the fence: {answer.sentence}", code="not-sealed"
            )
        self._sealed.add((place.service_id, self._journal.fence))

    def raise_fence(self, places: Iterable[Place]) -> None:
        """Where fences are honoured nothing that was sent so far lands after the next call, a repeat by the network
        of what has been answered included."""
        if any(self._region.honours_fences(place) for place in places):
            self._journal.bump()

    def let_it_land(self, place: Place, call: Call, said: Said, *, sent_before: bool = False) -> None:
        """A removal whose reply was lost must not land after what takes its place. Where no fence holds it off it is
        waited for before it counts as done, and not in the end: whoever takes over sends it, and waits, again."""
        landing = call.method == "DELETE" and (said.unknown or sent_before)
        if landing and said.answer.verdict is Verdict.APPLIED and self.settle([place], unsettled=True):
            said.unknown = False

    def settle(self, places: list[Place], *, unsettled: bool) -> bool:
        """Before a terminal state: seal, or wait until nothing unanswered can land; True if it has waited.

        The wait is measured on this process's own clock, because a jump of any other could cut it short.
        """
        for place in places:
            self.seal(place)
        waits = [self._region.settle_seconds(place) for place in places if not self._region.honours_fences(place)]
        if not unsettled or not waits:
            return False
        failpoint("settle-wait.before")
        self.rest(max(waits))
        return True

    def rest(self, seconds: float) -> None:
        """Let time pass while the lease is kept."""
        ends = self._clock.boottime() + seconds
        while (left := ends - self._clock.boottime()) > 0:
            self._clock.sleep(min(left, 0.5))
            self._watch.keep(MARGIN)

    def _try(self, place: Place, call: Call) -> Reply:
        self._watch.keep(self._region.longest_call(place) + MARGIN)
        self._breakers.admit(place.region)
        failpoint("region.before-call")
        reply = self._region.send(place, call, self._journal.fence)
        failpoint("region.after-call")
        self._breakers.record(place.region, answered=reply.trouble is None and reply.status < 500)
        return reply

    def _note(self, place: Place, call: Call, reply: Reply, answer: Answer) -> None:
        result = "ignored" if answer.verdict in (Verdict.EXISTS, Verdict.LEFT_OUT) else answer.verdict.value
        self._count("region_requests", region=place.region, call=call.name, result=result)
        if reply.trouble is not Trouble.NOT_SENT:
            self._count("region_seconds", reply.took_ms / 1000, region=place.region)

    def _retrying(self, place: Place, repeat: Repeat) -> Any:
        worth = {Verdict.NOT_SENT} if repeat is Repeat.ONCE else {Verdict.NOT_SENT, Verdict.UNKNOWN}
        return region_call(
            seconds=self._region.retry_seconds(place),
            tries=TRIES,
            clock=self._clock,
            again=lambda answer: answer.verdict in worth,
        )


def _line(reply: Reply, answer: Answer) -> dict[str, Any]:
    return {
        "status": reply.status,
        "trouble": reply.trouble.value if reply.trouble else None,
        "verdict": answer.verdict.value,
        "words": answer.sentence[:300],
        "ms": reply.took_ms,
    }
