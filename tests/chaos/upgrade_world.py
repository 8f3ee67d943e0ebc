"""What a chaos run over upgrades is about: an installed application, a region that outlives workers, and promises.

Apart from `world.py` because the truth has three places here: the console's rows, the region and the data. A
world is set up once without faults and copied for every death, its database and its region's state included.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from domain.configuration import Configuration
from domain.operation import TERMINAL, State
from domain.upgrade_record import Status
from storage.sealing import KeyRing
from tests.acceptance.shop import GROUP_KEY, V1_IMAGE, V2_IMAGE, Names, details, template
from tests.acceptance.terms import REGION_TENANT, TENANT, in_order, tell
from tests.chaos.upgrade_promises import check
from tests.chaos.victim import Death, End, run_node
from tests.chaos.world import all_over, command, publish
from tests.chaos.world import settings_of as embedded
from tests.fakes.region import RegionDouble
from tests.fakes.trees import digest, grow
from workers.bootstrap import System
from workers.config import Settings
from workers.region_double.state import RegionState

#: What the new version writes into the service's directory as soon as it runs.
WRITTEN = "written-by-v2.txt"
#: One key ring for all worlds: on PostgreSQL it does not lie in the data directory.
KEYS = KeyRing.generate_text()


@dataclass(frozen=True, slots=True)
class Scenario:
    """One operation, the faults of the region, and what must have become of both."""

    name: str
    kind: str
    data: dict[str, Any]
    state: State
    status: Status
    rules: tuple[dict[str, Any], ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)  # of the region
    builds: tuple[str, ...] = ()  # images that the region has deployed in the end, in order
    runs: bool = False  # the new version writes its data while the operation is under way
    upgraded: bool = False  # begins with an upgrade that is over


def always(method: str, path: str, status: int) -> dict[str, Any]:
    """A rule of the region: it never does that."""
    return {
        "match": {"method": method, "path": f"/services/[^/]+{path}"},
        "do": {"status": status, "body": {"msg": "it does not work"}},
    }


_UPGRADE = {"version": "v2.0"}
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("upgrade", "upgrade-service", _UPGRADE, State.SUCCEEDED, Status.UPGRADED, builds=(V2_IMAGE,)),
        Scenario(
            "upgrade-with-data",
            "upgrade-service",
            _UPGRADE | {"include_data": True},
            State.SUCCEEDED,
            Status.UPGRADED,
            builds=(V2_IMAGE,),
            runs=True,
        ),
        Scenario(
            "refused-half-way",
            "upgrade-service",
            _UPGRADE,
            State.ROLLED_BACK,
            Status.UPGRADE_FAILED,
            rules=(always("POST", "/depvolumes$", 404),),
        ),
        Scenario(
            "failing-half-way",
            "upgrade-service",
            _UPGRADE | {"include_data": True},
            State.ROLLED_BACK,
            Status.UPGRADE_FAILED,
            rules=(always("POST", "/volumes$", 500),),
        ),
        Scenario(
            "failed-build",
            "upgrade-service",
            _UPGRADE | {"include_data": True},
            State.ROLLED_BACK,
            Status.UPGRADE_FAILED,
            builds=(V2_IMAGE, V1_IMAGE),
            settings={"broken_images": [V2_IMAGE]},
            runs=True,
        ),
        Scenario(
            "rollback", "rollback", {"data": True}, State.SUCCEEDED, Status.ROLLBACK, builds=(V1_IMAGE,), upgraded=True
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Truth:
    """What the three places hold at one moment."""

    console: dict[str, dict[str, Any]]  # documents by service
    region: dict[str, dict[str, Any]]  # sections by service
    image: str  # that the region runs
    tree: str


@dataclass(frozen=True, slots=True)
class UpgradeWorld:
    """A data directory, its database, a region's state, and the message of one scenario in the spool."""

    home: Path
    region: RegionDouble
    fenced: bool
    names: Names
    scenario: Scenario | None = None
    root: dict[str, Any] = field(default_factory=dict)  # of the region, when the run begins
    end: Truth | None = None  # what must hold in the end; None: what the run without faults leads to
    trees: frozenset[str] = frozenset()  # what may lie in the live directory at any moment
    messages: tuple[str, ...] = ()
    database: str = ""

    @property
    def settings(self) -> Settings:
        """A node in `home` that knows the region; its own log is as talkative as it can be."""
        regions = {
            "eu-1": {
                "url": self.region.url, "fenced": self.fenced, "settle_seconds": 0.2, "call_seconds": 20.0,
                "connect_seconds": 5.0, "retry_seconds": 1.0,
                "tenants": {TENANT: {"name": TENANT, "id": REGION_TENANT}},
            }
        }  # fmt: skip
        here = {
            "BACKSTAY_REGIONS": json.dumps(regions),
            "BACKSTAY_LOG_LEVEL": "debug",
            "BACKSTAY_SECRET_KEYS": KEYS,
            "BROKER_URL": f"spool://{self.home}/spool",
            "BACKSTAY_STORE_URL": f"file://{self.home}/store",
        }
        return embedded(self.home, **here, **({"DATABASE_URL": self.database} if self.database else {}))

    @property
    def tree(self) -> Path:
        return self.home / "apps" / self.names.web

    def copy_to(self, home: Path, database: str = "") -> UpgradeWorld:
        """The same world in another directory, with the region as it was. A PostgreSQL is copied by the caller."""
        shutil.copytree(self.home, home, symlinks=True)
        self.region.reset()
        self.region.put_state(self.root | (self.scenario.settings if self.scenario else {}))
        self.region.script(*(self.scenario.rules if self.scenario else ()))
        return replace(self, home=home, database=database)

    def run(self, death: Death | None = None) -> End:
        """A node that dies there, or finishes."""
        witness = partial(_new_version_writes, self) if self.scenario and self.scenario.runs else None
        trace, log = self.home.parent / f"{self.home.name}.trace", self.home / "log"
        return run_node(self.settings, self.over, trace, death, witness=witness, log=log)

    def over(self, system: System) -> bool:
        """Nothing goes on any more, also when a person has to look."""
        return all_over(self.home, self.messages, system, {*TERMINAL, State.STUCK})

    def order(self, kind: str, data: dict[str, Any], *, service: str, message: str = "") -> UpgradeWorld:
        """One more message in the spool."""
        message = message or f"{len(self.messages)}-{kind}"
        event = command(kind, message, data) | {"subject": f"tenant/{TENANT}/service/{service}"}
        publish(self.home, f"{len(self.messages)}-{message}", json.dumps(event).encode())
        return replace(self, messages=(*self.messages, message))

    def truth(self, system: System) -> Truth:
        """What console, region and directory hold now."""
        root = self.region.root()
        found = system.database.services.in_group(TENANT, self.names.group)
        parts = {service.service_id: root["tenants"][TENANT][service.alias] for service in found}
        return Truth(
            console={service.service_id: service.document for service in found},
            region={service_id: in_order(part) for service_id, part in parts.items()},
            image=parts[self.names.web]["image"],
            tree=digest(self.tree),
        )


