"""Whatever two configurations are, and whatever the region answers: the rows of the end are what the region holds."""

from __future__ import annotations

import random
from typing import Any

import pytest

from domain.changeset import ServicePlan
from domain.configuration import Configuration
from domain.kind import Facts
from domain.planning import plan_exact, plan_upgrade
from domain.region import Call, Reply
from tests.acceptance.terms import TENANT, in_order
from tests.contract.courses import LOST, UNSENT, Fate, Told, carried_out, region_of
from workers.region_double.state import RegionState

Rows = dict[str, dict[str, Any]]
PROVIDERS = {name: {"service_id": name, "volumes": [{"volume_name": "m"}, {"volume_name": "n"}]} for name in "abc"}
PLUGIN_KINDS = {"p0": "K", "p1": "K", "p2": "L"}
REFUSALS = {"400": Reply(400, message="no"), "412": Reply(412, message="quota"), "lost": LOST, "unsent": UNSENT}


def env(name: str, value: str = "1", scope: str = "inner", **more: Any) -> Rows:
    row = {"attr_name": name, "attr_value": value, "name": name, "is_change": True, "scope": scope, "container_port": 0}
    return {name: row | more}


def port(number: int, **more: Any) -> Rows:
    row = {"container_port": number, "mapping_port": number, "protocol": "http", "port_alias": f"W{number}"}
    return {str(number): row | {"is_inner_service": False, "is_outer_service": False} | more}


def volume(path: str, name: str, **more: Any) -> Rows:
    return {path: {"volume_name": name, "volume_path": path, "volume_type": "share-file", "category": ""} | more}


def config_file(path: str, name: str, content: str = "x") -> Rows:
    return volume(path, name, volume_type="config-file", file_content=content)


def probe(mode: str, number: str, **more: Any) -> Rows:
    return {mode: {"mode": mode, "probe_id": number * 32, "port": 80, "scheme": "tcp", "is_used": True} | more}


def mount(provider: str, name: str, where: str) -> Rows:
    return {f"{provider}/{name}": {"dep_service_id": provider, "mnt_name": name, "mnt_dir": where}}


def plugin(plugin_id: str, **more: Any) -> Rows:
    row = {"plugin_id": plugin_id, "plugin_key": f"k{plugin_id}", "build_version": "1", "plugin_status": True}
    return {plugin_id: row | {"config": []} | more}


def configuration(**items: Rows) -> Configuration:
    return Configuration({kind: rows for kind, rows in items.items() if rows}, origin={"version": "1"})


def drawn(rng: random.Random, *, renamed: bool) -> Configuration:
    """Names and ids that a second one has in other places."""
    kinds: dict[str, Rows] = {"env": {}, "connect_info": {}, "port": {}, "volume": {}, "config_file": {}, "mount": {},
                              "probe": {}, "plugin": {}}  # fmt: skip
    for name in "ABCD":
        if scope := rng.choice(["", "inner", "both", "build", "outer"]):
            found = env(name, str(rng.randrange(3)), scope, container_port=rng.choice([0, 80]))
            kinds["connect_info" if scope == "outer" else "env"] |= found
    for number in (80, 81):
        if rng.random() < 0.7:
            alias, protocol = f"{rng.choice('AW')}{number}", rng.choice(["http", "tcp"])
            kinds["port"] |= port(number, is_inner_service=rng.random() < 0.5, port_alias=alias, protocol=protocol)
    names = ["v0", "v1", "v2"]
    if renamed:
        rng.shuffle(names)
    for path, name in zip(("/a", "/b", "/c"), names, strict=True):
        kind = rng.choice(["volume", "config_file", ""])
        if kind:
            made = volume(path, name) if kind == "volume" else config_file(path, name, rng.choice(["", "x", "y"]))
            kinds[kind] |= made
    for mode, own in zip(("readiness", "liveness"), rng.choice(["12", "21"]), strict=True):
        if rng.random() < 0.6:
            kinds["probe"] |= probe(mode, own, port=rng.choice([80, 81]))
    for provider in "abc":
        for name in "mn":
            if rng.random() < 0.4:
                kinds["mount"] |= mount(provider, name, f"/{rng.choice('xy')}{provider}{name}")
    for plugin_id in (rng.choice(["", "p0", "p1"]), rng.choice(["", "p2"])):
        kinds["plugin"] |= plugin(plugin_id, build_version=rng.choice("12")) if plugin_id else {}
    return configuration(**kinds)


