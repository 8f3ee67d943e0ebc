"""`backstay schedules`: what is asked for by itself, when next, and what became of the times before.

Apart from the commands that schedules ask for, which are found with `backstay operations`. What changes a schedule is
a command like any other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from domain.errors import InvalidMessage, NotFound
from workers.cli.documents import moment
from workers.cli.session import AsJson, Session, Timeout, session

if TYPE_CHECKING:
    from domain.schedule import Firing, Schedule

group = typer.Typer(no_args_is_help=True, help="What is asked for by itself, and when.")

#: Nominal times that `show` foretells.
FORETOLD = 5

Name = Annotated[str, typer.Argument(metavar="NAME")]
Tenant = Annotated[str | None, typer.Option(metavar="T", help="Whose schedule; needed when several tenants have one.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, for whoever finds that nothing happens.")]


@group.command("list")
def list_(
    tenant: Annotated[str | None, typer.Option(metavar="T", help="Of this tenant.")] = None,
    service: Annotated[str | None, typer.Option(metavar="ID", help="About this service.")] = None,
    as_json: AsJson = False,
) -> None:
    """List schedules, with their next times."""
    with session(as_json) as here:
        documents = [document(one) for one in here.database().schedules.list(tenant, service)]
        here.screen.document({"schedules": documents, "next": None})
        rows = [
            (d["name"], d["tenant_id"], d["service_id"] or "(all)", d["kind"], d["cron"], d["zone"], _next(d))
            for d in documents
        ]
        titles = ("NAME", "TENANT", "SERVICE", "ASKS FOR", "CRON", "ZONE", "NEXT")
        here.screen.table(titles, rows, "no schedules; `backstay schedules set` makes one")


@group.command()
def show(name: Name, tenant: Tenant = None, as_json: AsJson = False) -> None:
    """Show one schedule, its next times, who looks after it, and what became of its newest times."""
    with session(as_json) as here:
        from workers.cron import CronCalendar

        schedule = find(here, name, tenant)
        calendar, at = CronCalendar(), schedule.next_at
        times: list[str | None] = []
        while at and len(times) < FORETOLD:
            times.append(moment(at))
            at = calendar.after(schedule.cron, schedule.zone, at)
        newest = here.database().schedules.history(schedule.tenant_id, name, 10)
        leader = here.database().schedules.leader()
        held = leader is not None and leader.until > leader.now
        shown = document(schedule) | {
            "next_times": times,
            "scheduler": leader.owner.partition("|")[0] if leader and held else None,
            "history": [firing_document(one) for one in newest],
        }
        here.screen.document(shown)
        facts = shown | {
            "next_times": ", ".join(map(str, times)),
            "scheduler": shown["scheduler"] or "no node runs one",
        }
        here.screen.facts([(key.replace("_", " "), value) for key, value in facts.items() if key != "history"])
        _table(here, shown["history"])


@group.command()
def history(
    name: Name,
    tenant: Tenant = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="At most this many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what became of the newest nominal times: asked for, joined to what waited already, or skipped and why."""
    with session(as_json) as here:
        schedule = find(here, name, tenant)
        found = here.database().schedules.history(schedule.tenant_id, name, limit)
        documents = [firing_document(one) for one in found]
        here.screen.document({"history": documents, "next": None})
        _table(here, documents)


