"""The audit after a soak: what must hold of everything that was accepted, stored, restored and told.

Apart from the promises of one case, because here nobody knows what each command must have come to: only that it came
to one end, that what succeeded has had its effect, in the order in which it held the service, that what it left is
whole, and that nothing is left over.
"""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from domain.configuration import Configuration
from domain.operation import TERMINAL, Operation, State
from domain.restore import RestoreMode
from tests.chaos.world import SOURCE, Unwatched
from tests.fakes.trees import digest
from tests.prove import leftovers
from tests.prove.bench import Bench
from tests.prove.versions import left_out, not_that_version
from tests.simulation.mirror import differences
from workers.region_double.state import RegionState

#: What a region may have said, or not, that made a command give up and put everything back.
REGION = frozenset({"region-unreachable", "region-failed", "region-busy", "region-unavailable", "deploy-failed"})
#: Why a command may end otherwise than well when servers fail and commands meet; for no other reason.
FAILS = {
    "upgrade-service": REGION,
    "rollback": REGION | {"nothing-to-roll-back"},
    **dict.fromkeys(("verify-snapshot", "export-snapshot", "delete-snapshot"), frozenset({"snapshot-not-found"})),
}


def audit(bench: Bench, messages: list[str], services: list[str], installed: list[str]) -> list[str]:
    """Sentences about what is wrong. The nodes work: what has come due while it was looked at goes by itself."""
    return [
        *ends(bench, messages),
        *(line for service in services for line in _service(bench, service, messages)),
        *agreement(bench, installed),
        *leftovers.stays(bench),
        *orphans(bench),
        *leftovers.uploads(bench),
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
        elif found.state is not State.SUCCEEDED and found.error_code not in FAILS.get(found.kind, ()):
            bad.append(f"{message} ended by what should not happen here: {found.state} {found.outcome}")
    return bad + bench.unheard(messages)


def _succeeded(bench: Bench, service: str, messages: list[str]) -> list[Operation]:
    """Of these, the operations of the service that have succeeded, with their data, in the order of their fences: none
    begins before the last one has ended."""
    find, asked = partial(bench.system.database.find_by_message, SOURCE), set(bench.asked(service)) & set(messages)
    found = [found for message in asked if (found := find(message)) is not None and found.state is State.SUCCEEDED]
    whole = [one for each in found if (one := bench.system.database.ledger.get(each.op_id)) is not None]
    return sorted(whole, key=lambda one: one.fence)


def _replayed(bench: Bench, service: str, messages: list[str]) -> tuple[str, dict[str, str]]:
    """Which tree must be live after what has succeeded, and which one each snapshot must hold."""
    note = bench.notes[service]
    live, kept = note["tree"], dict(note.get("kept", {}))
    for one in _succeeded(bench, service, messages):
        if one.kind == "create-snapshot":
            kept[one.op_id] = live
        elif one.kind == "restore-snapshot":
            live = kept[one.data["snapshot_id"]]
    return live, kept


def _service(bench: Bench, service: str, messages: list[str]) -> list[str]:
    """I13, I15: the live tree is the one that was restored last, and each snapshot holds what was live when it was
    taken; of one that nobody has asked for here, one of the service's trees."""
    note, bad = bench.notes[service], []
    live, kept = _replayed(bench, service, messages)
    path: Path = note["path"]
    if (found := digest(path)) != live:
        bad.append(f"the live tree of {service} is {'another one' if found in note['trees'] else 'a mix'}")
    for row in bench.system.database.catalogue.find(None, [service], [], 1000, None):
        staging = bench.home / "audit" / row.snapshot_id
        nowhere = str(bench.home / "audit" / "nowhere")
        bench.system.archive.stage(row.manifest_key, nowhere, str(staging), RestoreMode.REPLACE, Unwatched())
        may_be = {kept[row.snapshot_id]} if row.snapshot_id in kept else note["trees"]
        if digest(staging) not in may_be:
            bad.append(f"{row.snapshot_id} of {service} restores to something else")
        shutil.rmtree(staging)
    return bad


def agreement(bench: Bench, installed: list[str]) -> list[str]:
    """I19: the region holds what the console says, row by row the version that what has succeeded led to, and nothing
    was left out on the way."""
    state, bad = RegionState(), []
    state.root = bench.region.root()
    for service in installed:
        row = bench.system.database.services.get(service)
        assert row is not None
        bad += [f"region and console: {line}" for line in differences(state, [row])]
        found, wanted = Configuration.load(row.document).origin["version"], "v1"
        for one in _succeeded(bench, service, bench.asked(service)):
            if one.kind in ("upgrade-service", "rollback"):
                wanted = one.data.get("version", "v1")  # each rollback here is to the first one
                bad += left_out(one)
        if found != wanted:
            bad.append(f"{service} is at {found}, and what has succeeded led to {wanted}")
        else:
            bad += not_that_version(service, row.document, wanted)
    return bad


def orphans(bench: Bench) -> list[str]:
    """I14, I17: every object is named by a snapshot or an export, or known as garbage that has not long been due; and
    none that is named lacks."""
    wanted, catalogue = {"tenants/acme/key"}, bench.system.database.catalogue
    for listed in catalogue.find(None, [], [], 10_000, None):
        row, export = catalogue.get(listed.snapshot_id), catalogue.export_of(listed.snapshot_id)
        assert row is not None
        wanted |= {row.manifest_key, *row.packs} | ({export.object_key} if export else set())
    excused = leftovers.excuses(bench)
    stored = {info.key for info in bench.system.store.list("tenants/")}
    left = {key for key in stored - wanted if not any(row.covers(key) for row in excused)}
    return [f"nothing refers to {key}" for key in sorted(left)] + [f"missing: {key}" for key in sorted(wanted - stored)]
