"""Services and versions that a seed draws: small, but every kind of call is among them."""

from __future__ import annotations

import random
from typing import Any

from domain.formats import configuration_from
from domain.service import Service

TENANT, GROUP_KEY = "acme", "shop"
VERSIONS = ("v2", "v3")
#: A variable that the region never takes.
REFUSED = "REFUSED"


def services(draw: random.Random) -> list[Service]:
    """One to three services of one group, as installed from v1."""
    return [_service(number, draw) for number in range(draw.choice((1, 1, 2, 3)))]


def _service(number: int, draw: random.Random) -> Service:
    plain: dict[str, Any] = {
        "group_key": GROUP_KEY, "group": "g1", "version": "v1", "service_key": f"key{number}",
        "image": f"registry/app{number}:v1", "build": "v1",
        "envs": [{"name": "MODE", "value": "prod"}, {"name": "LEVEL", "value": "info"}],
        "ports": [{"port": 80, "inner": draw.random() < 0.5, "alias": f"APP{number}"}],
        "config_files": [{"name": "conf", "path": "/etc/app.conf", "content": "a=1"}],
        "volumes": [{"name": "data", "path": "/data"}],
        "probes": [{"mode": "readiness", "port": 80, "probe_id": f"{number:032x}"}] if draw.random() < 0.5 else [],
    }  # fmt: skip
    if plain["probes"]:  # the way back to an empty file is to remove it and to make it anew
        plain["config_files"][0]["content"] = ""
    service_id = f"{number}{'abcdef0123456789'[number] * 31}"
    return Service(
        service_id, TENANT, f"gr{number}", service_id, region="eu-1", group_id="g1",
        document=configuration_from(plain).document(),
    )  # fmt: skip


def template(version: str, installed: list[Service], draw: random.Random) -> dict[str, Any]:
    """A version with two or three changes of every service."""
    return {"services": {f"key{n}": _component(version, n, len(installed), draw) for n in range(len(installed))}}


def _component(version: str, number: int, count: int, draw: random.Random) -> dict[str, Any]:
    wanted: dict[str, Any] = {"group_key": GROUP_KEY, "version": version}
    parts = draw.sample(("image", "env", "port", "file", "volume", "probe", "dependency", "open"), draw.choice((2, 3)))
    if "image" in parts:
        wanted |= {"image": f"registry/app{number}:{version}", "build": version}
    if "env" in parts:
        wanted["envs"] = [{"name": f"NEW_{version}_{n}", "value": version} for n in range(draw.choice((1, 2)))]
        if draw.random() < 0.1:
            wanted["envs"].append({"name": REFUSED, "value": version})
    if "port" in parts:
        wanted["ports"] = [{"port": 8000 + int(version[1]), "inner": True, "alias": f"EXTRA{version[1]}"}]
    if "open" in parts:
        wanted.setdefault("ports", []).append({"port": 80, "inner": True, "outer": True, "alias": f"APP{number}"})
    if "file" in parts:
        wanted["config_files"] = [{"name": "conf", "path": "/etc/app.conf", "content": f"a={version}"}]
        if draw.random() < 0.3:
            wanted["config_files"].append({"name": "more", "path": f"/etc/{version}", "content": version})
    if "volume" in parts:
        wanted["volumes"] = [{"name": f"data{version}", "path": f"/data/{version}"}]
    if "probe" in parts:
        wanted["probes"] = [{"mode": "liveness", "port": 80, "path": f"/{version}", "probe_id": f"{number + 16:032x}"}]
    if "dependency" in parts and count > 1:
        other = (number + 1) % count
        wanted["dependencies"] = [f"{other}{'abcdef0123456789'[other] * 31}"]
    return wanted
