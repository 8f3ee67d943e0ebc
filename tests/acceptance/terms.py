"""What a region must hold for a configuration, in the region's own terms.

Apart from the stage because kill tests compare the same things without its threads. It is found by telling an
empty double all of it, so that console and region are compared field by field, whoever made the calls.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from domain.changeset import ItemChange, Verb
from domain.configuration import Configuration
from domain.kinds import KINDS
from domain.region import Call, Place, Scope
from domain.service import Service
from workers.region_double.answer import Answer
from workers.region_double.state import RegionState

TENANT, REGION_TENANT = "acme", "e" * 32
SECTIONS = ("envs", "ports", "volumes", "probes", "deps", "depvolumes", "plugins")


def tell(state: RegionState, services: dict[str, tuple[Service, Configuration]]) -> None:
    """Ordinary kinds of all services first: a mount needs its provider's volume."""
    for dependent in (False, True):
        for service, configuration in services.values():
            place = Place("eu-1", TENANT, service.service_id, service.alias)
            for name, kind in KINDS.items():
                for key, row in configuration.of(name).items() if kind.dependent is dependent else ():
                    for call in kind.calls(ItemChange(name, key, Verb.ADD, None, copy.deepcopy(row)), place):
                        answer = asked(state, call, place)
                        assert answer.status < 300, (call.name, answer)


def asked(state: RegionState, call: Call, place: Place) -> Answer:
    """The double's answer to the call, as a client would send it."""
    return state.handle(call.method, _path(call, place), {}, _body(call))


def _path(call: Call, place: Place) -> str:
    base = f"/v2/tenants/{place.tenant_id}"
    return base + (f"/services/{place.alias}" if call.scope is Scope.SERVICE else "") + call.path


def _body(call: Call) -> bytes:
    if not isinstance(call.body, dict):
        return b""
    return json.dumps(call.body | ({"tenant_id": REGION_TENANT} if "tenant_id" in call.body else {})).encode()


def in_order(parts: dict[str, Any]) -> dict[str, Any]:
    """The sections of a region's service, in an order that says nothing."""
    return {
        name: sorted((_plain(row) for row in parts[name]), key=lambda row: json.dumps(row, sort_keys=True))
        for name in SECTIONS
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """A row without what a region keeps of one call and not of another."""
    renamed = {"depend_service_id": "dep_service_id"}
    ignored = ("volume_type", "file_content") if "depend_service_id" in row or "dep_service_id" in row else ()
    kept = {renamed.get(name, name): value for name, value in row.items() if name not in ignored}
    if "env_name" in kept:
        kept.pop("tenant_id", None)
    return {name: value for name, value in sorted(kept.items()) if name != "service_id" and value not in ("", None)}
