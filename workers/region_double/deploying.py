"""Deployments and their events: calls that start work in the region, and how it says what became of it.

Apart from the properties because nothing here can be repeated: each accepted call is another deployment, even
with an event id that was seen before.
"""

from __future__ import annotations

from typing import Any

from workers.region_double.answer import Answer, Request, Row, find, invalid, ok, refuse, required, typed

_BUILDS = ("build_from_source_code", "build_from_image", "build_from_market_image", "build_from_market_slug")


def build(request: Request) -> Answer:
    body = _checked(request, "kind")
    if body["kind"] not in _BUILDS:
        raise invalid("kind", "The kind field is not a kind of build")
    if request.modern:
        required(body, "arch")
    image = (body.get("image_info") or {}).get("image_url")
    return _start(request, "build", body, image or (body.get("slug_info") or {}).get("slug_path"))


def upgrade(request: Request) -> Answer:
    return _start(request, "upgrade", _checked(request), None)


def rollback(request: Request) -> Answer:
    return _start(request, "rollback", _checked(request, "upgrade_version"), None)


def _checked(request: Request, *names: str) -> Row:
    body = typed(request.body, service_id="text", event_id="text", kind="text", image_info="map", slug_info="map")
    required(body, "service_id", *names)
    if body["service_id"] != request.service["service_id"]:
        raise refuse(400, "service id is not the one of the path")
    return body


def _start(request: Request, operation: str, body: Row, image: str | None) -> Answer:
    service, root = request.service, request.root
    root["counter"] += 1
    event_id = f"event-{root['counter']}" if request.modern or not body.get("event_id") else body["event_id"]
    if image:
        service["image"] = image
    if operation == "build":
        service["deploy_version"] = f"build-{root['counter']}"
    elif body.get("upgrade_version"):
        service["deploy_version"] = body["upgrade_version"]
    event = {
        "event_id": event_id,
        "operation": operation,
        "kind": body.get("kind"),
        "image": service["image"],
        "deploy_version": service["deploy_version"],
        "final": _final(service, root),
        "polls_left": service["polls"],
        "service_id": service["service_id"],
    }
    root["events"].append(event)
    bean = {"service_id": service["service_id"], "operation": operation, "event_id": event_id}
    return ok(bean=bean | {"status": "success", "err_message": "", "deploy_version": service["deploy_version"]})


def _final(service: Row, root: Row) -> str:
    """How a deployment that begins now ends: by its image, if the region was told so, or as the service's do."""
    if service["image"] in root["broken_images"]:
        return "failure"
    return "never" if service["image"] in root["silent_images"] else str(service["final"])


def status(request: Request) -> Answer:
    service = request.service
    return ok(
        bean={
            "service_id": service["service_id"],
            "service_alias": service["alias"],
            "deploy_version": service["deploy_version"],
            "cur_status": service["status"],
            "replicas": 1,
        }
    )


def build_version(request: Request) -> Answer:
    known = any(event["deploy_version"] == request.part for event in request.root["events"])
    return ok(bean={"status": known or request.part == request.service["deploy_version"]})


def events(root: Row, body: Any, generation: str) -> Answer:
    """The newest event of each id that is asked for; each question brings an event nearer to its end."""
    shown = []
    for event_id in typed(body, event_ids="list").get("event_ids") or []:
        event = find(root["events"][::-1], event_id=event_id)
        if event is not None:
            event["polls_left"] = max(0, event["polls_left"] - 1)
            shown.append(_shown(event, generation))
    return ok(list=shown)


def _shown(event: Row, generation: str) -> Row:
    ended = event["polls_left"] == 0 and event["final"] != "never"
    status = event["final"] if ended else ""
    final = {"": "", "timeout": "timeout"}.get(status, "complete")
    row = {"EventID": event["event_id"], "Status": status, "FinalStatus": final, "Message": ""}
    snake = {"EventID": "event_id", "Status": "status", "FinalStatus": "final_status", "Message": "message"}
    return {snake[name]: value for name, value in row.items()} if generation == "M" else row