@group.command("set")
def set_(
    name: Name,
    cron: Annotated[str, typer.Option(metavar="CRON", help="Five fields, or @hourly, @daily, @weekly, @monthly.")],
    kind: Annotated[
        str, typer.Option(metavar="KIND", help="create-snapshot, apply-retention, verify-snapshot or restore-drill.")
    ] = "create-snapshot",
    service: Annotated[str | None, typer.Option(metavar="ID", help="About this service.")] = None,
    tenant: Annotated[str | None, typer.Option(metavar="T", help="About every service of this tenant.")] = None,
    zone: Annotated[str, typer.Option(metavar="ZONE", help="Whose hours, such as Europe/Berlin.")] = "UTC",
    jitter: Annotated[str, typer.Option(metavar="SPAN", help="Begin up to so much later, such as 15min.")] = "0",
    catch_up: Annotated[str, typer.Option(metavar="none|one|all", help="Which missed times are made up for.")] = "one",
    no_coalesce: Annotated[
        bool, typer.Option("--no-coalesce", help="Ask also when an equal command waits already.")
    ] = False,
    data: Annotated[str, typer.Option(metavar="JSON|@FILE|-", help="What the command takes.")] = "{}",
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Make a schedule, or replace the one with that name."""
    with session(as_json) as here:
        from workers.cli.sending import read_data
        from workers.cli.services import find as find_service
        from workers.cli.spans import seconds_of
        from workers.cron import CronCalendar

        if (service is None) == (tenant is None):
            raise InvalidMessage("give either --service or --tenant", field="service")
        CronCalendar().check(cron, zone)
        owner = tenant or find_service(here.database(), str(service)).tenant_id
        wanted: dict[str, Any] = {
            "kind": kind,
            "cron": cron,
            "zone": zone,
            "jitter_seconds": seconds_of(jitter, "jitter"),
            "catch_up": catch_up,
            "coalesce": not no_coalesce,
            "data": read_data(data),
        } | ({"service": service} if service else {})
        _send(here, "set-schedule", owner, name, wanted, timeout)


@group.command()
def pause(
    name: Name,
    reason: Reason,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="RFC 3339; without it until resumed.")] = None,
    tenant: Tenant = None,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Have it ask for nothing, for a reason, until a time or until it is resumed."""
    with session(as_json) as here:
        wanted = {"reason": reason} | ({"until": until} if until else {})
        _send(here, "pause-schedule", find(here, name, tenant).tenant_id, name, wanted, timeout)


@group.command()
def resume(
    name: Name,
    skip_missed: Annotated[bool, typer.Option("--skip-missed", help="Make up for nothing.")] = False,
    tenant: Tenant = None,
    timeout: Timeout = 600,
    as_json: AsJson = False,
) -> None:
    """Let it go on; what it missed is made up for as its policy says, unless that is skipped."""
    with session(as_json) as here:
        wanted = {"paused": False, "skip_missed": skip_missed}
        _send(here, "pause-schedule", find(here, name, tenant).tenant_id, name, wanted, timeout)


@group.command()
def remove(
    name: Name, reason: Reason = "", tenant: Tenant = None, timeout: Timeout = 600, as_json: AsJson = False
) -> None:
    """Remove it; what it has asked for goes on."""
    with session(as_json) as here:
        _send(here, "remove-schedule", find(here, name, tenant).tenant_id, name, {"reason": reason}, timeout)


def find(here: Session, name: str, tenant: str | None) -> Schedule:
    """The schedule of that name; NotFound when there is none, or more than one and no tenant was named."""
    found = [one for one in here.database().schedules.list(tenant) if one.name == name]
    if len(found) > 1:
        raise InvalidMessage(
            f"tenants {', '.join(one.tenant_id for one in found)} have a schedule {name}: give --tenant"
        )
    if not found:
        raise NotFound(
            f"there is no schedule {name}",
            code="unknown-schedule",
            next_step="`backstay schedules list` shows what there is",
        )
    return found[0]


def document(schedule: Schedule) -> dict[str, Any]:
    """A schedule as JSON."""
    pause = schedule.pause
    return {
        "name": schedule.name,
        "tenant_id": schedule.tenant_id,
        "service_id": schedule.service_id or None,
        "kind": schedule.kind,
        "cron": schedule.cron,
        "zone": schedule.zone,
        "jitter_seconds": schedule.jitter_seconds,
        "catch_up": schedule.catch_up.value,
        "coalesce": schedule.coalesce,
        "data": schedule.data,
        "next_at": moment(schedule.next_at),
        "paused": None
        if pause is None
        else {"reason": pause.reason, "by": pause.by, "at": moment(pause.at), "until": moment(pause.until)},
        "changed_at": moment(schedule.changed_at),
        "changed_by": schedule.changed_by,
    }


def firing_document(firing: Firing) -> dict[str, Any]:
    """What became of one nominal time for one service, as JSON."""
    return {
        "nominal_at": moment(firing.nominal_at),
        "service_id": firing.service_id,
        "run_at": moment(firing.run_at),
        "state": firing.state.value,
        "why": firing.why or None,
        "operations": list(firing.operations),
    }


def _next(shown: dict[str, Any]) -> str:
    pause = shown["paused"]
    if pause is None:
        return shown["next_at"] or "never"
    return f"paused{' until ' + pause['until'] if pause['until'] else ''}: {pause['reason']}"


def _table(here: Session, documents: list[dict[str, Any]]) -> None:
    rows = [(d["nominal_at"], d["service_id"], d["state"], d["why"] or " ".join(d["operations"])) for d in documents]
    here.screen.table(("TIME", "SERVICE", "STATE", "OPERATION, OR WHY NOT"), rows, "no time of it has come yet")


def _send(here: Session, kind: str, tenant: str, name: str, data: dict[str, Any], timeout: float) -> None:
    from workers.cli.following import send_and_follow
    from workers.cli.sending import cloud_event

    send_and_follow(here, cloud_event(kind, f"tenant/{tenant}/service/{name}", data, None, None), timeout)