def beside(known: Configuration, kind: str, theirs: Rows) -> Configuration:
    return Configuration({**known.items, kind: {**theirs, **known.of(kind)}}, origin=known.origin)


def planned(way: str, old: Configuration, new: Configuration) -> ServicePlan:
    facts = Facts("s", "s", siblings=frozenset({"s", *"abc"}), providers={"s": old}, delete="deletes" in way)
    return (plan_exact if way == "exact" else plan_upgrade)("s", old, new, facts)


def region(old: Configuration, generation: str) -> RegionState:
    state = region_of({"s": old}, generation, PROVIDERS)
    state.root["plugin_kinds"] = dict(PLUGIN_KINDS)
    return state


def once(answer: Reply | None, at: int) -> Fate:
    def fate(call: Call, number: int) -> Reply | None:
        return answer if number == at else None

    return fate


def run(way: str, old: Configuration, new: Configuration, generation: str = "A", **more: Any) -> Told:
    return carried_out({"s": planned(way, old, new)}, region(old, generation), PROVIDERS, **more)


def true(told: Told) -> None:
    assert told.held == told.wanted, told


@pytest.mark.parametrize("seed", range(300))
def test_the_rows_of_the_end_are_what_the_region_holds_whatever_it_answers(seed: int) -> None:
    """I1, I20; B5, B6, B10, and scenario 46."""
    rng = random.Random(seed)
    way, generation = rng.choice(["exact", "exact", "upgrade", "upgrade that deletes"]), rng.choice("AM")
    old, new = drawn(rng, renamed=False), drawn(rng, renamed=seed % 4 == 0)
    answer = REFUSALS.get(rng.choice(["none", *REFUSALS]))
    true(run(way, old, new, generation, fate=once(answer, rng.randrange(1, 14)), fail=rng.random() < 0.4))


@pytest.mark.parametrize("seed", range(200))
def test_volumes_that_only_the_region_has_stay_as_they_are(seed: int) -> None:
    """They have names and paths that a plan wants for its own."""
    rng = random.Random(seed)
    old, new, generation = drawn(rng, renamed=False), drawn(rng, renamed=True), rng.choice("AM")
    own = {**old.of("volume"), **old.of("config_file")}
    path, name = rng.choice(["/a", "/b", "/c", "/d"]), rng.choice(["v0", "v1", "v2", "v3"])
    if path in own or name in {row["volume_name"] for row in own.values()}:
        path, name = "/d", "v3"
    kind = rng.choice(["volume", "config_file"])
    theirs = volume(path, name) if kind == "volume" else config_file(path, name, "theirs")
    state = region(beside(old, kind, theirs), generation)
    way, fate = rng.choice(["exact", "upgrade"]), once(rng.choice([None, UNSENT, LOST]), rng.randrange(1, 9))
    told = carried_out({"s": planned(way, old, new)}, state, PROVIDERS, fate=fate, fail=rng.random() < 0.5)
    wanted = told.wanted["s"]
    if not told.put_back:
        wanted = in_order(region(beside(told.rows["s"], kind, theirs), generation).snapshot()["tenants"][TENANT]["s"])
    assert told.held["s"]["volumes"] == wanted["volumes"], told


# ---------------------------------------------------------------- chosen ones
@pytest.mark.parametrize("generation", "AM")
@pytest.mark.parametrize("fail", [False, True])
def test_volumes_that_exchange_their_names_take_nothing_of_each_other(fail: bool, generation: str) -> None:
    old = configuration(volume=volume("/a", "x") | volume("/b", "y"))
    new = configuration(volume=volume("/a", "y") | volume("/b", "x"))
    true(told := run("exact", old, new, generation, fail=fail))
    assert told.put_back is fail and told.items == []


