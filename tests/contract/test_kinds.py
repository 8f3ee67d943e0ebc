"""Laws that every kind of item keeps, whatever is in it, and the worked example that they add up to."""

from __future__ import annotations

import copy
import dataclasses
import random
from typing import Any

import pytest

from domain import env_rules
from domain.changeset import Effect, ItemChange, Verb
from domain.configuration import Configuration
from domain.kind import Facts, masked
from domain.kinds import KINDS, SHARED_NAMES
from domain.planning import effect_of, plan_exact, plan_upgrade
from domain.region import Call, Place
from domain.service import Service
from tests.acceptance.terms import TENANT, asked, in_order, tell
from workers.region_double.state import RegionState

SELF, PLACE = "5" * 32, Place("r", TENANT, "5" * 32, "gr555555")
FACTS = Facts(SELF, "gr555555", siblings=frozenset({"a", "b", "c"}), plugins={"k1": "p1"})


def _row(kind: str, n: int, v: int) -> tuple[str, dict[str, Any]]:
    env: dict[str, Any] = {
        "attr_name": ("W80_HOST", "VARIABLE_1", "VARIABLE_2")[n],
        "attr_value": str(v),
        "name": "n",
        "is_change": bool(v % 2),
    }
    rows: dict[str, tuple[str, dict[str, Any]]] = {
        "image": (("image", "cmd", "version")[n], {"value": f"v{v}"}),
        "slug": ("slug_path", {"value": f"/s{v}"}),
        "resources": (("min_memory", "min_node", "min_cpu")[n], {"value": v}),
        "env": (env["attr_name"], env | {"scope": "inner", "container_port": 0}),
        "connect_info": (env["attr_name"], env | {"scope": "outer", "container_port": 0}),
        "port": (str(80 + n), {"container_port": 80 + n, "mapping_port": 80 + n, "protocol": "http",
                 "port_alias": f"W{80 + n}", "is_inner_service": v > 1, "is_outer_service": bool(v % 2)}),
        "volume": (f"/d{n}", {"volume_name": f"v{n}{v}", "volume_path": f"/d{n}", "volume_type": "share-file"}),
        "config_file": (f"/d{n}", {"volume_name": f"v{n}0", "volume_path": f"/d{n}", "volume_type": "config-file",
                        "category": "app_publish" if v > 1 else "", "file_content": "x" * v}),
        "probe": (("readiness", "liveness", "ignore")[n], {"mode": ("readiness", "liveness", "ignore")[n],
                  "port": 80 + v, "scheme": "tcp", "is_used": True} | ({"probe_id": f"{n}" * 32} if n else {})),
        "dependency": ("abc"[n], {"dep_service_id": "abc"[n], "dep_service_type": "application", "dep_order": 0}),
        "mount": (f"{'abc'[n]}/m", {"dep_service_id": "abc"[n], "mnt_name": "m", "mnt_dir": f"/m{v}"}),
        "plugin": (f"p{n}", {"plugin_id": f"p{n}", "plugin_key": f"k{n}", "build_version": str(v),
                   "plugin_status": True, "config": []}),
    }  # fmt: skip
    return rows[kind]


def _configuration(seed: int) -> Configuration:
    rng = random.Random(seed)
    items = {k: dict(_row(k, n, rng.randrange(4)) for n in range(3) if rng.random() < 0.6) for k in KINDS}
    for later, first in SHARED_NAMES.items():
        items[later] = {key: row for key, row in items[later].items() if key not in items[first]}
    return Configuration({k: rows for k, rows in items.items() if rows}, origin={"version": str(seed)})


SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_changes_between_a_configuration_and_itself(seed: int) -> None:
    same = _configuration(seed)
    assert all(kind.diff(same.of(name), same.of(name), FACTS) == [] for name, kind in KINDS.items())
    assert plan_exact(SELF, same, same, FACTS).changes == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_an_upgrade_leaves_nothing_to_upgrade_and_touches_no_input(seed: int) -> None:
    old, new = _configuration(seed), _configuration(seed + 1000)
    documents = copy.deepcopy((old.document(), new.document()))
    plan = plan_upgrade(SELF, old, new, FACTS)
    assert (old.document(), new.document()) == documents
    assert plan_upgrade(SELF, Configuration.load(plan.after), new, FACTS).changes == ()


@pytest.mark.parametrize("seed", SEEDS)
def test_the_exact_plan_leads_to_what_was_wanted_in_every_column_that_counts(seed: int) -> None:
    old, new = _configuration(seed), _configuration(seed + 1000)
    after = Configuration.load(plan_exact(SELF, old, new, FACTS).after)
    for name, kind in KINDS.items():
        wanted = old.of(name) if name == "resources" else new.of(name)
        for rows in (after.of(name), wanted):
            assert set(rows) == set(wanted)
        assert all(after.of(name)[k].get(c) == wanted[k].get(c) for k in wanted for c in kind.compared)


