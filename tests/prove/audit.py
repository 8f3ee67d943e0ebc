"""The audit after a soak: what must hold of everything that was accepted, stored, restored and told.

Apart from the promises of one case, because here nobody knows what each command must have come to: only that it came
to one end, that what it left is whole, and that nothing is left over.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from domain.configuration import Configuration
from domain.operation import TERMINAL
from domain.restore import RestoreMode
from tests.chaos.world import SOURCE, Unwatched
from tests.fakes.trees import digest
from tests.prove.bench import Bench
from tests.simulation.mirror import differences
from workers.region_double.state import RegionState


def audit(bench: Bench, messages: list[str], services: list[str], installed: list[str]) -> list[str]:
    """Sentences about what is wrong."""
    return [
        *ends(bench, messages),
        *(line for service in services for line in _service(bench, service)),
        *agreement(bench, installed),
        *orphans(bench),
        *(f"a secret in {place}" for place in bench.secrets_found()),
    ]


def ends(bench: Bench, messages: list[str]) -> list[str]:
    """I1, I2, I5: what a broker has confirmed became one operation, which has one end, told once and heard."""
    bad, counted = [], bench.operations_of(messages)
    for message in messages:
        found = bench.system.database.find_by_message(SOURCE, message)
        if found is None or counted[message] != 1:
            bad.append(f"{message} became {counted[message]} operations")
        elif found.state not in TERMINAL:
            bad.append(f"{message} is {found.state}: {found.outcome}")
        elif len(told := bench.ends_told(found.op_id)) != 1:
            bad.append(f"the end of {message} was told {len(told)} times: {told}")
        elif found.error_code == "internal-error":
            bad.append(f"{message} ended by a bug: {found.outcome}")
    return bad + bench.unheard(messages)


def _service(bench: Bench, service: str) -> list[str]:
    """I13, I15: the live tree and every available snapshot are one of the service's two trees."""
    note, bad = bench.notes[service], []
    path: Path = note["path"]
    if digest(path) not in note["trees"]:
        bad.append(f"the live tree of {service} is a mix")
    for row in bench.system.database.catalogue.find(None, [service], [], 1000, None):
        staging = bench.home / "audit" / row.snapshot_id
        nowhere = str(bench.home / "audit" / "nowhere")
        bench.system.archive.stage(row.manifest_key, nowhere, str(staging), RestoreMode.REPLACE, Unwatched())
        if digest(staging) not in note["trees"]:
            bad.append(f"{row.snapshot_id} of {service} restores to something else")
        shutil.rmtree(staging)
    return bad


def agreement(bench: Bench, installed: list[str]) -> list[str]:
    """I19: the region holds what the console says, wholly one version."""
    state, bad = RegionState(), []
    state.root = bench.region.root()
    for service in installed:
        row = bench.system.database.services.get(service)
        assert row is not None
        bad += [f"region and console: {line}" for line in differences(state, [row])]
        if Configuration.load(row.document).origin["version"] not in ("v1", "v2"):
            bad.append(f"{service} is at a version that does not deploy")
    return bad


def orphans(bench: Bench) -> list[str]:
    """I14, I17: every object is named by a snapshot or an export, or known as garbage; and none that is named lacks."""
    wanted, catalogue = {"tenants/acme/key"}, bench.system.database.catalogue
    for listed in catalogue.find(None, [], [], 10_000, None):
        row, export = catalogue.get(listed.snapshot_id), catalogue.export_of(listed.snapshot_id)
        assert row is not None
        wanted |= {row.manifest_key, *row.packs} | ({export.object_key} if export else set())
    stored, garbage = {info.key for info in bench.system.store.list("tenants/")}, tuple(bench.garbage())
    left = {key for key in stored - wanted if not key.startswith(garbage)}
    return [f"nothing refers to {key}" for key in sorted(left)] + [f"missing: {key}" for key in sorted(wanted - stored)]
