"""The port Region over the region's double in this process, and a network that loses, delays, repeats and lies.

Fenced mode: a call may land at any later time, and twice. Settle mode: late, but sooner than `settle_seconds`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from domain.region import Call, Place, Reply, Scope, Trouble
from tests.simulation.faults import Faults
from tests.simulation.mirror import request_of
from tests.simulation.schedule import Schedule
from workers.region_double.state import FENCE, FENCED, RegionState
from workers.region_reply import parse_reply

LONGEST_CALL = 10.0
SETTLE_SECONDS = 30.0
FAULTS = (
    "lost-before", "applied-cut", "not-sent", "late", "empty-500-before", "empty-500-after", "busy", "stray-400",
    "unavailable", "duplicate", "lying-200",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Profile:
    """How likely each fault is in one run; a fault that is not named never happens."""

    chances: dict[str, float] = field(default_factory=dict)

    @classmethod
    def drawn(cls, draw: random.Random, *, fenced: bool) -> Profile:
        """Every run has its own mixture, so that rare sequences of one fault come about too."""
        known = [name for name in FAULTS if fenced or name != "duplicate"]
        return cls({name: draw.choice((0.0, 0.0, 0.01, 0.04, 0.15)) for name in known})

    def fault(self, draw: random.Random) -> str:
        """The fault of one call; empty for none."""
        at = draw.random()
        for name, chance in self.chances.items():
            at -= chance
            if at < 0:
                return name
        return ""


@dataclass(slots=True)
class Late:
    """A request that is still under way."""

    due: float
    place: Place
    call: Call
    fence: int


class Network:
    """`send` is the port's; `bad_images` cannot be deployed, and `refused` names variables that get a 400."""

    def __init__(
        self, schedule: Schedule, state: RegionState, profile: Profile, faults: Faults, sent: Callable[..., None],
        answered: Callable[..., None], taken: Callable[[Place, Call, int], None],
    ) -> None:  # fmt: skip
        """`sent(place, call)` is called before every call, `answered(place, call, reply)` when it is over, and
        `taken(place, call, fence)` when a region with fences has let it in, which may be much later."""
        self._schedule, self._draw, self._profile = schedule, schedule.draw, profile
        self._sent, self._answered, self._taken = sent, answered, taken
        self._faults = faults
        self.state, self.fenced = state, state.fenced
        self.calm = False
        self.late: list[Late] = []
        self.bad_images: set[str] = set()
        self.refused: set[str] = set()

    # ------------------------------------------------------------ the port
    def send(self, place: Place, call: Call, fence: int) -> Reply:
        """One call with its fault; takes virtual time."""
        self._sent(place, call)
        fault = "" if self.calm else self._profile.fault(self._draw)
        deploys = call.name in ("build", "upgrade")
        if (fault == "duplicate" and deploys) or (fault == "lying-200" and not deploys):
            fault = (
                ""  # no proxy repeats what is not idempotent; only of a deployment can it be asked what became of it
            )
        details = f"of {place.alias} under {fence}"
        if fault and not self._faults.happens(fault, call.name, details):
            fault = ""
        if not fault:
            self._faults.tell(f"{call.name} {details}")
        took = self._draw.choice((0.01, 0.05, 0.5))
        if fault in ("lost-before", "applied-cut", "late"):
            took = self._draw.choice((0.05, LONGEST_CALL - 0.1))
        before = self._draw.uniform(0, took)
        self._schedule.sleep(before)
        reply = self._answer(fault, place, call, fence)
        self._schedule.sleep(took - before)
        self._answered(place, call, reply)
        return reply

    def longest_call(self, place: Place) -> float:
        return LONGEST_CALL

    def retry_seconds(self, place: Place) -> float:
        return 2 * LONGEST_CALL

    def honours_fences(self, place: Place) -> bool:
        return self.fenced

    def settle_seconds(self, place: Place) -> float:
        return SETTLE_SECONDS

    # ------------------------------------------------------------ what is under way
    def changes_under_way(self) -> list[tuple[Place, Call]]:
        """What somebody has sent, has had no answer to, and is still to land."""
        return [(late.place, late.call) for late in self.late if late.call.method != "GET"]

    def land(self, *, everything: bool = False) -> None:
        """Apply what has arrived by now."""
        now = self._schedule.now
        arrived = [late for late in self.late if everything or late.due <= now]
        if not arrived:
            return
        self.late = [late for late in self.late if late not in arrived]
        for late in sorted(arrived, key=lambda late: late.due):
            self._apply(late.place, late.call, late.fence)

    def _answer(self, fault: str, place: Place, call: Call, fence: int) -> Reply:
        if fault == "not-sent":
            return Reply(trouble=Trouble.NOT_SENT, message="no connection")
        if fault == "lost-before":
            return Reply(trouble=Trouble.CUT, message="cut")
        if fault == "late":
            most = self._draw.choice((5.0, 90.0, 1e9)) if self.fenced else SETTLE_SECONDS - LONGEST_CALL - 1.0
            self.late.append(Late(self._schedule.now + self._draw.uniform(0.1, most), place, call, fence))
            return Reply(trouble=Trouble.CUT, message="cut")
        if fault == "empty-500-before":
            return Reply(500)
        if fault == "busy":
            return Reply(409, message="operation too frequent")
        if fault == "stray-400":
            return Reply(400, message="the field is not valid")
        if fault == "unavailable":
            return Reply(503)
        if fault == "lying-200":
            return Reply(200, bean={"status": "success", "event_id": event_of(call)})
        reply = self._apply(place, call, fence)
        if fault == "duplicate":
            self.late.append(Late(self._schedule.now + self._draw.uniform(0.1, 90.0), place, call, fence))
        if fault == "applied-cut":
            return Reply(trouble=Trouble.CUT, message="cut")
        return Reply(500) if fault == "empty-500-after" else reply

    def _apply(self, place: Place, call: Call, fence: int) -> Reply:
        method, path, body = request_of(call, place)
        document = json.loads(body) if body else {}
        if document.get("env_name") in self.refused and method == "POST":
            return Reply(400, message="validation_error: the value is not allowed")
        headers = {FENCE: str(fence)} if self.fenced else {}
        events = len(self.state.root["events"])
        answer = self.state.handle(method, path, headers, body)
        if self.fenced and call.scope is Scope.SERVICE and FENCED not in answer.headers:
            self._taken(place, call, fence)
        for event in self.state.root["events"][events:]:
            event["final"] = "failure" if event["image"] in self.bad_images else "success"
        return parse_reply(answer.status, answer.headers, answer.body)


def event_of(call: Call) -> str:
    """The id under which a deployment is to be found."""
    return str(call.body.get("event_id", "")) if isinstance(call.body, dict) else ""