@pytest.mark.parametrize("seed", SEEDS)
def test_an_upgrade_deletes_nothing_but_probes_and_slugs_unless_it_may(seed: int) -> None:
    plan = plan_upgrade(SELF, _configuration(seed), _configuration(seed + 1000), FACTS)
    assert {c.kind for c in plan.changes if c.verb is Verb.DELETE} <= {"probe", "slug"}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_change_has_calls_and_a_way_back_that_never_replaces_volumes(seed: int) -> None:
    old = _configuration(seed)
    for change in plan_exact(SELF, old, _configuration(seed + 1000), FACTS).changes:
        kind = KINDS[change.kind]
        back = kind.undo(change, PLACE) + (kind.restore(old, PLACE, [change]) if kind.restore else ())
        assert all(call.path != "/app-restore/volumes" for call in back)
        if change.kind not in ("image", "slug"):
            assert back and kind.calls(change, PLACE)
            assert all(call.optional for call in kind.calls(change, PLACE) if call.name != "remove-mount")


def _told(configuration: Configuration, generation: str) -> RegionState:
    """A region that holds the configuration, and the providers that it mounts from."""
    state = RegionState(generation)
    volumes = [{"volume_name": "m"}]
    providers: dict[str, Any] = {name: {"service_id": name, "volumes": volumes} for name in "abc"}
    state.put({"tenants": {TENANT: {PLACE.alias: {"service_id": SELF}} | providers}})
    tell(state, {SELF: (Service(SELF, TENANT, PLACE.alias, "x", region="r"), configuration)})
    return state


def _send(state: RegionState, call: Call) -> int:
    return asked(state, call, PLACE).status


def _held(state: RegionState) -> dict[str, Any]:
    return in_order(state.snapshot()["tenants"][TENANT][PLACE.alias])


@pytest.mark.parametrize("generation", ["A", "M"])
@pytest.mark.parametrize("way", ["exact", "upgrade", "upgrade that deletes"])
@pytest.mark.parametrize("seed", range(40))
def test_the_calls_of_a_plan_lead_the_region_to_what_it_says(seed: int, way: str, generation: str) -> None:
    """Nothing is taken for there already because what it takes the place of has not gone yet, and nothing that stays
    is gone because it has the name of something that went."""
    old, new = _configuration(seed), _configuration(seed + 1000)
    facts = dataclasses.replace(FACTS, delete="deletes" in way)
    plan = (plan_exact if way == "exact" else plan_upgrade)(SELF, old, new, facts)
    state = _told(old, generation)
    for change in plan.changes:
        for call in KINDS[change.kind].calls(change, PLACE):
            absent, there = call.method == "DELETE", change.verb is Verb.KEEP
            assert _send(state, call) in (200, 404 if absent else 200, 500 if there else 200), (change, call)
    assert _held(state) == _held(_told(Configuration.load(plan.after), generation))


@pytest.mark.parametrize("generation", ["A", "M"])
@pytest.mark.parametrize("way", ["item by item", "by section"])
@pytest.mark.parametrize("seed", range(40))
def test_whatever_part_of_a_change_was_made_is_put_back(seed: int, way: str, generation: str) -> None:
    """Any prefix of the forward calls, then the way back, twice: the region is as it was. B5, B6, B9, B10. Those that
    end in the middle of a change are all tried: what was removed is not made anew yet."""
    old, new = _configuration(seed), _configuration(seed + 1000)
    changes = plan_exact(SELF, old, new, FACTS).changes
    calls = [(change, call) for change in changes for call in KINDS[change.kind].calls(change, PLACE)]
    within = [number for number in range(1, len(calls)) if calls[number - 1][0] is calls[number][0]]
    for number in [random.Random(seed).randint(0, len(calls)), *within]:
        _made_and_put_back(old, calls[:number], way, generation)


def _made_and_put_back(old: Configuration, made: list[tuple[ItemChange, Call]], way: str, generation: str) -> None:
    state = _told(old, generation)
    before = _held(state)
    for _, call in made:
        _send(state, call)
    touched = list({id(change): change for change, _ in made}.values())
    for _ in range(2):
        for change in reversed(touched):
            kind = KINDS[change.kind]
            # A mount is never undone by its name: that would take another provider's along.
            whole = kind.restore is not None and (way == "by section" or change.kind == "mount")
            section = [other for other in touched if other.kind == change.kind]
            back = kind.restore(old, PLACE, section) if whole and kind.restore else kind.undo(change, PLACE)
            for call in back:
                _send(state, call)
    assert _held(state) == before


