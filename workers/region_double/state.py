"""The region as a pure state machine: a request in, an answer out, no network and no clock.

Apart from the server so that a simulation can hold it in its own process. Which handler imitates which call
stands in one table; fences are judged before any handler. Not safe for threads: the server has a lock.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from workers.region_double import deploying, properties, relations, restoring
from workers.region_double.answer import Answer, Rejected, Request, Row, ok, refuse

FENCE, FENCED = "x-backstay-fence", "X-Backstay-Fenced"
Handler = Callable[[Request], Answer]

_CALLS: dict[tuple[str, str], Handler] = {
    ("POST", "env"): properties.add_env,
    ("PUT", "env"): properties.change_env,
    ("DELETE", "env"): properties.remove_env,
    ("POST", "ports"): properties.add_ports,
    ("PUT", "ports"): properties.change_ports,
    ("PUT", "ports/"): properties.change_port,
    ("DELETE", "ports/"): properties.remove_port,
    ("GET", "volumes"): properties.volumes,
    ("POST", "volumes"): properties.add_volume,
    ("PUT", "volumes"): properties.change_volume,
    ("DELETE", "volumes/"): properties.remove_volume,
    ("POST", "probe"): properties.add_probe,
    ("PUT", "probe"): properties.change_probe,
    ("DELETE", "probe"): properties.remove_probe,
    ("POST", "dependency"): relations.add_dependency,
    ("DELETE", "dependency"): relations.remove_dependency,
    ("GET", "depvolumes"): relations.mounts,
    ("POST", "depvolumes"): relations.add_mount,
    ("DELETE", "depvolumes"): relations.remove_mount,
    ("GET", "plugin"): relations.plugins,
    ("POST", "plugin"): relations.add_plugin,
    ("DELETE", "plugin/"): relations.remove_plugin,
    ("POST", "app-restore/envs"): restoring.envs,
    ("POST", "app-restore/ports"): restoring.ports,
    ("POST", "app-restore/volumes"): restoring.volumes,
    ("POST", "app-restore/probe"): restoring.probe,
    ("POST", "app-restore/deps"): restoring.dependencies,
    ("POST", "app-restore/depvols"): restoring.mounts,
    ("POST", "app-restore/plugins"): restoring.plugins,
    ("POST", "build"): deploying.build,
    ("POST", "upgrade"): deploying.upgrade,
    ("POST", "rollback"): deploying.rollback,
    ("GET", "status"): deploying.status,
    ("GET", "build-version/"): deploying.build_version,
}
_PATH = re.compile(r"/v2/tenants/([^/]+)(?:/services/([^/]+))?/(.+)")
_LISTS = ("envs", "ports", "volumes", "probes", "deps", "depvolumes", "plugins")


class RegionState:
    """Services by tenant name and alias. `generation`: A (2020) or M (2024); `fenced`: judges fences."""

    def __init__(self, generation: str = "A", *, fenced: bool = False) -> None:
        self.generation, self.fenced = generation, fenced
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.root: Row = {"tenants": {}, "events": [], "counter": 0, "orphan_volume": False}
        self.root |= {"unknown_plugins": [], "plugin_kinds": {}, "broken_images": [], "silent_images": []}

    def put(self, document: Mapping[str, Any]) -> None:
        """Add or replace services, `{"tenants": {name: {alias: {parts}}}}`, and settings of the region."""
        given = copy.deepcopy(dict(document))
        for tenant, services in given.pop("tenants", {}).items():
            for alias, parts in services.items():
                self.root["tenants"].setdefault(tenant, {})[alias] = _service(alias, parts)
        self.root.update(given)

    def snapshot(self) -> Row:
        """A copy of everything."""
        return copy.deepcopy(self.root)

    def handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """The answer to one request. `headers` by name in lower case."""
        try:
            return self._handle(method, urlsplit(path).path, headers, body)
        except Rejected as rejected:
            return rejected.answer

    def _handle(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        match = _PATH.fullmatch(path)
        if match is None:
            raise refuse(404, "page not found")
        tenant, alias, rest = unquote(match[1]), match[2] and unquote(match[2]), match[3]
        if tenant not in self.root["tenants"]:
            raise refuse(404, "cant find tenant")
        if alias is None:
            if (method, rest) != ("GET", "event"):
                raise refuse(404, "page not found")
            return deploying.events(self.root, _document(body), self.generation)
        services = self.root["tenants"][tenant]
        if alias not in services:
            raise refuse(404, "cant find service")
        if self.fenced:
            _judge_fence(services[alias], headers.get(FENCE))
            if (method, rest) == ("POST", "seal"):
                return ok()
        handler, part = _route(method, rest)
        document = _document(body) if body else None
        request = Request(services[alias], services, self.root, document, body, self.generation, part)
        return handler(request)


def _service(alias: str, parts: Row) -> Row:
    known: Row = {"service_id": alias, "alias": alias, "image": "", "deploy_version": "", "status": "running"}
    return known | {"fence": 0, "final": "success", "polls": 1} | {name: [] for name in _LISTS} | parts


def _judge_fence(service: Row, given: str | None) -> None:
    fence = int(given) if given and given.isdigit() else 0
    if fence < service["fence"]:
        body = json.dumps({"msg": "fenced: a later holder works on this service"}).encode()
        raise Rejected(Answer(412, body, {FENCED: str(service["fence"])}))
    service["fence"] = fence


def _route(method: str, rest: str) -> tuple[Handler, str]:
    if (method, rest) in _CALLS:
        return _CALLS[method, rest], ""
    head, slash, part = rest.partition("/")
    if (method, head + slash) in _CALLS:
        return _CALLS[method, head + slash], unquote(part)
    raise refuse(404, "page not found")


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        raise Rejected(Answer(400, b'{"validation_error": {"_error": ["invalid JSON"]}}')) from None