@pytest.mark.parametrize("generation", "AM")
def test_a_plugin_that_cannot_be_linked_beside_one_of_its_kind_is_not_taken_for_linked(generation: str) -> None:
    old, new = configuration(plugin=plugin("p0")), configuration(plugin=plugin("p1"))
    told = run("upgrade", old, new, generation)
    true(told)
    assert not told.complete and {item.code for item in told.items} == {"exists", "not-converged"}


def test_an_answer_that_was_lost_makes_nothing_of_the_regions_own_ours() -> None:
    """After a try without an answer "it exists" may be said of that try, or of what was there before."""
    old, new = configuration(plugin=plugin("p0")), configuration(plugin=plugin("p1"))
    told = run("upgrade", old, new, fate=once(UNSENT, 1))
    true(told)
    assert [item.code for item in told.items] == ["not-converged"]
    told = carried_out(
        {"s": planned("upgrade", configuration(), configuration(env=env("FOO", "new")))},
        region(configuration(env=env("FOO", "old")), "A"), PROVIDERS, fate=once(UNSENT, 1),
    )  # fmt: skip
    true(told)


def test_what_turns_out_to_be_the_regions_own_is_not_taken_away_on_the_way_back() -> None:
    plan = planned("upgrade", configuration(), configuration(volume=volume("/new", "n")))
    state = region(configuration(volume=volume("/old", "n")), "A")
    true(told := carried_out({"s": plan}, state, PROVIDERS, fate=once(UNSENT, 1), fail=True))
    assert told.put_back and told.held["s"]["volumes"]


def test_what_was_written_over_in_vain_is_named() -> None:
    """No region can be asked for a variable; so the value that it had is lost, and that is said."""
    plan = planned("upgrade", configuration(), configuration(env=env("FOO", "new")))
    told = carried_out({"s": plan}, region(configuration(env=env("FOO", "old")), "A"), PROVIDERS, fail=True)
    assert told.put_back and [(item.name, item.code) for item in told.items] == [("s/env/FOO", "overwritten")]


def test_a_volume_of_the_regions_own_is_never_turned_into_ours() -> None:
    """Its name is taken by another path: a PUT would move it there, with our content."""
    plan = planned("upgrade", configuration(), configuration(config_file=config_file("/e", "n")))
    state = region(configuration(volume=volume("/data", "n")), "A")
    told = carried_out({"s": plan}, state, PROVIDERS)
    assert told.held == told.before and not told.complete


def test_a_mount_of_the_regions_own_survives_the_way_back_of_others() -> None:
    """Older regions remove mounts by name: none can go back alone."""
    old = configuration(mount=mount("a", "m", "/a"))
    new = configuration(mount=mount("a", "m", "/a") | mount("b", "m", "/b") | mount("c", "n", "/c"))
    state = region(configuration(mount=mount("a", "m", "/a") | mount("c", "n", "/c")), "A")
    true(told := carried_out({"s": planned("upgrade", old, new)}, state, PROVIDERS, fail=True))
    assert told.put_back


@pytest.mark.parametrize("fail", [False, True])
def test_a_mount_goes_before_its_volume_and_comes_back_after_it(fail: bool) -> None:
    """Of two services that are rolled back together; no region takes a mount of a volume that it does not have."""
    there = {"p": configuration(volume=volume("/d", "d")), "s": configuration(mount=mount("p", "d", "/x"))}
    facts = {name: Facts(name, name, siblings=frozenset(there), providers=there) for name in there}
    plans = {name: plan_exact(name, known, configuration(), facts[name]) for name, known in there.items()}
    true(told := carried_out(plans, region_of(there, "A", {}), {}, fail=fail))
    assert told.sent[:2] == ["DELETE /depvolumes", "DELETE /volumes/d"]


def test_a_scope_goes_back_with_all_that_is_in_it_whatever_kind_it_is_of() -> None:
    """A document of before connection information had its scope by kind."""
    old = configuration(env=env("A"), connect_info=env("Z", scope=""))
    true(run("exact", old, configuration(env=env("A")), fail=True))


def test_an_item_whose_removal_was_left_out_is_not_made_anew() -> None:
    old, new = configuration(volume=volume("/a", "x")), configuration(volume=volume("/a", "y"))
    true(told := run("exact", old, new, fate=once(REFUSALS["400"], 1)))
    assert not told.complete and told.sent == ["DELETE /volumes/x"]
