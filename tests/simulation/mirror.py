"""What a region must hold for the console's rows, found by telling an empty region all of them.

Both sides are compared in the region's own terms, section by section; rows lose what a region keeps of one call
and not of another.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

from domain.changeset import ItemChange, Verb
from domain.configuration import Configuration
from domain.kinds import KINDS
from domain.region import Call, Place, Scope
from domain.service import Service
from workers.region_double.state import RegionState

REGION_TENANT = "e" * 32
SECTIONS = ("envs", "ports", "volumes", "probes", "deps", "depvolumes", "plugins")


def request_of(call: Call, place: Place) -> tuple[str, str, bytes]:
    """Method, path and body as the client sends them."""
    base = f"/v2/tenants/{place.tenant_id}" + (f"/services/{place.alias}" if call.scope is Scope.SERVICE else "")
    body = call.body
    if isinstance(body, dict) and "tenant_id" in body:
        body = body | {"tenant_id": REGION_TENANT}
    return call.method, base + call.path, json.dumps(body).encode() if isinstance(body, dict) else b""


def told(services: Iterable[Service]) -> RegionState:
    """A region that was told the rows of all the services, ordinary kinds first."""
    services = list(services)
    state = RegionState()
    state.put({"tenants": {s.tenant_id: {t.alias: {"service_id": t.service_id} for t in services} for s in services}})
    for dependent in (False, True):
        for service in services:
            _tell(state, service, dependent=dependent)
    for service in services:
        row = state.root["tenants"][service.tenant_id][service.alias]
        row["image"] = Configuration.load(service.document).of("image")["image"]["value"]
    return state


def differences(state: RegionState, services: Iterable[Service]) -> list[str]:
    """Where the region does not hold what the console says; names and section, both sides."""
    services = list(services)
    wanted, found = told(services), []
    for service in services:
        ours = _parts(wanted, service)
        theirs = _parts(state, service)
        found += [
            f"{service.service_id} {name}: console {ours[name]}, region {theirs[name]}"
            for name in ours
            if ours[name] != theirs[name]
        ]
    return found


def _tell(state: RegionState, service: Service, *, dependent: bool) -> None:
    configuration = Configuration.load(service.document)
    place = Place("eu-1", service.tenant_id, service.service_id, service.alias)
    for name, kind in KINDS.items():
        for key, row in configuration.of(name).items() if kind.dependent is dependent else ():
            for call in kind.calls(ItemChange(name, key, Verb.ADD, None, copy.deepcopy(row)), place):
                method, path, body = request_of(call, place)
                answer = state.handle(method, path, {}, body)
                assert answer.status < 300, (call.name, answer)


def _parts(state: RegionState, service: Service) -> dict[str, Any]:
    row = state.root["tenants"][service.tenant_id][service.alias]
    parts = {name: sorted((_plain(item) for item in row[name]), key=json.dumps) for name in SECTIONS}
    return parts | {"image": row["image"]}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    renamed = {"depend_service_id": "dep_service_id"}
    relation = "depend_service_id" in row or "dep_service_id" in row
    ignored = {"service_id"} | ({"volume_type", "file_content"} if relation else set())
    ignored |= {"tenant_id"} if "env_name" in row else set()
    kept = {renamed.get(name, name): value for name, value in row.items() if name not in ignored}
    return {name: value for name, value in sorted(kept.items()) if value not in ("", None)}
