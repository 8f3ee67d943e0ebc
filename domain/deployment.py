"""Asking the region to build or to update a service, and finding out what came of it.

Apart from the configuration calls because a deployment is work: it cannot be repeated, it takes minutes, and
its result is an event that has to be asked for. An event that says "timeout" says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from domain.changeset import Effect
from domain.configuration import Configuration
from domain.identity import derived_id
from domain.region import Call, Place, Repeat, Reply, Scope
from domain.upgrade_record import Status, UpgradeRecord


class Progress(StrEnum):
    """Where a deployment stands."""

    UNKNOWN_EVENT = "unknown-event"  # the region has never seen it
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMEOUT = "timeout"  # the region gave up watching; not a result


@dataclass(frozen=True, slots=True)
class Sighting:
    """One look at a deployment's event."""

    progress: Progress
    words: str = ""


def event_id(op_id: str, service_id: str, purpose: str) -> str:
    """32 hex digits, the same for every attempt at the same deployment."""
    return derived_id(op_id, f"{purpose}/{service_id}").replace("-", "")


def deploy_call(effect: Effect, configuration: Configuration, place: Place, event: str) -> Call:
    """POST /build or /upgrade for the configuration; `event` is the id to ask for later."""
    if effect is Effect.BUILD:
        return Call("build", "POST", "/build", _build_body(configuration, place, event), Repeat.ONCE)
    body = {"service_id": place.service_id, "event_id": event, "upgrade_version": "", "configs": {}}
    return Call("upgrade", "POST", "/upgrade", body, Repeat.ONCE)


def _build_body(configuration: Configuration, place: Place, event: str) -> dict[str, Any]:
    image, slug = configuration.of("image"), configuration.of("slug")
    body: dict[str, Any] = {
        "service_id": place.service_id,
        "event_id": event,
        "action": "upgrade",
        "operator": "backstay",
        "arch": _value(image, "arch") or "amd64",
        "envs": {
            row["attr_name"]: str(row.get("attr_value") or "")
            for row in configuration.of("env").values()
            if row.get("scope") == "build"
        },
        "configs": {},
    }
    if _value(slug, "slug_path"):
        kept = slug.get("registry", {})
        info = {key: kept.get(key, "") for key in ("ftp_host", "ftp_port", "ftp_username", "ftp_password")}
        return body | {"kind": "build_from_market_slug", "slug_info": {"slug_path": _value(slug, "slug_path"), **info}}
    kept = image.get("registry", {})
    return body | {
        "kind": "build_from_market_image",
        "image_info": {
            "image_url": _value(image, "image"),
            "cmd": _value(image, "cmd"),
            "user": kept.get("hub_user", ""),
            "password": kept.get("hub_password", ""),
        },
    }


def _value(rows: Mapping[str, Mapping[str, Any]], key: str) -> str:
    return str(rows.get(key, {}).get("value") or "")


def taken_as(reply: Reply, asked: str) -> str:
    """The id under which the region works on the deployment: its own when it gives one."""
    bean = reply.bean if isinstance(reply.bean, dict) else {}
    return str(bean.get("event_id") or asked)


def keeps_ids(records: Iterable[UpgradeRecord]) -> bool:
    """Whether the newest deployment of a service that went well did so under the id that it was asked for."""
    held = [found for found in records if found.event_id and found.status in (Status.UPGRADED, Status.ROLLBACK)]
    newest = max(held, key=lambda found: found.seq, default=None)
    return newest is not None and newest.event_id == event_id(newest.op_id, newest.service_id, newest.kind)


def event_call(event: str) -> Call:
    """GET /v2/tenants/{t}/event, which takes its ids in a body."""
    return Call("event", "GET", "/event", {"event_ids": [event]}, scope=Scope.TENANT)


def sight(reply: Reply, event: str) -> Sighting:
    """Read an event list in either of its two spellings."""
    for item in reply.items or []:
        row = (
            {str(key).replace("_", "").lower(): value for key, value in item.items()} if isinstance(item, dict) else {}
        )
        if row.get("eventid") != event:
            continue
        words = str(row.get("message") or "")[:500]
        said = {str(row.get("finalstatus") or "").lower(), str(row.get("status") or "").lower()}
        if "timeout" in said:
            return Sighting(Progress.TIMEOUT, words)
        if said & {"failure", "failed"}:
            return Sighting(Progress.FAILED, words or "the region reports a failure")
        if "success" in said:
            return Sighting(Progress.SUCCEEDED, words)
        return Sighting(Progress.RUNNING, words)
    return Sighting(Progress.UNKNOWN_EVENT)


def status_call() -> Call:
    """GET /status: what runs now."""
    return Call("status", "GET", "/status?enterprise_id=")


def current_status(reply: Reply) -> str:
    """`cur_status` of the bean: running, closed, abnormal, …"""
    return str(reply.bean.get("cur_status", "")) if isinstance(reply.bean, dict) else ""