def test_a_variable_without_a_scope_is_put_back_with_the_inner_ones() -> None:
    row = {"attr_name": "A", "attr_value": "1", "name": "n", "is_change": True}
    (call,) = env_rules.restore(Configuration({"env": {"A": row}}), PLACE, [ItemChange("env", "A", Verb.DELETE, row)])
    assert isinstance(call.body, dict) and [found["env_name"] for found in call.body["envs"]] == ["A"]


def test_the_worked_example_is_called_in_the_order_of_the_specification() -> None:
    """Scenario 1."""
    env = {"name": "n", "is_change": True, "container_port": 0}
    disk = {"volume_type": "share-file", "category": "app_publish"}
    conf = {"volume_name": "appconf", "volume_path": "/etc/app.conf", "volume_type": "config-file"}
    port = {"protocol": "http", "is_inner_service": True}
    probe = {"mode": "readiness", "port": 80, "scheme": "tcp", "is_used": True}
    redis = Configuration({
        "port": {"6379": port | {"container_port": 6379}},
        "volume": {"/data": disk | {"volume_name": "redisdata", "volume_path": "/data"}},
    })  # fmt: skip
    old = Configuration({
        "image": {"image": {"value": "acme/web:1"}, "cmd": {"value": "start"}},
        "env": {"LOG_LEVEL": env | {"attr_name": "LOG_LEVEL", "attr_value": "debug"}},
        "port": {"80": port | {"container_port": 80, "port_alias": "WEB80", "is_outer_service": False}},
        "config_file": {"/etc/app.conf": conf | {"file_content": "mode=prod\n"}},
        "probe": {"readiness": probe | {"probe_id": "2" * 32}},
        "dependency": {"mysql": {"dep_service_id": "mysql", "dep_service_type": "application"}},
    })  # fmt: skip
    new = Configuration({
        "image": {"image": {"value": "acme/web:2"}, "cmd": {"value": "start --workers 4"}},
        "env": {"LOG_LEVEL": env | {"attr_name": "LOG_LEVEL", "attr_value": "warn"},
                "CACHE_URL": env | {"attr_name": "CACHE_URL", "attr_value": "redis"}},
        "connect_info": {"PASS": env | {"attr_name": "PASS", "attr_value": "**None**"}},
        "port": {"80": port | {"container_port": 80, "port_alias": "X80", "is_outer_service": True},
                 "9090": port | {"container_port": 9090, "port_alias": "GRA9090", "is_outer_service": False}},
        "volume": {"/var/cache": disk | {"volume_name": "cache", "volume_path": "/var/cache"}},
        "config_file": {"/etc/app.conf": conf | {"file_content": "cache=on\n"}},
        "probe": {"readiness": probe | {"scheme": "http", "path": "/healthz"}},
        "dependency": {"r+1": {"dep_service_key": "r+1"}},
        "mount": {"r+1/redisdata": {"service_share_uuid": "r+1", "mnt_name": "redisdata", "mnt_dir": "/mnt"}},
        "plugin": {"perf": {"plugin_key": "perf", "build_version": "1", "attr": []}},
    })  # fmt: skip
    facts = Facts(SELF, "gr", {"r+1": "redis"}, frozenset({"redis"}), {"perf": "pid"}, {"redis": redis})
    plan = plan_upgrade(SELF, old, new, facts)
    calls = [call for change in plan.changes for call in KINDS[change.kind].calls(change, PLACE)]
    assert [call.name for call in calls] == [
        "add-env", "add-env", "add-port", "set-port", "add-env", "add-env", "add-volume", "set-config-file",
        "set-probe", "add-dependency", "add-mount", "add-plugin",
    ]  # fmt: skip
    assert isinstance(calls[1].body, dict) and calls[1].body["env_value"] == SELF[:8]
    assert Configuration.load(plan.after).of("port")["80"]["port_alias"] == "WEB80"
    assert effect_of(plan) is Effect.BUILD


def test_a_probe_that_was_absent_is_restored_by_a_body_of_zero_length() -> None:
    """Scenario 40."""
    restore = KINDS["probe"].restore
    assert restore is not None and [call.body for call in restore(Configuration(), PLACE, [])] == [""]


def test_secrets_are_masked_on_screens() -> None:
    assert masked({"attr_name": "A", "attr_value": "s", "hub_password": "p"}) == {
        "attr_name": "A", "attr_value": "***", "hub_password": "***",
    }  # fmt: skip