def _new_version_writes(world: UpgradeWorld, point: str) -> None:
    """Once, at the reply to its deployment: what runs then has the directory in its hands."""
    mark = world.home / "v2-has-run"
    if point != "region.after-reply" or mark.exists():
        return
    if any(event["image"] == V2_IMAGE for event in world.region.root()["events"]):
        _write(world.tree)
        mark.touch()


def _write(tree: Path) -> None:
    (tree / WRITTEN).write_text("a migration")
    os.utime(tree / WRITTEN, ns=(1_600_000_000_000_000_000, 1_600_000_000_000_000_000))


# ---------------------------------------------------------------- setting up
def install(home: Path, region: RegionDouble, *, fenced: bool, database: str = "") -> UpgradeWorld:
    """The worked example as v1, in the console and in the region; v2 is published."""
    world = UpgradeWorld(home, region, fenced, Names(), database=database)
    system = System(world.settings)
    system.database.migrate()
    grow(world.tree, seed=1, files=8)
    for service_id in (world.names.web, world.names.redis, world.names.mysql):
        document = details(world.names, service_id)
        document |= {"group": world.names.group, "plugins": {"perf_analyze_plugin": "perf_id"}}
        data = {"alias": world.names.alias(service_id), "region": "eu-1", "directory": service_id}
        world = world.order("register-service", data | {"configuration": document}, service=service_id)
    version = {"group_key": GROUP_KEY, "version": "v2.0", "template": template()}
    world = world.order("publish-version", version, service="shop")
    assert world.run().exit_code == 0, "the worked example could not be installed"
    region.reset()
    region.put_state(_told(world, system))
    system.close()
    return replace(world, root=region.root())


