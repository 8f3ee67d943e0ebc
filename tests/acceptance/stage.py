"""A platform with a region: real messages, a real worker, and the region's double in a process of its own.

What the region must hold for a configuration is found by telling a second, empty double all of it, so that
console and region are compared field by field in the region's own terms.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from domain import failpoint
from domain.configuration import Configuration
from domain.operation import Operation, State
from tests.acceptance.platform import Platform
from tests.acceptance.shop import GROUP_KEY, Names, details
from tests.acceptance.terms import REGION_TENANT, TENANT, in_order, tell
from tests.fakes.region import RegionDouble
from workers.region_double.state import RegionState


class Stage:
    """`close()` stops the platform and the region."""

    def __init__(self, home: Path, *, fenced: bool = False, generation: str = "A", **environment: str) -> None:
        self.region = RegionDouble(generation=generation, fenced=fenced, state_file=str(home / "region.json"))
        regions = {
            "eu-1": {
                "url": self.region.url, "fenced": fenced, "settle_seconds": 0.2, "call_seconds": 20.0,
                "connect_seconds": 5.0, "retry_seconds": 1.0,
                "tenants": {TENANT: {"name": TENANT, "id": REGION_TENANT}},
            }
        }  # fmt: skip
        self.generation = generation
        self.platform = Platform(home, BACKSTAY_REGIONS=json.dumps(regions), **environment)

    def close(self) -> None:
        """Stop everything."""
        self.platform.close()
        self.region.stop()

    # ------------------------------------------------------------ setting up
    def install(self, names: Names, *, web: dict[str, Any] | None = None, services: str = "web redis mysql") -> None:
        """Register the services of the worked example and tell the region the same."""
        for service_id in (getattr(names, word) for word in services.split()):
            document = details(names, service_id, **((web or {}) if service_id == names.web else {}))
            self.register(names, service_id, document)
        self.tell_region(names)

    def register(self, names: Names, service_id: str, document: dict[str, Any], **more: Any) -> None:
        """Publish register-service with a console's export."""
        configuration = document
        if "service_base" in document:
            configuration = document | {"group": names.group, "plugins": {"perf_analyze_plugin": "perf_id"}}
        done = self.platform.run(
            "register-service",
            {
                "alias": names.alias(service_id),
                "region": "eu-1",
                "node": "web-1",
                "directory": service_id,
                "configuration": configuration,
                **more,
            },
            service=service_id,
        )
        assert done.state is State.SUCCEEDED, done.outcome

    def tell_region(self, names: Names) -> None:
        """The region holds exactly what the console knows of the group."""
        members = self.platform.system.database.services.in_group(TENANT, names.group)
        state = RegionState(self.generation)
        services = {found.alias: {"service_id": found.service_id} for found in members}
        state.put({"tenants": {TENANT: services}})
        tell(state, {f.service_id: (f, Configuration.load(f.document)) for f in members})
        self.region.put_state({"tenants": state.snapshot()["tenants"]})

    def publish_version(self, document: dict[str, Any], version: str) -> None:
        """Publish a version of the worked example's application."""
        done = self.platform.run(
            "publish-version",
            {"group_key": GROUP_KEY, "version": version, "template": document},
            service="shop",
        )
        assert done.state is State.SUCCEEDED, done.outcome

    # ------------------------------------------------------------ acting
    def upgrade(self, service: str, version: str = "v2.0", **data: Any) -> Operation:
        """Publish upgrade-service and wait for its end."""
        return self.platform.run("upgrade-service", {"version": version, **data}, service=service)

    def rollback(self, service: str, **data: Any) -> Operation:
        """Publish rollback and wait for its end."""
        return self.platform.run("rollback", data, service=service)

    def fail(self, method: str, path: str, do: Any, *, nth: int | None = None, times: int = 10**6) -> dict[str, Any]:
        """A rule of the region's fault script."""
        match: dict[str, Any] = {"method": method, "path": f"/services/[^/]+{path}"}
        return {"match": match | ({"nth": nth} if nth else {}), "do": do, "times": times}

    def when_deployed(self, patch: pytest.MonkeyPatch, image: str, act: Callable[[], None]) -> None:
        """`act` once the region has taken a deployment of the image, in the thread that asked for it, before it goes
        on: whatever it waits for next, what the new version does comes first."""
        acted: list[str] = []

        def look(point: str) -> None:
            if point == "region.after-call" and not acted and self._has_begun(image):
                acted.append(point)
                act()

        patch.setattr(failpoint, "hook", look)

    def _has_begun(self, image: str) -> bool:
        return any(event["image"] == image for event in self.region.root()["events"])

    def end_events(self, final: str) -> None:
        """Every deployment that the region has taken ends like this, as of now."""
        events = [event | {"final": final, "polls_left": 0} for event in self.region.root()["events"]]
        self.region.put_state({"events": events})

    # ------------------------------------------------------------ looking
    def configuration(self, service_id: str) -> Configuration:
        """The console's rows."""
        found = self.platform.system.database.services.get(service_id)
        assert found is not None
        return Configuration.load(found.document)

    def held(self, names: Names, service_id: str) -> dict[str, Any]:
        """What the region holds of the service, in an order that says nothing."""
        return in_order(self.region.state(names.alias(service_id)))

    def wanted(self, names: Names, service_id: str, configuration: Configuration | None = None) -> dict[str, Any]:
        """What the region must hold for the configuration, by default the console's."""
        members = self.platform.system.database.services.in_group(TENANT, names.group)
        state = RegionState(self.generation)
        state.put({"tenants": {TENANT: {found.alias: {"service_id": found.service_id} for found in members}}})
        known = {f.service_id: (f, Configuration.load(f.document)) for f in members}
        if configuration is not None:
            known[service_id] = (known[service_id][0], configuration)
        tell(state, known)
        return in_order(state.snapshot()["tenants"][TENANT][names.alias(service_id)])

    def agree(self, names: Names, service_id: str) -> None:
        """Console and region say the same of the service."""
        held, wanted = self.held(names, service_id), self.wanted(names, service_id)
        for section in held:
            assert held[section] == wanted[section], f"{section}: the region has {held[section]}, not {wanted[section]}"

    def calls(self, names: Names, service_id: str, *, deployments: bool = True) -> list[str]:
        """`METHOD /path` of every change that the region was asked for, in order."""
        base = f"/v2/tenants/{TENANT}/services/{names.alias(service_id)}"
        found = []
        for line in self.region.log():
            path = str(line["path"])
            if not path.startswith(f"{base}/") or line["method"] == "GET" or path.endswith("/seal"):
                continue
            if deployments or path[len(base) :] not in ("/build", "/upgrade"):
                found.append(f"{line['method']} {path[len(base) :]}")
        return found

    def bodies(self, names: Names, service_id: str, path: str) -> list[Any]:
        """The bodies of the calls to that path of the service."""
        full = f"/v2/tenants/{TENANT}/services/{names.alias(service_id)}{path}"
        return [_json(line["body"]) for line in self.region.log() if line["path"] == full]

    def builds(self, names: Names, service_id: str) -> int:
        """How many builds and updates the region took."""
        return sum(call in ("POST /build", "POST /upgrade") for call in self.calls(names, service_id))


def _json(body: Any) -> Any:
    if isinstance(body, str):
        try:
            return json.loads(body)
        except ValueError:
            return body
    return body
