"""Random installed states, random versions, random faults: console and region end as one of the two, whole."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from domain.operation import Budget, State
from tests.acceptance.shop import GROUP_KEY, Names
from tests.acceptance.stage import Stage

SEEDS = 12
CALLS = (
    ("POST", "/env$"), ("PUT", "/env$"), ("DELETE", "/env$"), ("POST", "/ports$"), ("PUT", "/ports$"),
    ("POST", "/volumes$"), ("PUT", "/volumes$"), ("DELETE", "/volumes/"), ("POST", "/probe$"), ("PUT", "/probe$"),
    ("POST", "/dependency$"), ("POST", "/depvolumes$"), ("POST", "/build$"), ("POST", "/upgrade$"),
)  # fmt: skip
FAULTS: tuple[Any, ...] = (
    "cut-before", "cut-after", "half-body", "504-applied", "empty-500",
    {"status": 500, "body": {"msg": "database is away"}}, {"status": 404, "body": {"msg": "not found"}},
    {"status": 409, "body": {"msg": "busy"}}, {"status": 412, "body": {"msg": "quota"}},
    {"status": 400, "body": {"validation_error": {"x": ["is wrong"]}}},
)  # fmt: skip


@pytest.fixture(scope="module", params=["plain", "fenced"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    made = Stage(tmp_path_factory.mktemp("stage"), fenced=request.param == "fenced")
    made.platform.start("web-1", budget=Budget(backoff_base=0.01, backoff_cap=0.05))
    yield made
    made.close()


def configuration(draw: random.Random, names: Names, build: int) -> dict[str, Any]:
    """A service in the plain form, from small pools, so that two of them overlap."""

    def some(pool: list[Any]) -> list[Any]:
        return draw.sample(pool, draw.randint(0, len(pool)))

    return {
        "image": f"shop:{draw.choice([1, 2])}",
        "build": str(build),
        "cmd": draw.choice(["start", "start --fast"]),
        "envs": [{"name": n, "value": draw.choice("ab") * 3} for n in some(["A", "B", "C", "D"])],
        "connection_info": [{"name": n, "value": draw.choice("xy")} for n in some(["URL", "USER"])],
        "ports": [
            {"port": p, "inner": draw.random() < 0.5, "outer": draw.random() < 0.5, "alias": f"WEB{p}"}
            for p in some([80, 443, 9090])
        ],
        "volumes": [{"name": n, "path": f"/{n}"} for n in some(["data", "cache"])],
        "config_files": [
            {"name": n, "path": f"/etc/{n}", "content": draw.choice(["one", "two"])} for n in some(["conf", "more"])
        ],
        "probes": some([{"mode": "readiness", "port": draw.choice([80, 443]), "probe_id": "a" * 32}]),
        "dependencies": some([names.redis]),
        "mounts": some([{"service": names.redis, "volume": "redisdata", "path": draw.choice(["/m", "/n"])}]),
    }


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_fails_the_service_is_whole(stage: Stage, seed: int) -> None:
    """Scenario 46: after an upgrade with a fault, and after a rollback, console and region are equal."""
    draw = random.Random(seed)
    stage.region.reset()
    names = Names()
    web = {"group": names.group, "group_key": GROUP_KEY, "version": "1", "service_key": f"web-{names.web}"}
    stage.install(names, services="redis")
    stage.register(names, names.web, web | configuration(draw, names, 1))
    stage.tell_region(names)
    version = f"random-{names.web}"
    stage.publish_version({"services": {f"web-{names.web}": configuration(draw, names, 2)}}, version)
    before, region = stage.configuration(names.web), stage.held(names, names.web)
    method, path = draw.choice(CALLS)
    times = draw.choice([1, 2, 3])
    stage.region.script(stage.fail(method, path, draw.choice(FAULTS), times=times))
    done = stage.upgrade(names.web, version, strict=draw.random() < 0.5)
    if done.state is State.SUCCEEDED:
        stage.agree(names, names.web)
        assert stage.configuration(names.web).origin["version"] == version
        stage.region.script()
        if stage.configuration(names.web).items != before.items:
            back = stage.rollback(names.web)
            assert back.state is State.SUCCEEDED, back.outcome
            assert stage.configuration(names.web).items == before.items
            assert stage.held(names, names.web) == region
    else:
        assert done.state in (State.ROLLED_BACK, State.FAILED), done.outcome
        assert stage.configuration(names.web) == before
        assert stage.held(names, names.web) == region
