"""The checks of `backstay doctor` about work: what is stuck, what waits for long, what nobody tells, and who is there.

Apart from the other checks because all of it stands in SQL: the answer is the same on every node. Each finding names
one operation, service or node with the command that comes next.
"""

from __future__ import annotations

from domain.node import NodeSeen
from domain.operation import Operation, State
from workers.cli.reports import CLOCKS, SKEW_SECONDS, Report
from workers.cli.session import Session

#: Seconds after which a queued operation is old, and one that was begun has taken long; seconds for events.
OLD_SECONDS, LONG_SECONDS, UNTOLD_SECONDS = 600, 6 * 3600, 60
#: Findings of one kind that are named each by itself.
MOST = 5


def work(here: Session) -> list[Report]:
    """Nothing is stuck, nothing has been waiting for long."""
    data = here.database()
    found = [_stuck(one) for one in data.list_operations(states=[State.STUCK], limit=MOST)]
    now = data.now_ms()
    begun = data.list_operations(states=[State.RUNNING, State.COMPENSATING], limit=1000)
    queued = data.list_operations(states=[State.QUEUED], limit=1000)
    old = [one for one in queued if now - one.created_at > OLD_SECONDS * 1000]
    for one in begun:  # what nobody holds is old sooner than what somebody works on
        patience = OLD_SECONDS if one.lease_until < now else LONG_SECONDS
        old += [one] if now - one.created_at > patience * 1000 else []
    for one in sorted(old, key=lambda one: one.seq)[:MOST]:
        found.append(_old(one, data.waits_for(one), (now - one.created_at) // 1000))
    if len(old) > MOST:
        detail = f"{len(old) - MOST} more wait for longer than {OLD_SECONDS // 60} min"
        found.append(Report("work", "warn", detail, "`backstay operations list` says what each waits for"))
    if found:
        return found
    counts = data.counts()
    age = counts["oldest_queued_age"] / 1000
    return [Report("work", "ok", f"{counts['ready']} ready; the oldest that never started has waited {age:.0f} s")]


def _stuck(one: Operation) -> Report:
    why = (one.outcome or {}).get("sentence") or one.error_code or "it could not be put back"
    detail = f"operation {one.op_id} ({one.kind} of {one.service_id}) is STUCK: {why}"
    next_step = (
        f"`backstay operations explain {one.op_id}` tells what is open; mend the cause, then "
        f"`backstay operations resolve {one.op_id} --retry`"
    )
    return Report("work", "fail", detail, next_step, one.op_id)


def _old(one: Operation, waits: str, seconds: int) -> Report:
    detail = (
        f"operation {one.op_id} ({one.kind} of {one.service_id}) is {one.state} for {_span(seconds)}: waits for {waits}"
    )
    if "backstay" in waits:
        next_step = f"as it says; `backstay operations show {one.op_id}` has the rest"
    else:
        next_step = f"`backstay operations explain {one.op_id}`; `backstay operations cancel {one.op_id}` ends it"
    return Report("work", "warn", detail, next_step, one.op_id)


def _span(seconds: int) -> str:
    return f"{seconds // 3600} h" if seconds >= 7200 else f"{seconds // 60} min"


def dead_letters(here: Session) -> Report:
    """Nothing waits for a person."""
    count = here.database().counts()["dead_letters"]
    if count:
        return Report("dead letters", "warn", f"{count} unresolved", "`backstay dead-letters list` shows them")
    return Report("dead letters", "ok", "none unresolved")


def events(here: Session) -> Report:
    """What has happened is told."""
    counts = here.database().counts()
    waiting, age = counts["outbox_waiting"], counts["outbox_oldest_age"] / 1000
    if age > UNTOLD_SECONDS:
        next_step = "the broker does not take them, or no worker runs: see the checks of both"
        return Report("events", "warn", f"{waiting} are not told yet, the oldest for {_span(int(age))}", next_step)
    return Report("events", "ok", f"{waiting} on their way")


def nodes(here: Session) -> list[Report]:
    """Every node that ever ran a worker is there, takes work, and has room."""
    seen = here.database().nodes.list()
    if not seen:
        return [Report("nodes", "warn", "no node has run a worker yet", "start one: `backstay worker`")]
    found = [report for node in seen for report in _node(node)]
    versions = sorted({node.version for node in seen if not node.away})
    if len(versions) > 1:
        step = "finish the update: nodes of two releases work together, of three they may not"
        found.append(Report("nodes", "warn", f"they run several releases: {', '.join(versions)}", step))
    return found or [Report("nodes", "ok", f"{len(seen)} seen within a minute")]


def _node(node: NodeSeen) -> list[Report]:
    if node.away:
        needed = node.bound or node.services
        next_step = f"start its worker, or `backstay nodes forget {node.node}`"
        if needed:
            next_step = f"start its worker; if it is lost, `backstay nodes show {node.node}` lists what has to move"
        detail = f"{node.node} was not seen for {_span(node.age_ms // 1000)}; {node.bound} operations wait for it"
        return [Report("nodes", "warn", f"{detail}, {node.services} services live there", next_step, node.node)]
    found = []
    if node.drained_at:
        why = f" ({node.drain_reason})" if node.drain_reason else ""
        detail = f"{node.node} is {node.standing} by {node.drained_by}{why}; {node.bound} operations wait for it"
        undrain = f"`backstay nodes undrain {node.node}` lets it work again"
        found.append(Report("nodes", "warn", detail, undrain, node.node))
    if node.report.low_on_room:
        detail = f"{node.node} begins no work on files: {node.report.low_on_room}"
        found.append(
            Report("nodes", "fail", detail, f"make room on {node.node}; what waits begins by itself", node.node)
        )
    if node.skew_ms is not None and abs(node.skew_ms) > SKEW_SECONDS * 1000:
        detail = f"the clock of {node.node} differs from the database's by {node.skew_ms / 1000:.0f} s"
        found.append(Report("nodes", "warn", detail, CLOCKS, node.node))
    return found
