"""What must hold of every case, whatever happened to the nodes that worked on it.

Apart from the scenarios, which know what each command must have come to, because this is the promise itself.
"""

from __future__ import annotations

import shutil

from domain.operation import State
from domain.restore import RestoreMode
from tests.chaos.world import Unwatched
from tests.fakes.trees import digest
from tests.prove import leftovers
from tests.prove.bench import SOURCE, TENANT, Bench
from tests.prove.commands import Scenario


def broken(bench: Bench, scenario: Scenario, service: str, wanted: dict[str, State]) -> list[str]:
    """Sentences about promises that do not hold of that service; empty when all do."""
    bad = _ends(bench, wanted)
    if bad:
        return bad
    bad = scenario.check(bench, service)
    bad += _tree(bench, service) + _snapshots(bench, service) + _left_over(bench, service)
    return bad + leftovers.uncollected(bench) + leftovers.strays(bench, bench.home / "data" / "apps")


def _ends(bench: Bench, wanted: dict[str, State]) -> list[str]:
    """I1, I2, I5: one operation for each message, the right end, told once and heard by a listener."""
    bad, counted = [], bench.operations_of(list(wanted))
    for message, state in wanted.items():
        found = bench.system.database.find_by_message(SOURCE, message)
        if found is None or counted[message] != 1:
            bad.append(f"{message} became {counted[message]} operations")
        elif found.state is not state:
            bad.append(f"{message} ended as {found.state}, not {state}: {found.outcome}")
        elif len(topics := bench.ends_told(found.op_id)) != 1:
            bad.append(f"the end of {message} was told {len(topics)} times")
    return bad or bench.unheard(list(wanted))


def whole(bench: Bench, service: str) -> list[str]:
    """I15: at any moment the live tree is one that there has been, never a mix."""
    trees = _trees(bench, service)
    return ["the live tree is a mix"] if trees and digest(bench.home / "data" / "apps" / service) not in trees else []


def _trees(bench: Bench, service: str) -> set[str]:
    """Of a service without a directory there have been none."""
    return set(bench.notes.get(service, {}).get("trees", ()))


def _tree(bench: Bench, service: str) -> list[str]:
    if not _trees(bench, service):
        return []
    found = digest(bench.home / "data" / "apps" / service)
    return [] if found == bench.notes[service]["tree"] else ["the live tree is not the one that it must be"]


def _snapshots(bench: Bench, service: str) -> list[str]:
    """I13: what is available, protecting snapshots too, restores to a tree that there has been."""
    bad = []
    for row in bench.system.database.catalogue.find(None, [service], [], 100, None):
        if "data" not in row.include:
            continue
        staging = bench.home / "data" / "apps" / f"check-{row.snapshot_id}" / "tree"
        nowhere = str(bench.home / "data" / "apps" / "nowhere")
        bench.system.archive.stage(row.manifest_key, nowhere, str(staging), RestoreMode.REPLACE, Unwatched())
        if digest(staging) not in _trees(bench, service):
            bad.append(f"{row.snapshot_id} restores to something else")
        shutil.rmtree(staging.parent)
    return bad


def _left_over(bench: Bench, service: str) -> list[str]:
    """I14, I17: of this service's snapshots the store holds what is listed, and else only garbage that may be there."""
    database, archive = bench.system.database, bench.system.archive
    listed = {row.snapshot_id: row for row in database.catalogue.find(None, [service], [], 100, None)}
    bad = []
    for snapshot_id in _made_by(bench, service):
        row = database.catalogue.get(snapshot_id) if snapshot_id in listed else None
        wanted = {row.manifest_key, *row.packs} if row else set()
        prefixes = [archive.pack_prefix(TENANT, snapshot_id), archive.manifest_key(TENANT, service, snapshot_id)]
        stored = {info.key for prefix in prefixes for info in bench.system.store.list(prefix)}
        mine = {key for key in wanted if any(key.startswith(prefix) for prefix in prefixes)}
        lent = stored - mine  # packs of a deleted snapshot may live on in a younger one
        lent -= {key for other in listed for key in (database.catalogue.get(other) or row).packs}  # type: ignore[union-attr]
        excused = leftovers.excuses(bench)
        lent -= {key for key in lent if any(row.covers(key) for row in excused)}
        if lent or mine - stored:
            bad.append(f"left over {sorted(lent)}, missing {sorted(mine - stored)}")
    return bad


def _made_by(bench: Bench, service: str) -> list[str]:
    """Ids of all snapshots that commands about the service may have made: their own, and protecting ones."""
    database, found = bench.system.database, []
    for message in bench.asked(service):
        operation = database.find_by_message(SOURCE, message)
        if operation is not None:
            steps = [step for step in database.ledger.steps(operation.op_id) if step.kind == "protect"]
            found += [operation.op_id, *(str(step.request["snapshot"]) for step in steps if step.request["snapshot"])]
    return found
