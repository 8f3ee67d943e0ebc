"""A sample of `make prove`: servers that fail at the decisive moment, under two nodes; all other moments there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.sealing import KeyRing
from tests.chaos.victim import Death
from tests.fakes.region import RegionDouble
from tests.prove.bench import Bench
from tests.prove.matrix import Matrix
from tests.prove.nemesis import Nemesis, killed
from tests.prove.stacks import Servers
from tests.prove.wire import Wire
from tests.servers.redis import RedisServer


@pytest.fixture
def nemesis(tmp_path: Path, fresh_postgres_url: str, border_url: str, redis_server: RedisServer) -> Iterator[Nemesis]:
    ring, servers = KeyRing.generate_text(), Servers()
    servers.running["redis"] = redis_server
    environment = {"DATABASE_URL": fresh_postgres_url, "BROKER_URL": border_url, "BACKSTAY_SECRET_KEYS": ring}
    environment["BACKSTAY_STORE_URL"] = f"file://{tmp_path}/store"
    wires = {"postgres": Wire(fresh_postgres_url), "broker": Wire(border_url)}
    with RegionDouble(fenced=True) as region:
        bench = Bench(tmp_path / "home", region, environment)
        yield Nemesis(Matrix(bench), servers, wires)
        bench.close()
    for wire in wires.values():
        wire.close()


@pytest.mark.parametrize("border_url", ["redisstream"], indirect=True)
def test_whatever_fails_at_the_decisive_moment_each_command_has_one_end(
    nemesis: Nemesis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1, I2, I5, I13: the answer to the commit that settles is lost; the broker dies before it hears of the taking."""
    monkeypatch.setattr("tests.prove.nemesis.LEASE", 20)  # none is lost because the machine stands still
    nemesis.commit("create", Death("settle.before-commit", 1), "lose-answer")
    nemesis.away("create", Death("ingress.after-accept", 1), "redis", killed, "killed")
    nemesis.region("create", [{"match": {"nth": 1}, "do": "cut-before"}], "one call cut-before (1)")
    bad = {family: found.bad for family, found in nemesis.families.items() if found.bad}
    assert bad == {}
    assert {family: found.points for family, found in nemesis.families.items()} == {
        "COMMIT: lose-answer": 1, "redis killed": 1, "region: one call cut-before": 0
    }, "no region is asked for a snapshot, so that no call of it can be lost"  # fmt: skip
    seen = nemesis.families["COMMIT: lose-answer"].seen
    assert "operation.lease-lost" not in seen, "an end that was not answered looks like a lost lease"
    assert "loop.interrupted (ingress)" in nemesis.families["redis killed"].seen


@pytest.mark.parametrize("border_url", ["redisstream"], indirect=True)
def test_a_database_that_is_away_when_a_node_looks_for_garbage_at_its_end_is_waited_for(nemesis: Nemesis) -> None:
    """By the harness, as by the sweeper; it is no promise that is broken. Each sweeper looks once at its start."""
    nemesis.commit("create", Death("expire-exports.before-commit", 3), "lose-request")
    (found,) = nemesis.families.values()
    assert (found.points, found.bad) == (1, [])
