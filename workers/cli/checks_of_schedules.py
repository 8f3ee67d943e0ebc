"""The checks of `backstay doctor` about what should happen by itself: schedules, recovery points, restore drills.

Apart from those of work, because here something is missing that nobody has asked for: no operation waits, and none
has failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from domain.schedule import Schedule
from workers.cli.reports import Report
from workers.cli.session import Session

if TYPE_CHECKING:
    from domain.contracts import Leader
    from workers.bootstrap import Database

#: Seconds after which a nominal time has certainly been overlooked.
LATE_SECONDS = 600
#: Findings of one kind that are named each by itself.
MOST = 5
#: How often it is looked again whether a node that is alive, and may just have started, has taken the schedules up.
LOOKS = 3


def schedules(here: Session, pause: Callable[[float], None] = time.sleep) -> list[Report]:
    """Some node looks after the schedules, and none is late; one that is paused says until when."""
    data = here.database()
    found = data.schedules.list()
    if not found:
        return [Report("schedules", "ok", "there are none: nothing is asked for by itself")]
    forgotten = [report for one in found if (report := _without_end(one))][:MOST]
    leader, now = _leader(data, pause), data.now_ms()
    if leader is None or leader.until < leader.now:
        return [_unled(leader, len(found)), *forgotten]
    late = [one for one in found if one.next_at and not one.paused(now) and now - one.next_at > LATE_SECONDS * 1000]
    if late:
        return [
            Report(
                "schedules",
                "warn",
                f"schedule {one.name} of {one.tenant_id} is {(now - one.next_at) // 60_000} min late",
                f"`backstay schedules show {one.name} --tenant {one.tenant_id}` tells who looks after it",
                one.name,
            )
            for one in late[:MOST]
        ]
    if forgotten:
        return forgotten
    paused = sum(one.paused(now) for one in found)
    detail = f"{len(found)} are looked after by {leader.owner.partition('|')[0]}"
    return [Report("schedules", "ok", f"{detail}; {paused} are paused" if paused else detail)]


def _leader(data: Database, pause: Callable[[float], None]) -> Leader | None:
    """Who looks after them. While nobody does, a node that is alive is given the time that it needs to begin."""
    from workers.scheduler import LOOK_SECONDS

    leader = data.schedules.leader()
    for _ in range(LOOKS):
        unled = leader is None or leader.until < leader.now
        if not unled or all(node.away for node in data.nodes.list()):
            break
        pause(LOOK_SECONDS)
        leader = data.schedules.leader()
    return leader


def _unled(leader: Leader | None, count: int) -> Report:
    """Nobody does: no more than a change of nodes, as long as a lease lasts."""
    from workers.scheduler import LEASE_MS

    step = "start a worker, `backstay worker`: any node looks after the schedules"
    if leader is None or leader.now - max(leader.until, leader.looked_at) >= LEASE_MS:
        return Report("schedules", "fail", f"no node looks after {count} schedules", step)
    name, ago = leader.owner.partition("|")[0], (leader.now - leader.looked_at) // 1000
    detail = f"no node looks after {count} schedules now; {name} did {ago} s ago, and the next one that runs takes over"
    return Report("schedules", "warn", detail, f"ask again in {LEASE_MS // 1000} s; if it stays so, {step}")


def _without_end(one: Schedule) -> Report | None:
    """A pause that nobody has given an end is easily forgotten."""
    if one.pause is None or one.pause.until:
        return None
    detail = f"schedule {one.name} of {one.tenant_id} is paused without an end by {one.pause.by}: {one.pause.reason}"
    step = f"`backstay schedules resume {one.name} --tenant {one.tenant_id}` when that is over"
    return Report("schedules", "warn", detail, step, one.name)


def recovery_points(here: Session) -> list[Report]:
    """No service would lose more than its goal allows."""
    points = here.database().recovery_points.list()
    missed = [one for one in points if one.missed]
    found = [
        Report(
            "recovery points",
            "warn",
            one.sentence(),
            f"`backstay operations list --service {one.service_id}` tells what its snapshots came to; "
            f"`backstay snapshots create --service {one.service_id}` takes one",
            one.service_id,
        )
        for one in sorted(missed, key=lambda one: one.newest_at)[:MOST]
    ]
    if len(missed) > MOST:
        rest = f"{len(missed) - MOST} more services miss their goal"
        found.append(Report("recovery points", "warn", rest, "`backstay rpo list` lists all"))
    goals = sum(1 for one in points if one.goal_seconds)
    return found or [Report("recovery points", "ok", f"{goals} of {len(points)} services have a goal, and meet it")]


def drills(here: Session) -> list[Report]:
    """The newest restore drill of each service has brought it back."""
    newest = here.database().drills.newest()
    failed = [one for one in newest if not one.passed]
    found = [
        Report(
            "drills",
            "warn",
            f"the newest drill of service {one.service_id} failed: {one.reason or 'it did not bring the data back'}",
            f"`backstay operations explain {one.op_id}`",
            one.service_id,
        )
        for one in failed[:MOST]
    ]
    done = f"{len(newest)} services were restored by drills; the newest of each passed" if newest else "none was made"
    return found or [Report("drills", "ok", done)]
