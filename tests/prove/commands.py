"""What is killed: one scenario for every command, and for every other end that it can come to.

Each is three things about one service: stages that bring about what must be there, the messages under proof, and what
must hold of the service in the end besides what holds of all. A command that has no scenario here fails a test.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from domain.configuration import Configuration
from domain.operation import State
from domain.snapshot import SnapshotState
from tests.fakes.trees import digest, grow
from tests.prove.bench import SECRET, TENANT, Bench
from tests.prove.versions import left_out, not_that_version
from tests.simulation import mirror
from workers.region_double.state import RegionState

Stage = Callable[[Bench, str], Any]
#: A version that the region cannot deploy.
BROKEN = "registry/broken"


@dataclass(frozen=True, slots=True)
class Scenario:
    """`stages` run before, each to its end; `act` publishes what is under proof and says how it must end."""

    kind: str
    stages: tuple[Stage, ...]
    act: Callable[[Bench, str], dict[str, State]]
    check: Callable[[Bench, str], list[str]] = lambda bench, service: []

    @property
    def region(self) -> bool:
        """Whether a region is asked."""
        return told in self.stages


# ---------------------------------------------------------------- stages
def _planted(bench: Bench, service: str) -> None:
    tree = bench.home / "data" / "apps" / service
    grow(tree, seed=len(bench.notes), files=6)
    bench.notes[service] = {"first": digest(tree), "tree": digest(tree), "trees": {digest(tree)}}


def register(bench: Bench, service: str) -> None:
    _planted(bench, service)
    envs = [{"name": "DB_PASSWORD", "value": SECRET, "secret": True}]
    bench.ask(service, "register-service", {"configuration": {"envs": envs}})


def snapshot(bench: Bench, service: str) -> None:
    bench.ask(service, "create-snapshot", {"labels": ["step:first"]}, "first")


def changed(bench: Bench, service: str) -> None:
    tree = bench.home / "data" / "apps" / service
    grow(tree, seed=10_000 + len(bench.notes), files=3)
    bench.notes[service]["tree"] = digest(tree)
    bench.notes[service]["trees"].add(digest(tree))


def another(bench: Bench, service: str) -> None:
    changed(bench, service)
    bench.ask(service, "create-snapshot", {"labels": ["step:second"]}, "second")


def recorded(bench: Bench, service: str) -> None:
    bench.ask(service, "export-record", {"snapshot_id": _first(bench, service)}, "record")


def lost(bench: Bench, service: str) -> None:
    outcome = bench.found(service, "record").outcome or {}
    bench.notes[service]["record"] = outcome["figures"]["record"]
    bench.forget(_first(bench, service))


def installed(bench: Bench, service: str) -> None:
    """In the console and, equal to it, in the region; with a directory."""
    plain = {
        "group_key": service, "group": service, "version": "v1", "service_key": service, "image": "registry/app:v1",
        "build": "v1", "envs": [{"name": "MODE", "value": "prod"}, {"name": "KEY", "value": SECRET, "secret": True}],
        "ports": [{"port": 80, "inner": True, "alias": "APP"}],
    }  # fmt: skip
    _planted(bench, service)
    bench.ask(service, "register-service", {"region": "eu-1", "alias": service, "configuration": plain})
    for version, image in (("v2", "registry/app:v2"), ("v3", BROKEN)):
        wanted = {
            "group_key": service, "version": version, "image": image, "build": version,
            "envs": [{"name": "NEW", "value": version}], "ports": [{"port": 8080, "inner": True, "alias": "MORE"}],
            "volumes": [{"name": "more", "path": f"/more/{version}"}],
        }  # fmt: skip
        data = {"group_key": service, "version": version, "template": {"services": {service: wanted}}}
        bench.ask(service, "publish-version", data, f"publish-{version}")


def told(bench: Bench, service: str) -> None:
    row = bench.system.database.services.get(service)
    assert row is not None
    bench.region.put_state({"tenants": mirror.told([row]).root["tenants"], "broken_images": [BROKEN]})


def upgraded(bench: Bench, service: str) -> None:
    bench.ask(service, "upgrade-service", {"version": "v2", "include_data": True}, "before")


def elsewhere(bench: Bench, service: str) -> None:
    bench.notes[service] = {}
    bench.ask(service, "register-service", {"node": "nowhere"}, "waiting")


def packed(bench: Bench, service: str) -> None:
    register(bench, service)
    tree = bench.home / "data" / "apps" / service
    archive = ["tar", "--format=posix", "--create", f"--file={bench.old}/{service}.tar", f"--directory={tree}", "."]
    subprocess.run(archive, check=True)


def _first(bench: Bench, service: str) -> str:
    return bench.found(service, "first").op_id


# ---------------------------------------------------------------- acts
def _ask(kind: str, data: Callable[[Bench, str], dict[str, Any]], end: State = State.SUCCEEDED) -> Any:
    def act(bench: Bench, service: str) -> dict[str, State]:
        return {bench.ask(service, kind, data(bench, service), "proof"): end}

    return act


def _of_first(**more: Any) -> Callable[[Bench, str], dict[str, Any]]:
    return lambda bench, service: {"snapshot_id": _first(bench, service), **more}


def _restore(bench: Bench, service: str) -> dict[str, State]:
    changed(bench, service)
    bench.notes[service]["tree"] = bench.notes[service]["first"]
    return _ask("restore-snapshot", _of_first())(bench, service)  # type: ignore[no-any-return]


def _rollback(bench: Bench, service: str) -> dict[str, State]:
    changed(bench, service)
    bench.notes[service]["tree"] = bench.notes[service]["first"]
    return _ask("rollback", lambda b, s: {"data": True})(bench, service)  # type: ignore[no-any-return]


def _cancel(bench: Bench, service: str) -> dict[str, State]:
    target = bench.found(service, "waiting")
    bench.cancelled.add(f"{service}/waiting")
    bench.ask(service, "cancel-operation", {"operation_id": target.op_id}, "proof")
    return {f"{service}/proof": State.SUCCEEDED, f"{service}/waiting": State.CANCELLED}


def _nightly(bench: Bench, service: str) -> dict[str, Any]:
    return {"kind": "create-snapshot", "service": service, "cron": "0 3 1 1 *"}


def scheduled(bench: Bench, service: str) -> None:
    bench.ask(service, "set-schedule", _nightly(bench, service), "scheduled")


def _policy(bench: Bench, service: str) -> dict[str, Any]:
    return {"policy": {"last": 1}}


# ---------------------------------------------------------------- checks
def _snapshots(*wanted: str) -> Callable[[Bench, str], list[str]]:
    def check(bench: Bench, service: str) -> list[str]:
        listed = bench.system.database.catalogue.find(None, [service], [], 100, None)
        labels = sorted(str(label).removeprefix("step:") for row in listed for label in row.labels)
        return [] if labels == sorted(wanted) else [f"snapshots {labels} instead of {sorted(wanted)}"]

    return check


def _pinned(bench: Bench, service: str) -> list[str]:
    row = bench.system.database.catalogue.get(_first(bench, service))
    assert row is not None
    return [] if row.pinned else ["it is not pinned"]


def _verified(bench: Bench, service: str) -> list[str]:
    row = bench.system.database.catalogue.get(_first(bench, service))
    assert row is not None
    return [] if row.state is SnapshotState.AVAILABLE else [f"it is {row.state}"]


def _agrees(version: str, *builds: str) -> Callable[[Bench, str], list[str]]:
    """Console and region are both that version, row by row, nothing was left out, and each deployment was started
    once."""

    def check(bench: Bench, service: str) -> list[str]:
        row, state = bench.system.database.services.get(service), RegionState()
        assert row is not None
        root = bench.region.root()
        state.root = root
        bad = mirror.differences(state, [row])
        found = Configuration.load(row.document).origin["version"]
        label = [f"the console says {found}, not {version}"]
        bad += label if found != version else not_that_version(service, row.document, version)
        bad += left_out(bench.found(service, "proof"))
        started = tuple(event["image"] for event in root["events"] if event["service_id"] == service)
        return bad + ([] if started == builds else [f"deployed {started} instead of {builds}"])

    return check


def _exported(bench: Bench, service: str) -> list[str]:
    found = bench.system.database.catalogue.export_of(_first(bench, service))
    if found is None:
        return ["there is no archive"]
    archive = bench.system.store.get(found.object_key)
    whence = f"--directory={bench.home / 'data' / 'apps' / service}"
    said = subprocess.run(["tar", "--zstd", "--compare", "--file=-", whence], input=archive, capture_output=True)
    return [] if said.returncode == 0 else [said.stdout.decode()]


def _retained(bench: Bench, service: str) -> list[str]:
    row = bench.system.database.services.get(service)
    assert row is not None
    return [] if row.retention else ["it has no policy"]


SCENARIOS: dict[str, Scenario] = {
    "register": Scenario("register-service", (), lambda b, s: _register_as_proof(b, s)),
    "create": Scenario("create-snapshot", (register,), _ask("create-snapshot", lambda b, s: {"labels": ["step:proof"]}),
                       _snapshots("proof")),
    "restore": Scenario("restore-snapshot", (register, snapshot), _restore, _snapshots("first")),
    "delete": Scenario("delete-snapshot", (register, snapshot), _ask("delete-snapshot", _of_first()), _snapshots()),
    "verify": Scenario("verify-snapshot", (register, snapshot), _ask("verify-snapshot", _of_first()), _verified),
    "pin": Scenario("pin-snapshot", (register, snapshot), _ask("pin-snapshot", _of_first()), _pinned),
    "retention": Scenario("set-retention", (register,), _ask("set-retention", _policy), _retained),
    "forget": Scenario("apply-retention", (register, snapshot, another), _ask("apply-retention", _policy),
                       _snapshots("second")),
    "export": Scenario("export-snapshot", (register, snapshot), _ask("export-snapshot", _of_first()), _exported),
    "record": Scenario("export-record", (register, snapshot), _ask("export-record", _of_first()), _snapshots("first")),
    "import-record": Scenario("import-record", (register, snapshot, recorded, lost), _ask(
        "import-record", lambda b, s: {"record": b.notes[s]["record"]}), _snapshots("first")),
    "import": Scenario("import-snapshot", (packed,), _ask(
        "import-snapshot", lambda b, s: {"place": "old", "keys": [f"{s}.tar"], "labels": ["step:proof"]}),
        _snapshots("proof")),
    "repack": Scenario("repack-service", (register, snapshot, another), _ask("repack-service", lambda b, s: {}),
                       _snapshots("first", "second")),
    "drill": Scenario("restore-drill", (register, snapshot), _ask("restore-drill", lambda b, s: {}),
                      _snapshots("first")),
    "objective": Scenario("set-rpo", (register,), _ask("set-rpo", lambda b, s: {"goal_seconds": 86_400})),
    "schedule": Scenario("set-schedule", (register,), _ask("set-schedule", _nightly)),
    "pause": Scenario("pause-schedule", (register, scheduled), _ask(
        "pause-schedule", lambda b, s: {"reason": "proof"})),
    "unschedule": Scenario("remove-schedule", (register, scheduled), _ask(
        "remove-schedule", lambda b, s: {"reason": "proof"})),
    "cancel": Scenario("cancel-operation", (elsewhere,), _cancel),
    "publish": Scenario("publish-version", (), _ask("publish-version", lambda b, s: {
        "group_key": s, "version": "v9", "template": {"services": {s: {"image": "x", "group_key": s}}}})),
    "hold": Scenario("hold-version", (installed,), _ask("hold-version", lambda b, s: {"version": "v2"})),
    "upgrade": Scenario("upgrade-service", (installed, told), _ask(
        "upgrade-service", lambda b, s: {"version": "v2", "include_data": True}), _agrees("v2", "registry/app:v2")),
    "upgrade-fails": Scenario("upgrade-service", (installed, told), _ask(
        "upgrade-service", lambda b, s: {"version": "v3", "include_data": True}, State.ROLLED_BACK),
        _agrees("v1", BROKEN, "registry/app:v1")),
    "rollback": Scenario("rollback", (installed, told, upgraded), _rollback,
                         _agrees("v1", "registry/app:v2", "registry/app:v1")),
}  # fmt: skip


def _register_as_proof(bench: Bench, service: str) -> dict[str, State]:
    register(bench, service)
    return {f"{service}/register-service": State.SUCCEEDED}


__all__ = ["SCENARIOS", "TENANT", "Scenario"]