def _told(world: UpgradeWorld, system: System) -> dict[str, Any]:
    """A region that has been told exactly what the console knows, and runs v1."""
    found = system.database.services.in_group(TENANT, world.names.group)
    state = RegionState(fenced=False)
    state.put({"tenants": {TENANT: {service.alias: {"service_id": service.service_id} for service in found}}})
    tell(state, {service.service_id: (service, Configuration.load(service.document)) for service in found})
    for parts in state.root["tenants"][TENANT].values():
        parts["image"] = V1_IMAGE
    return state.snapshot()


def begin(installed: UpgradeWorld, scenario: Scenario, home: Path, database: str = "") -> UpgradeWorld:
    """The world of one scenario, with its message in the spool."""
    world = installed.copy_to(home, database)
    system = System(world.settings)
    old = world.truth(system)
    if scenario.upgraded:
        upgrade = SCENARIOS["upgrade-with-data"]
        world = replace(world, scenario=upgrade).order(upgrade.kind, upgrade.data, service=world.names.web)
        assert world.run().exit_code == 0, "the upgrade that is to be rolled back failed"
        (world.home / "v2-has-run").unlink()
    now = world.truth(system)
    trees = {old.tree, now.tree}
    if scenario.runs:
        trees.add(_written(world))
    system.close()
    end = None if scenario.kind == "upgrade-service" and scenario.state is State.SUCCEEDED else old
    world = replace(world, scenario=scenario, root=world.region.root(), end=end, trees=frozenset(trees))
    return world.order(scenario.kind, scenario.data, service=world.names.web)


def _written(world: UpgradeWorld) -> str:
    """What the directory holds after the new version has run on it."""
    copy = world.home.parent / f"{world.home.name}.written"
    shutil.copytree(world.tree, copy, symlinks=True)
    _write(copy)
    return digest(copy)


def survey(world: UpgradeWorld, home: Path, database: str = "") -> tuple[UpgradeWorld, tuple[str, ...]]:
    """Run it without faults; the world that knows its end, and every failpoint that was reached."""
    copy = world.copy_to(home, database)
    end = copy.run()
    assert end.exit_code == 0, "the run without faults did not end"
    system = System(copy.settings)
    if world.end is None:
        world = replace(world, end=copy.truth(system))
        copy = replace(copy, end=world.end)
        _is_the_new_version(copy, system)
    check(copy, system)
    system.close()
    return world, end.trace


def _is_the_new_version(world: UpgradeWorld, system: System) -> None:
    """The end that every other run is compared with is itself the target, in the region's own terms."""
    assert world.end is not None
    assert world.end.image == V2_IMAGE
    web = Configuration.load(world.end.console[world.names.web])
    assert web.origin["version"] == "v2.0"
    assert {"9090"} <= set(web.of("port")) and {"CACHE_URL"} <= set(web.of("env"))
    wanted = _told(world, system)["tenants"][TENANT]
    assert world.end.region == {name: in_order(wanted[world.names.alias(name)]) for name in world.end.region}
